//! What came out: a table for the terminal, and the same as a page of the documentation.
//!
//! Owns: collecting samples, comparing with the goals, both forms of the report. Never does: hiding a figure that no
//! run brought. What people wrote below the marker of an existing page is kept.

use super::figures::{Figure, SECTIONS, Spread};
use super::{cost, many, pair, rival};
use crate::lab::Server;
use crate::lab::process::tail;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Below this line the page belongs to people.
const MARKER: &str = "<!-- scripts/bench writes everything above this line and keeps what is below -->";

/// All samples so far.
#[derive(Default, Debug)]
pub struct Results(HashMap<String, Vec<f64>>);

impl Results {
    /// Takes in what a block printed.
    pub fn take(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split(' ');
            if words.next() == Some("sample")
                && let (Some(key), Some(Ok(value))) = (words.next(), words.next().map(str::parse))
            {
                self.0.entry(key.to_owned()).or_default().push(value);
            }
        }
    }

    fn spread(&self, figure: &Figure) -> Option<Spread> {
        self.0.get(figure.key).cloned().and_then(Spread::of)
    }
}

/// The end of a benchmark.
#[derive(Debug)]
pub struct Report {
    results: Results,
    runs: u32,
    took: Duration,
    remarks: Vec<String>,
    load: String,
    /// Only some blocks were wanted: on the terminal, sections without any figure are left out.
    partial: bool,
}

/// One line of the table, without the title.
fn cells(figure: &Figure, spread: Option<&Spread>) -> [String; 7] {
    let show = |value: f64| figure.unit.show(value);
    let Some(spread) = spread else {
        let empty = String::new;
        return ["0".to_owned(), empty(), empty(), empty(), empty(), figure.goal_text(), "not measured".to_owned()];
    };
    let verdict = match figure.is_met(spread) {
        None => "",
        Some(true) => "pass",
        Some(false) => "MISSED",
    };
    [
        spread.runs().to_string(),
        show(spread.min()),
        show(spread.median()),
        show(spread.p90()),
        show(spread.max()),
        figure.goal_text(),
        verdict.to_owned(),
    ]
}

impl Report {
    /// A report of what was collected.
    pub fn new(results: Results, runs: u32, took: Duration, remarks: Vec<String>, partial: bool) -> Report {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
        Report { results, runs, took, remarks, load, partial }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (title, figures) in SECTIONS {
            if self.partial && figures.iter().all(|figure| self.results.spread(figure).is_none()) {
                continue;
            }
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "\n{title:<56} {:>4} {:>9} {:>9} {:>9} {:>9}  goal",
                "runs", "min", "median", "p90", "max"
            );
            let measured = |figure: &&Figure| !self.partial || self.results.spread(figure).is_some();
            for figure in figures.iter().filter(measured) {
                let [runs, min, median, p90, max, goal, verdict] =
                    cells(figure, self.results.spread(figure).as_ref());
                let _ = writeln!(
                    text,
                    "  {:<54} {runs:>4} {min:>9} {median:>9} {p90:>9} {max:>9}  {goal:<17} {verdict}",
                    figure.title
                );
            }
        }
        let _ = writeln!(text, "\n{} runs in {} s. {}", self.runs, self.took.as_secs(), machine());
        for remark in &self.remarks {
            let _ = writeln!(text, "{remark}");
        }
        text
    }

    /// Writes the page. Fails when the file cannot be read or written; then it is as it was, or empty on a full disk.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let old = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let kept = old.split_once(MARKER).map_or("\n", |(_, below)| below);
        std::fs::write(path, format!("{}{MARKER}{kept}", self.page()))
    }

    fn page(&self) -> String {
        let mut text = format!(
            "# Benchmarks\n\nWritten by `sudo ./scripts/bench`{}. {}\n\n- Command: `{}`, {} s; load averages at its \
             end {}\n- Machine: {}\n\n",
            revision(),
            HOW,
            std::env::var("VIPAIR_BENCH_COMMAND").unwrap_or_else(|_| "bench".to_owned()),
            self.took.as_secs(),
            self.load,
            machine(),
        );
        for remark in &self.remarks {
            let _ = writeln!(text, "**{remark}**\n");
        }
        for (title, figures) in SECTIONS {
            let _ = writeln!(
                text,
                "## {title}\n\n| figure | runs | min | median | p90 | max | goal | |\n|---|--:|--:|--:|--:|--:|---|---|"
            );
            for figure in figures {
                let cells = cells(figure, self.results.spread(figure).as_ref());
                let _ = writeln!(text, "| {} | {} |", figure.title, cells.join(" | "));
            }
            text.push('\n');
        }
        text + &configurations()
    }
}

