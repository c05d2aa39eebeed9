//! What happened: the last events in a bounded ring, for `vipair events`, and a log line for each.
//!
//! Owns: the ring, the numbers of events, the channel to followers, and the log line of each event.
//! Never does: wait for a follower; a follower that falls too far behind misses events.

use crate::control::protocol::{Event, Severity};
use crate::control::server::Answer;
use crate::io::clock;
use crate::types::MonoTime;
use crate::words::Saying;
use std::collections::VecDeque;
use tokio::sync::{broadcast, oneshot};

/// Events kept; the oldest goes first.
const KEPT: usize = 1024;
/// Events a follower may be behind; then it misses some.
const BEHIND: usize = 256;

/// The last events.
pub(crate) struct Events {
    kept: VecDeque<Event>,
    followers: broadcast::Sender<Event>,
    /// Number of the newest event; the first is 1.
    sequence: u64,
}

impl Events {
    /// No events yet, and no followers.
    pub fn new() -> Events {
        Events { kept: VecDeque::with_capacity(KEPT), followers: broadcast::Sender::new(BEHIND), sequence: 0 }
    }

    /// Logs an event, keeps it, and sends it to followers.
    pub fn record(&mut self, at: MonoTime, saying: Saying) {
        write_to_log(&saying);
        self.sequence += 1;
        let event = Event {
            time: clock::wall_of(at).to_string(),
            sequence: self.sequence,
            severity: saying.severity,
            kind: saying.kind.to_owned(),
            group: saying.group,
            text: saying.text,
            fields: saying.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        // Without followers nothing is lost: the ring has the event.
        let _unheard = self.followers.send(event);
    }

    /// Answers a client with the events so far, and with `follow` those to come.
    pub fn handle_request(&self, follow: bool, answer: oneshot::Sender<Answer>) {
        let follower = follow.then(|| self.followers.subscribe());
        let past = self.kept.iter().cloned().collect();
        // The client may have gone away; nobody else wants the answer.
        let _gone = answer.send(Answer::Events(past, follower));
    }
}

/// Writes an event to the log of this process. The fields `role` and `epoch` become fields of the
/// log line; further fields are left out.
fn write_to_log(saying: &Saying) {
    let field = |name: &str| saying.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let (group, role, epoch) = (saying.group.as_deref(), field("role"), field("epoch"));
    match saying.severity {
        Severity::Info => tracing::info!(kind = saying.kind, group, role, epoch, "{}", saying.text),
        Severity::Warning => tracing::warn!(kind = saying.kind, group, role, epoch, "{}", saying.text),
        Severity::Error => tracing::error!(kind = saying.kind, group, role, epoch, "{}", saying.text),
    }
}
