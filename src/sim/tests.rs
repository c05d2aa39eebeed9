//! A few hundred seeds of everything.
//!
//! `cargo test --lib sim::` runs them. The long form takes its numbers from the environment:
//! `SIM_FROM=0 SIM_SEEDS=50000 cargo test --profile checked --lib sim:: -- --ignored --nocapture`
//! `SIM_FROM=<seed> SIM_SEEDS=1` plays one again.

use super::{Sim, disturb, lose_host, play, run};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run_many(from: u64, seeds: u64, play: impl Fn(&mut Sim)) {
    let (mut failed, mut both, mut openings) = (Vec::new(), 0, 0);
    let most = number("SIM_FAILURES", 1);
    for seed in from..from + seeds {
        match run(seed, &play) {
            Ok(sim) => {
                both += usize::from(sim.oracle.both > 0);
                openings += sim.oracle.openings.values().sum::<usize>();
            }
            Err(story) => failed.push(story),
        }
        if failed.len() as u64 >= most {
            break;
        }
    }
    println!("{seeds} seeds from {from}: {openings} openings, {both} runs in which both answered for a while");
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn whatever_is_done_to_a_pair_it_keeps_its_promises() {
    run_many(0, number("SIM_SHORT", 150), play);
}

#[test]
fn what_is_no_failure_causes_no_takeover() {
    run_many(0, number("SIM_SHORT", 60), disturb);
}

#[test]
fn a_lost_host_is_taken_over_within_the_bound_at_any_phase() {
    run_many(0, number("SIM_SHORT", 150), lose_host);
}

#[test]
#[ignore = "takes minutes"]
fn whatever_is_done_to_a_pair_for_long() {
    run_many(number("SIM_FROM", 1_000), number("SIM_SEEDS", 20_000), play);
}

/// Seeds that once found a fault of the engine, each with what it was.
const FOUND: [(u64, &str); 15] = [
    (17, "the peer's own probe, heard before it was known, counted as a neighbour whose silence meant isolation"),
    (76, "rows acknowledged in a former life were never sent again: no consent ever arrived"),
    (94, "an active with the higher epoch went on beside a deaf one"),
    (126, "a deaf peer was not told over the segment, because we heard it on another way"),
    (140, "the silence of addresses nobody served outvoted the answer for one that was served"),
    (196, "a reserved epoch was used again after a crash that came before the disk knew of its use"),
    (265, "a paused node kept its claim and consented to nobody"),
    (522, "giving way to a deaf active was never due, because nothing else happened"),
    (885, "a peer that heard us over the segment alone was left alone on the links"),
    (4113, "the same"),
    (2592, "giving way to a deaf active came too late"),
    (4332, "a peer that could hear us over the segment alone fell silent now and then"),
    (39426, "a deaf node left out rows that its peer had acknowledged in another session"),
    (21846, "agents that take turns: two leases of both answering are permitted"),
    (43, "a claim on a slow wire: two pulses of both answering are permitted"),
];

#[test]
fn seeds_that_found_faults_find_none_any_more() {
    for (seed, fault) in FOUND {
        assert!(run(seed, play).is_ok(), "seed {seed}: {fault}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let story = |seed| run(seed, play).map(|sim| (sim.now, sim.history, sim.random.clone().next()));
    let (first, second) = (story(3).unwrap(), story(3).unwrap());
    assert_eq!(first, second);
}
