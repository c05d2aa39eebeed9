//! Faults of witnesses and of the ways to them, and how they are mended.

use crate::sim::names::ms;
use crate::sim::swarm::Fault;
use crate::sim::world::Sim;
use std::time::Duration;

/// Strikes a drawn witness, or the way between it and `node`; false if there was nothing to strike.
pub(super) fn strike(sim: &mut Sim, fault: Fault, node: usize) -> bool {
    if sim.witnesses.is_empty() {
        return false;
    }
    let witness = sim.random.below(sim.witnesses.len());
    match fault {
        Fault::WitnessCut => toggle_cut(sim, witness, node),
        Fault::WitnessApart => set_apart(sim, witness, node),
        Fault::WitnessCheck => {
            let group = sim.random.below(sim.plan.groups.len());
            let healthy = !sim.witnesses[witness].healthy;
            sim.witnesses[witness].healthy = healthy;
            sim.check_service(witness, group, healthy);
        }
        Fault::WitnessReplay => return replay_questions(sim),
        Fault::WitnessHang | Fault::WitnessFreeze => {
            if !sim.witnesses[witness].is_running() {
                return false;
            }
            let span = draw_span(sim);
            sim.stop_witness(witness, span, fault == Fault::WitnessFreeze);
        }
        Fault::WitnessClockRate => {
            if sim.plan.ppm == 0 || sim.witnesses[witness].frozen {
                return false;
            }
            let (ppm, now) = (sim.draw_ppm(), sim.now);
            sim.note(|_| format!("witness {witness}: its clock is {ppm} ppm fast"));
            sim.witnesses[witness].clock.set_rate(now, ppm);
        }
        Fault::WitnessDiskSlow => {
            let span = sim.random.span(ms(500));
            let disk = &mut sim.witnesses[witness].disk;
            disk.latency = if disk.latency > ms(3) { ms(3) } else { span };
            sim.note(|sim| format!("witness {witness}: its disk takes {:?}", sim.witnesses[witness].disk.latency));
        }
        Fault::WitnessDiskFails => {
            sim.witnesses[witness].disk.fails ^= true;
            sim.note(|sim| format!("witness {witness}: its disk fails: {}", sim.witnesses[witness].disk.fails));
        }
        _ => return restart(sim, fault, witness),
    }
    true
}

/// A span drawn up to two pulses, a lease, or a promise and an abstention: the times that matter to
/// a voter's promises.
fn draw_span(sim: &mut Sim) -> Duration {
    let timing = sim.plan.timing();
    let longest = sim.random.pick(&[timing.pulse * 2, timing.lease, timing.promise + timing.abstain]);
    sim.random.span(longest)
}

/// Ends a witness's process, and starts it again later with the same disk or one that `fault` has
/// spoiled. A witness without a process is only started, and the result is false.
fn restart(sim: &mut Sim, fault: Fault, witness: usize) -> bool {
    if sim.witnesses[witness].voter.is_none() {
        if sim.witnesses[witness].powered {
            sim.start_witness(witness);
        }
        return false;
    }
    if fault == Fault::WitnessKill {
        sim.kill_witness(witness);
    } else {
        sim.lose_witness(witness);
    }
    let whole = matches!(fault, Fault::WitnessKill | Fault::WitnessPowerLoss | Fault::WitnessDiskDamaged);
    sim.oracle.votes.honest &= whole;
    if fault == Fault::WitnessDiskDamaged {
        sim.oracle.votes.note_damage(witness);
    }
    let disk = &mut sim.witnesses[witness].disk;
    match fault {
        Fault::WitnessSlotDamaged => disk.damage(false),
        Fault::WitnessDiskDamaged => disk.damage(true),
        Fault::WitnessDiskLost => disk.slots = Default::default(),
        Fault::WitnessDiskRolledBack => disk.slots = disk.former.clone(),
        _ => {}
    }
    let delay = if sim.random.chance(40) { Duration::ZERO } else { draw_span(sim) };
    sim.start_witness_later(witness, delay);
    true
}

/// Cuts one direction between a node and a witness, or mends it; perhaps the other one, too.
fn toggle_cut(sim: &mut Sim, witness: usize, node: usize) {
    let (end, wire, now) = (sim.end_of(witness), sim.net.witness_wire(), sim.now);
    let (from, to) = if sim.random.chance(50) { (node, end) } else { (end, node) };
    let cut = !sim.net.is_cut(from, to, wire);
    sim.net.set_cut(from, to, wire, cut, now);
    if sim.random.chance(50) {
        sim.net.set_cut(to, from, wire, cut, now);
    }
    sim.touched = true;
    sim.note(|sim| format!("wires: of a witness; cuts: {}", sim.net.describe_cuts()));
}

/// Cuts a witness off from all nodes, or a node from all witnesses, in one direction or both.
fn set_apart(sim: &mut Sim, witness: usize, node: usize) {
    let (wire, now) = (sim.net.witness_wire(), sim.now);
    let (there, back) = sim.random.pick(&[(true, true), (true, true), (true, false), (false, true)]);
    let whole = sim.random.chance(50);
    for other in 0..sim.nodes.len() {
        for other_witness in 0..sim.witnesses.len() {
            if (whole && other_witness == witness) || (!whole && other == node) {
                let end = sim.end_of(other_witness);
                sim.net.set_cut(other, end, wire, there, now);
                sim.net.set_cut(end, other, wire, back, now);
            }
        }
    }
    sim.touched = true;
    sim.note(|sim| format!("wires: a witness apart; cuts: {}", sim.net.describe_cuts()));
}

/// Sends up to five recorded questions to witnesses again; false if there are none.
fn replay_questions(sim: &mut Sim) -> bool {
    for _ in 0..1 + sim.random.below(5) {
        if sim.asked.is_empty() {
            return false;
        }
        let which = sim.random.below(sim.asked.len());
        let (witness, from, bytes) = sim.asked[which].clone();
        let witness = if sim.random.chance(80) { witness } else { sim.random.below(sim.witnesses.len()) };
        let from = if sim.random.chance(80) { from } else { sim.random.below(sim.nodes.len()) };
        sim.reach_witness(witness, from, bytes);
    }
    true
}

/// Mends and starts all witnesses but the one that is left dead; `dead` numbers nodes first.
pub(super) fn mend(sim: &mut Sim, dead: Option<usize>) {
    for witness in 0..sim.witnesses.len() {
        sim.witnesses[witness].disk.fails = false;
        sim.witnesses[witness].disk.latency = ms(3);
        sim.resume_witness(witness);
        let now = sim.now;
        if sim.plan.is_beyond() {
            sim.witnesses[witness].clock.set_rate(now, 0);
        }
        if dead == Some(sim.end_of(witness)) {
            sim.kill_witness(witness);
            sim.witnesses[witness].life += 1;
            continue;
        }
        if sim.witnesses[witness].voter.is_none() {
            sim.start_witness(witness);
        }
        sim.witnesses[witness].healthy = true;
        for group in 0..sim.plan.groups.len() {
            sim.check_service(witness, group, true);
        }
    }
}
