//! The slow side of the flight recorder: empties the hot thread's queue, knows an anomaly when it hears of one, and
//! has the recording written by a thread that lives for that long.
//!
//! A recording is written some seconds after the anomaly, so that what came of it is in it, and ends with a snapshot,
//! so that a replay can prove all of it. Never does: delay anything. A disk that is full is told once.

use super::{Slow, Word};
use crate::config::Config;
use crate::control::protocol::{Outcome as Answered, Response, Severity};
use crate::control::server::Answer;
use crate::engine::{Cause, Notice};
use crate::flight::shelf;
use crate::flight::{Book, ENGINE, Header, Recording, Ring, Tape};
use crate::io::clock;
use crate::orders::Order;
use crate::store::WriteError;
use crate::types::{GroupKey, MonoTime};
use crate::wire::pulse::Role;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long after an anomaly its recording ends.
const AFTERMATH: Duration = Duration::from_secs(3);
/// Recordings of anomalies are at least this far apart; what comes between waits, and is in the next one.
const PAUSE: Duration = Duration::from_secs(10);
/// An anomaly that can go on for hours is no reason for another recording before this is over.
const LONG_PAUSE: Duration = Duration::from_secs(300);
/// A node that becomes active this soon after its start is only beginning.
const BEGINNING: Duration = Duration::from_secs(30);
/// How long the closing snapshot is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What deserves a recording, the gravest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Anomaly {
    Conflict,
    Lapsed,
    Takeover,
    /// A group was closed here and not handed over.
    Closed,
    Veto,
    Isolated,
    Stranger,
    /// A deadline was missed.
    Stalled,
    /// A witness is not heard, or too few are.
    Witness,
}

impl Anomaly {
    const COUNT: usize = 9;

    /// `age`: of the agent.
    fn of(notice: &Notice, age: Duration) -> Option<Anomaly> {
        match *notice {
            Notice::Role { to: Role::Active, cause, .. } => match cause {
                Cause::Silence => Some(Anomaly::Takeover),
                Cause::Free => (age >= BEGINNING).then_some(Anomaly::Takeover),
                Cause::Adopted
                | Cause::Heard
                | Cause::Handover
                | Cause::Operator
                | Cause::Interface
                | Cause::Mended
                | Cause::Lapsed
                | Cause::NoMajority
                | Cause::HigherEpoch
                | Cause::Unheard
                | Cause::Stopping
                | Cause::Pause
                | Cause::Health
                | Cause::Removed => None,
            },
            Notice::Role { from: Role::Active | Role::Handover, cause, .. } => {
                let unplanned = matches!(
                    cause,
                    Cause::Interface | Cause::Lapsed | Cause::NoMajority | Cause::HigherEpoch | Cause::Unheard
                );
                unplanned.then_some(Anomaly::Closed)
            }
            Notice::Conflict { .. } => Some(Anomaly::Conflict),
            Notice::LeaseLapsed { .. } | Notice::NoMajority { .. } => Some(Anomaly::Lapsed),
            Notice::WitnessLost { .. } | Notice::Alone { alone: true } => Some(Anomaly::Witness),
            Notice::Veto { .. } => Some(Anomaly::Veto),
            Notice::Isolated { .. } => Some(Anomaly::Isolated),
            Notice::Stranger { .. } => Some(Anomaly::Stranger),
            Notice::Stalled { .. } => Some(Anomaly::Stalled),
            Notice::Role { .. }
            | Notice::Hook { .. }
            | Notice::PeerUp { .. }
            | Notice::PeerSilent { .. }
            | Notice::PeerLeft { .. }
            | Notice::Link { .. }
            | Notice::WitnessHeard { .. }
            | Notice::Alone { alone: false }
            | Notice::Differs { .. }
            | Notice::StoreFailed
            | Notice::StoreMended => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Anomaly::Conflict => "conflict",
            Anomaly::Lapsed => "lapsed",
            Anomaly::Takeover => "takeover",
            Anomaly::Closed => "closed",
            Anomaly::Veto => "veto",
            Anomaly::Isolated => "isolated",
            Anomaly::Stranger => "stranger",
            Anomaly::Stalled => "stalled",
            Anomaly::Witness => "witness",
        }
    }

