//! Seeds that nobody has run: every run of these tests draws others, from the date.
//!
//! Seeds that are always the same stop finding anything once they are green. The first seed is printed;
//! `SIM_FIRST_SEED=N` plays those from N on again.

use super::super::Mode;
use super::{number_from_env, run_seeds};
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs of each mode. The modes in which little happens for a long time have few.
const RUNS: [(Mode, u64); 12] = [
    (Mode::Play, 4_000),
    (Mode::Vote, 300),
    (Mode::HandOver, 500),
    (Mode::LooseCable, 300),
    (Mode::Disturb, 300),
    (Mode::LoseHost, 300),
    (Mode::Divide, 300),
    (Mode::StopInHandover, 300),
    (Mode::Restart, 300),
    (Mode::FailService, 300),
    (Mode::VoteLoseHost, 100),
    (Mode::VoteStopActive, 100),
];

/// The first seed of this run: a million for each second since 1970, so that no two runs share one.
fn first_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is of this century");
    number_from_env("SIM_FIRST_SEED", since.as_secs() * 1_000_000)
}

/// Needs release speed: `cargo test -p vipair-proof --profile checked sim::tests::unseen --
/// --ignored --nocapture`.
#[test]
#[ignore = "minutes without optimisation; scripts/test runs it with the profile `checked`"]
fn seeds_that_nobody_has_run_break_no_promise() {
    let first = first_seed();
    println!("seeds that nobody has run, in each mode from {first} on");
    for (mode, runs) in RUNS {
        run_seeds(mode, first, runs);
    }
}
