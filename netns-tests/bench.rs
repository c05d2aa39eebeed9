//! The benchmark: how fast, at what cost. Figures, not promises: nothing here fails because a machine is slow.
//!
//! Owns: the command line and the table. Never does: judging safety beyond what every scene does. Run it through
//! `scripts/bench`, on a machine that has nothing else to do.
#![allow(dead_code, reason = "tests, demo and benchmark each use a part of the lab")]

#[path = "bench/measure.rs"]
mod measure;

mod lab;
mod probe;
mod scene;

use measure::Figure;
use std::process::ExitCode;

type Measurement = (&'static str, fn(usize) -> Vec<Figure>);

const ALL: [Measurement; 8] = [
    ("host-loss-fast", |rounds| measure::host_loss("fast", 25.0, rounds)),
    ("host-loss-lan", |rounds| measure::host_loss("lan", 230.0, rounds)),
    ("kill", measure::kill),
    ("stop", measure::stop),
    ("switch", measure::switch),
    ("carrier", measure::carrier),
    ("addresses", measure::addresses),
    ("cost", measure::cost),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut rounds = 20;
    let mut wanted: Vec<&str> = Vec::new();
    for arg in &args {
        match arg.parse::<usize>() {
            Ok(number) if number > 0 => rounds = number,
            Ok(_) => return usage(),
            Err(_) if ALL.iter().any(|(name, _)| name == arg) => wanted.push(arg),
            Err(_) => return usage(),
        }
    }
    println!("{:<44} {:>4} {:>10} {:>10} {:>10} {:>10}", "", "n", "median", "p90", "worst", "goal");
    let mut met = true;
    for (name, measurement) in ALL {
        if wanted.is_empty() || wanted.contains(&name) {
            for figure in measurement(rounds) {
                met &= figure.is_met();
                println!("{}", figure.row());
            }
        }
    }
    println!("{}", if met { "every goal was met" } else { "not every goal was met" });
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    eprintln!("usage: scripts/bench [ROUNDS] [MEASUREMENT ...]\nmeasurements: {}", names.join(" "));
    ExitCode::from(2)
}
