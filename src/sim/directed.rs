//! Runs with one purpose each: something is done on purpose to a cluster at rest, and a promise says what must follow.
//!
//! What may happen in any order is `play`'s; here are the bounds that hold only when nothing else happens.

use super::clock::stretched;
use super::names::{id, mac, vip};
use super::node::Waiting;
use super::world::Sim;
use crate::engine::Command;
use crate::types::GroupId;
use crate::wire::frame::Sighting;
use std::time::Duration;

/// For what the processes themselves take, and the shortest ways through the wires.
const SLACK: Duration = Duration::from_millis(1);

/// Who answers for a group, if it is one.
fn active(sim: &Sim, group: usize) -> Option<usize> {
    match sim.answering(group)[..] {
        [one] => Some(one),
        _ => None,
    }
}

/// A group of the run, its active, and another node.
fn scene(sim: &mut Sim) -> Option<(usize, usize, usize)> {
    let group = sim.random.below(sim.plan.groups.len());
    let from = active(sim, group)?;
    let to = sim.others(from).next()?;
    Some((group, from, to))
}

/// As a node numbers a group.
fn place(sim: &Sim, at: usize, group: usize) -> GroupId {
    let place = sim.nodes[at].places[group].unwrap_or_default();
    GroupId(u16::try_from(place).unwrap_or_default())
}

/// Cuts every wire between the nodes but the first link.
fn keep_one_link(sim: &mut Sim) {
    let now = sim.now;
    for from in 0..sim.nodes.len() {
        for to in sim.others(from) {
            for wire in 1..sim.net.udp {
                sim.net.set_cut(from, to, wire, true, now);
            }
        }
    }
    sim.touched = true;
}

// L3: a switch moves the group, at most lost pulses hold it up, connections are carried, and never do two answer.
pub fn hand_over(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    keep_one_link(sim);
    sim.oracle.seen[from].carried[group] = Duration::ZERO;
    let lost = [sim.random.below(3), sim.random.below(3)];
    let asked = [from, to][sim.random.below(2)];
    let command = Command::Switch(place(sim, asked, group));
    sim.offer(asked, Waiting::Command(command));
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
    sim.oracle.hold(carried >= super::names::ms(100), || {
        format!("L3: node {from} carries no connections of group {group} on")
    });
}

// L1: a goodbye says that the gates are closed, so nobody waits for a silence.
pub fn leave(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let number = place(sim, to, group);
    sim.offer(to, Waiting::Command(Command::Pause(number)));
    sim.run(timing.pulse);
    sim.offer(from, Waiting::Command(Command::Stop));
    let start = sim.now;
    while !sim.nodes[from].exited && sim.now.since(start) < Duration::from_secs(10) {
        sim.run(Duration::from_micros(100));
    }
    sim.run(timing.probe);
    sim.offer(to, Waiting::Command(Command::Resume(number)));
    sim.run(timing.probe + SLACK);
    let taken = active(sim, group) == Some(to);
    sim.oracle.hold(taken, || format!("L1: group {group} is not taken over at once after a goodbye"));
}

