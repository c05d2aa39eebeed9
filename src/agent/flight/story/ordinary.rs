//! The ordinary: pulses, probes and frames, counted between two lines.
//!
//! Owns: the counts since the last line. Never does: say anything of a single pulse.

use super::super::grounds::ms;
use super::super::replay::{Input, Step};
use super::super::ring::Span;
use super::{Line, Story, wall};
use crate::engine::{Action, Event};
use crate::types::{LinkId, MonoTime};

/// Counts since the last line.
#[derive(Default)]
pub(super) struct Counts {
    /// Pulses believed, on each link.
    heard: Vec<(LinkId, u64)>,
    sent: u64,
    probes: u64,
    frames: u64,
    /// Datagrams that were not believed.
    turned_away: u64,
}

impl Story<'_> {
    /// Counts what a step took in and sent.
    pub(super) fn count(&mut self, step: &Step<'_>) {
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

    /// Adds a line with the counts since the last line, if there are any, and starts counting
    /// again.
    pub(super) fn report_counts(&mut self, span: &Span, now: MonoTime) {
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
}
