//! The story of a recording, for people: decisions with the grounds that they rested on, and
//! counts of the ordinary in between.
//!
//! Owns: the lines that `vipair replay` prints. Never does: conclude anything of its own; every
//! line follows from a step of the replay.

mod brief;
mod detail;
mod ordinary;

use super::file::{Book, Header};
use super::grounds::Grounds;
use super::queue::Start;
use super::replay::{Input, Step};
use super::ring::{Segment, Span};
use crate::control::protocol::Severity;
use crate::engine::{InterfaceFacts, Timer};
use crate::io::clock::WallTime;
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId, MonoTime, NodeId};
use crate::wire::pulse::{Reason, Role};
use crate::words::{self, Names};
use ordinary::Counts;
use std::collections::HashMap;
use std::time::Duration;

/// Most groups that are named one by one at the beginning.
const NAMED: usize = 8;

/// Amount of detail in a story.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Telling {
    /// Lines that a person needs to understand what happened.
    Brief,
    /// Every event and every action.
    All,
}

/// Line of a story.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Line {
    /// Time of the step by the wall clock, in milliseconds since 1970.
    pub wall: u64,
    /// Time of the step by the clock that the engine decides by, in nanoseconds since the boot.
    pub now: u64,
    /// Severity; `None` for lines that only give the surroundings.
    pub severity: Option<Severity>,
    /// Sentence for people.
    pub text: String,
    /// Grounds of a decision, a line each; empty for lines that are none.
    pub because: Vec<String>,
}

/// Newest row of a peer about a group: role, reason, epoch, claim and consent.
type Said = (Role, Reason, Epoch, Epoch, Epoch);

/// Teller of one recording.
pub struct Story<'h> {
    book: &'h Book,
    telling: Telling,
    names: Names,
    grounds: Grounds,
    counts: Counts,
    /// Newest facts of each interface.
    facts: HashMap<InterfaceId, InterfaceFacts>,
    /// Newest row of each peer about each group.
    said: HashMap<(NodeId, GroupKey), Said>,
    /// Timer of each group that ends next, as last told.
    timers: HashMap<GroupId, (Timer, MonoTime)>,
    /// Instant of the last line with a severity.
    quiet_since: MonoTime,
    /// Lines of the present step.
    lines: Vec<Line>,
}

