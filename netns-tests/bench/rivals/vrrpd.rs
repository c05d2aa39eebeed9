//! FRR's vrrpd as a contender of the comparison: VRRPv3 with the address on a macvlan interface
//! that has VRRP's hardware address; the backup's is held down.
//!
//! Both servers answer from that one hardware address, so the answering one is read off the
//! interfaces, and two are counted by two answers to one question. So that one server answers once,
//! eth0 does not answer for the macvlan.

use super::course::Contender;
use super::site::Site;
use crate::lab::Server;
use crate::lab::process::Process;
use crate::scene::ADDRESS;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// vrrpd with one interval between adverts.
pub struct Vrrpd {
    advert_ms: &'static str,
    running: [Vec<Process>; 2],
}

/// Interval of 10 ms, the least that VRRPv3 can say; in milliseconds.
pub const FASTEST: &str = "10";
/// Interval of a second, vrrpd's default; in milliseconds.
pub const DEFAULT: &str = "1000";

/// Name of the macvlan interface, as vrrpd expects it.
const INTERFACE: &str = "vrrp4-51";

/// The configuration on `server`.
pub fn config(advert_ms: &str, server: Server) -> String {
    let priority = if server == Server::Alpha { 254 } else { 253 };
    format!(
        "interface eth0\n vrrp 51 version 3\n no vrrp 51 preempt\n vrrp 51 priority {priority}\n \
         vrrp 51 advertisement-interval {advert_ms}\n vrrp 51 ip {ADDRESS}\nexit\n"
    )
}

/// Lines of `ip` that make the interface.
pub fn interface() -> String {
    format!(
        "link add dev {INTERFACE} link eth0 type macvlan mode bridge\nlink set dev {INTERFACE} address 00:00:5e:00:01:33\n\
         address add {ADDRESS}/24 dev {INTERFACE}\nlink set dev {INTERFACE} up\n"
    )
}

impl Vrrpd {
    /// vrrpd on no server yet.
    pub fn new(advert_ms: &'static str) -> Vrrpd {
        Vrrpd { advert_ms, running: [Vec::new(), Vec::new()] }
    }

    /// Starts vrrpd beside zebra and waits until it is configured.
    fn start_vrrpd(&mut self, site: &Site, server: Server) {
        let room = site.room(server);
        let vrrpd = room.start(&site.lab, &["/usr/lib/frr/vrrpd", "-A", "127.0.0.1"], false);
        self.running[server.index()].push(vrrpd);
        let limit = Instant::now() + Duration::from_secs(10);
        while let Err(cause) = room.run(&["vtysh", "-b"]).and_then(|_| check_configured(site, server)) {
            assert!(Instant::now() < limit, "vrrpd of {}: {cause}", server.name());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Fails until vrrpd has its virtual router.
fn check_configured(site: &Site, server: Server) -> Result<(), String> {
    let said = site.room(server).run(&["vtysh", "-c", "show vrrp"])?;
    if said.contains("Virtual Router ID") { Ok(()) } else { Err(format!("no virtual router yet: {said}")) }
}

/// Whether the macvlan interface of a server is up, as it is on the master alone.
fn is_up(site: &Site, server: Server) -> bool {
    let said = site.lab.server(server).try_tool("ip", &["-brief", "link", "show", "dev", INTERFACE], "");
    said.is_ok_and(|line| line.contains(" UP "))
}

impl Contender for Vrrpd {
    fn prepare(&mut self, site: &mut Site) {
        site.is_mac_shared = true;
    }

    /// Makes the macvlan interface, furnishes the server's room, and starts zebra and vrrpd.
    fn start(&mut self, site: &mut Site, server: Server) {
        let host = site.lab.server(server);
        for (key, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
            host.sysctl(&format!("ipv4/conf/all/{key}"), value);
            host.sysctl(&format!("ipv4/conf/default/{key}"), value);
        }
        // The kernel has set this for eth0 when the interface was made.
        host.sysctl("ipv4/conf/eth0/rp_filter", "0");
        host.ip(&interface());
        site.furnish_room(
            server,
            &[("/etc/frr/frr.conf", config(self.advert_ms, server)), ("/etc/frr/vrrpd.conf", String::new())],
        );
        let room = site.room(server);
        let made = room.run(&["install", "-d", "-o", "frr", "-g", "frr", "/run/frr"]);
        made.unwrap_or_else(|cause| panic!("{cause}"));
        self.running[server.index()].clear();
        self.running[server.index()].push(room.start(&site.lab, &["/usr/lib/frr/zebra", "-A", "127.0.0.1"], false));
        self.start_vrrpd(site, server);
    }

    fn processes(&self, site: &Site, server: Server) -> Vec<Pid> {
        site.processes(server, &["vrrpd", "zebra"])
    }

    fn switch(&mut self, site: &mut Site, from: Server) {
        // Its service is stopped in the same way: an advert of priority 0 says goodbye.
        for pid in site.processes(from, &["vrrpd"]) {
            kill(pid, Signal::SIGTERM).unwrap_or_else(|e| panic!("SIGTERM to vrrpd: {e}"));
        }
    }

    fn rejoin_after_switch(&mut self, site: &mut Site, from: Server) {
        let mut ended = self.running[from.index()].pop().expect("it runs");
        assert!(ended.wait(Duration::from_secs(10)).is_some(), "vrrpd does not end");
        self.start_vrrpd(site, from);
    }

    fn holder(&self, site: &Site) -> Option<Server> {
        match Server::BOTH.map(|server| is_up(site, server)) {
            [true, false] => Some(Server::Alpha),
            [false, true] => Some(Server::Beta),
            [true, true] | [false, false] => None,
        }
    }

    fn watches_the_service(&self) -> bool {
        false
    }
}
