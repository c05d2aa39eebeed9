//! The report: a table for the terminal, and a page of the documentation, made from the files of
//! all blocks.
//!
//! Owns: both forms of the report. Never does: hiding a figure that no run measured. Text that
//! people wrote below the marker of an existing page is kept.

use super::figures::{Figure, Section};
use super::record::Results;
use super::spread::Spread;
use super::{Topic, plot, rivals};
use crate::lab::process::tail;
use std::fmt::Write;
use std::path::Path;

/// Line below which the page belongs to people.
const MARKER: &str = "<!-- scripts/bench writes everything above this line and keeps what is below -->";

/// Line of the README behind which its three numbers are.
const NUMBERS: &str = "<!-- written by scripts/bench -->";
/// Line of the README before which its three numbers end.
const NUMBERS_END: &str = "<!-- until here -->";

/// Cells of a figure's row in the table, without the title.
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

/// The report for a terminal: measured figures only.
pub fn terminal_text(topics: &[Topic], results: &Results) -> String {
    let mut text = String::new();
    for section in topics.iter().flat_map(|topic| (topic.sections)()).filter(|s| s.is_measured(results)) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n{:<66} {:>4} {:>9} {:>9} {:>9} {:>9}  goal",
            section.title, "runs", "min", "median", "p90", "max"
        );
        for figure in &section.figures {
            let Some(spread) = results.spread(&figure.key) else { continue };
            let [runs, min, median, p90, max, goal, verdict] = cells(figure, Some(&spread));
            let _ = writeln!(
                text,
                "  {:<64} {runs:>4} {min:>9} {median:>9} {p90:>9} {max:>9}  {goal:<17} {verdict}",
                figure.title
            );
        }
    }
    text
}

/// Writes the page and its pictures. Fails when a file cannot be read or written; then the page is
/// as it was, or empty on a full disk.
pub fn write_page(topics: &[Topic], results: &Results, path: &Path) -> std::io::Result<()> {
    let old = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
    let kept = old.split_once(MARKER).map_or("\n", |(_, below)| below);
    let dir = path.with_extension("");
    std::fs::create_dir_all(&dir)?;
    for plot in topics.iter().flat_map(|topic| (topic.sections)()).flat_map(|section| section.plots) {
        let file = dir.join(plot.file).with_extension("svg");
        match plot::draw(&plot, results) {
            Some(picture) => std::fs::write(file, picture)?,
            None if file.exists() => std::fs::remove_file(file)?,
            None => {}
        }
    }
    std::fs::write(path, format!("{}{MARKER}{kept}", page_text(topics, results)))
}

/// Writes the three numbers of the README between their markers, if all of them were measured.
pub fn write_readme(results: &Results, path: &Path) -> std::io::Result<()> {
    let old = std::fs::read_to_string(path)?;
    let (Some(numbers), Some((before, rest))) = (rivals::three_numbers(results), old.split_once(NUMBERS)) else {
        return Ok(());
    };
    let after = rest.split_once(NUMBERS_END).map_or("\n", |(_, after)| after);
    std::fs::write(path, format!("{before}{NUMBERS}\n\n{numbers}\n{NUMBERS_END}{after}"))
}

/// Text of the page above the marker.
fn page_text(topics: &[Topic], results: &Results) -> String {
    let mut text = format!("# Benchmarks\n\n{HOW}\n\n");
    for section in topics.iter().flat_map(|topic| (topic.sections)()) {
        text += &section_text(&section, results);
    }
    text += &runs_section(results);
    text += "## Configuration\n\n";
    for topic in topics {
        let configuration = (topic.configuration)(results);
        if !configuration.is_empty() {
            let _ = writeln!(text, "{}\n", configuration.trim_end());
        }
    }
    text
}

/// Text of one section of the page.
fn section_text(section: &Section, results: &Results) -> String {
    let mut text = format!("## {}\n\n", section.title);
    if !section.text.is_empty() {
        let _ = writeln!(text, "{}\n", section.text.trim_end());
    }
    if let Some(table) = section.table {
        let _ = writeln!(text, "{}\n", table(results).trim_end());
    }
    if !section.figures.is_empty() {
        text += "| figure | runs | min | median | p90 | max | goal | |\n|---|--:|--:|--:|--:|--:|---|---|\n";
        for figure in &section.figures {
            let cells = cells(figure, results.spread(&figure.key).as_ref());
            let _ = writeln!(text, "| {} | {} |", figure.title, cells.join(" | "));
        }
        text.push('\n');
    }
    for plot in &section.plots {
        if plot::draw(plot, results).is_some() {
            let _ = writeln!(text, "![{}](benchmarks/{}.svg)\n", plot.title, plot.file);
        }
    }
    text
}

/// Section that says which block was measured when and where.
fn runs_section(results: &Results) -> String {
    let mut text = "## What was measured when\n\nThe figures of each block are in `docs/benchmarks/BLOCK.tsv`.\n\n\
                    | block | runs | revision | date | took | load averages at the end | command | machine |\n\
                    |---|--:|---|---|--:|---|---|---|\n"
        .to_owned();
    for (block, part) in results.parts() {
        let told = |name| part.remark(name).unwrap_or("–").to_owned();
        let cells = ["runs", "revision", "date", "took", "load"].map(told).join(" | ");
        let _ = writeln!(text, "| {block} | {cells} | `{}` | {} |", told("command"), told("machine"));
    }
    text + "\n"
}

/// Text that holds for all figures.
const HOW: &str = "\
Written by `sudo ./scripts/bench` from the figures in `docs/benchmarks/`; which block was measured when, where and by which
command is said [below](#what-was-measured-when). All servers are network namespaces on one bridge, with a second network for
the second link and, where there is a witness, a third on which both servers reach it.

- *Gap*: a client asks for the IPv4 and the IPv6 address every millisecond (ARP, neighbour solicitation); the gap is the time
  from the last question that was answered to the first that was answered again, the longer of both families. Its
  resolution is the pace, 1 ms.
- *Both answered*: questions that two servers answered, a millisecond each.
- *Host loss*: the switch drops every frame from and to the server on all networks, in one transaction.
- A fault of the comparison strikes at a moment drawn by lot, anywhere in the longest interval in which the contender speaks
  or looks: 1 s where it advertises once a second, 10 s where Pacemaker looks every 10 s.
- *Requests*: a web client begins 100 requests a second, in a planned switch and when the service dies 1,000, each on a
  connection of its own, to nginx on both servers. A request is lost when it is reset, refused, or unanswered for 5 s. One whose
  first packet nobody takes is answered when the client's kernel sends it again, a second later.
- Runs are interleaved: a round measures everything once, the longer blocks in some rounds only.
- The gaps' goals are for the median; the worst run shows in the last column.";

/// Text about this machine: cores, memory, kernel.
pub fn machine_text() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let gib = kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0).div_ceil(1 << 20);
    let release = read("/proc/sys/kernel/osrelease");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    format!("{cores} cores ({model}), {gib} GiB, Linux {}", release.trim())
}

/// The load averages now, as /proc/loadavg has them.
pub fn load_averages() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
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