// L2: an agent that is back within its lease goes on, though a probe or two were lost meanwhile.
pub fn restart(sim: &mut Sim) {
    let Some((_, at, other)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let before = sim.oracle.openings.clone();
    let start = sim.now;
    sim.kill(at);
    while sim.now.since(start) < timing.lease * 2 / 5 {
        segments(sim, at, other, true);
        let lost = timing.probe * 2 - Duration::from_micros(100);
        sim.run(lost);
        segments(sim, at, other, false);
        sim.run(timing.probe * 6);
    }
    sim.start(at);
    sim.run(timing.listen + Duration::from_secs(1));
    let same = sim.oracle.openings == before;
    sim.oracle.hold(same, || "L2: an agent that is restarted within its lease loses a group".to_owned());
}

fn segments(sim: &mut Sim, one: usize, other: usize, cut: bool) {
    let now = sim.now;
    for interface in 0..sim.plan.interfaces {
        let wire = sim.net.segment(interface);
        sim.net.set_cut(one, other, wire, cut, now);
        sim.net.set_cut(other, one, wire, cut, now);
    }
    sim.touched = true;
}

// S6: whoever claims the address with the hardware address of a dead peer delays a takeover for a bounded time.
pub fn forge_answers(sim: &mut Sim) {
    let Some((group, gone, at)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let interface = sim.plan.groups[group].interface;
    sim.lose_power(gone, false);
    let bound = stretched(timing.veto + timing.silence + timing.probe * 4, timing.drift_ppm);
    let start = sim.now;
    while sim.now.since(start) < bound && !sim.has_failed() {
        sim.run(timing.probe / 2);
        let sighting = Sighting::Claim { address: vip(group), mac: mac(gone, interface) };
        sim.offer(at, Waiting::Seen(interface, sighting));
    }
    let taken = active(sim, group) == Some(at);
    sim.oracle.hold(taken, || format!("S6: forged answers hold the takeover of group {group} up for {bound:?}"));
}

// S6: neighbours that fall silent delay a takeover for a bounded time.
pub fn fall_silent(sim: &mut Sim) {
    let Some((group, gone, at)) = scene(sim) else { return };
    let timing = sim.nodes[at].config.timing;
    let interface = sim.plan.groups[group].interface;
    sim.net.isolated[interface][at] = true;
    sim.touched = true;
    sim.lose_power(gone, false);
    let bound = stretched(timing.patience.isolation + timing.silence + timing.pulse * 5, timing.drift_ppm);
    sim.run(bound);
    let taken = active(sim, group) == Some(at);
    sim.oracle.hold(taken, || format!("S6: silent neighbours hold the takeover of group {group} up for {bound:?}"));
}

// L1: an active that loses its carrier lets go over the links, and the other opens with the first word of it.
pub fn lose_carrier(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let interface = sim.plan.groups[group].interface;
    keep_one_link(sim);
    // Slow, so that one word can be told from a conversation.
    let way = timing.pulse / 2;
    sim.net.delay[0] = way;
    sim.run(timing.pulse * 2);
    sim.set_carrier(from, interface, false);
    sim.run(way + SLACK);
    let taken = active(sim, group) == Some(to);
    sim.oracle
        .hold(taken, || format!("L1: group {group} is not taken over at once when node {from} loses its carrier"));
}

/// The hosts that have an entry of a group.
fn hosts(sim: &Sim, group: usize) -> Vec<usize> {
    (0..sim.hosts.len()).filter(|&host| sim.hosts[host].cache[group].is_some()).collect()
}

fn check_hosts(sim: &mut Sim, group: usize, node: usize, when: &str) {
    for host in hosts(sim, group) {
        let entry = sim.hosts[host].cache[group];
        sim.oracle.hold(entry == Some(node), || format!("L4: host {host} sends to {entry:?} a second after {when}"));
    }
}

// L4: who could not hear the first announcement hears the next.
pub fn miss_first(sim: &mut Sim) {
    let Some((group, gone, at)) = scene(sim) else { return };
    sim.net.deafened.iter_mut().for_each(|host| host[at] = true);
    sim.lose_power(gone, false);
    let timing = sim.plan.timing();
    sim.run(stretched(timing.silence + timing.probe * 2, timing.drift_ppm) + super::names::ms(100));
    sim.net.deafened.iter_mut().for_each(|host| host[at] = false);
    sim.run(Duration::from_secs(1));
    check_hosts(sim, group, at, "it can hear the active again");
}

// S8, L4: when the two sides of a division hear each other again, the higher epoch stays and every host is told.
pub fn divide(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let now = sim.now;
    for wire in 0..sim.net.wires {
        sim.net.set_cut(from, to, wire, true, now);
        sim.net.set_cut(to, from, wire, true, now);
    }
    sim.net.deafened.iter_mut().for_each(|host| host[to] = true);
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

/// The preferred node has its groups after a common start, and takes them back when it is told to, not sooner than told.
pub fn prefer(sim: &mut Sim) {
    let timing = sim.plan.timing();
    // A gate may be found 60 ms after the start; who is not ready when the right of way ends is not waited for.
    let waited = timing.election > super::names::ms(60);
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
    let delay = super::names::ms(300);
    let early = delay - delay / 10;
    sim.run(early);
    let back = active(sim, group) == Some(gone);
    sim.oracle.hold(!back, || format!("prefer: group {group} is taken back by {:?} sooner than it should", id(gone)));
    sim.run(delay + timing.listen + timing.pulse * 10);
    let back = active(sim, group) == Some(gone);
    sim.oracle.hold(back == preempts, || format!("prefer: group {group} preempts: {preempts}, taken back: {back}"));
}

/// Lets time pass in small steps and sees that never two answer.
fn alone(sim: &mut Sim, group: usize, span: Duration, what: &str) {
    let start = sim.now;
    while sim.now.since(start) < span && !sim.has_failed() {
        sim.run(Duration::from_micros(250));
        let answering = sim.answering(group).len();
        sim.oracle.hold(answering < 2, || format!("S8: two nodes answer for group {group} {what}"));
    }
}

// S8: the former active is stopped in the middle of letting go.
pub fn stop_in_handover(sim: &mut Sim) {
    let Some((group, from, _)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let command = Command::Switch(place(sim, from, group));
    sim.nodes[from].trap = Some(timing.lease / 2);
    sim.offer(from, Waiting::Command(command));
    alone(sim, group, timing.lease / 2 + timing.pulse * 4, "although one was stopped while it let go");
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
    alone(sim, group, timing.lease + timing.silence * 10 + Duration::from_secs(3), "after one of them was stopped");
}

// S8: probes that nobody could hear prove nothing when the cable holds again for a moment.
pub fn loose_cable(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let (timing, now) = (sim.plan.timing(), sim.now);
    let interface = sim.plan.groups[group].interface;
    for wire in 0..sim.net.wires {
        sim.net.set_cut(from, to, wire, true, now);
        sim.net.set_cut(to, from, wire, wire < sim.net.udp, now);
    }
    for wire in sim.net.udp..sim.net.wires {
        sim.net.set_cut(from, to, wire, false, now);
    }
    for _ in 0..2 {
        sim.net.isolated[interface][to] = true;
        sim.touched = true;
        alone(sim, group, timing.silence * 4, "although one is off the segment");
        sim.net.isolated[interface][to] = false;
        sim.touched = true;
        sim.traffic();
        sim.run(Duration::from_micros(120));
    }
    alone(sim, group, timing.silence, "although one was asked only while nobody could hear it");
}
