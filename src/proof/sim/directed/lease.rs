//! Directed runs about agents that stop, die and come back while their lease runs.

use super::{expect_one_at_most, scene};
use crate::engine::{Action, GateAction};
use crate::sim::names::interface_id;
use crate::sim::node::Pause;
use crate::sim::world::Sim;
use std::time::Duration;

// L2: an agent that is restarted within its lease keeps its groups, although a probe or two were
// lost meanwhile.
pub fn restart(sim: &mut Sim) {
    let Some((_, node, other)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let before = sim.oracle.openings.clone();
    let start = sim.now;
    sim.kill(node);
    while sim.now.since(start) < timing.lease * 2 / 5 {
        set_segments_cut(sim, node, other, true);
        let lost = timing.probe * 2 - Duration::from_micros(100);
        sim.run(lost);
        set_segments_cut(sim, node, other, false);
        sim.run(timing.probe * 6);
    }
    sim.start(node);
    sim.run(timing.listen + Duration::from_secs(1));
    let same = sim.oracle.openings == before;
    sim.oracle.hold(same, || "L2: an agent that is restarted within its lease loses a group".to_owned());
}

/// Cuts every clients' segment between two nodes in both directions, or mends it.
fn set_segments_cut(sim: &mut Sim, one: usize, other: usize, cut: bool) {
    let now = sim.now;
    for interface in 0..sim.plan.interfaces {
        let wire = sim.net.segment_wire(interface);
        sim.net.set_cut(one, other, wire, cut, now);
        sim.net.set_cut(other, one, wire, cut, now);
    }
    sim.touched = true;
}

/// Stops an agent between its decision to renew the lease and the write, until the lease has run
/// out and the gate has refused a frame. Then the write is made, and the agent is stopped again at
/// once. The written deadline has not passed yet, for it counts from the decision. False if the
/// agent did not stop at such a moment, and nothing of this was done.
fn renew_too_late(sim: &mut Sim, node: usize, group: usize) -> bool {
    let timing = sim.plan.timing();
    let interface = interface_id(sim.plan.groups[group].interface);
    sim.nodes[node].trap = Some(timing.lease * 2);
    let start = sim.now;
    while sim.nodes[node].pause.is_none() && sim.now.since(start) < timing.pulse * 2 {
        sim.run(Duration::from_micros(250));
    }
    let renewal =
        |action: &Action| matches!(action, Action::Gate(GateAction::Renew { interface: on, .. }) if *on == interface);
    if !sim.nodes[node].pause.as_ref().is_some_and(|pause| pause.held.iter().any(renewal)) {
        return false;
    }
    expect_one_at_most(sim, group, timing.lease - timing.probe * 3, "while one of them is stopped");
    let Some(pause) = sim.nodes[node].pause.take() else { return false };
    sim.carry_out(node, &pause.held, &pause.bytes, pause.decided);
    sim.nodes[node].pause = Some(Pause { decided: sim.local(node), backlog: pause.backlog, ..Pause::default() });
    true
}

// S7, S8: a lease that has run out is not renewed by a write that was decided in time and comes
// late.
pub fn renew_late(sim: &mut Sim) {
    let Some((group, node, _)) = scene(sim) else { return };
    if renew_too_late(sim, node, group) {
        let timing = sim.plan.timing();
        expect_one_at_most(sim, group, timing.lease * 2, "after a renewal that came late");
    }
}

// S7: a lease that the gate has refused is not adopted by the agent's next life, although its
// deadline has not passed.
pub fn adopt_refused(sim: &mut Sim) {
    let Some((group, node, _)) = scene(sim) else { return };
    if renew_too_late(sim, node, group) {
        sim.kill(node);
        sim.start(node);
        let timing = sim.plan.timing();
        expect_one_at_most(sim, group, timing.lease * 2, "after a refused lease was found");
    }
}

// S8: an agent that is restarted within its lease consents to no opening before it has found its
// gate.
pub fn restart_blind(sim: &mut Sim) {
    let Some((group, node, _)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    sim.kill(node);
    let found = sim.random.span(timing.listen);
    sim.start_blind(node, found);
    expect_one_at_most(sim, group, timing.listen + timing.pulse * 10, "although one has not found its gate yet");
}