/// What the figures mean.
const HOW: &str = "\
All servers are network namespaces on one bridge, with a second network for the second link and, where there is a witness, a
third on which both servers reach it.

- *Gap*: a client asks for the IPv4 and the IPv6 address every millisecond (ARP, neighbour solicitation); the gap is the time
  from the last question that was answered to the first that was answered again, the longer of both families. Its
  resolution is the pace, 1 ms.
- *Both answered*: questions that two hardware addresses answered, a millisecond each.
- *Host loss*: the switch drops every frame from and to the server on both networks, in one transaction.
- *Planned switch*: `vipair switch` while a web client begins 1,000 requests a second, each on a connection of its own, to
  nginx on both servers. A request is lost when it is reset, refused, or unanswered for 5 s.
- *First to last address moved*: receive times at the client's interface of the first frame by which the new owner claims
  each address.
- *CPU*: user and system time of the process over 20 s, no client asking. *Resident*: VmRSS.
- Runs are interleaved: a round measures everything once, the longer blocks in some rounds only.
- The gaps' goals are for the median; the worst run of a busy machine shows in the last column.";

fn configurations() -> String {
    let mut text = format!(
        "## Configuration\n\nThe pair, profile `fast` (for `lan` the profile's name is the only difference; for {} \
         addresses the group has 10.1.0.1 to 10.1.39.250; processor time is counted for {} s):\n\n```toml\n{}\n```\n",
        many::COUNT,
        cost::STRETCH.as_secs(),
        pair::config("fast").text().trim_end()
    );
    let bare = pair::config("fast").text();
    let all = pair::witnessed("fast").config.text();
    let more: Vec<&str> = all.lines().filter(|line| !bare.lines().any(|other| other == *line)).collect();
    let _ = writeln!(text, "\nWith a witness the file has besides:\n\n```toml\n{}\n```", more.join("\n"));
    for (name, setting) in [("its fastest", rival::Setting::Fastest), ("its default", rival::Setting::Default)] {
        let config = rival::config(setting, Server::Alpha);
        let _ = writeln!(text, "\nkeepalived at {name} setting, on alpha:\n\n```\n{}\n```", config.trim_end());
    }
    text.push('\n');
    text
}

fn revision() -> String {
    std::env::var("VIPAIR_BENCH_REVISION")
        .map_or_else(|_| String::new(), |revision| format!(" at revision {revision}"))
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let gib = kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0).div_ceil(1 << 20);
    let release = read("/proc/sys/kernel/osrelease");
    let version = read("/proc/sys/kernel/version");
    format!(
        "{cores} cores ({}), {gib} GiB, Linux {} {}.",
        model.trim_start_matches(['\t', ' ', ':']),
        release.trim(),
        version.trim()
    )
}

/// Prints the end of the logs that a failed child left.
pub fn print_logs(child: u32) {
    let dir = std::env::temp_dir().join(format!("vp{child}-0"));
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "log")) {
        let said = std::fs::read_to_string(&path).unwrap_or_default();
        eprintln!("--- {}\n{}", path.display(), tail(&said, 15));
    }
}
