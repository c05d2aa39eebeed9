//! `vipair replay FILE`: what happened, and why, from a flight recording.
//!
//! Owns: what is printed of a recording, and the comparison of the replay with the flight. Never
//! does: ask the agent. A recording that cannot be read is a failure, and so is a replay that
//! decides otherwise than the flight.

use super::terminal::{Tone, has_colour, paint};
use super::{Failure, print};
use crate::control::protocol::Severity;
use crate::flight::{self, Comparison, Line, MAX_FILE, Recording, Story, Telling};
use crate::io::clock::WallTime;
use crate::timing::Profile;
use crate::types::MonoTime;
use clap::Args;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Every event and every action
    #[arg(long)]
    all: bool,
    /// Only what happened at or after this time of day in UTC, such as 03:12:40 or 03:12:40.250
    #[arg(long, value_name = "TIME", value_parser = time_of_day)]
    from: Option<Duration>,
    /// Only what happened before this time of day
    #[arg(long, value_name = "TIME", value_parser = time_of_day)]
    to: Option<Duration>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A time of day as a span since midnight.
fn time_of_day(text: &str) -> Result<Duration, String> {
    let wrong = || "write it like 03:12:40 or 03:12:40.250".to_owned();
    // A time copied from other output may have a date in front: the date is ignored.
    let text = text.rsplit_once('T').map_or(text, |(_, time)| time).trim_end_matches('Z');
    let mut parts = text.split(':');
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let (hours, minutes) = (number().ok_or_else(wrong)?, number().ok_or_else(wrong)?);
    let seconds: f64 = parts.next().unwrap_or("0").parse().map_err(|_| wrong())?;
    let right = hours < 24 && minutes < 60 && (0.0..61.0).contains(&seconds) && parts.next().is_none();
    let whole = Duration::from_secs(u64::from(hours * 3600 + minutes * 60));
    if right { Ok(whole + Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

/// Replays the recording, prints its story, and compares the replay with the flight.
pub(super) fn execute(args: &ReplayArgs) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", args.file.display()));
    let bytes = read_file(&args.file).map_err(|error| failed(&error))?;
    let recording = Recording::read(&bytes).map_err(|error| failed(&error))?;
    let colour = has_colour();
    if !args.json {
        print(&header_text(&recording, colour))?;
    }
    let mut story = Story::new(&recording.header, if args.all { Telling::All } else { Telling::Brief });
    let day = recording.segments.first().map(|segment| segment.span.wall / DAY_MS);
    let mut printer = Printer { args, colour, last: None, day, failure: None };
    let comparison = flight::replay(&recording, |step| {
        let lines = story.report(step);
        printer.print_lines(&lines);
    });
    let comparison = comparison.map_err(|error| failed(&error))?;
    if let Some(last) = recording.segments.last() {
        printer.print_lines(&story.finish(last));
    }
    printer.failure.map_or(Ok(()), Err)?;
    compare(&recording, &comparison, args.json, colour)
}

/// Reads the file, which must be no longer than a recording can be.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(std::io::Error::other(format!("longer than {MAX_FILE} bytes: this is no flight recording")));
    }
    Ok(bytes)
}

/// The lines about the recording as a whole: where it comes from, what it covers, nodes and groups.
fn header_text(recording: &Recording, colour: bool) -> String {
    let header = &recording.header;
    let title = format!("flight recording of {} in cluster {}", header.node, header.cluster);
    let mut text = format!("{}\n", paint(&title, Tone::Strong, colour));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<9}{value}\n"));
    line("written", format!("{} by vipair {}, reason: {}", WallTime(header.written), header.version, header.reason));
    if let (Some(first), Some(last)) = (recording.segments.first(), recording.segments.last()) {
        let span = last.span.end.since(first.span.begin);
        let until = WallTime(first.span.wall + u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let gaps = recording.segments.iter().filter(|segment| segment.span.cut).count();
        let gaps = if gaps == 0 { "nothing is missing".to_owned() } else { format!("{gaps} gaps") };
        let (count, seconds) = (recording.segments.len(), span.as_secs_f64());
        line("covers", format!("{} to {until}, {seconds:.1} s, {gaps}", WallTime(first.span.wall)));
        let records: u64 = recording.segments.iter().map(|segment| segment.span.records).sum();
        line("holds", format!("{records} records in {count} segments"));
        let timing = &last.setup.timing;
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        let profile = Profile::matching(timing, last.setup.votes.is_some()).map_or("custom", Profile::name);
        let (pulse, silence, lease) = (ms(timing.pulse), ms(timing.silence), ms(timing.lease));
        line("times", format!("{profile} (pulse {pulse} ms, silence {silence} ms, lease {lease} ms)"));
        for (name, links) in &header.book.nodes {
            let links: Vec<String> = links.iter().map(ToString::to_string).collect();
            line("node", format!("{name}: {}", links.join(", ")));
        }
        for group in last.setup.groups.iter().take(8) {
            let named = header.book.groups.iter().find(|(key, _)| *key == group.key);
            let interface = header.book.interfaces.get(usize::from(group.interface.0)).map_or("?", String::as_str);
            let shown: Vec<String> = group.addresses.iter().take(3).map(ToString::to_string).collect();
            let more = group.addresses.len() - shown.len();
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let name = named.map_or("?", |(_, name)| name.as_str());
            line("group", format!("{name} on {interface}: {}{more}", shown.join(", ")));
        }
        if last.setup.groups.len() > 8 {
            line("group", format!("and {} more", last.setup.groups.len() - 8));
        }
    }
    text.push('\n');
    text
}

