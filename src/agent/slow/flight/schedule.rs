//! When a recording is written, and why.
//!
//! Owns: the recordings that are due, and when earlier ones were. Never does: read a clock or write
//! a file. A recording ends some seconds after its anomaly, so that the consequences are in it, and
//! with a snapshot, so that a replay can prove all of it; a snapshot that does not come is not
//! waited for beyond two seconds.

use super::anomaly::Anomaly;
use crate::engine::Notice;
use crate::types::MonoTime;
use std::time::Duration;

/// How long after an anomaly its recording ends.
const AFTERMATH: Duration = Duration::from_secs(3);
/// Least distance between recordings of anomalies; what comes between is in the next recording.
const PAUSE: Duration = Duration::from_secs(10);
/// Least distance between recordings of one anomaly that can go on for hours.
const LONG_PAUSE: Duration = Duration::from_secs(300);
/// Longest wait for the closing snapshot.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Why a recording is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// A client asked.
    Asked,
    Anomaly(Anomaly),
}

impl Reason {
    /// Word for the reason in a file's name and in its header.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Asked => "asked",
            Reason::Anomaly(anomaly) => anomaly.name(),
        }
    }
}

/// A recording that is to be written.
#[derive(Debug)]
struct Job {
    due: MonoTime,
    /// When the closing snapshot was ordered.
    ordered: Option<MonoTime>,
}

/// Recordings to be written, and those before them.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Recording of the anomalies that have come together, under the gravest of them.
    anomaly: Option<(Anomaly, Job)>,
    /// Recording that a client asked for.
    asked: Option<Job>,
    /// When each anomaly last came to be recorded.
    last: [Option<MonoTime>; Anomaly::COUNT],
    /// When the last recording of an anomaly was begun.
    written: Option<MonoTime>,
}

impl Schedule {
    /// Schedules a recording if the notice tells of an anomaly. `age`: since the agent's start.
    pub fn handle_notice(&mut self, at: MonoTime, age: Duration, notice: &Notice) {
        let Some(anomaly) = Anomaly::of(notice, age) else { return };
        let recorded = self.last[anomaly as usize].replace(at);
        if let Some((gravest, _)) = &mut self.anomaly {
            // All that comes together is one recording, named after the gravest.
            *gravest = anomaly.min(*gravest);
            return;
        }
        if anomaly.is_lasting() && recorded.is_some_and(|last| at.since(last) < LONG_PAUSE) {
            // The pause counts from the recording, not from the last anomaly.
            self.last[anomaly as usize] = recorded;
            return;
        }
        let earliest = self.written.map_or(MonoTime::ZERO, |written| written + PAUSE);
        let due = (at + AFTERMATH).max(earliest);
        self.anomaly = Some((anomaly, Job { due, ordered: None }));
    }

    /// Schedules a recording for a client, due at once.
    pub fn handle_request(&mut self, now: MonoTime) {
        self.asked.get_or_insert(Job { due: now, ordered: None });
    }

    /// Whether a closing snapshot is to be ordered for a recording that has become due; true once
    /// for each.
    pub fn take_due(&mut self, now: MonoTime) -> bool {
        let jobs = self.asked.iter_mut().chain(self.anomaly.iter_mut().map(|(_, job)| job));
        let due = jobs.filter(|job| job.ordered.is_none() && now >= job.due);
        due.map(|job| job.ordered = Some(now)).count() > 0
    }

    /// The recording that can be written now: its closing snapshot is there or waited for no
    /// longer. `begun`: when the newest snapshot that has arrived was taken.
    pub fn take_ready(&mut self, now: MonoTime, begun: Option<MonoTime>) -> Option<Reason> {
        let is_ready = |job: &mut Job| {
            job.ordered
                .is_some_and(|ordered| begun.is_some_and(|begun| begun >= ordered) || now.since(ordered) >= PATIENCE)
        };
        if self.asked.take_if(is_ready).is_some() {
            return Some(Reason::Asked);
        }
        let (anomaly, _) = self.anomaly.take_if(|(_, job)| is_ready(job))?;
        self.written = Some(now);
        Some(Reason::Anomaly(anomaly))
    }

    /// The recording that is written at the agent's end; it covers all that were scheduled.
    pub fn take_last(&mut self) -> Option<Reason> {
        let asked = self.asked.take().map(|_| Reason::Asked);
        self.anomaly.take().map(|(anomaly, _)| Reason::Anomaly(anomaly)).or(asked)
    }
}
