//! Directed runs about groups that move by plan, and about what goes wrong on the way.

use super::{SLACK, active, expect_one_at_most, keep_one_link, order, scene};
use crate::engine::Command;
use crate::sim::names::{id, ms};
use crate::sim::node::Waiting;
use crate::sim::world::Sim;
use crate::wire::pulse::ROWS_PER_PULSE;
use std::time::Duration;

// L3: a switch moves the group, and only lost pulses hold it up; connections are carried on, and
// two nodes never answer.
pub fn hand_over(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    keep_one_link(sim);
    sim.oracle.seen[from].carried[group] = Duration::ZERO;
    let lost = [sim.random.below(3), sim.random.below(3)];
    let asked = [from, to][sim.random.below(2)];
    let before = sim.oracle.openings[group];
    order(sim, asked, group, Command::Switch);
    let wait = sim.random.span(Duration::from_micros(200));
    sim.run(wait);
    sim.net.drop_next[from] = lost[0];
    sim.net.drop_next[to] = lost[1];
    let bound = timing.pulse * 8 + SLACK;
    let gap = timing.pulse * u32::try_from(lost[0] + lost[1]).unwrap_or(0) + timing.pulse / 2 + SLACK;
    let (start, step) = (sim.now, Duration::from_micros(50));
    let mut silent = Duration::ZERO;
    while sim.now.since(start) < bound && active(sim, group) != Some(to) && !sim.has_failed() {
        sim.run(step);
        let answering = sim.answering(group).len();
        silent += if answering == 0 { step } else { Duration::ZERO };
        sim.oracle.hold(answering < 2, || format!("S8: two nodes answer for group {group} in a handover"));
    }
    let moved = active(sim, group) == Some(to);
    let carried = sim.oracle.seen[from].carried[group];
    sim.oracle.hold(moved, || format!("L3: a switch does not move group {group} within {bound:?}"));
    sim.oracle.hold(silent <= gap, || format!("L3: nobody answers for group {group} for {silent:?} in a handover"));
    sim.oracle.hold(carried >= ms(100), || format!("L3: node {from} carries no connections of group {group} on"));
    // A lost pulse must not make the former active take the group back.
    let openings = sim.oracle.openings[group] - before;
    sim.oracle.hold(openings <= 1, || format!("L2: lost pulses turn a handover of group {group} round"));
}

// L1: a goodbye says that the gates are closed, so the other node waits for no silence.
pub fn leave(sim: &mut Sim) {
    say_goodbye(sim, Duration::ZERO);
}

// L1: the other node waits for no silence even when older datagrams arrive after the goodbye.
pub fn goodbye_overtakes(sim: &mut Sim) {
    let way = sim.plan.timing().pulse / 2;
    sim.net.delay[..sim.net.udp].fill(way);
    sim.run(way * 2);
    say_goodbye(sim, way);
}

/// Stops an agent in order. When all its datagrams have arrived, which takes `way`, the other node
/// resumes a group that was paused there until then. That node must open the group at once (L1).
fn say_goodbye(sim: &mut Sim, way: Duration) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    order(sim, to, group, Command::Pause);
    sim.run(timing.pulse + way);
    sim.offer(from, Waiting::Command(Command::Stop));
    let start = sim.now;
    while !sim.nodes[from].exited && sim.now.since(start) < Duration::from_secs(10) {
        sim.run(Duration::from_micros(100));
    }
    sim.run(timing.probe + way);
    order(sim, to, group, Command::Resume);
    sim.run(timing.probe + SLACK);
    let taken = active(sim, group) == Some(to);
    sim.oracle.hold(taken, || format!("L1: group {group} is not taken over at once after a goodbye"));
}

// L1: an active that loses its carrier releases its groups over the links, and the other node opens
// on the first datagram that says so.
pub fn lose_carrier(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let interface = sim.plan.groups[group].interface;
    if sim.plan.groups.len() > ROWS_PER_PULSE {
        return;
    }
    keep_one_link(sim);
    sim.run(timing.pulse * 2);
    // The link becomes slow, so that one datagram can be told from an exchange of several. Before,
    // rows that are overtaken would be taken for rows that are too long.
    let way = timing.pulse / 2;
    sim.net.delay[0] = way;
    sim.set_carrier(from, interface, false);
    // The next pulse may overtake the datagram that says so, and brings it again.
    sim.run(way * 2 + SLACK);
    let taken = active(sim, group) == Some(to);
    sim.oracle
        .hold(taken, || format!("L1: group {group} is not taken over at once when node {from} loses its carrier"));
}

