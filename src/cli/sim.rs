//! `vipair sim`: runs the simulator. Only in builds with feature `sim`.

use super::{Failure, print};
use clap::Args;
use std::time::Duration;
use vipair_proof::REVISION;
use vipair_proof::sim::{Job, Mode, Report, Want, run, run_many, story, tell_seed_on_panic};

#[derive(Args, Debug)]
pub(super) struct SimArgs {
    /// Run one seed and print everything that happens
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run many seeds and print rates and coverage
    #[arg(long, value_name = "FROM..TO", value_parser = seed_range)]
    seeds: Option<(u64, u64)>,
    /// What is done to the nodes
    #[arg(long, value_enum, default_value_t = Mode::Play)]
    mode: Mode,
    /// On so many threads [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// End after so many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Go on until so many seeds have failed
    #[arg(long, value_name = "N", default_value_t = 1)]
    failures: usize,
}

/// The range of seeds that `text` writes: two numbers with `..` between them. Without the second
/// number the range has no end.
fn seed_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("two numbers with .. between them, for example 0..1000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    let from = number(from)?;
    let to = if to.is_empty() { u64::MAX } else { number(to)? };
    Ok((from, to))
}

/// Runs one seed, or many of them, and prints what came of it.
pub(super) fn execute(args: &SimArgs) -> Result<(), Failure> {
    tell_seed_on_panic();
    if let Some(seed) = args.seed {
        return run_one(seed, args.mode);
    }
    let (from, to) = args.seeds.unwrap_or((0, 10_000));
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let minute = Duration::from_secs(60);
    let job = Job {
        from,
        to,
        mode: args.mode,
        threads: args.threads.unwrap_or(all),
        limit: args.minutes.map(|minutes| minute.mul_f64(minutes)),
        every: minute,
        failures: args.failures,
    };
    let report = run_many(job, |report| {
        // What cannot be written is told by the last print.
        let _told_later = print(&format!("{}\n", summary(report)));
    });
    print(&format!("{}\n{}", report.coverage.table(), summary(&report)))?;
    match report.failed.as_slice() {
        [] => Ok(()),
        [(seed, _), ..] => Err(Failure::Failed(format!("a promise is broken:\n{}", story(*seed, args.mode)))),
    }
}

/// Runs one seed and prints everything that happens.
fn run_one(seed: u64, mode: Mode) -> Result<(), Failure> {
    let outcome = run(seed, mode, Want::Live);
    match outcome.failure {
        Some(failure) => Err(Failure::Failed(format!("seed {seed}, revision {REVISION}: {failure}"))),
        None => print(&format!("seed {seed}, revision {REVISION}: every promise was kept\n")),
    }
}

/// Results of the seeds so far: rates, failures, and what was never seen.
fn summary(report: &Report) -> String {
    let mut text = format!("{}\n", report.line());
    for (seed, failure) in &report.failed {
        text += &format!("seed {seed}, revision {REVISION}: {failure}\n");
    }
    let missing = report.coverage.missing();
    if missing.is_empty() {
        text += "covered: every transition, action, notice, outcome and fault\n";
    } else {
        text += &format!("never seen: {}\n", missing.join(", "));
    }
    text
}
