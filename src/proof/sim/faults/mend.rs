//! The end of a run: faults stop, everything is mended, and the cluster must come to rest.

use crate::sim::clock::Real;
use crate::sim::names::ms;
use crate::sim::node::Waiting;
use crate::sim::oracle::{is_settled, states};
use crate::sim::world::Sim;
use std::time::Duration;

/// The bound of L5.
const SETTLED: Duration = Duration::from_secs(10);

/// Ends all faults: mends what is broken and starts what is dead. A seed may leave one node or
/// witness dead.
pub fn mend(sim: &mut Sim) {
    sim.note(|_| "faults stop".to_owned());
    let now = sim.now;
    sim.net.mend(now);
    sim.touched = true;
    sim.faulty = false;
    // Counts nodes first, then witnesses.
    let dead = sim.random.chance(20).then(|| sim.random.below(sim.nodes.len() + sim.witnesses.len()));
    super::voters::mend(sim, dead);
    for node in 0..sim.nodes.len() {
        sim.nodes[node].trap = None;
        sim.nodes[node].disk.fails = false;
        sim.nodes[node].disk.latency = ms(3);
        if sim.nodes[node].asleep {
            sim.resume(node);
        }
        if sim.nodes[node].exited || (dead == Some(node) && sim.nodes[node].engine.is_some()) {
            sim.kill(node);
        }
        mend_unkind(sim, node);
        if dead == Some(node) {
            // A start that is due already must not bring it back.
            sim.nodes[node].life += 1;
            continue;
        }
        for interface in 0..sim.plan.interfaces {
            if !sim.nodes[node].interfaces[interface].exists {
                sim.set_existing(node, interface, true);
            }
            if !sim.nodes[node].interfaces[interface].named {
                sim.set_named(node, interface, true);
            }
            if sim.nodes[node].interfaces[interface].enslaved {
                sim.set_enslaved(node, interface, false);
            }
            if !sim.nodes[node].interfaces[interface].carrier {
                sim.set_carrier(node, interface, true);
            }
        }
        for group in 0..sim.plan.groups.len() {
            if sim.nodes[node].bare[group] {
                sim.set_bare(node, group, false);
            }
        }
        if sim.nodes[node].engine.is_none() {
            sim.start(node);
        } else {
            sim.resume(node);
            sim.nodes[node].trap = None;
            for interface in 0..sim.plan.interfaces {
                sim.offer(node, Waiting::Attach(interface));
            }
        }
        if sim.plan.is_beyond() {
            sim.nodes[node].clock.set_rate(now, 0);
            sim.set_wake(node);
        }
    }
}

/// The longest time for which answers hold a takeover back.
fn longest_veto(sim: &Sim) -> Duration {
    let plain = sim.plan.timing();
    let timings = sim.nodes.iter().map(|node| &node.config.timing).chain([&plain]);
    timings.map(|timing| timing.veto.max(timing.patience.first_veto) + timing.silence).max().unwrap_or_default()
}

/// Gives a node its own number again, puts its gates in their places, and opens its sockets. Wires
/// stay narrow, hardware addresses stay what they are, and strangers keep what they have: the
/// promises hold beside all that.
fn mend_unkind(sim: &mut Sim, node: usize) {
    if sim.nodes[node].number != node {
        sim.kill(node);
        sim.renumber(node, node);
    }
    for interface in 0..sim.plan.interfaces {
        sim.look_at_gate(node, interface);
    }
    for wire in 0..sim.net.udp {
        if sim.is_closed(node, wire) {
            sim.set_closed(node, wire, false);
        }
    }
}

/// Lets time pass until exactly one node answers for each group that a node may have, and has done
/// so for a while. Notes a violation of L5 when that takes longer than the bound.
pub fn settle(sim: &mut Sim) {
    let start = sim.now;
    let mut steady: Option<Real> = None;
    let pulse = sim.plan.timing().pulse;
    let long = sim.random.chance(4);
    let scale = if long { Duration::from_secs(2) } else { pulse * 5 };
    while steady.is_none_or(|since| sim.now.since(since) < scale) {
        steady = if is_settled(sim) { steady.or(Some(sim.now)) } else { None };
        // A node whose hook has failed waits for ten seconds, and so may the other after it.
        let bound = if sim.plan.service.has_hooks() { SETTLED * 3 } else { SETTLED };
        // A node that has just opened keeps its group for a while, although its service does worse
        // than another's, or it lacks what another has.
        let lacks = sim.nodes.iter().flat_map(|node| &node.lacks).any(|lacks| !lacks.is_empty());
        let keeps = sim.plan.service.checked || lacks;
        let bound = if keeps { bound + sim.plan.timing().patience.hold } else { bound };
        // Answers of a stranger hold a takeover back for a while.
        let bound = if sim.squatted.contains(&true) { bound + longest_veto(sim) } else { bound };
        // Rows come late through a narrow wire: two claims may meet each other's consent, and both
        // nodes wait for the other.
        let bound = if sim.net.was_narrow() { bound + sim.plan.timing().patience.hold } else { bound };
        // Who was silent beside a node of its number counts silence from when that one was gone.
        let bound = if sim.had_doubles { bound + sim.plan.timing().listen * 2 } else { bound };
        // A lease that a file has made longer is waited for.
        let lease = sim.nodes.iter().map(|node| node.config.timing.lease).max().unwrap_or_default();
        let bound = bound + lease.saturating_sub(sim.plan.timing().lease);
        let late = steady.is_none() && sim.now.since(start) > bound;
        if late {
            let states = states(sim).join("\n");
            sim.oracle.violated(|| format!("L5: not one active per group after {bound:?}:\n{states}"));
        }
        if sim.has_failed() {
            return;
        }
        sim.run(pulse);
        sim.traffic();
    }
}