impl<'h> Story<'h> {
    /// A story before its first step.
    #[must_use]
    pub fn new(header: &'h Header, telling: Telling) -> Story<'h> {
        Story {
            book: &header.book,
            telling,
            names: Names::of(Vec::new(), Vec::new(), Vec::new(), None),
            grounds: Grounds::default(),
            counts: Counts::default(),
            facts: HashMap::new(),
            said: HashMap::new(),
            timers: HashMap::new(),
            quiet_since: MonoTime::ZERO,
            lines: Vec::new(),
        }
    }

    /// Takes in one step of the replay and returns its lines; most steps have none.
    pub fn report(&mut self, step: &Step<'_>) -> Vec<Line> {
        if let Input::Begin(segment) = step.input {
            self.begin(step, segment);
        }
        let news = self.grounds.note(step);
        self.count(step);
        if self.telling == Telling::All {
            let texts = detail::lines_of(&self.names, step);
            for (index, text) in texts.into_iter().enumerate() {
                self.push_line(step, None, if index == 0 { text } else { format!("  {text}") });
            }
            self.report_timers(step);
        }
        if let Input::Event(event) = step.input {
            self.report_event(step, event);
        }
        for news in news {
            self.report_news(step, news);
        }
        for action in &step.actions.list {
            self.report_action(step, action);
        }
        if let Input::Reconfigured(_) = step.input {
            self.push_line(step, Some(Severity::Info), "another configuration was taken over".to_owned());
        }
        if matches!(step.input, Input::End) && step.span.cut {
            let text = "records are missing from here on: more happened than the recorder could take";
            self.push_line(step, Some(Severity::Warning), text.to_owned());
        }
        std::mem::take(&mut self.lines)
    }

    /// Adds a line for each group that waits for another timer than before (`vipair replay --all`).
    fn report_timers(&mut self, step: &Step<'_>) {
        let timers: HashMap<_, _> =
            step.engine.next_timers().map(|(group, timer, when)| (group, (timer, when))).collect();
        let mut changed: Vec<_> =
            timers.iter().filter(|(group, timer)| self.timers.get(group) != Some(timer)).collect();
        changed.sort_by_key(|(group, _)| **group);
        for (group, (timer, when)) in changed {
            let wait = when.since(step.now).as_secs_f64() * 1e3;
            let text = format!("  {} waits for {}, {wait:.1} ms from here", self.names.group(*group), timer.name());
            self.push_line(step, None, text);
        }
        self.timers = timers;
    }

    /// Returns the line about the ordinary since the last line, at the end of the recording.
    pub fn finish(&mut self, last: &Segment) -> Vec<Line> {
        self.report_counts(&last.span, last.span.end);
        std::mem::take(&mut self.lines)
    }

    /// Takes the names that hold in a segment, and reports the state that it begins with, unless
    /// the segment continues the one before.
    fn begin(&mut self, step: &Step<'_>, segment: &Segment) {
        let called = |key: &GroupKey| {
            let named = self.book.groups.iter().find(|(known, _)| known == key);
            named.map_or_else(|| "?".to_owned(), |(_, name)| name.clone())
        };
        let groups = segment.setup.groups.iter().map(|group| called(&group.key)).collect();
        let nodes = self.book.nodes.iter().map(|(name, _)| name.clone()).collect();
        self.names = Names::of(groups, self.book.interfaces.clone(), nodes, segment.setup.votes);
        if segment.span.start == Start::Next && self.quiet_since != MonoTime::ZERO {
            return;
        }
        self.quiet_since = step.now;
        let report = step.engine.report(step.now);
        let mut because = Vec::new();
        for (index, group) in report.groups.iter().enumerate().take(NAMED) {
            let id = crate::types::GroupId(u16::try_from(index).unwrap_or(u16::MAX));
            let peer = group.peer.map(|(role, _)| format!(", the peer is {}", words::role(role)));
            because.push(format!(
                "{}: {} since {}, epoch {}{}",
                self.names.group(id),
                words::role(group.role),
                WallTime(wall(step.span, group.since)),
                group.epoch,
                peer.unwrap_or_default()
            ));
        }
        if report.groups.len() > NAMED {
            because.push(format!("and {} more groups", report.groups.len() - NAMED));
        }
        for peer in &report.peers {
            because.push(format!("{} is {:?}", self.names.node(peer.id), peer.presence).to_lowercase());
        }
        let text = match segment.span.start {
            Start::First => "the agent has just started",
            Start::Next => "the recording begins",
            Start::Gap => "the recording goes on after a gap",
        };
        self.push_line(step, Some(Severity::Info), text.to_owned());
        if let Some(line) = self.lines.last_mut() {
            line.because = because;
        }
    }

    /// Adds a line; before a line with a severity comes one about the ordinary, if enough time went
    /// by.
    fn push_line(&mut self, step: &Step<'_>, severity: Option<Severity>, text: String) {
        let pulse = step.engine.setup().timing.pulse;
        if severity.is_some() && self.telling == Telling::Brief && step.now.since(self.quiet_since) >= pulse * 2 {
            self.report_counts(step.span, step.now);
        }
        if severity.is_some() {
            self.quiet_since = step.now;
        }
        let (wall, now) = (wall(step.span, step.now), step.now.0);
        self.lines.push(Line { wall, now, severity, text, because: Vec::new() });
    }
}

/// Time of the wall clock at `now`, in milliseconds since 1970, reckoned from the segment's
/// beginning.
fn wall(span: &Span, now: MonoTime) -> u64 {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if now >= span.begin {
        span.wall.saturating_add(millis(now.since(span.begin)))
    } else {
        span.wall.saturating_sub(millis(span.begin.since(now)))
    }
}
