//! S1 and S8: when two nodes may answer. With witnesses and `strict`, never: see `votes`. In a bare
//! pair S8 says when.
//!
//! "Cut off" is a matter of the wires, not of what the engines think. While two nodes answer for a
//! group,
//! - V1: they have not been joined in both directions, both processes running, for longer than two
//!   pulses and the longest way through the wires: hearing each other ends it;
//! - V2: the segment has not been sound between them for longer than a silence and two leases:
//!   probes and the latch end it, whatever the processes do. Two, because the agents may take
//!   turns: one ends when the other, which was stopped or restarted within its lease, goes on. An
//!   adoption begins the count anew for the same reason, and so does a machine that wakes up. A
//!   majority whose clocks are more wrong than configured elects without a probe: then the count
//!   begins when two answer;
//! - V3: no running process that answers has believed words of the other reaching it for longer
//!   than it takes to be sure that the other is deaf; an opening may run ahead of the claim that
//!   goes with it by the way through the wires. Words can be believed only of a session that was
//!   proven while both directions worked: a process that restarted behind a one-way cut is not
//!   heard by anybody who insists on proof.
//!
//! With witnesses the same holds of two nodes of one number, which a voter takes for one node.
//!
//! Only ways without loss count as joined; otherwise chance could cut for as long as it likes. A
//! process that has not found the gate of its former life yet cannot close it, so it does not count
//! as running.

use super::{Bounds, Oracle};
use crate::sim::clock::Real;
use crate::sim::world::Sim;
use std::time::Duration;

/// Pulses after which the first rows get through a wire that carries short datagrams only: every second
/// lost pulse halves how many are tried.
const NARROW: usize = 12;

impl Oracle {
    /// Checks S1 and S8 after everything that happens.
    pub fn check(sim: &mut Sim) {
        if std::mem::take(&mut sim.touched) {
            Oracle::follow_wires(sim);
        }
        for group in 0..sim.plan.groups.len() {
            let open = sim.nodes.iter().filter(|node| node.kernel.is_open(group)).count();
            if open > 1 {
                Oracle::check_group(sim, group);
            } else {
                sim.oracle.doubled[group] = None;
            }
        }
    }

    /// Checks a group whose gate is open on more than one node.
    fn check_group(sim: &mut Sim, group: usize) {
        let answering = sim.answering(group);
        let interface = sim.plan.groups[group].interface;
        for node in &answering {
            let generation = sim.nodes[*node].kernel.gates[interface].generation;
            let away = sim.oracle.seen[*node].turned_away[interface];
            sim.oracle.hold(away != generation, || format!("S7: a lapsed lease of node {node} answers again"));
        }
        if answering.len() < 2 {
            sim.oracle.doubled[group] = None;
            return;
        }
        let (now, way) = (sim.now, sim.net.longest());
        sim.oracle.both += 1;
        let epochs = answering.iter().map(|node| sim.nodes[*node].kernel.open[group].node());
        let one_number = epochs.clone().all(|number| epochs.clone().next() == Some(number));
        sim.coverage.one_number += u64::from(one_number);
        sim.oracle.last_doubled[group] = now;
        let since = *sim.oracle.doubled[group].get_or_insert(now);
        if sim.plan.votes().is_some_and(|votes| votes.strict) && !one_number {
            return Oracle::check_alone(sim, group, &answering);
        }
        for &first in &answering {
            for &second in answering.iter().filter(|second| **second != first) {
                Oracle::check_pair(sim, group, first, second, (since, way));
            }
        }
    }

    /// Checks V1 to V3 for two nodes that answer. `since`: when two began to answer; `way`: the
    /// longest way through the wires.
    fn check_pair(sim: &mut Sim, group: usize, first: usize, second: usize, (since, way): (Real, Duration)) {
        if is_another(sim, first, second, group) {
            return;
        }
        let now = sim.now;
        let Bounds { pulse, silence, lease } = sim.oracle.bounds;
        // Whoever does not know how narrow a wire is finds out in some pulses.
        let told = learning(sim, pulse);
        // Who is heard by links and hears by the segment is told that it is deaf, a suspicion later.
        let [there, back] = [ways(sim, first, second), ways(sim, second, first)];
        let told = if there.udp == back.udp { told } else { told + pulse * 2 };
        let joined = pulse * 2 + way * 6 + told + Duration::from_millis(1);
        let latched = silence + lease * 2 + pulse * 2 + way * 6 + told;
        let deaf = silence * 3 + pulse * 6 + way * 6 + told;
        let interface = sim.plan.groups[group].interface;
        // A disk that forgot may have both open below what was used before.
        let [one, other] = [first, second].map(|node| sim.nodes[node].kernel.open[group]);
        let lower = one < other;
        // No answer holds an election back, nor can one that looks like our own. A node of our number
        // is waited for, not asked.
        let known = [(first, second), (second, first)];
        let known = known.iter().all(|(node, other)| super::grants::is_recognised(sim, *node, *other, group));
        if !known || one.node() == other.node() && sim.plan.is_beyond() {
            sim.oracle.unasked[group] = now;
        }
        let unasked = sim.oracle.unasked[group] >= since;
        let elected = unasked || sim.plan.votes().is_some_and(|votes| votes.strict || sim.plan.is_beyond());
        let over = |since: Option<Real>, bound: Duration| since.is_some_and(|since| now.since(since) > bound);
        let oracle = &mut sim.oracle;
        let pair = oracle.pair(first, second);
        // A claim may still be on its way when the opening follows, a probe interval after it was
        // sent.
        let late = now.since(since) > joined;
        let v1 = (late || way <= pulse / 10) && over(pair.joined, joined);
        let v2 = over(pair.segment[interface], latched) && (!elected || now.since(since) > latched);
        let v3 = late && over(pair.hears, if lower { joined } else { deaf });
        oracle.hold(!v1, || {
            format!("S8 V1: nodes {first} and {second} answer for group {group} although they are joined")
        });
        oracle.hold(!v2, || format!("S8 V2: nodes {first} and {second} answer for group {group} on a sound segment"));
        oracle.hold(!v3, || format!("S8 V3: node {first} answers for group {group} and hears node {second}"));
    }

