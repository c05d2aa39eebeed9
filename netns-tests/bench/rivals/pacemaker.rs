//! Pacemaker on corosync as a contender of the comparison: IPaddr2, and an OCF agent that checks
//! whether nginx runs.
//!
//! It runs without systemd: corosync and pacemakerd are started directly, each server with files,
//! `/run` and shared memory of its own. There is no fencing, because the lab has no power switch;
//! so only the quorum rule for two nodes says who goes on. Both links are rings.

use super::course::Contender;
use super::site::Site;
use crate::lab::Server;
use crate::lab::process::{Process, tail};
use crate::scene::ADDRESS;
use nix::unistd::Pid;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Pacemaker with one [`Setting`].
pub struct Pacemaker {
    totem: &'static str,
    monitor: &'static str,
    running: [Vec<Process>; 2],
}

/// A setting: lines of corosync's `totem`, and the interval of monitoring.
pub type Setting = (&'static str, &'static str);

/// The shortest times with which it ran stably here.
pub const FASTEST: Setting = ("  token: 100\n  token_retransmits_before_loss_const: 2\n  join: 30\n", "100ms");
/// The defaults: corosync's token timeout of 3 s.
pub const DEFAULT: Setting = ("", "10s");

/// corosync's configuration, the same on both servers.
pub fn corosync(totem: &str) -> String {
    let mut text = format!(
        "totem {{\n  version: 2\n  cluster_name: lab\n  transport: knet\n  crypto_cipher: none\n  crypto_hash: none\n{totem}}}\n\
         nodelist {{\n"
    );
    for (server, id) in Server::BOTH.into_iter().zip(1..) {
        let (ring0, ring1) = (server.port().ipv4(), server.second_link().ipv4());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  node {{\n    name: {}\n    nodeid: {id}\n    ring0_addr: {ring0}\n    ring1_addr: {ring1}\n  }}",
            server.name()
        );
    }
    text + "}\nquorum {\n  provider: corosync_votequorum\n  two_node: 1\n  wait_for_all: 0\n}\nlogging {\n  to_syslog: no\n  to_stderr: yes\n}\n"
}

/// The cluster's resources and options, as a CIB.
pub fn resources(monitor: &str) -> String {
    format!(
        r#"<cib validate-with="pacemaker-3.7" admin_epoch="1" epoch="0" num_updates="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="options">
        <nvpair id="options-stonith" name="stonith-enabled" value="false"/>
        <nvpair id="options-deadtime" name="dc-deadtime" value="1s"/>
      </cluster_property_set>
    </crm_config>
    <nodes/>
    <resources>
      <group id="service">
        <primitive id="web" class="ocf" provider="lab" type="running">
          <operations><op id="web-monitor" name="monitor" interval="{monitor}" timeout="5s"/></operations>
        </primitive>
        <primitive id="address" class="ocf" provider="heartbeat" type="IPaddr2">
          <instance_attributes id="address-parameters">
            <nvpair id="address-ip" name="ip" value="{ADDRESS}"/>
            <nvpair id="address-netmask" name="cidr_netmask" value="32"/>
            <nvpair id="address-nic" name="nic" value="eth0"/>
          </instance_attributes>
          <operations><op id="address-monitor" name="monitor" interval="10s"/></operations>
        </primitive>
      </group>
    </resources>
    <constraints/>
    <rsc_defaults>
      <meta_attributes id="defaults">
        <nvpair id="defaults-stickiness" name="resource-stickiness" value="100"/>
        <nvpair id="defaults-threshold" name="migration-threshold" value="1"/>
        <nvpair id="defaults-failure" name="failure-timeout" value="2s"/>
      </meta_attributes>
    </rsc_defaults>
  </configuration>
  <status/>
</cib>
"#
    )
}