/// The preferred node has its groups after a common start. Later it takes them back only where
/// `preempt` says so, and not before the delay.
pub fn prefer(sim: &mut Sim) {
    let timing = sim.plan.timing();
    // A gate may be found 60 ms after the start; a node that is not ready when its right of way
    // ends is not waited for.
    let waited = timing.election > ms(60);
    for group in (0..sim.plan.groups.len()).filter(|_| waited) {
        let wanted = sim.plan.groups[group].prefer;
        let right = active(sim, group) == Some(wanted);
        sim.oracle.hold(right, || format!("prefer: group {group} is not at node {wanted}, which is preferred"));
    }
    let Some((group, gone, _)) = scene(sim) else { return };
    let preempts = sim.plan.groups[group].preempt;
    sim.lose_power(gone, false);
    sim.run(timing.listen + timing.pulse * 4);
    sim.start(gone);
    let delay = ms(300);
    let early = delay - delay / 10;
    sim.run(early);
    let back = active(sim, group) == Some(gone);
    sim.oracle.hold(!back, || format!("prefer: group {group} is taken back by {:?} sooner than it should", id(gone)));
    sim.run(delay + timing.listen + timing.pulse * 10);
    let back = active(sim, group) == Some(gone);
    sim.oracle.hold(back == preempts, || format!("prefer: group {group} preempts: {preempts}, taken back: {back}"));
}

/// Both nodes claim a group at the same moment, and the one with the lower number goes first. The
/// preferred node gets its group, although the other had it last and has higher epochs.
pub fn cross(sim: &mut Sim) {
    let (first, last) = (0, sim.nodes.len() - 1);
    let fits = |group: &usize| {
        let plan = sim.plan.groups[*group];
        plan.prefer == first && !plan.preempt && active(sim, *group) == Some(first)
    };
    let Some(group) = (0..sim.plan.groups.len()).find(fits) else { return };
    let (timing, interface) = (sim.plan.timing(), sim.plan.groups[group].interface);
    order(sim, first, group, Command::Switch);
    sim.run(timing.pulse * 4);
    // The active is the second to lose its carrier, so it finds no heir for the group.
    for node in [first, last] {
        sim.set_carrier(node, interface, false);
        sim.run(timing.pulse * 2);
    }
    sim.run(timing.patience.hold);
    for node in [first, last] {
        sim.set_carrier(node, interface, true);
    }
    sim.run(timing.election);
    let right = active(sim, group) == Some(first);
    sim.oracle.hold(right, || format!("prefer: group {group} is not at node {first}, which is preferred"));
}

// S8: the former active is stopped in the middle of releasing the group, or of all that it has.
pub fn stop_in_handover(sim: &mut Sim) {
    let Some((group, from, _)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    if sim.random.chance(50) {
        sim.nodes[from].trap = Some(timing.lease / 2);
        order(sim, from, group, Command::Switch);
    } else {
        // The list after that in which it begins to hand over is the one in which it closes.
        sim.offer(from, Waiting::Command(Command::Stop));
        sim.run(Duration::from_micros(60));
        sim.nodes[from].trap = Some(timing.lease / 2);
    }
    expect_one_at_most(sim, group, timing.lease / 2 + timing.pulse * 4, "although one was stopped while it let go");
}

// S8: a consent that waited in a buffer while its receiver was stopped is out of date.
pub fn consent_late(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let interface = sim.plan.groups[group].interface;
    sim.plan.backlog = 4;
    sim.hang(to, timing.lease + timing.silence * 8 + Duration::from_secs(2));
    sim.set_carrier(from, interface, false);
    sim.run(timing.pulse * 3);
    sim.set_carrier(from, interface, true);
    sim.traffic();
    expect_one_at_most(
        sim,
        group,
        timing.lease + timing.silence * 10 + Duration::from_secs(3),
        "after one of them was stopped",
    );
}
