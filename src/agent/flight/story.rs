//! What happened, for people: decisions with what they rested on, and in between how much of the ordinary went by.
//!
//! Owns: what is worth a line. Never does: decide whether it is true; every line follows from a step of the replay.

use super::evidence::{Evidence, News, ms, read};
use super::file::{Book, Header};
use super::queue::Start;
use super::replay::{Input, Step};
use super::ring::{Segment, Span};
use crate::control::protocol::Severity;
use crate::engine::{Action, Cause, Command, Event, GateAction, InterfaceFacts, Notice};
use crate::io::clock::WallTime;
use crate::types::{Epoch, GroupKey, InterfaceId, LinkId, MonoTime, NodeId};
use crate::wire::pulse::{Reason, Role, Row};
use crate::words::{self, Names};
use std::collections::HashMap;
use std::time::Duration;

mod detail;

/// Groups that are named one by one at the beginning.
const NAMED: usize = 8;

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Telling {
    /// What a person needs to understand what happened.
    Brief,
    /// Every event and every action.
    All,
}

/// One thing worth telling.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Line {
    /// When, in milliseconds since 1970 by the wall clock.
    pub wall: u64,
    /// When, on the clock that everything is decided by, in nanoseconds.
    pub now: u64,
    /// How bad it is; `None` for what only lies around it.
    pub severity: Option<Severity>,
    /// What.
    pub text: String,
    /// What it rests on.
    pub because: Vec<String>,
}

/// The ordinary, counted.
#[derive(Default)]
struct Counts {
    heard: Vec<(LinkId, u64)>,
    sent: u64,
    probes: u64,
    frames: u64,
    turned_away: u64,
}

/// What a peer said of a group last.
type Said = (Role, Reason, Epoch, Epoch, Epoch);

/// Tells one recording.
pub struct Story<'h> {
    book: &'h Book,
    telling: Telling,
    names: Names,
    evidence: Evidence,
    counts: Counts,
    facts: HashMap<InterfaceId, InterfaceFacts>,
    said: HashMap<(NodeId, GroupKey), Said>,
    quiet_since: MonoTime,
    lines: Vec<Line>,
}

