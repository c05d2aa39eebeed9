//! The benchmark, measured from outside on namespaces: how fast the address moves, what the agent
//! costs, and what others do in its place.
//!
//! Owns: command line, the order of runs, and their supervision. Every block of measurements runs
//! in a child process, so that a block that fails costs its own run only; the parent sweeps what it
//! left. Never does: telling a missed goal by exit code; goals are compared in the report. Run it
//! through `scripts/bench`.
//!
//! To add a measurement: make a file in `bench/` with a `pub const TOPIC: Topic`, and add it to
//! [`TOPICS`]. A topic has [`Block`]s, which hand over values with [`sample`] under keys that no
//! other topic uses, and remarks about them with [`remark`]. It also has sections of the report,
//! each with a text, the [`figures::Figure`]s by key, unit and goal, pictures, and, where the plain
//! table does not do, a table of its own. With `--record` the values of a run go to
//! `docs/benchmarks/BLOCK.tsv`, which are committed, and the page is written again from all these
//! files.
#![allow(dead_code, reason = "tests, demo and benchmark each use a part of the lab")]

#[path = "bench/busy.rs"]
mod busy;
#[path = "bench/claims.rs"]
mod claims;
#[path = "bench/connections.rs"]
mod connections;
#[path = "bench/cost.rs"]
mod cost;
#[path = "bench/false_alarms.rs"]
mod false_alarms;
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/histogram.rs"]
mod histogram;
#[path = "bench/limits.rs"]
mod limits;
#[path = "bench/many.rs"]
mod many;
#[path = "bench/options.rs"]
mod options;
#[path = "bench/pair.rs"]
mod pair;
#[path = "bench/plot.rs"]
mod plot;
#[path = "bench/record.rs"]
mod record;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/rivals/mod.rs"]
mod rivals;
#[path = "bench/scale.rs"]
mod scale;
#[path = "bench/spread.rs"]
mod spread;
#[path = "bench/takeover.rs"]
mod takeover;
#[path = "bench/tcp.rs"]
mod tcp;
#[path = "bench/usage.rs"]
mod usage;

mod lab;
mod probe;
mod scene;

use nix::sys::signal::{SigHandler, Signal, signal};
use options::{Options, USAGE};
use record::{Part, Results};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

/// Environment variable that tells a child which block to measure.
const BLOCK: &str = "VIPAIR_BENCH_BLOCK";
/// The page; the directory of the same name has the pictures and the files of figures.
const PAGE: &str = "docs/benchmarks.md";

/// Blocks of one subject, and their part of the report.
pub struct Topic {
    /// The blocks, in the order of a round.
    pub blocks: &'static [Block],
    /// The sections of the report.
    pub sections: fn() -> Vec<figures::Section>,
    /// Text about what was configured, for the end of the page. Markdown, may be empty.
    pub configuration: fn(&Results) -> String,
}

/// A block of measurements, run by one child process.
pub struct Block {
    /// Name on the command line and of the file of figures.
    pub name: &'static str,
    /// Share of the rounds in which the block runs, in percent; the first round is always among
    /// them.
    pub percent: u32,
    /// Number of the block's runs that may be made at once, each in a lab of its own: more than 1
    /// for a block that mostly waits.
    pub beside: u32,
    /// Whether the block needs the packages of the contenders.
    pub needs_rivals: bool,
    /// Makes one run, in the child process.
    pub work: fn(),
}

impl Block {
    /// A block that runs in `percent` of the rounds, by itself.
    pub const fn new(name: &'static str, percent: u32, work: fn()) -> Block {
        Block { name, percent, beside: 1, needs_rivals: false, work }
    }

    /// Lets `count` runs be made at once: for a block that mostly waits.
    pub const fn beside(mut self, count: u32) -> Block {
        self.beside = count;
        self
    }

    /// Marks the block of a contender whose packages may be missing, with `count` runs at once.
    pub const fn of_rivals(self, count: u32) -> Block {
        let mut block = self.beside(count);
        block.needs_rivals = true;
        block
    }

    /// Whether the block runs in this round: the rounds are evenly spread, from the first on.
    fn is_due(&self, round: u32) -> bool {
        round == 0 || self.percent >= 100 || (round * self.percent) / 100 != ((round - 1) * self.percent) / 100
    }
}

/// All topics, in the order of the page and of a round.
const TOPICS: [Topic; 11] = [
    rivals::TOPIC,
    false_alarms::TOPIC,
    limits::TOPIC,
    many::TOPIC,
    scale::TOPIC,
    rivals::SCALE,
    tcp::TOPIC,
    connections::TOPIC,
    takeover::TOPIC,
    cost::TOPIC,
    histogram::TOPIC,
];

/// Blocks of all topics, in the order of a round.
fn all_blocks() -> impl Iterator<Item = &'static Block> {
    const { &TOPICS }.iter().flat_map(|topic| topic.blocks)
}

/// Hands one measured value to the supervising process.
pub fn sample(key: &str, value: f64) {
    println!("sample {key} {value}");
}

/// Hands a remark about the values to the supervising process, which keeps it with them: a version,
/// a limit that was met.
pub fn remark(key: &str, text: &str) {
    println!("remark {key} {text}");
}

