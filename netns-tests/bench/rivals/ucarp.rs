//! ucarp as a contender of the comparison: CARP, with scripts that add and remove the address.
//!
//! Its advertisements come once a second at the least. Below that (`-b 0`) its standby hears them
//! in heaps, once a second as libpcap hands them over, and takes over every second. So its fastest
//! setting is `-b 1` with a dead ratio of 1 instead of 3.

use super::course::Contender;
use super::site::Site;
use crate::lab::Server;
use crate::lab::process::Process;
use crate::scene::ADDRESS;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::time::Duration;

/// ucarp with one dead ratio.
pub struct Ucarp {
    ratio: &'static str,
    running: [Option<Process>; 2],
}

/// Dead ratio of one missing advertisement.
pub const FASTEST: &str = "1";
/// Dead ratio of three, ucarp's default.
pub const DEFAULT: &str = "3";

/// Words of the command line on `server`.
pub fn command_line(ratio: &'static str, server: Server) -> Vec<String> {
    let skew = if server == Server::Alpha { "0" } else { "1" };
    let own = server.port().ipv4().to_string();
    let words = [
        "ucarp", "-i", "eth0", "-s", &own, "-v", "51", "-p", "lab", "-a", ADDRESS, "-b", "1", "-k", skew, "-r", ratio,
    ];
    words.into_iter().chain(["-z", "-u", "/etc/vip-up", "-d", "/etc/vip-down"]).map(str::to_owned).collect()
}

impl Ucarp {
    /// ucarp on no server yet.
    pub fn new(ratio: &'static str) -> Ucarp {
        Ucarp { ratio, running: [None, None] }
    }
}

impl Contender for Ucarp {
    fn start(&mut self, site: &mut Site, server: Server) {
        let script = |what: &str| format!("#!/bin/sh\nexec ip address {what} {ADDRESS}/32 dev eth0\n");
        site.furnish_room(server, &[("/etc/vip-up", script("add")), ("/etc/vip-down", script("del"))]);
        let call = command_line(self.ratio, server);
        let args: Vec<&str> = call.iter().map(String::as_str).collect();
        self.running[server.index()] = Some(site.room(server).start(&site.lab, &args, false));
    }

    fn processes(&self, site: &Site, server: Server) -> Vec<Pid> {
        site.processes(server, &["ucarp"])
    }

    fn switch(&mut self, _: &mut Site, from: Server) {
        // With -z it removes the address before it ends; its peer is not told.
        self.running[from.index()].as_ref().expect("it runs").signal(Signal::SIGTERM);
    }

    fn rejoin_after_switch(&mut self, site: &mut Site, from: Server) {
        let mut ended = self.running[from.index()].take().expect("it runs");
        assert!(ended.wait(Duration::from_secs(10)).is_some(), "ucarp does not end");
        self.start(site, from);
    }

    fn watches_the_service(&self) -> bool {
        false
    }
}
