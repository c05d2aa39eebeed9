//! Services that fail.

use super::{SLACK, active, alone, scene};
use crate::sim::node::Waiting;
use crate::sim::world::Sim;
use std::time::Duration;

fn tell(sim: &mut Sim, at: usize, group: usize, health: u8) {
    sim.nodes[at].services[group] = health;
    sim.offer(at, Waiting::Health(group));
}

// HP-8: a service that fails on the active alone is handed over at once, and one that fails on both moves nothing.
pub fn fail_service(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let pulse = sim.plan.timing().pulse;
    let worse = sim.random.pick(&[10, 254, 255]);
    tell(sim, from, group, worse);
    alone(sim, group, pulse + SLACK, "while it is handed over");
    let moved = active(sim, group) == Some(to);
    sim.oracle.hold(moved, || format!("HP-8: group {group} stays where its service fails"));
    if sim.plan.groups[group].preempt {
        return;
    }
    let before = sim.oracle.openings[group];
    tell(sim, to, group, worse);
    sim.run(Duration::from_secs(1));
    let stays = sim.oracle.openings[group] == before;
    sim.oracle.hold(stays, || format!("HP-8: group {group} moves although nobody does better"));
}