/// The part of a story that has been printed.
struct Printer<'a> {
    args: &'a ReplayArgs,
    colour: bool,
    /// The instant of the line that was printed last.
    last: Option<MonoTime>,
    /// The date that the reader knows, from the header or a line of its own, in days since
    /// 1970-01-01 UTC.
    day: Option<u64>,
    /// The failure of an earlier line, after which nothing is printed.
    failure: Option<Failure>,
}

impl Printer<'_> {
    /// Prints those lines whose time of day is wanted. `--from` and `--to` count on every day that
    /// the recording covers.
    fn print_lines(&mut self, lines: &[Line]) {
        for line in lines {
            let time = Duration::from_millis(line.wall % DAY_MS);
            let wanted = self.args.from.is_none_or(|from| time >= from) && self.args.to.is_none_or(|to| time < to);
            if !wanted || self.failure.is_some() {
                continue;
            }
            let text = if self.args.json { line_json(line) } else { self.line_text(line) };
            self.failure = print(&text).err();
        }
    }

    /// One line with the time of day, and its reasons. A line of another day than the one before
    /// has the date in front, on a line of its own; the header tells the first date.
    fn line_text(&mut self, line: &Line) -> String {
        let now = MonoTime(line.now);
        let since = self.last.map(|last| format!("+{:.1}", now.since(last).as_secs_f64() * 1e3)).unwrap_or_default();
        let tone = match line.severity {
            None => Tone::Faint,
            Some(Severity::Info) => Tone::Plain,
            Some(Severity::Warning) => Tone::Doubtful,
            Some(Severity::Error) => Tone::Bad,
        };
        let stamp = WallTime(line.wall).to_string();
        let (date, time) = stamp.split_once('T').unwrap_or(("", stamp.as_str()));
        let time = time.trim_end_matches('Z');
        self.last = Some(now);
        let day = line.wall / DAY_MS;
        let mut text = match self.day.replace(day) {
            Some(before) if before != day => format!("{}\n", paint(date, Tone::Strong, self.colour)),
            Some(_) | None => String::new(),
        };
        text.push_str(&format!("{time}  {since:>10}  {}\n", paint(&line.text, tone, self.colour)));
        for because in &line.because {
            text.push_str(&format!("{:26}{}\n", "", paint(because, Tone::Faint, self.colour)));
        }
        text
    }
}

/// One line of the story as a JSON object.
fn line_json(line: &Line) -> String {
    // A line is numbers and texts, which can always be written as JSON.
    serde_json::to_string(line).map_or_else(|_| String::new(), |text| text + "\n")
}

/// Compares the replay with the flight: prints that they agree, or fails with each place where they
/// do not.
fn compare(recording: &Recording, comparison: &Comparison, json: bool, colour: bool) -> Result<(), Failure> {
    let facts = format!(
        "{} events, {} decisions, {} of {} snapshots arrived at",
        comparison.events, comparison.decisions, comparison.snapshots, comparison.expected_snapshots
    );
    if comparison.agrees() {
        let text = format!("replay agrees with the flight: {facts}");
        return if json { Ok(()) } else { print(&format!("\n{}\n", paint(&text, Tone::Good, colour))) };
    }
    let mut text = format!("the replay is not the flight: {facts}");
    for parting in &comparison.partings {
        let begin = recording.segments.get(parting.segment - 1).map(|segment| segment.span);
        let wall = begin.map_or(0, |span| {
            span.wall + u64::try_from(parting.now.since(span.begin).as_millis()).unwrap_or(u64::MAX)
        });
        text.push_str(&format!(
            "\n  segment {}, {}: flight {}; replay {}",
            parting.segment,
            WallTime(wall),
            parting.flown,
            parting.replayed
        ));
    }
    Err(Failure::Failed(text))
}

#[cfg(test)]
mod tests;
