//! Directed runs about services: one that fails, and a guest that is frozen while it prepares a
//! group.

use super::{SLACK, active, expect_one_at_most, order, scene};
use crate::engine::{Command, Hook};
use crate::sim::calm::calm;
use crate::sim::names::ms;
use crate::sim::node::Waiting;
use crate::sim::world::Sim;
use std::time::Duration;

/// Sets the health of a group's service on a node (0 serves, 255 does not), and tells the agent.
fn set_health(sim: &mut Sim, node: usize, group: usize, health: u8) {
    sim.nodes[node].services[group] = health;
    sim.offer(node, Waiting::Health(group));
}

// HP-8: a group whose service fails on the active alone is handed over at once; a service that
// fails on both nodes moves nothing.
pub fn fail_service(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let pulse = sim.plan.timing().pulse;
    let worse = sim.random.pick(&[10, 254, 255]);
    set_health(sim, from, group, worse);
    expect_one_at_most(sim, group, pulse + SLACK, "while it is handed over");
    let moved = active(sim, group) == Some(to);
    sim.oracle.hold(moved, || format!("HP-8: group {group} stays where its service fails"));
    if sim.plan.groups[group].preempt {
        return;
    }
    let before = sim.oracle.openings[group];
    set_health(sim, to, group, worse);
    sim.run(Duration::from_secs(1));
    let stays = sim.oracle.openings[group] == before;
    sim.oracle.hold(stays, || format!("HP-8: group {group} moves although nobody does better"));
}

// S8: a guest is frozen with its clock while it prepares a group that it was given, and goes on
// when the group is not its own any more.
pub fn freeze_prepared(sim: &mut Sim) {
    let limit = ms(200);
    sim.plan.service.before_open = Some(limit);
    calm(sim);
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    order(sim, from, group, Command::Switch);
    let start = sim.now;
    while !is_preparing(sim, to, group) && sim.now.since(start) < timing.pulse * 4 && !sim.has_failed() {
        sim.run(Duration::from_micros(50));
    }
    if !is_preparing(sim, to, group) {
        return;
    }
    let away = timing.patience.hold + timing.lease * 2 + timing.silence * 4 + limit * 2 + Duration::from_secs(3);
    sim.sleep(to, away, true);
    sim.run(away - SLACK);
    sim.oracle.hold(active(sim, group) == Some(from), || format!("L5: node {from} does not take group {group} back"));
    expect_one_at_most(sim, group, timing.silence * 2 + Duration::from_secs(1), "after one of them was frozen");
}

/// Whether the hook before the opening of a group runs on a node.
fn is_preparing(sim: &Sim, node: usize, group: usize) -> bool {
    let engine = sim.nodes[node].engine.as_ref().zip(sim.nodes[node].places[group]);
    engine.is_some_and(|(engine, place)| engine.view_hook(place) == Some(Hook::BeforeOpen))
}