/// Measures one block (in a child), or reads the command line and runs what it asks for (in the
/// parent).
fn main() -> ExitCode {
    if let Ok(name) = std::env::var(BLOCK) {
        handle_interrupt(SigHandler::SigDfl);
        let block = all_blocks().find(|block| block.name == name).expect("the parent knows the blocks");
        (block.work)();
        return ExitCode::SUCCESS;
    }
    let options = match Options::read() {
        Ok(options) => options,
        Err(cause) => {
            eprintln!("{cause}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run_as_asked(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("{cause}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what the options ask for, prints the report, and writes files and page if that is
/// wanted.
fn run_as_asked(options: &Options) -> Result<(), String> {
    let (page, dir) = (Path::new(PAGE), Path::new(PAGE).with_extension(""));
    if !options.only_page {
        if !nix::unistd::geteuid().is_root() {
            return Err("the benchmark is made of network namespaces: run it as root (sudo ./scripts/bench)".into());
        }
        handle_interrupt(SigHandler::SigIgn);
        let results = Rounds::supervise(options);
        print!("{}", report::terminal_text(&TOPICS, &results));
        if !options.record {
            return Ok(());
        }
        results.write(&dir, options.add).map_err(|e| format!("write {}: {e}", dir.display()))?;
    }
    let names: Vec<&str> = all_blocks().map(|block| block.name).collect();
    let all = Results::read(&dir, &names)?;
    report::write_page(&TOPICS, &all, page).map_err(|e| format!("write {PAGE}: {e}"))?;
    report::write_readme(&all, Path::new("README.md")).map_err(|e| format!("write README.md: {e}"))
}

/// Sets how SIGINT is handled: ignored by the parent, so that it can clean up after a block that
/// Ctrl-C has ended. A child inherits what its parent ignores.
fn handle_interrupt(how: SigHandler) {
    // SAFETY: neither ignoring a signal nor its default runs code of ours.
    let result = unsafe { signal(Signal::SIGINT, how) };
    result.expect("the handling of SIGINT can be changed");
}

/// The rounds of a benchmark and what they have measured so far.
struct Rounds {
    start: Instant,
    /// Values of each block, by its name, and the numbers of its runs and of those that failed.
    brought: BTreeMap<&'static str, (Part, u32, u32)>,
    /// Seconds spent on each block.
    spent: BTreeMap<&'static str, f64>,
}

impl Rounds {
    /// Runs all rounds, until the end or Ctrl-C.
    fn supervise(options: &Options) -> Results {
        let mut all = Rounds { start: Instant::now(), brought: BTreeMap::new(), spent: BTreeMap::new() };
        let mut waiting: BTreeMap<&str, u32> = BTreeMap::new();
        let is_there = |block: &&Block| !block.needs_rivals || rivals::are_there();
        for block in all_blocks().filter(|block| options.wants(block.name) && !is_there(block)) {
            println!("left out, because the packages of the contenders are not there: {}", block.name);
        }
        'rounds: for round in 0..options.runs {
            let wanted = all_blocks().filter(|block| options.wants(block.name)).filter(is_there);
            for block in wanted {
                let count = waiting.entry(block.name).or_default();
                *count += u32::from(block.is_due(round));
                if *count == 0 || (*count < block.beside && round + 1 < options.runs) {
                    continue;
                }
                let count = std::mem::take(count);
                println!(
                    "[{:>3} s] run {} of {}: {}{}",
                    all.start.elapsed().as_secs(),
                    round + 1,
                    options.runs,
                    block.name,
                    if count > 1 { format!(" ({count} at once)") } else { String::new() }
                );
                if all.run_at_once(block, count) {
                    println!("interrupted in run {} of {}", round + 1, options.runs);
                    break 'rounds;
                }
            }
        }
        all.into_results()
    }

    /// Runs a block `count` times at once; returns whether Ctrl-C interrupted it.
    fn run_at_once(&mut self, block: &'static Block, count: u32) -> bool {
        let began = Instant::now();
        let children: Vec<Child> = (0..count).map(|_| start_child(block.name)).collect();
        let ended: Vec<(ExitStatus, String)> =
            children.into_iter().map(|child| end_child(child, block.name)).collect();
        *self.spent.entry(block.name).or_default() += began.elapsed().as_secs_f64();
        let (part, runs, failed) = self.brought.entry(block.name).or_default();
        for (status, text) in &ended {
            part.take_output(text);
            *runs += 1;
            if !status.success() {
                *failed += 1;
                println!("         {} failed ({status}); what it measured before counts", block.name);
            }
        }
        ended.iter().any(|(status, _)| was_interrupted(*status))
    }

    /// Results of all blocks, each with remarks on its runs, this machine and the command.
    fn into_results(self) -> Results {
        let mut results = Results::default();
        for (name, (mut part, runs, failed)) in self.brought {
            let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
            let of_script = |name: &str| std::env::var(name).unwrap_or_else(|_| "–".to_owned());
            part.set_remark("runs", &format!("{runs}{failed}"));
            part.set_remark("revision", &of_script("VIPAIR_BENCH_REVISION"));
            part.set_remark("date", &of_script("VIPAIR_BENCH_DATE"));
            part.set_remark("took", &format!("{:.0} s", self.spent[name]));
            part.set_remark("load", &report::load_averages());
            part.set_remark("command", &of_script("VIPAIR_BENCH_COMMAND"));
            part.set_remark("machine", &report::machine_text());
            results.add(name, part);
        }
        results
    }
}

/// Whether Ctrl-C has ended a child.
fn was_interrupted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(libc::SIGINT)
}

/// Starts one run of a block in a child.
fn start_child(name: &str) -> Child {
    let own = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(own);
    command.env(BLOCK, name).stdin(Stdio::null()).stderr(Stdio::piped());
    command.stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("start block {name}: {e}"))
}

/// Waits for the child's end; returns its status and output. Sweeps what it left when it did not
/// end well.
fn end_child(child: Child, name: &str) -> (ExitStatus, String) {
    let id = child.id();
    let output = child.wait_with_output().unwrap_or_else(|e| panic!("wait for block {name}: {e}"));
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        report::print_logs(id);
        lab::netns::sweep();
    }
    (output.status, String::from_utf8_lossy(&output.stdout).into_owned())
}
