//! Runs with witnesses and one purpose each: something is done on purpose to a cluster at rest, and
//! a promise says what must follow. What may happen in any order is `play`'s.

use super::calm::calm;
use super::clock::stretched;
use super::names::ms;
use super::swarm::Fault;
use super::world::Sim;
use crate::timing::Promote;
use std::time::Duration;

/// Time that the processes themselves take, with the shortest ways through the wires.
const SLACK: Duration = Duration::from_millis(1);

/// Brings a cluster to rest with all its witnesses: every witness votes, every group is served.
fn calm_with_witnesses(sim: &mut Sim) {
    for witness in 0..sim.witnesses.len() {
        if sim.plan.is_beyond() {
            let now = sim.now;
            sim.witnesses[witness].clock.set_rate(now, 0);
        }
        sim.start_witness(witness);
    }
    calm(sim);
    // A witness without memory abstains until it knows every node's lease; then elections begin.
    let timing = sim.plan.timing();
    let phase = sim.random.span(timing.pulse);
    sim.run(timing.abstain * 2 + timing.patience.hold * 2 + Duration::from_secs(1) + phase);
    sim.traffic();
    sim.run(timing.pulse);
    for group in 0..sim.plan.groups.len() {
        let answering = sim.answering(group);
        sim.oracle.hold(answering.len() == 1, || format!("L5: nodes {answering:?} answer for group {group} at rest"));
    }
}

/// The longest real time that a promise can last from when it is given, on the slowest permitted
/// clock.
fn longest_promise(sim: &Sim) -> Duration {
    stretched(sim.plan.timing().promise, sim.plan.drift_ppm)
}

// L1: the groups of a lost host are taken over when every promise to it is over, at any phase.
pub fn lose_host(sim: &mut Sim) {
    calm_with_witnesses(sim);
    let timing = sim.plan.timing();
    let gone = sim.random.below(sim.nodes.len());
    sim.lose_power(gone, false);
    sim.coverage.count_fault(Fault::PowerLoss);
    // After the promise: a question each probe interval, its answer, and the claim that follows a
    // witness's word.
    let bound =
        longest_promise(sim) + stretched(timing.probe * 5, sim.plan.drift_ppm) + sim.net.longest() * 6 + SLACK;
    sim.run(bound);
    for group in 0..sim.plan.groups.len() {
        let answering = sim.answering(group);
        if answering.len() != 1 || answering[0] == gone {
            sim.oracle.violated(|| format!("L1: group {group} is not taken over within {bound:?}"));
        }
    }
}

// FJ-10: a disturbance shorter than the promise moves nothing, and neither does the loss of
// witnesses.
pub fn disturb(sim: &mut Sim) {
    calm_with_witnesses(sim);
    let before = sim.oracle.openings.clone();
    let timing = sim.plan.timing();
    let kind = sim.random.below(4);
    for _ in 0..6 {
        match kind {
            0 => lose_witnesses(sim),
            1 => cut_links(sim),
            2 => pause_witness(sim),
            _ => stop_process(sim),
        }
        let pause = timing.pulse * 6 + sim.random.span(timing.pulse * 6);
        sim.run(pause);
    }
    let moved = sim.oracle.openings != before;
    sim.oracle.hold(!moved, || format!("FJ-10: a takeover after a disturbance of kind {kind}"));
    for group in 0..sim.plan.groups.len() {
        let answering = sim.answering(group).len();
        sim.oracle.hold(answering == 1, || format!("FJ-10: {answering} answer after a disturbance of kind {kind}"));
    }
}

/// Takes away as many witnesses as two running nodes can do without, for at least two promises, and
/// starts them again.
fn lose_witnesses(sim: &mut Sim) {
    let kept = sim.witnesses.len() / 2;
    for witness in kept..sim.witnesses.len() {
        sim.lose_witness(witness);
    }
    let span = longest_promise(sim) * 2 + sim.random.span(Duration::from_secs(4));
    sim.run(span);
    for witness in kept..sim.witnesses.len() {
        sim.start_witness(witness);
    }
    // The nodes go on while a witness abstains; a takeover could not be carried out now.
    let timing = sim.plan.timing();
    sim.run(stretched(timing.abstain, sim.plan.drift_ppm) * 2);
}

/// Cuts the nodes off from each other for one to two promises; the witnesses hear both.
fn cut_links(sim: &mut Sim) {
    sim.cut_wires(0..sim.net.wires, true);
    let span = longest_promise(sim) + sim.random.span(longest_promise(sim));
    sim.run(span);
    sim.cut_wires(0..sim.net.wires, false);
}

/// Stops a witness's process for up to two promises.
fn pause_witness(sim: &mut Sim) {
    let witness = sim.random.below(sim.witnesses.len());
    let span = sim.random.span(longest_promise(sim) * 2);
    sim.stop_witness(witness, span, false);
    sim.run(span);
}

/// Stops a node's process for less than its lease has left at any phase.
fn stop_process(sim: &mut Sim) {
    let timing = sim.plan.timing();
    let node = sim.random.below(sim.nodes.len());
    let span = sim.random.span(timing.lease.saturating_sub(timing.pulse * 2));
    sim.hang(node, span);
    sim.run(span);
}

