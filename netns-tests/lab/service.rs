//! The service of a server: an nginx bound to the shared addresses, on the standby too.
//!
//! Owns: nginx's process, configuration and logs. Never does: adding addresses; it waits for the
//! agent to have done so.

use super::process::{Process, tail};
use super::{Lab, Server};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A running nginx that answers every request with its server's name.
#[derive(Debug)]
pub struct Service {
    process: Process,
}

impl Service {
    /// Waits until the server has all `addresses`, then starts nginx on port 80 of each.
    pub fn start(lab: &Lab, server: Server, addresses: &[IpAddr]) -> Service {
        wait_for_addresses(lab, server, addresses);
        let dir = lab.dir().join(format!("{}-nginx", server.name()));
        std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
        let config = dir.join("nginx.conf");
        std::fs::write(&config, nginx_config(&dir, server, addresses))
            .unwrap_or_else(|e| panic!("write nginx.conf: {e}"));
        // A busy machine is to delay the service last: tests measure the way to it.
        let mut command = Command::new("nice");
        command
            .args(["-n", "-10", "nginx"])
            .arg("-c")
            .arg(&config)
            .arg("-p")
            .arg(&dir)
            .arg("-e")
            .arg(dir.join("error.log"));
        let process = Process::start(lab.server(server), command, &dir.join("output.log"), lab.is_kept());
        let mut service = Service { process };
        service.wait_until_it_listens(lab, server, addresses.len());
        service
    }

    /// Waits until nginx listens on `count` addresses; panics with its output when it does not.
    fn wait_until_it_listens(&mut self, lab: &Lab, server: Server, count: usize) {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let sockets = lab.server(server).tool("ss", &["-Hltn", "sport", "=", ":80"], "");
            if sockets.lines().count() >= count {
                return;
            }
            assert!(
                Instant::now() < limit && self.process.is_running(),
                "nginx of {} does not listen:\n{}",
                server.name(),
                tail(&self.process.output(), 20)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Leaves nginx running when this process ends.
    pub fn leave_running(self) {
        self.process.leave_running();
    }
}

/// Waits until `server` has all `addresses` on eth0.
pub fn wait_for_addresses(lab: &Lab, server: Server, addresses: &[IpAddr]) {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        let present = lab.server(server).tool("ip", &["-o", "address", "show", "dev", "eth0"], "");
        let missing: Vec<_> = addresses.iter().filter(|a| !present.contains(&format!(" {a}/"))).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < limit, "{} still lacks {missing:?}:\n{present}", server.name());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Text of nginx's configuration.
fn nginx_config(dir: &Path, server: Server, addresses: &[IpAddr]) -> String {
    let mut listen = String::new();
    for address in addresses {
        // Writing to a String cannot fail.
        let _ = match address {
            IpAddr::V4(a) => writeln!(listen, "    listen {a}:80 backlog=4096;"),
            IpAddr::V6(a) => writeln!(listen, "    listen [{a}]:80 backlog=4096;"),
        };
    }
    let (dir, name) = (dir.display(), server.name());
    format!(
        "user root;\ndaemon off;\nmaster_process off;\nworker_processes 1;\npid {dir}/nginx.pid;\n\
         error_log {dir}/error.log;\nevents {{ worker_connections 8192; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  \
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
         keepalive_timeout 0;\n  server {{\n{listen}    location / {{ return 200 '{name}'; }}\n  }}\n}}\n"
    )
}
