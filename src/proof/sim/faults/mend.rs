//! Faults stop, and everything must come to rest.

use crate::sim::clock::Real;
use crate::sim::names::ms;
use crate::sim::node::Waiting;
use crate::sim::oracle::{is_settled, states};
use crate::sim::world::Sim;
use std::time::Duration;

/// L5: the bound.
const SETTLED: Duration = Duration::from_secs(10);

/// What is broken is mended, what is dead is started, unless the seed leaves one node dead.
pub fn mend(sim: &mut Sim) {
    sim.note(|_| "faults stop".to_owned());
    let now = sim.now;
    sim.net.mend(now);
    sim.touched = true;
    sim.faulty = false;
    // One of the nodes and witnesses.
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
        if dead == Some(node) {
            // Its machine may never start again by itself either.
            sim.nodes[node].life += 1;
            continue;
        }
        for interface in 0..sim.plan.interfaces {
            if !sim.nodes[node].interfaces[interface].exists {
                sim.set_existing(node, interface, true);
            }
            if !sim.nodes[node].interfaces[interface].carrier {
                sim.set_carrier(node, interface, true);
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

/// Each group that somebody may have is answered by exactly one, and stays so.
pub fn settle(sim: &mut Sim) {
    let start = sim.now;
    let mut steady: Option<Real> = None;
    let pulse = sim.plan.timing().pulse;
    let long = sim.random.chance(4);
    let scale = if long { Duration::from_secs(2) } else { pulse * 5 };
    while steady.is_none_or(|since| sim.now.since(since) < scale) {
        steady = if is_settled(sim) { steady.or(Some(sim.now)) } else { None };
        // A node whose hook has failed stands back for ten seconds, and so may the other after it.
        let bound = if sim.plan.service.has_hooks() { SETTLED * 3 } else { SETTLED };
        // Who has a group since a moment ago keeps it for a while, though its service does worse than another's.
        let bound = if sim.plan.service.checked { bound + sim.plan.timing().patience.hold } else { bound };
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