    /// It can come again and again for hours, and the first recordings tell all there is to tell.
    fn is_lasting(self) -> bool {
        match self {
            Anomaly::Conflict | Anomaly::Lapsed | Anomaly::Takeover | Anomaly::Closed => false,
            Anomaly::Veto | Anomaly::Isolated | Anomaly::Stranger | Anomaly::Stalled | Anomaly::Witness => true,
        }
    }
}

/// A recording that is to be written.
#[derive(Debug)]
struct Job {
    reason: &'static str,
    due: MonoTime,
    /// When its closing snapshot was ordered.
    ordered: Option<MonoTime>,
}

/// The recorder's memory, and what is to become of it.
pub(crate) struct Flight {
    ring: Ring,
    book: Book,
    cluster: String,
    node: String,
    dir: PathBuf,
    words: mpsc::Sender<Word>,
    anomaly: Option<(Anomaly, Job)>,
    asked: Option<Job>,
    /// Who asked for the recording that is to be written, and for the one that is being written.
    waiting: Vec<oneshot::Sender<Answer>>,
    served: Vec<oneshot::Sender<Answer>>,
    /// When each anomaly last came to be recorded.
    last: [Option<MonoTime>; Anomaly::COUNT],
    /// When the last recording of an anomaly was begun.
    written: Option<MonoTime>,
    writing: bool,
    /// The last attempt failed, and people know.
    failing: bool,
    segment_ordered: bool,
}

impl Flight {
    pub fn new(tape: Tape, config: &Config, state_dir: &Path, words: mpsc::Sender<Word>) -> Flight {
        let mut flight = Flight::idle(tape, words);
        flight.cluster.clone_from(&config.cluster);
        flight.node.clone_from(&config.node(config.me).name);
        flight.dir = state_dir.join("flight");
        flight.learn(config);
        flight
    }

    /// Knows nobody's name, and nothing is wanted of it.
    fn idle(tape: Tape, words: mpsc::Sender<Word>) -> Flight {
        Flight {
            ring: Ring::new(tape),
            book: Book::default(),
            cluster: String::new(),
            node: String::new(),
            dir: PathBuf::new(),
            words,
            anomaly: None,
            asked: None,
            waiting: Vec::new(),
            served: Vec::new(),
            last: [None; Anomaly::COUNT],
            written: None,
            writing: false,
            failing: false,
            segment_ordered: false,
        }
    }

    /// What things are called now. Former groups keep their names: they are in what was recorded before.
    pub fn learn(&mut self, config: &Config) {
        let known: HashSet<GroupKey> = config.groups.iter().map(|group| group.key).collect();
        self.book.groups.retain(|(key, _)| !known.contains(key));
        // Bounded, whatever is reloaded: the oldest names go.
        let many = self.book.groups.len().saturating_sub(1024);
        self.book.groups.drain(..many);
        self.book.groups.extend(config.groups.iter().map(|group| (group.key, group.name.clone())));
        self.book.me = Some(config.me);
        self.book.nodes = config.nodes.iter().map(|node| (node.name.clone(), node.links.clone())).collect();
        self.book.interfaces = config.interfaces().into_iter().map(str::to_owned).collect();
    }

    /// Something was noticed. `age`: how long the agent has been running.
    pub fn hear(&mut self, at: MonoTime, age: Duration, notice: &Notice) {
        let Some(anomaly) = Anomaly::of(notice, age) else { return };
        let recorded = self.last[anomaly as usize].replace(at);
        if let Some((graver, job)) = &mut self.anomaly {
            // One recording for all that comes together, named after the gravest.
            if anomaly < *graver {
                *graver = anomaly;
                job.reason = anomaly.name();
            }
            return;
        }
        if anomaly.is_lasting() && recorded.is_some_and(|last| at.since(last) < LONG_PAUSE) {
            // Counted from the recording, not from the last of them.
            self.last[anomaly as usize] = recorded;
            return;
        }
        let earliest = self.written.map_or(MonoTime::ZERO, |written| written + PAUSE);
        let due = (at + AFTERMATH).max(earliest);
        self.anomaly = Some((anomaly, Job { reason: anomaly.name(), due, ordered: None }));
    }

    fn recording(&self, reason: &str) -> Recording {
        let header = Header {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: ENGINE.to_owned(),
            node: self.node.clone(),
            cluster: self.cluster.clone(),
            written: clock::wall().0,
            reason: reason.to_owned(),
            book: self.book.clone(),
        };
        Recording { header, segments: self.ring.segments() }
    }

