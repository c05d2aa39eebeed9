//! Directed runs about hosts on the clients' segment: whom they send to, and when.

use super::{active, scene};
use crate::sim::clock::stretched;
use crate::sim::names::ms;
use crate::sim::world::Sim;
use std::time::Duration;

/// The hosts whose caches have an entry for a group.
fn hosts(sim: &Sim, group: usize) -> Vec<usize> {
    (0..sim.hosts.len()).filter(|&host| sim.hosts[host].cache[group].is_some()).collect()
}

/// Notes a violation of L4 for each host with an entry for the group that does not send to `node`.
/// `when` ends the sentence of the violation.
fn check_hosts(sim: &mut Sim, group: usize, node: usize, when: &str) {
    for host in hosts(sim, group) {
        let entry = sim.hosts[host].cache[group];
        let mac = sim.nodes[node].macs[sim.plan.groups[group].interface];
        sim.oracle.hold(entry == Some(mac), || format!("L4: host {host} sends to {entry:?} a second after {when}"));
    }
}

/// Makes all hosts deaf to a node, or lets all hear it again.
fn set_deaf(sim: &mut Sim, node: usize, deaf: bool) {
    sim.net.deafened.iter_mut().for_each(|host| host[node] = deaf);
    sim.net.changed = sim.now;
}

// L4: hosts that could not hear the first announcement hear the next. The active's host is lost
// while all hosts are deaf to the standby, which takes over.
pub fn miss_first(sim: &mut Sim) {
    let Some((group, gone, standby)) = scene(sim) else { return };
    set_deaf(sim, standby, true);
    sim.lose_power(gone, false);
    let timing = sim.plan.timing();
    let bound = stretched(timing.silence + timing.probe * 2, timing.drift_ppm);
    let start = sim.now;
    while active(sim, group) != Some(standby) && sim.now.since(start) < bound {
        sim.run(ms(1));
    }
    sim.run(ms(100));
    set_deaf(sim, standby, false);
    sim.run(Duration::from_secs(1));
    check_hosts(sim, group, standby, "it can hear the active again");
}

// L1, L4: a switch that polices ARP lets the announcement of a takeover through. What is asked before
// must not use its patience up.
pub fn police(sim: &mut Sim) {
    let Some((group, gone, standby)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    sim.run(Duration::from_secs(8));
    if active(sim, group) != Some(gone) {
        return;
    }
    sim.lose_power(gone, false);
    let bound = stretched(timing.silence + timing.probe * 2, timing.drift_ppm);
    let start = sim.now;
    while active(sim, group) != Some(standby) && sim.now.since(start) < bound {
        sim.run(ms(1));
    }
    let taken = active(sim, group) == Some(standby);
    sim.oracle.hold(taken, || format!("L1: group {group} is not taken over within {bound:?}"));
    sim.run(Duration::from_secs(1));
    check_hosts(sim, group, standby, "its opening");
}

// S8, L4: when the two sides of a division hear each other again, the higher epoch stays and every
// host is told.
pub fn divide(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    if sim.plan.groups[group].preempt {
        return;
    }
    let now = sim.now;
    for wire in 0..sim.net.wires {
        sim.net.set_cut(from, to, wire, true, now);
        sim.net.set_cut(to, from, wire, true, now);
    }
    set_deaf(sim, to, true);
    sim.touched = true;
    // Longer than announcements are repeated after an opening.
    sim.run(sim.plan.timing().silence * 2 + Duration::from_secs(8));
    let now = sim.now;
    sim.net.mend(now);
    sim.touched = true;
    sim.run(Duration::from_secs(1) + sim.plan.timing().pulse * 2);
    let settled = active(sim, group) == Some(to);
    sim.oracle.hold(settled, || format!("S8: group {group} is not at node {to} alone after a division"));
    check_hosts(sim, group, to, "the division ended");
}
