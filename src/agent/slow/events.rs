//! What happened: the last events in a bounded ring, for `vipair events`, and a line each in the log.

use crate::control::protocol::{Event, Severity};
use crate::io::clock;
use crate::types::MonoTime;
use crate::words::Told;
use std::collections::VecDeque;
use tokio::sync::broadcast;

/// Events kept; the oldest goes first.
const KEPT: usize = 1024;
/// Events a follower may be behind; then it misses some.
const BEHIND: usize = 256;

pub(crate) struct Journal {
    events: VecDeque<Event>,
    followers: broadcast::Sender<Event>,
    sequence: u64,
}

impl Journal {
    pub fn new() -> Journal {
        Journal { events: VecDeque::with_capacity(KEPT), followers: broadcast::Sender::new(BEHIND), sequence: 0 }
    }

    pub fn note(&mut self, at: MonoTime, told: Told) {
        log(&told);
        self.sequence += 1;
        let event = Event {
            time: clock::wall_of(at).to_string(),
            sequence: self.sequence,
            severity: told.severity,
            kind: told.kind.to_owned(),
            group: told.group,
            text: told.text,
            fields: told.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        // Nobody follows: nothing is lost, the ring has it.
        let _unheard = self.followers.send(event);
    }

    pub fn past(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }

    pub fn follow(&self) -> broadcast::Receiver<Event> {
        self.followers.subscribe()
    }
}

fn log(told: &Told) {
    let field = |name: &str| told.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let (group, role, epoch) = (told.group.as_deref(), field("role"), field("epoch"));
    match told.severity {
        Severity::Info => tracing::info!(kind = told.kind, group, role, epoch, "{}", told.text),
        Severity::Warning => tracing::warn!(kind = told.kind, group, role, epoch, "{}", told.text),
        Severity::Error => tracing::error!(kind = told.kind, group, role, epoch, "{}", told.text),
    }
}