    /// A job whose time has come and whose closing snapshot is there.
    fn ready(&mut self, now: MonoTime) -> Option<&'static str> {
        let begun = self.ring.begun();
        let over = |job: &Job| {
            let ordered = job.ordered?;
            (begun.is_some_and(|begun| begun >= ordered) || now.since(ordered) >= PATIENCE).then_some(job.reason)
        };
        if let Some(reason) = self.asked.as_ref().and_then(over) {
            self.asked = None;
            self.served = std::mem::take(&mut self.waiting);
            return Some(reason);
        }
        let reason = self.anomaly.as_ref().and_then(|(_, job)| over(job))?;
        self.anomaly = None;
        self.written = Some(now);
        Some(reason)
    }

    /// True if a closing snapshot is to be ordered for a job that is due.
    fn is_due(&mut self, now: MonoTime) -> bool {
        let jobs = self.asked.iter_mut().chain(self.anomaly.iter_mut().map(|(_, job)| job));
        let due = jobs.filter(|job| job.ordered.is_none() && now >= job.due);
        due.map(|job| job.ordered = Some(now)).count() > 0
    }
}

impl Slow {
    /// Somebody wants a recording now.
    pub(crate) fn begin_recording(&mut self, answer: oneshot::Sender<Answer>) {
        self.flight.waiting.push(answer);
        let now = clock::now();
        self.flight.asked.get_or_insert(Job { reason: "asked", due: now, ordered: None });
        self.look_at_flight();
    }

    /// Takes in what was recorded, and has written what is due.
    pub(crate) fn look_at_flight(&mut self) {
        let now = clock::now();
        let full = self.flight.ring.drain(now, clock::wall_of);
        // Once for each segment that is long enough: the hot thread may need a moment.
        let full = !std::mem::replace(&mut self.flight.segment_ordered, full) && full;
        if self.flight.is_due(now) || full {
            self.order(Order::Segment);
        }
        if self.flight.writing {
            return;
        }
        if let Some(reason) = self.flight.ready(now) {
            let recording = self.flight.recording(reason);
            let (dir, words) = (self.flight.dir.clone(), self.flight.words.clone());
            let body = move || {
                // Without a receiver the agent has ended.
                let _gone = words.blocking_send(Word::Recorded(shelf::put(&dir, &recording)));
            };
            match std::thread::Builder::new().name("flight".into()).spawn(body) {
                Ok(_) => self.flight.writing = true,
                Err(error) => tracing::error!("cannot start a thread for the flight recording: {error}"),
            }
        }
    }

    /// A recording is written, or could not be.
    pub(crate) fn hear_recorded(&mut self, result: Result<PathBuf, WriteError>) {
        self.flight.writing = false;
        let response = match &result {
            Ok(path) => Response::Recorded { path: path.display().to_string() },
            Err(error) => Response::Outcome(Answered { ok: false, message: error.to_string() }),
        };
        for answer in std::mem::take(&mut self.flight.served) {
            // The client may have gone away; the file is there all the same.
            let _gone = answer.send(Answer::One(Box::new(response.clone())));
        }
        match result {
            Ok(path) => {
                self.flight.failing = false;
                self.tell(Severity::Info, "recorded", format!("flight recording: vipair replay {}", path.display()));
            }
            Err(error) if !std::mem::replace(&mut self.flight.failing, true) => {
                self.tell(Severity::Warning, "record_failed", format!("no flight recording: {error}"));
            }
            Err(_) => {}
        }
    }

    /// The hot thread has ended: what is still to be written is written now.
    pub(crate) fn finish_flight(&mut self) {
        if self.flight.anomaly.is_none() && self.flight.asked.is_none() {
            return;
        }
        self.flight.ring.drain(clock::now(), clock::wall_of);
        let anomaly = self.flight.anomaly.take().map(|(_, job)| job);
        let Some(job) = anomaly.or(self.flight.asked.take()) else { return };
        self.flight.served = std::mem::take(&mut self.flight.waiting);
        let result = shelf::put(&self.flight.dir, &self.flight.recording(job.reason));
        self.hear_recorded(result);
    }
}

#[cfg(test)]
mod tests;