impl<'h> Story<'h> {
    /// Nothing told yet.
    #[must_use]
    pub fn new(header: &'h Header, telling: Telling) -> Story<'h> {
        Story {
            book: &header.book,
            telling,
            names: Names::of(Vec::new(), Vec::new(), Vec::new(), None),
            evidence: Evidence::default(),
            counts: Counts::default(),
            facts: HashMap::new(),
            said: HashMap::new(),
            quiet_since: MonoTime::ZERO,
            lines: Vec::new(),
        }
    }

    /// Takes in one step and gives what it is worth, mostly nothing.
    pub fn tell(&mut self, step: &Step<'_>) -> Vec<Line> {
        if let Input::Begin(segment) = step.input {
            self.begin(step, segment);
        }
        let news = self.evidence.note(step);
        self.count(step);
        if self.telling == Telling::All {
            let texts = detail::of(&self.names, step);
            for (at, text) in texts.into_iter().enumerate() {
                self.say(step, None, if at == 0 { text } else { format!("  {text}") });
            }
        }
        if let Input::Event(event) = step.input {
            self.tell_event(step, event);
        }
        for news in news {
            self.tell_news(step, news);
        }
        for action in &step.actions.list {
            self.tell_action(step, action);
        }
        if let Input::Reconfigured(_) = step.input {
            self.say(step, Some(Severity::Info), "another configuration was taken over".to_owned());
        }
        if matches!(step.input, Input::End) && step.span.cut {
            let text = "records are missing from here on: more happened than the recorder could take";
            self.say(step, Some(Severity::Warning), text.to_owned());
        }
        std::mem::take(&mut self.lines)
    }

    /// What went by since the last line.
    pub fn finish(&mut self, last: &Segment) -> Vec<Line> {
        self.tell_counts(&last.span, last.span.end);
        std::mem::take(&mut self.lines)
    }

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
        for (at, group) in report.groups.iter().enumerate().take(NAMED) {
            let id = crate::types::GroupId(u16::try_from(at).unwrap_or(u16::MAX));
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
        self.say(step, Some(Severity::Info), text.to_owned());
        if let Some(line) = self.lines.last_mut() {
            line.because = because;
        }
    }

    fn count(&mut self, step: &Step<'_>) {
        match step.input {
            Input::Event(Event::Datagram { link, .. }) if step.believed => {
                match self.counts.heard.iter_mut().find(|(known, _)| known.path == link.path) {
                    Some((_, count)) => *count += 1,
                    None => self.counts.heard.push((link, 1)),
                }
            }
            Input::Event(Event::Datagram { .. }) => self.counts.turned_away += 1,
            Input::Event(Event::Seen { .. }) => self.counts.frames += 1,
            Input::Event(_) | Input::Begin(_) | Input::Reconfigured(_) | Input::End => {}
        }
        let list = &step.actions.list;
        self.counts.sent += list.iter().filter(|action| matches!(action, Action::Send { .. })).count() as u64;
        self.counts.probes += list.iter().filter(|action| matches!(action, Action::Probe { .. })).count() as u64;
    }

    /// A line for the ordinary, if enough of it went by.
    fn tell_counts(&mut self, span: &Span, now: MonoTime) {
        let counts = std::mem::take(&mut self.counts);
        let mut parts = Vec::new();
        for (link, count) in &counts.heard {
            parts.push(format!("{count} pulses heard on {}", self.names.link(*link)));
        }
        for (count, what) in [
            (counts.sent, "pulses sent"),
            (counts.probes, "probes sent"),
            (counts.frames, "frames seen"),
            (counts.turned_away, "datagrams turned away"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if parts.is_empty() {
            return;
        }
        let text = format!("… {} in {}", parts.join(", "), ms(now.since(self.quiet_since)));
        let line = Line { wall: wall(span, now), now: now.0, severity: None, text, because: Vec::new() };
        self.lines.push(line);
    }

    fn say(&mut self, step: &Step<'_>, severity: Option<Severity>, text: String) {
        let pulse = step.engine.setup().timing.pulse;
        if severity.is_some() && self.telling == Telling::Brief && step.now.since(self.quiet_since) >= pulse * 2 {
            self.tell_counts(step.span, step.now);
        }
        if severity.is_some() {
            self.quiet_since = step.now;
        }
        let (wall, now) = (wall(step.span, step.now), step.now.0);
        self.lines.push(Line { wall, now, severity, text, because: Vec::new() });
    }

    fn tell_news(&mut self, step: &Step<'_>, news: News) {
        let text = match news {
            News::Asks => {
                "nothing heard for too long: asks the peer on every link, and probes for the address".to_owned()
            }
            News::Claims(epoch) => format!("claims epoch {epoch}"),
            News::Offers(epoch) => format!("offers it for epoch {epoch}"),
            News::Refused(link) => format!("{}: the peer's kernel says that no agent listens", self.names.link(link)),
            News::Answered(address, mac) => format!("{mac} still answers for {address}"),
        };
        self.say(step, Some(Severity::Info), text);
    }

    fn tell_event(&mut self, step: &Step<'_>, event: Event<'_>) {
        let info = Some(Severity::Info);
        match event {
            Event::Datagram { bytes, .. } if step.believed => self.tell_rows(step, bytes),
            Event::Interface { interface, facts } => {
                let before = self.facts.insert(interface, facts);
                if before != Some(facts) {
                    let name = self.names.interface(interface);
                    let text = format!("{name}: {}", detail::facts(&facts));
                    self.say(step, info, text);
                }
            }
            Event::Link { link, open } => {
                let what = if open { "can be used" } else { "cannot be used" };
                let text = format!("{} {what}", self.names.link(link));
                self.say(step, info, text);
            }
            Event::Adopted { interface, open, .. } => {
                let name = self.names.interface(interface);
                let text = format!("{name}: a gate of an earlier run was found, {} groups open", open.len());
                self.say(step, info, text);
            }
            Event::LeaseRefused { interface } => {
                let name = self.names.interface(interface);
                let text = format!("{name}: the gate has refused a frame: the lease had run out");
                self.say(step, Some(Severity::Error), text);
            }
            Event::GateReplaced { interface } => {
                let text = format!("{}: the gate was replaced by a larger one", self.names.interface(interface));
                self.say(step, info, text);
            }
            Event::StoreFailed => self.say(step, Some(Severity::Error), "the state could not be written".to_owned()),
            Event::Command { command, .. } => {
                let text = match command {
                    Command::Switch(group) => format!("operator: switch {}", self.names.group(group)),
                    Command::Pause(group) => format!("operator: pause {}", self.names.group(group)),
                    Command::Resume(group) => format!("operator: resume {}", self.names.group(group)),
                    Command::Stop => "the agent is told to stop".to_owned(),
                };
                self.say(step, info, text);
            }
            Event::Health { group, health } => {
                let text = format!("{}: {}", self.names.group(group), words::health(health));
                self.say(step, info, text);
            }
            Event::Hook { group, hook, ok, .. } => {
                let end = if ok { "has ended well" } else { "has failed" };
                let text = format!("{}: {} {end}", self.names.group(group), words::hook(hook));
                self.say(step, info, text);
            }
            Event::Tick
            | Event::Datagram { .. }
            | Event::Refused { .. }
            | Event::Seen { .. }
            | Event::Installed { .. }
            | Event::Anchor { .. }
            | Event::Stored { .. } => {}
        }
    }

    /// What a peer says of its groups, when it says something new.
    fn tell_rows(&mut self, step: &Step<'_>, bytes: &[u8]) {
        let Some((header, rows)) = read(bytes) else { return };
        let changed: Vec<(Row, Option<Said>)> = rows
            .filter_map(|row| {
                let said = (row.role, row.reason, row.epoch, row.claim, row.consent);
                let before = self.said.insert((header.sender, row.group), said);
                (before != Some(said)).then_some((row, before))
            })
            .collect();
        for (row, before) in changed {
            let named = self.book.groups.iter().find(|(key, _)| *key == row.group);
            let group = named.map_or("?", |(_, name)| name.as_str());
            if let Some(text) = detail::row(&row, before) {
                let text = format!("{} says of {group}: {text}", self.names.node(header.sender));
                self.say(step, Some(Severity::Info), text);
            }
        }
    }

    fn tell_action(&mut self, step: &Step<'_>, action: &Action) {
        match action {
            Action::Notice(notice) => {
                let told = words::notice(&self.names, notice);
                self.say(step, Some(told.severity), told.text);
                if let Notice::Role { to: Role::Active, cause: Cause::Silence, epoch, .. } = notice
                    && let Some(line) = self.lines.last_mut()
                {
                    line.because = self.evidence.of_silence(&self.names, *epoch, step.now);
                }
            }
            Action::Gate(GateAction::Open { group, epoch }) => {
                let text = format!("gate: {} opens with epoch {epoch}", self.names.group(*group));
                self.say(step, Some(Severity::Info), text);
            }
            Action::Gate(GateAction::Close { group, carry_until }) => {
                let carried = carry_until.since(step.now);
                let drain =
                    if carried > Duration::ZERO { format!(", carries for {}", ms(carried)) } else { String::new() };
                let text = format!("gate: {} closes{drain}", self.names.group(*group));
                self.say(step, Some(Severity::Info), text);
            }
            Action::Reply { outcome, .. } => {
                let text = format!("answer to the operator: {}", words::outcome(*outcome).1);
                self.say(step, Some(Severity::Info), text);
            }
            Action::Stopped => self.say(step, Some(Severity::Info), "the engine has stopped".to_owned()),
            Action::Announce { group, address: Some(address) } => {
                let text = format!("{}: {address} is announced in defence", self.names.group(*group));
                self.say(step, Some(Severity::Info), text);
            }
            Action::Hook { group, hook, epoch, .. } => {
                let text = format!("{}: {} is run for epoch {epoch}", self.names.group(*group), words::hook(*hook));
                self.say(step, Some(Severity::Info), text);
            }
            Action::Announce { address: None, .. }
            | Action::Send { .. }
            | Action::Probe { .. }
            | Action::Persist { .. }
            | Action::Gate(GateAction::Begin { .. } | GateAction::Renew { .. } | GateAction::Forward { .. }) => {}
        }
    }
}

/// What the wall clock showed at `now`, judged by what it showed when the segment began.
fn wall(span: &Span, now: MonoTime) -> u64 {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if now >= span.begin {
        span.wall.saturating_add(millis(now.since(span.begin)))
    } else {
        span.wall.saturating_sub(millis(span.begin.since(now)))
    }
}
