//! keepalived as a contender of the comparison: VRRP, with addresses added and removed.
//!
//! Its configuration at its best: VRRPv3, unicast, real-time priority, locked memory, neighbouring
//! priorities near the highest (that makes its skew small), no preemption, the service as a tracked
//! process. Its limit of real-time run is one that a busy machine does not reach; at the default of
//! 10 ms the kernel killed it here. To track the process it must enter the server's network
//! namespace by itself: the kernel tells of processes only in the first one.

use super::course::Contender;
use super::site::Site;
use crate::lab::Server;
use crate::lab::process::Process;
use crate::scene::ADDRESS;
use nix::unistd::Pid;

/// keepalived with one interval between adverts.
pub struct Keepalived {
    advert: &'static str,
    running: [Option<Process>; 2],
}

/// Interval of 10 ms, the least that VRRPv3 can say; in seconds.
pub const FASTEST: &str = "0.01";
/// Interval of a second, keepalived's default; in seconds.
pub const DEFAULT: &str = "1";

/// Tracked file: a number other than 0 in it makes the instance give up its address at once and say
/// so to its peer.
const MAINTENANCE: &str = "/etc/keepalived/maintenance";

/// The configuration on `server`, in the network namespace `net`, with nginx's process called
/// `web`.
pub fn config(advert: &str, server: Server, net: &str, web: &str) -> String {
    let priority = if server == Server::Alpha { 254 } else { 253 };
    let (own, peer) = (server.port().ipv4(), server.other().port().ipv4());
    format!(
        "net_namespace {net}\nglobal_defs {{\n  router_id {}\n  vrrp_version 3\n  vrrp_rt_priority 50\n  vrrp_rlimit_rttime 1000000\n  vrrp_no_swap\n}}\n\
         vrrp_track_process web {{\n  process {web}\n}}\ntrack_file maintenance {{\n  file {MAINTENANCE}\n  weight 0\n}}\nvrrp_instance web {{\n  state BACKUP\n  nopreempt\n  \
         interface eth0\n  virtual_router_id 51\n  priority {priority}\n  advert_int {advert}\n  unicast_src_ip {own}\n  \
         unicast_peer {{\n    {peer}\n  }}\n  virtual_ipaddress {{\n    {ADDRESS}/32\n  }}\n  track_process {{\n    web\n  \
         }}\n  track_file {{\n    maintenance\n  }}\n}}\n",
        server.name()
    )
}

impl Keepalived {
    /// keepalived on no server yet.
    pub fn new(advert: &'static str) -> Keepalived {
        Keepalived { advert, running: [None, None] }
    }
}

impl Contender for Keepalived {
    fn start(&mut self, site: &mut Site, server: Server) {
        let net = site.lab.server(server).name().to_owned();
        let text = config(self.advert, server, &net, &Site::web_name(server));
        site.furnish_room(server, &[("/etc/keepalived/keepalived.conf", text), (MAINTENANCE, "0\n".to_owned())]);
        let args = ["keepalived", "--dont-fork", "--vrrp", "--log-console"];
        self.running[server.index()] = Some(site.room(server).start(&site.lab, &args, true));
    }

    fn processes(&self, site: &Site, server: Server) -> Vec<Pid> {
        site.processes(server, &["keepalived"])
    }

    fn switch(&mut self, site: &mut Site, from: Server) {
        site.room(from).write(MAINTENANCE, "1\n");
    }

    fn rejoin_after_switch(&mut self, site: &mut Site, from: Server) {
        site.room(from).write(MAINTENANCE, "0\n");
    }
}
