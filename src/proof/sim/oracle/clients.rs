//! L4: hosts with stale entries are corrected within a second of an opening that they can hear.

use super::Oracle;
use crate::sim::clock::Real;
use crate::sim::world::Sim;
use std::time::Duration;

/// Time after an opening in which every host must be corrected.
pub const CORRECTED: Duration = Duration::from_secs(1);

impl Oracle {
    /// Checks the hosts a second after an opening. What kept hosts from hearing, or the node from
    /// speaking, excuses a stale entry.
    pub fn check_clients(sim: &mut Sim, group: usize, node: usize, opening: usize) {
        let interface = sim.plan.groups[group].interface;
        let since = Real(sim.now.0.saturating_sub(u64::try_from(CORRECTED.as_nanos()).unwrap_or(u64::MAX)));
        let steady = sim.oracle.openings[group] == opening
            && sim.answering(group) == [node]
            && sim.oracle.last_doubled[group] < since
            && sim.oracle.passed_by < since
            && sim.oracle.seen[node].disturbed < since
            && sim.oracle.seen[node].other_mac <= since
            && sim.nodes[node].is_connected(interface)
            && sim.nodes[node].is_running()
            // Who has not found yet what its former life left open announces nothing.
            && sim.nodes[node].is_attached(interface);
        let wire = sim.net.segment_wire(interface);
        let heard = sim.net.changed < since && sim.net.loss[wire] == 0 && !sim.net.isolated[interface][node];
        if !steady || !heard {
            return;
        }
        let mac = sim.nodes[node].macs[interface];
        for host in 0..sim.hosts.len() {
            if sim.hosts[host].plan.interface != interface || sim.net.deafened[host][node] {
                continue;
            }
            let Some(entry) = sim.hosts[host].cache[group] else { continue };
            sim.coverage.corrected += 1;
            sim.oracle.hold(entry == mac, || {
                format!("L4: host {host} still sends to {entry}, a second after node {node} opened group {group}")
            });
        }
    }
}