/// The exception to S1: an active guest is frozen with its clock for longer than any promise to it,
/// and goes on with what its lease had left. Two nodes answer for that long, no longer, and only
/// then.
pub fn freeze(sim: &mut Sim) {
    calm_with_witnesses(sim);
    let group = sim.random.below(sim.plan.groups.len());
    let Some(&active) = sim.answering(group).first() else { return };
    let other = 1 - active;
    let waits = sim.plan.groups[group].promote != Promote::Peer;
    let span = longest_promise(sim) * 2 + sim.plan.timing().patience.hold + ms(500);
    sim.sleep(active, span, true);
    let gate = sim.nodes[active].kernel.gates[sim.plan.groups[group].interface];
    let left = gate.until.since(sim.local(active));
    sim.run(span.saturating_sub(Duration::from_nanos(1)));
    let taken = sim.answering(group) == [other];
    sim.oracle.hold(taken || waits, || format!("L1: group {group} of a frozen guest is not taken over"));
    let before = sim.oracle.both;
    sim.run(stretched(left, sim.plan.drift_ppm) + SLACK);
    let answering = sim.answering(group).len();
    sim.oracle.hold(answering < 2, || format!("S1: two answer longer than the {left:?} that a lease had left"));
    sim.run(longest_promise(sim) * 2);
    sim.coverage.excused += sim.oracle.both - before;
}

/// Cuts a node off from all witnesses, in both directions.
fn cut_witnesses(sim: &mut Sim, node: usize) {
    let (wire, now) = (sim.net.witness_wire(), sim.now);
    for witness in 0..sim.witnesses.len() {
        let end = sim.end_of(witness);
        sim.net.set_cut(node, end, wire, true, now);
        sim.net.set_cut(end, node, wire, true, now);
    }
    sim.touched = true;
}

/// S5: the active's process stops or ends with its gate open. Its clock is as slow, and all others
/// as fast, as permitted; the one voter that has promised it anything is asked all the time by a
/// node to which it has promised nothing.
pub fn stop_active(sim: &mut Sim) {
    calm_with_witnesses(sim);
    let group = sim.random.below(sim.plan.groups.len());
    let Some(&active) = sim.answering(group).first() else { return };
    let bound = i64::try_from(sim.plan.drift_ppm - sim.plan.drift_ppm / 100).unwrap_or(0);
    let now = sim.now;
    for node in 0..sim.nodes.len() {
        sim.nodes[node].clock.set_rate(now, if node == active { -bound } else { bound });
        sim.set_wake(node);
    }
    sim.witnesses.iter_mut().for_each(|witness| witness.clock.set_rate(now, bound));
    let kind = sim.random.below(5);
    if [0, 3].contains(&kind) {
        cut_witnesses(sim, active);
        let percent = sim.random.pick(&[100, 150]);
        sim.lengthen_lease(active, percent);
    } else {
        sim.cut_wires(0..sim.net.wires, true);
    }
    let phase = sim.random.span(sim.plan.timing().pulse);
    sim.run(longest_promise(sim) * 6 + phase);
    match kind {
        // The active's agent alone is started anew, and finds its gate late: until then it asks for
        // nothing.
        4 => {
            sim.kill(active);
            sim.start_blind(active, longest_promise(sim) * 3);
        }
        _ => sim.hang(active, longest_promise(sim) * 3),
    }
    match kind {
        2 => (0..sim.witnesses.len()).for_each(|witness| {
            sim.kill_witness(witness);
            sim.start_witness(witness);
        }),
        // The standby's agent alone is started anew: it forgets its promises, and knows from its
        // disk how long leases are.
        3 => {
            sim.kill(1 - active);
            sim.start(1 - active);
        }
        _ => {}
    }
    sim.run(longest_promise(sim) * 3 + SLACK);
}

/// S2: one node is away while the other opens again and again with votes of the witnesses, and is
/// alone with them when it comes back. The witnesses may have been started anew since, and their
/// disks may have taken no write or have lost everything.
pub fn forget(sim: &mut Sim) {
    calm_with_witnesses(sim);
    let group = sim.random.below(sim.plan.groups.len());
    let Some(&active) = sim.answering(group).first() else { return };
    let (other, interface) = (1 - active, sim.plan.groups[group].interface);
    let kind = sim.random.below(4);
    let timing = sim.plan.timing();
    sim.lose_power(other, false);
    sim.run(longest_promise(sim) * 3);
    for round in 0..72 {
        if round == 2 && kind == 2 {
            sim.witnesses.iter_mut().for_each(|witness| witness.disk.fails = true);
        }
        sim.set_carrier(active, interface, false);
        sim.run(timing.probe);
        sim.set_carrier(active, interface, true);
        // The node counts the other's silence from when it could hear it.
        sim.run(longest_promise(sim) + timing.pulse * 3);
    }
    sim.lose_power(active, false);
    for witness in (0..sim.witnesses.len()).filter(|_| kind > 0) {
        sim.kill_witness(witness);
        let disk = &mut sim.witnesses[witness].disk;
        disk.fails = false;
        if kind == 3 {
            disk.damage(true);
        }
        sim.start_witness(witness);
    }
    sim.run(longest_promise(sim) * 3);
    sim.start(other);
    sim.run(longest_promise(sim) * 6 + timing.patience.hold + Duration::from_secs(2));
    let taken = sim.answering(group) == [other];
    // A witness that has lost its memory, and is not told everything, votes for nobody.
    sim.oracle.hold(taken == (kind < 3), || format!("L5: group {group} is at node {other}: {taken}, kind {kind}"));
}
