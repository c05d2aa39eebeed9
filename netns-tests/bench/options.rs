//! The benchmark's command line.
//!
//! Owns: the options and their errors. Never does: measuring anything; options that make no sense
//! are refused before anything runs.

use super::all_blocks;

/// Text about the options, printed after an error.
pub const USAGE: &str = "usage: scripts/bench [--runs N] [--only BLOCK,…] [--record | --add] | scripts/bench --page";

/// Options of a run.
pub struct Options {
    /// Number of rounds, 1 to 1000.
    pub runs: u32,
    only: Option<Vec<String>>,
    /// Whether the figures are kept in files, and the page is written again.
    pub record: bool,
    /// Whether the figures are added to those in the files.
    pub add: bool,
    /// Whether nothing is measured and the page is written from the files.
    pub only_page: bool,
}

impl Options {
    /// Reads the arguments of this process. Fails with a text for people.
    pub fn read() -> Result<Options, String> {
        let mut options = Options { runs: 20, only: None, record: false, add: false, only_page: false };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--runs" => options.runs = parse_runs(&value()?)?,
                "--only" => options.only = Some(parse_only(&value()?)?),
                "--record" => options.record = true,
                "--add" => (options.record, options.add) = (true, true),
                "--page" => options.only_page = true,
                _ => return Err(format!("there is no option {arg}")),
            }
        }
        Ok(options)
    }

    /// Whether a block is to run.
    pub fn wants(&self, block: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == block))
    }
}

/// Number in the value of `--runs`.
fn parse_runs(value: &str) -> Result<u32, String> {
    let runs = value.parse().ok().filter(|runs| (1..=1_000).contains(runs));
    runs.ok_or_else(|| format!("--runs takes a number from 1 to 1000, not {value}"))
}

/// Names of the blocks in the value of `--only`.
fn parse_only(value: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = value.split(',').map(str::to_owned).collect();
    match names.iter().find(|name| all_blocks().all(|block| block.name != **name)) {
        None => Ok(names),
        Some(name) => {
            let known: Vec<&str> = all_blocks().map(|block| block.name).collect();
            Err(format!("there is no block {name}, only {}", known.join(", ")))
        }
    }
}
