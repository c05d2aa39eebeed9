//! A server that translates addresses, and the conntrackd that tells the other server what it
//! translated.
//!
//! Owns: nftables' rules, conntrackd's process, its file and its log. The file is the example that
//! ships, with the lab's addresses in it.

use super::process::Process;
use super::{Lab, Port, Server};
use std::path::PathBuf;
use std::process::Command;

/// Port of the shared address that is translated.
pub const PORT: u16 = 8080;
/// Port on which the host behind the servers listens.
pub const BEHIND: u16 = 90;

/// The running conntrackd of one server.
#[derive(Debug)]
pub struct Conntrackd {
    _process: Process,
}

/// Path of a server's conntrackd configuration.
pub fn config_path(lab: &Lab, server: Server) -> PathBuf {
    lab.dir().join(format!("{}-conntrackd.conf", server.name()))
}

/// Makes the server a router that translates [`PORT`] of `address` to [`BEHIND`] of the gateway,
/// and the client's address to `address` with a random port, which no other server could guess.
/// Packets of connections that it does not know are invalid to it, as behind a firewall.
pub fn make_translator(lab: &Lab, server: Server, address: &str) {
    let host = lab.server(server);
    for (key, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/eth0/send_redirects", "0"),
        ("netfilter/nf_conntrack_tcp_loose", "0"),
    ] {
        host.sysctl(key, value);
    }
    let behind = Port::Gateway.ipv4();
    let rules = format!(
        "table ip nat {{\n chain before {{\n  type nat hook prerouting priority -100;\n  \
         ip daddr {address} tcp dport {PORT} dnat to {behind}:{BEHIND}\n }}\n \
         chain after {{\n  type nat hook postrouting priority 100;\n  \
         ct status dnat snat to {address} random\n }}\n}}\n"
    );
    host.tool("nft", &["-f", "-"], &rules);
}

impl Conntrackd {
    /// Starts conntrackd on a server.
    pub fn start(lab: &Lab, server: Server) -> Conntrackd {
        let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/conntrackd.conf"));
        let text = example
            .expect("the example is in the tree")
            .replace("192.168.50.1", "LOCAL")
            .replace("192.168.50.2", "REMOTE")
            .replace("LOCAL", &server.second_link().ipv4().to_string())
            .replace("REMOTE", &server.other().second_link().ipv4().to_string())
            .replace(
                "/var/lock/conntrackd.lock",
                &format!("{}/{}-conntrackd.lock", lab.dir().display(), server.name()),
            )
            .replace("/var/run/conntrackd.ctl", &format!("{}/{}-conntrackd.ctl", lab.dir().display(), server.name()));
        let path = config_path(lab, server);
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        let mut command = Command::new("conntrackd");
        command.arg("-C").arg(&path);
        let log = lab.dir().join(format!("{}-conntrackd.log", server.name()));
        Conntrackd { _process: Process::start(lab.server(server), command, &log, lab.is_kept()) }
    }
}

/// The external cache of a server's conntrackd: what it knows of the other server's connections.
/// Empty when it does not answer.
pub fn external_cache(lab: &Lab, server: Server) -> String {
    let file = config_path(lab, server);
    let path = file.to_str().expect("paths of the lab are text");
    lab.server(server).try_tool("conntrackd", &["-C", path, "-e"], "").unwrap_or_default()
}
