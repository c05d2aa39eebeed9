//! The slow side of the flight recorder.
//!
//! Owns: what the hot thread has recorded in the last minutes, when it is written, and who waits
//! for it. It empties the hot thread's queue, and starts a thread for each recording that is to be
//! written. Never does: make the hot thread wait for the disk. A disk that is full is told once.

mod anomaly;
mod schedule;
#[cfg(test)]
mod tests;

use super::calls::respond;
use super::effects::Effects;
use super::message::Message;
use crate::config::Config;
use crate::control::protocol::{Outcome as Answered, Response, Severity};
use crate::control::server::Answer;
use crate::engine::Notice;
use crate::flight::shelf;
use crate::flight::{Book, ENGINE, Header, Recording, Ring, Tape};
use crate::io::clock;
use crate::orders::Order;
use crate::store::WriteError;
use crate::types::{GroupKey, MonoTime};
use schedule::{Reason, Schedule};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Names of former groups that are kept; the oldest go first.
const FORMER_GROUPS: usize = 1024;

/// The recorder's memory, and what is to become of it.
pub(crate) struct Flight {
    ring: Ring,
    book: Book,
    cluster: String,
    node: String,
    dir: PathBuf,
    messages: mpsc::Sender<Message>,
    schedule: Schedule,
    /// Clients of the recording that is to be written.
    waiting: Vec<oneshot::Sender<Answer>>,
    /// Clients of the recording that is being written.
    served: Vec<oneshot::Sender<Answer>>,
    /// Whether a thread is writing a recording.
    writing: bool,
    /// Whether the last attempt to write failed, and people were told so.
    failing: bool,
    /// Whether a new segment has been ordered because the present one is long enough.
    segment_ordered: bool,
}

impl Flight {
    /// A recorder of what `tape` brings; recordings go to the directory `flight` in `state_dir`.
    pub fn new(tape: Tape, config: &Config, state_dir: &Path, messages: mpsc::Sender<Message>) -> Flight {
        let mut flight = Flight {
            ring: Ring::new(tape),
            book: Book::default(),
            cluster: config.cluster.clone(),
            node: config.node(config.me).name.clone(),
            dir: state_dir.join("flight"),
            messages,
            schedule: Schedule::default(),
            waiting: Vec::new(),
            served: Vec::new(),
            writing: false,
            failing: false,
            segment_ordered: false,
        };
        flight.reconfigure(config);
        flight
    }

    /// Learns the present names. Former groups keep theirs: they are in what was recorded before.
    pub fn reconfigure(&mut self, config: &Config) {
        let known: HashSet<GroupKey> = config.groups.iter().map(|group| group.key).collect();
        self.book.groups.retain(|(key, _)| !known.contains(key));
        let many = self.book.groups.len().saturating_sub(FORMER_GROUPS);
        self.book.groups.drain(..many);
        self.book.groups.extend(config.groups.iter().map(|group| (group.key, group.name.clone())));
        self.book.me = Some(config.me);
        self.book.nodes = config.nodes.iter().map(|node| (node.name.clone(), node.links.clone())).collect();
        self.book.interfaces = config.interfaces().into_iter().map(str::to_owned).collect();
    }

    /// Schedules a recording if the notice tells of an anomaly. `age`: since the agent's start.
    pub fn handle_notice(&mut self, at: MonoTime, age: Duration, notice: &Notice) {
        self.schedule.handle_notice(at, age, notice);
    }

    /// Schedules a recording for a client, who is answered when it has been written.
    pub fn handle_request(&mut self, answer: oneshot::Sender<Answer>, now: MonoTime) -> Effects {
        self.waiting.push(answer);
        self.schedule.handle_request(now);
        self.handle_tick(now)
    }

    /// Takes in what was recorded, orders the snapshots that are needed, and begins to write a
    /// recording that is ready.
    pub fn handle_tick(&mut self, now: MonoTime) -> Effects {
        let mut effects = Effects::default();
        let full = self.ring.drain(now, clock::wall_of);
        // Once for each segment that is long enough: the hot thread may need a moment.
        let full = !std::mem::replace(&mut self.segment_ordered, full) && full;
        if self.schedule.take_due(now) || full {
            effects.order(Order::Segment);
        }
        if !self.writing
            && let Some(reason) = self.schedule.take_ready(now, self.ring.begun())
        {
            if reason == Reason::Asked {
                self.served = std::mem::take(&mut self.waiting);
            }
            self.write(self.recording(reason));
        }
        effects
    }

    /// Starts a thread that writes a recording and sends a message when it is done.
    fn write(&mut self, recording: Recording) {
        let (dir, messages) = (self.dir.clone(), self.messages.clone());
        let body = move || {
            // Without a receiver the agent has ended.
            let _gone = messages.blocking_send(Message::Recorded(shelf::put(&dir, &recording)));
        };
        match std::thread::Builder::new().name("flight".into()).spawn(body) {
            Ok(_) => self.writing = true,
            Err(error) => tracing::error!("cannot start a thread for the flight recording: {error}"),
        }
    }

    /// The recording of all that is in memory now, with `reason` in its header.
    fn recording(&self, reason: Reason) -> Recording {
        let header = Header {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: ENGINE.to_owned(),
            node: self.node.clone(),
            cluster: self.cluster.clone(),
            written: clock::wall().0,
            reason: reason.name().to_owned(),
            book: self.book.clone(),
        };
        Recording { header, segments: self.ring.segments() }
    }

    /// A recording has been written, or could not be: answers its clients, and tells people.
    pub fn handle_recorded(&mut self, result: Result<PathBuf, WriteError>) -> Effects {
        self.writing = false;
        let response = match &result {
            Ok(path) => Response::Recorded { path: path.display().to_string() },
            Err(error) => Response::Outcome(Answered { ok: false, message: error.to_string() }),
        };
        for answer in std::mem::take(&mut self.served) {
            respond(answer, response.clone());
        }
        let mut effects = Effects::default();
        match result {
            Ok(path) => {
                self.failing = false;
                let text = format!("flight recording: vipair replay {}", path.display());
                effects.event(Severity::Info, "recorded", text);
            }
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                effects.event(Severity::Warning, "record_failed", format!("no flight recording: {error}"));
            }
            Err(_) => {}
        }
        effects
    }

    /// Writes what is still scheduled, now that the hot thread has ended.
    pub fn finish(&mut self, now: MonoTime) -> Effects {
        let Some(reason) = self.schedule.take_last() else { return Effects::default() };
        self.ring.drain(now, clock::wall_of);
        self.served = std::mem::take(&mut self.waiting);
        let result = shelf::put(&self.dir, &self.recording(reason));
        self.handle_recorded(result)
    }
}
