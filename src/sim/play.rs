//! How a run goes: what is done to the nodes in which order, and the story of a failure.

use super::faults;
use super::random::Random;
use super::world::Sim;
use crate::mutant::Mutants;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Everything may happen.
pub fn play(sim: &mut Sim) {
    for at in 0..2 {
        if sim.random.chance(90) {
            sim.start(at);
        }
    }
    sim.traffic();
    if sim.random.chance(70) {
        sim.run(sim.timing.listen * 2 + sim.timing.pulse * 5);
    }
    if sim.random.chance(70) {
        faults::weather(sim);
    }
    let strikes = 5 + sim.random.below(40);
    let pace = sim.timing.pulse * u32::try_from(1 + sim.random.below(12)).unwrap();
    for _ in 0..strikes {
        let span = sim.random.span(pace);
        sim.run(span);
        faults::strike(sim);
    }
    sim.run(pace);
    faults::mend(sim);
    faults::settle(sim);
}

/// Both started, every group served, nothing pending.
fn calm(sim: &mut Sim) {
    sim.start(0);
    sim.start(1);
    sim.traffic();
    let start = sim.timing.listen * 2 + sim.timing.pulse * 10 + Duration::from_secs(1);
    let phase = sim.random.span(sim.timing.pulse);
    sim.run(start + phase);
    sim.traffic();
    sim.run(sim.timing.pulse);
}

// L2
pub fn disturb(sim: &mut Sim) {
    calm(sim);
    let before = sim.oracle.openings.clone();
    let kind = sim.random.below(3);
    // What is disturbed is the only link, except when it is one of two.
    sim.net.cut[0][1] = kind != 1;
    sim.net.cut[1][1] = kind != 1;
    if kind == 1 {
        sim.net.loss[sim.random.below(2)] = 30 + sim.random.below(71);
    }
    for _ in 0..20 {
        let at = sim.random.below(2);
        match kind {
            0 => sim.net.drop_next[at] = 1 + sim.random.below(2),
            1 => {}
            _ => {
                let span = sim.random.span(sim.timing.lease - sim.timing.pulse * 3 / 2);
                sim.stop(at, span);
                sim.run(span);
            }
        }
        let pause = sim.timing.pulse * 6 + sim.random.span(sim.timing.pulse * 6);
        sim.run(pause);
    }
    assert_eq!(sim.oracle.openings, before, "L2: a takeover after a disturbance of kind {kind}");
}

// L1
pub fn lose_host(sim: &mut Sim) {
    calm(sim);
    let gone = sim.random.below(2);
    sim.crash(gone);
    sim.run(sim.timing.silence + sim.timing.probe * 2);
    for group in 0..sim.plan.groups.len() {
        assert_eq!(sim.answering(group), [1 - gone], "L1: group {group} is not taken over in time");
    }
}

fn build(seed: u64) -> Sim {
    let mut random = Random::new(seed);
    let plan = faults::plan(&mut random);
    Sim::new(seed, random, plan)
}

/// Plays a seed; the story of its failure if it fails.
pub fn run(seed: u64, play: impl Fn(&mut Sim)) -> Result<Sim, String> {
    run_mutated(seed, Mutants::NONE, play)
}

/// The same with a rule of the protocol broken.
pub fn run_mutated(seed: u64, mutants: Mutants, play: impl Fn(&mut Sim)) -> Result<Sim, String> {
    let mut sim = build(seed);
    sim.mutants = mutants;
    match catch_unwind(AssertUnwindSafe(|| play(&mut sim))) {
        Ok(()) => Ok(sim),
        Err(cause) => {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            let history: Vec<String> = sim.history.iter().cloned().collect();
            let (history, states) = (history.join("\n"), faults::states(&sim).join("\n"));
            Err(format!("seed {seed}: {:?}\n{history}\n{states}\nseed {seed}: {text}", sim.plan))
        }
    }
}