/// Text of an OCF agent whose resource runs while the process of the lab's nginx exists. It starts
/// and stops nothing.
fn ocf_agent(pidfile: &str) -> String {
    "#!/bin/sh\nstate=/run/lab-running\ncase $1 in\nmeta-data)\n  echo '<?xml version=\"1.0\"?><resource-agent \
         name=\"running\"><version>1.0</version><parameters/><actions><action name=\"start\" timeout=\"20s\"/><action \
         name=\"stop\" timeout=\"20s\"/><action name=\"monitor\" timeout=\"20s\" interval=\"10s\"/><action \
         name=\"meta-data\" timeout=\"5s\"/></actions></resource-agent>' ;;\n\
         start) kill -0 \"$(cat /lab-web.pid)\" 2>/dev/null || exit 1; : >$state ;;\nstop) rm -f $state ;;\n\
         monitor) [ -e $state ] || exit 7; kill -0 \"$(cat /lab-web.pid)\" 2>/dev/null || exit 1 ;;\n*) exit 3 ;;\nesac\n"
    .replace("/lab-web.pid", pidfile)
}

impl Pacemaker {
    /// Pacemaker on no server yet.
    pub fn new((totem, monitor): Setting) -> Pacemaker {
        Pacemaker { totem, monitor, running: [Vec::new(), Vec::new()] }
    }
}

impl Contender for Pacemaker {
    /// Furnishes the server's room, starts corosync, and once that answers, pacemakerd.
    fn start(&mut self, site: &mut Site, server: Server) {
        let pidfile = format!("/proc/{}/root{}", std::process::id(), site.web_pidfile(server));
        let agent = ocf_agent(&pidfile);
        let files = [
            ("/etc/corosync/corosync.conf", corosync(self.totem)),
            ("/usr/lib/ocf/resource.d/lab/running", agent),
            ("/var/lib/pacemaker/cib/cib.xml", resources(self.monitor)),
        ];
        site.furnish_room(server, &files);
        let room = site.room(server);
        for line in [
            "chown hacluster:haclient /var/lib/pacemaker/cib/cib.xml",
            "chmod 600 /var/lib/pacemaker/cib/cib.xml",
            "mkdir -p /var/log/pacemaker",
        ] {
            room.run(&line.split(' ').collect::<Vec<_>>()).unwrap_or_else(|cause| panic!("{cause}"));
        }
        let all = &mut self.running[server.index()];
        all.clear();
        all.push(room.start(&site.lab, &["corosync", "-f"], false));
        let limit = Instant::now() + Duration::from_secs(20);
        while let Err(cause) = room.run(&["corosync-cfgtool", "-s"]) {
            let said = || tail(&all[0].output(), 10);
            assert!(Instant::now() < limit, "corosync of {}: {cause}\n{}", server.name(), said());
            std::thread::sleep(Duration::from_millis(50));
        }
        all.push(room.start(&site.lab, &["pacemakerd", "-f"], false));
    }

    fn processes(&self, site: &Site, server: Server) -> Vec<Pid> {
        site.processes(server, &["corosync", "pacemaker"])
    }

    fn switch(&mut self, site: &mut Site, from: Server) {
        let args = ["crm_resource", "--move", "--resource", "service", "--node", from.other().name()];
        site.room(from).run(&args).unwrap_or_else(|cause| panic!("{cause}"));
    }

    fn rejoin_after_switch(&mut self, site: &mut Site, from: Server) {
        let args = ["crm_resource", "--clear", "--resource", "service"];
        site.room(from).run(&args).unwrap_or_else(|cause| panic!("{cause}"));
    }

    /// Whether the cluster is whole, both resources run on the active alone, and no failure is on
    /// record.
    fn is_ready(&mut self, site: &Site, standby: Server) -> bool {
        let active = standby.other();
        let ask = |args: &[&str]| site.room(active).run(args).unwrap_or_default();
        let said = ask(&["crm_mon", "-1"]);
        let failures = ask(&["crm_mon", "-1", "--include=none,failures"]);
        // After a partition the cluster counts both servers' resources for a while, and refuses to
        // move one that runs twice.
        let at_home = ["web", "address"].iter().all(|resource| {
            let nodes = ask(&["crm_resource", "--locate", "--resource", resource, "--quiet"]);
            nodes.split_whitespace().eq([active.name()])
        });
        let is_whole = said.contains("Online: [ alpha beta ]") && said.contains("partition with quorum");
        is_whole && at_home && !failures.contains("Failed")
    }
}
