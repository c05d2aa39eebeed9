//! Faults of the wires: loss, delay, copies, cuts.

use crate::sim::swarm::Fault;
use crate::sim::world::Sim;
use std::time::Duration;

/// Draws loss, delay and duplication of the wires for the beginning of a run, as far as they are in
/// the swarm.
pub fn weather(sim: &mut Sim) {
    let faults: Vec<Fault> = sim.plan.swarm.iter().map(|(fault, _)| *fault).collect();
    for fault in [Fault::Loss, Fault::Delay, Fault::Duplicates] {
        if faults.contains(&fault) && sim.random.chance(60) {
            for _ in 0..sim.net.wires {
                strike(sim, fault, 0, 0);
            }
        }
    }
}

/// Strikes a drawn wire, or those of `node`; false if there was nothing to strike.
pub(super) fn strike(sim: &mut Sim, fault: Fault, node: usize, interface: usize) -> bool {
    let now = sim.now;
    let weather = matches!(fault, Fault::Loss | Fault::Delay);
    let wires = if weather { sim.net.loss.len() } else { sim.net.wires };
    let wire = sim.random.below(wires);
    let to = super::pick_other(sim, node);
    sim.net.changed = now;
    match fault {
        Fault::Loss => {
            sim.net.loss[wire] = if sim.random.chance(50) { sim.random.below(41) } else { 0 };
        }
        Fault::Delay => change_delay(sim, wire),
        Fault::Duplicates => {
            sim.net.duplicates = if sim.net.duplicates == 0 { 1 + sim.random.below(30) } else { 0 };
        }
        Fault::CutOne => {
            let cut = !sim.net.is_cut(node, to, wire);
            sim.net.set_cut(node, to, wire, cut, now);
        }
        Fault::CutAll => cut_all(sim),
        Fault::OneWay => cut_one_way(sim, node),
        Fault::Deafen => {
            if sim.hosts.is_empty() {
                return false;
            }
            let host = sim.random.below(sim.hosts.len());
            sim.net.deafened[host][node] ^= true;
        }
        Fault::Isolate => sim.net.isolated[interface][node] ^= true,
        _ => sim.net.heal(now),
    }
    sim.touched = true;
    sim.note(|sim| {
        let net = &sim.net;
        format!("wires: {fault:?}; cuts: {}; loss {:?}, delay {:?}", net.describe_cuts(), net.loss, net.delay)
    });
    true
}

/// Draws another longest delay for a wire.
fn change_delay(sim: &mut Sim, wire: usize) {
    let timing = sim.plan.timing();
    // Probes count as unanswered after three intervals: the segment must be quicker than that, on
    // any clock.
    let segment = (sim.net.udp..sim.net.wires).contains(&wire);
    let longest = if segment { timing.probe / 4 } else { timing.pulse };
    sim.net.delay[wire] = if sim.random.chance(50) { sim.random.span(longest) } else { Duration::from_micros(50) };
}

/// Cuts every wire between the nodes but, in half of the cases, one.
fn cut_all(sim: &mut Sim) {
    let now = sim.now;
    let keep = sim.random.below(sim.net.wires * 2);
    for from in 0..sim.nodes.len() {
        for to in sim.others(from) {
            for wire in 0..sim.net.wires {
                sim.net.set_cut(from, to, wire, wire != keep, now);
            }
        }
    }
}

/// Cuts the links that leave a node, mostly also the segments; in half of the cases the ways back
/// are mended.
fn cut_one_way(sim: &mut Sim, from: usize) {
    let now = sim.now;
    let segments = sim.random.chance(70);
    let back = sim.random.chance(50);
    for to in sim.others(from) {
        for wire in 0..sim.net.wires {
            sim.net.set_cut(from, to, wire, wire < sim.net.udp || segments, now);
            if back {
                sim.net.set_cut(to, from, wire, false, now);
            }
        }
    }
}
