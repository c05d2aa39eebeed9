//! Directed runs about the evidence that a silent peer leaves: probes, answers, neighbours, and
//! words that only the other node hears.

use super::{active, expect_one_at_most, order, scene};
use crate::engine::Command;
use crate::sim::clock::stretched;
use crate::sim::names::{mac, vip};
use crate::sim::node::Waiting;
use crate::sim::world::Sim;
use crate::wire::frame::Sighting;
use std::time::Duration;

/// Number of addresses in a row without an answer that would outweigh the one that answers.
const MANY: usize = 5;

// S6: a forger who claims the address with a dead peer's hardware address delays a takeover for a
// bounded time.
pub fn forge_answers(sim: &mut Sim) {
    let Some((group, gone, standby)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let interface = sim.plan.groups[group].interface;
    sim.lose_power(gone, false);
    let bound = stretched(timing.veto + timing.silence + timing.probe * 4, timing.drift_ppm);
    let start = sim.now;
    while sim.now.since(start) < bound && !sim.has_failed() {
        sim.run(timing.probe / 2);
        let sighting = Sighting::Claim { address: vip(group), mac: mac(gone, interface), nameless: None };
        sim.offer(standby, Waiting::Seen(interface, sighting));
    }
    let taken = active(sim, group) == Some(standby);
    sim.oracle.hold(taken, || format!("S6: forged answers hold the takeover of group {group} up for {bound:?}"));
}

// S6: neighbours that fall silent delay a takeover for a bounded time.
pub fn fall_silent(sim: &mut Sim) {
    let Some((group, gone, standby)) = scene(sim) else { return };
    let timing = sim.nodes[standby].config.timing;
    let interface = sim.plan.groups[group].interface;
    sim.net.isolated[interface][standby] = true;
    sim.touched = true;
    sim.lose_power(gone, false);
    let bound = stretched(timing.patience.isolation + timing.silence + timing.pulse * 5, timing.drift_ppm);
    sim.run(bound);
    let taken = active(sim, group) == Some(standby);
    sim.oracle.hold(taken, || format!("S6: silent neighbours hold the takeover of group {group} up for {bound:?}"));
}

// S8: probes that nobody could hear are no evidence once a loose cable holds again for a moment.
pub fn loose_cable(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let (timing, now) = (sim.plan.timing(), sim.now);
    let interface = sim.plan.groups[group].interface;
    if sim.hosts.iter().all(|host| host.plan.interface != interface) {
        return;
    }
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
        expect_one_at_most(sim, group, timing.silence * 4, "although one is off the segment");
        sim.net.isolated[interface][to] = false;
        sim.touched = true;
        sim.traffic();
        sim.run(Duration::from_micros(120));
    }
    expect_one_at_most(sim, group, timing.silence, "although one was asked only while nobody could hear it");
}

// S8: an answer for the one address that is served outweighs the silence of all others. The agent
// that serves it dies and its kernel goes on; both nodes keep the other groups closed.
pub fn serve_one(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let interface = sim.plan.groups[group].interface;
    let here = |other: &usize| *other != group && sim.plan.groups[*other].interface == interface;
    let idle: Vec<usize> = (0..sim.plan.groups.len()).filter(here).collect();
    if idle.len() < MANY {
        return;
    }
    idle.iter().for_each(|&other| order(sim, to, other, Command::Pause));
    sim.run(timing.pulse * 4);
    sim.lose_power(from, false);
    sim.run(timing.silence * 2);
    sim.start(from);
    idle.iter().for_each(|&other| order(sim, from, other, Command::Pause));
    sim.run(timing.listen + timing.pulse * 4);
    if active(sim, group) != Some(to) || idle.iter().any(|&other| active(sim, other).is_some()) {
        return;
    }
    sim.kill(to);
    expect_one_at_most(sim, group, timing.lease + timing.silence + timing.pulse * 2, "although one answers for it");
    let taken = active(sim, group) == Some(from);
    sim.oracle.hold(taken, || format!("L1: group {group} is not taken over when its lease is over"));
}

// S8: a standby that hears nothing is still heard by the active, which closes on the standby's last
// claim, before the standby opens.
pub fn go_unheard(sim: &mut Sim) {
    let Some((group, from, to)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let (now, both) = (sim.now, sim.oracle.both);
    for wire in 0..sim.net.wires {
        sim.net.set_cut(from, to, wire, true, now);
    }
    sim.touched = true;
    sim.run(timing.silence * 2 + timing.pulse * 4);
    let never = sim.oracle.both == both;
    let moved = active(sim, group) == Some(to);
    sim.oracle.hold(never, || format!("S8: two nodes answer for group {group} although one hears the other's claim"));
    sim.oracle.hold(moved, || format!("L1: group {group} is not taken over from a node that is not heard"));
}

// S8, L1: behind a switch that drops questions without a sender, the silence of an active whose
// agent has died says nothing of its kernel to whoever asks so. It is taken over when its lease is
// over.
pub fn inspect(sim: &mut Sim) {
    let Some((group, gone, standby)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    sim.kill(gone);
    let bound = timing.listen + timing.silence + timing.pulse * 2;
    expect_one_at_most(sim, group, stretched(bound, timing.drift_ppm), "although questions are dropped");
    let taken = active(sim, group) == Some(standby);
    sim.oracle.hold(taken, || format!("L1: group {group} is not taken over when the lease is over"));
}
