//! The benchmark: how fast the address moves and what the agent costs, on namespaces, measured from outside.
//!
//! Owns: command line, the order of runs, and their supervision. Every block of measurements runs in a child process, so
//! that one that fails costs its own run only, and what it leaves is swept by the parent. Never does: judging by exit
//! code; goals are compared in the report. Run it through `scripts/bench`.
#![allow(dead_code, reason = "tests, demo and benchmark each use a part of the lab")]

#[path = "bench/cost.rs"]
mod cost;
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/many.rs"]
mod many;
#[path = "bench/pair.rs"]
mod pair;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/rival.rs"]
mod rival;

mod lab;
mod probe;
mod scene;

use nix::sys::signal::{SigHandler, Signal, signal};
use report::{Report, Results};
use rival::Setting;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

/// Tells a child which block it is to measure.
const BLOCK: &str = "VIPAIR_BENCH_BLOCK";
const USAGE: &str = "usage: scripts/bench [--runs N] [--only BLOCK,…] [--write FILE]";

/// A block of measurements: its name, in how many of a hundred rounds it runs, and what it does.
type Block = (&'static str, u32, fn());

/// All blocks, in the order of a round.
const BLOCKS: [Block; 10] = [
    ("fast", 100, pair::fast),
    ("lan", 100, pair::lan),
    ("witness-fast", 100, pair::witness_fast),
    ("witness-lan", 100, pair::witness_lan),
    ("keepalived-fast", 50, || rival::run(Setting::Fastest)),
    ("keepalived-default", 20, || rival::run(Setting::Default)),
    ("many", 20, many::run),
    ("cost", 10, cost::one_group),
    ("cost-100", 5, cost::hundred_groups),
    ("cost-1000-checked", 5, cost::thousand_checked_groups),
];

/// Hands one measured value to the supervising process.
pub fn sample(key: &str, value: f64) {
    println!("sample {key} {value}");
}

struct Options {
    runs: u32,
    only: Option<Vec<String>>,
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(BLOCK) {
        on_interrupt(SigHandler::SigDfl);
        let (_, _, block) = BLOCKS.iter().find(|(block, ..)| *block == name).expect("the parent knows the blocks");
        block();
        return ExitCode::SUCCESS;
    }
    let options = match options() {
        Ok(options) => options,
        Err(cause) => {
            eprintln!("{cause}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the benchmark is made of network namespaces: run it as root (sudo ./scripts/bench)");
        return ExitCode::from(2);
    }
    on_interrupt(SigHandler::SigIgn);
    let report = supervise(&options);
    print!("{}", report.text());
    if let Some(path) = &options.write
        && let Err(cause) = report.write(path)
    {
        eprintln!("write {}: {cause}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Ctrl-C ends the running block, and the parent cleans up after it. A child inherits what its parent ignores.
fn on_interrupt(how: SigHandler) {
    // SAFETY: neither ignoring a signal nor its default runs code of ours.
    let result = unsafe { signal(Signal::SIGINT, how) };
    result.expect("the handling of SIGINT can be changed");
}

fn options() -> Result<Options, String> {
    let mut options = Options { runs: 20, only: None, write: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--runs" => {
                let runs = value.parse().ok().filter(|runs| (1..=1_000).contains(runs));
                options.runs = runs.ok_or_else(|| format!("--runs takes a number from 1 to 1000, not {value}"))?;
            }
            "--only" => {
                let names: Vec<String> = value.split(',').map(str::to_owned).collect();
                if let Some(name) = names.iter().find(|name| BLOCKS.iter().all(|(block, ..)| block != name)) {
                    let known: Vec<&str> = BLOCKS.iter().map(|(block, ..)| *block).collect();
                    return Err(format!("there is no block {name}, only {}", known.join(", ")));
                }
                options.only = Some(names);
            }
            "--write" => options.write = Some(value.into()),
            _ => return Err(format!("there is no option {arg}")),
        }
    }
    Ok(options)
}

/// Whether a block that runs in `percent` of the rounds runs in this one: evenly spread, and in the first.
fn is_due(percent: u32, round: u32) -> bool {
    round == 0 || (round * percent) / 100 != ((round - 1) * percent) / 100 && percent < 100 || percent == 100
}

fn supervise(options: &Options) -> Report {
    let start = Instant::now();
    let mut results = Results::default();
    let mut left_out = Vec::new();
    if rival::program().is_none() {
        left_out.push("keepalived is not installed and could not be: its figures are left out.".to_owned());
    }
    let mut failed = 0;
    'rounds: for round in 0..options.runs {
        for (name, percent, _) in BLOCKS {
            let is_wanted = options.only.as_ref().is_none_or(|only| only.iter().any(|o| o == name));
            let is_there = !name.starts_with("keepalived") || rival::program().is_some();
            if !is_wanted || !is_there || !is_due(percent, round) {
                continue;
            }
            println!("[{:>3} s] run {} of {}: {name}", start.elapsed().as_secs(), round + 1, options.runs);
            let (status, text) = run_block(name);
            results.take(&text);
            if !status.success() {
                failed += 1;
                println!("         {name} failed ({status}); what it measured before counts");
            }
            if was_interrupted(status) {
                left_out.push(format!("Interrupted in run {} of {}.", round + 1, options.runs));
                break 'rounds;
            }
        }
    }
    if failed > 0 {
        left_out.push(format!("{failed} blocks of measurements failed; their missing runs are not in the table."));
    }
    Report::new(results, options.runs, start.elapsed(), left_out, options.only.is_some())
}

fn was_interrupted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(libc::SIGINT)
}

/// Runs one block in a child; sweeps what it left when it did not end well.
fn run_block(name: &str) -> (ExitStatus, String) {
    let own = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(own);
    command.env(BLOCK, name).stdin(Stdio::null()).stderr(Stdio::piped());
    let child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("start block {name}: {e}"));
    let id = child.id();
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("wait for block {name}: {e}"));
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        report::print_logs(id);
        lab::netns::sweep();
    }
    (output.status, String::from_utf8_lossy(&output.stdout).into_owned())
}