    /// Notes for each two nodes since when the ways between them are open.
    fn follow_wires(sim: &mut Sim) {
        let now = sim.now;
        let follow = |since: &mut Option<Real>, holds: bool| {
            *since = if holds { since.or(Some(now)) } else { None };
        };
        for first in 0..sim.nodes.len() {
            for interface in 0..sim.plan.interfaces {
                let isolated = sim.net.isolated[interface][first];
                follow(&mut sim.oracle.seen[first].isolated[interface], isolated);
            }
            for second in sim.others(first) {
                let running = is_at_work(sim, first) && is_at_work(sim, second);
                let (there, back) = (ways(sim, first, second), ways(sim, second, first));
                let joined = running && there.any && back.any;
                // On the segment pulses are sent only while no other way is heard.
                let hears = running && back.udp && is_proven(sim, first, second);
                let interfaces = sim.plan.interfaces;
                let sound: Vec<bool> = (0..interfaces)
                    .map(|interface| {
                        let wire = sim.net.segment_wire(interface);
                        is_way(sim, first, second, wire) && is_way(sim, second, first, wire)
                    })
                    .collect();
                let pair = sim.oracle.pair(first, second);
                follow(&mut pair.joined, joined);
                follow(&mut pair.reached, back.udp);
                follow(&mut pair.hears, hears);
                for (since, sound) in pair.segment.iter_mut().zip(sound) {
                    follow(since, sound);
                }
            }
        }
    }
}

/// Time for which rows may not get through because a wire is narrow, or was: whoever could not send
/// since then does not know how wide it is now.
pub(super) fn learning(sim: &Sim, pulse: Duration) -> Duration {
    let pulses = NARROW + sim.plan.groups.len().div_ceil(crate::wire::fit::FEW);
    let span = pulse * u32::try_from(pulses).expect("few groups");
    if sim.net.was_narrow() { span } else { Duration::ZERO }
}

/// Whether a process runs and has found what its former life left open.
fn is_at_work(sim: &Sim, node: usize) -> bool {
    let machine = &sim.nodes[node];
    let gates = machine.kernel.gates.iter().enumerate();
    let lost = |(interface, gate): (usize, &crate::sim::kernel::Gate)| {
        gate.generation != 0 && !machine.is_attached(interface)
    };
    machine.is_running() && !gates.into_iter().any(lost)
}

/// Whether frames pass one direction of a wire without loss.
fn is_way(sim: &Sim, from: usize, to: usize, wire: usize) -> bool {
    let end = |node: usize| {
        let machine = &sim.nodes[node];
        if wire < sim.net.udp {
            machine.powered && !machine.asleep && !sim.is_closed(node, wire)
        } else {
            machine.is_connected(wire - sim.net.udp)
        }
    };
    end(from) && end(to) && sim.net.is_sound(from, to, wire)
}

/// The ways from one node to another that are open.
struct Ways {
    /// Whether any wire is open.
    any: bool,
    /// Whether a UDP link is open.
    udp: bool,
}

/// The open ways from one node to another. Pulses take the segment only while no UDP link is heard:
/// beside a link that works at times it is no way.
fn ways(sim: &Sim, from: usize, to: usize) -> Ways {
    let udp = (0..sim.net.udp).any(|wire| is_way(sim, from, to, wire));
    let closed = |wire: usize| sim.is_closed(from, wire) || sim.is_closed(to, wire);
    let cut = |wire: usize| sim.net.is_cut(from, to, wire) && sim.net.is_cut(to, from, wire);
    let passes = |wire: usize| !cut(wire) && !closed(wire);
    let at_times = (0..sim.net.udp).any(|wire| sim.net.loss[wire] > 0 && passes(wire));
    let segment = (sim.net.udp..sim.net.wires).any(|wire| is_way(sim, from, to, wire));
    Ways { any: udp || segment && !at_times, udp }
}

/// Whether each of two nodes believes the session of the other.
fn is_proven(sim: &Sim, first: usize, second: usize) -> bool {
    let place = |peer: usize, node: usize| if peer < node { peer } else { peer - 1 };
    let (Some(own), Some(other)) = (&sim.nodes[first].engine, &sim.nodes[second].engine) else { return false };
    own.view_verified(place(second, first)) == Some(other.view_session())
        && other.view_verified(place(first, second)) == Some(own.view_session())
}

/// Whether the files of two nodes call a group otherwise, and give it other addresses: nobody can tell
/// that it is one.
pub(super) fn is_another(sim: &Sim, first: usize, second: usize, group: usize) -> bool {
    let entry = |node: usize| sim.nodes[node].config.groups.iter().find(|config| config.group == group);
    let [one, other] = [first, second].map(entry);
    one.zip(other).is_some_and(|(one, other)| one.renamed != other.renamed && one.second != other.second)
}
