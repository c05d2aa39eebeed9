//! The candidacy of this node for a group that it does not have: since when nobody has the group,
//! since when this node is ready for it, and whether it asks the active for it.

use super::Group;
use crate::engine::around::Around;
use crate::engine::timers::Timer;
use crate::types::MonoTime;
use crate::wire::pulse::Reason;

/// How far this node is on its way to a group that it does not have.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Candidate {
    /// Whether this node asks the active for the group, in its row.
    pub wants: bool,
    /// No claim before this instant: another node has our consent, and the time to open.
    pub hold: MonoTime,
    /// Since when no peer has been active, as far as we know; `None` while one is.
    pub free: Option<MonoTime>,
    /// Since when this node has been ready; `None` while it is not.
    pub ready: Option<MonoTime>,
}

impl Candidate {
    /// A candidate that neither waits nor asks.
    pub fn new(now: MonoTime) -> Candidate {
        Candidate { wants: false, hold: now, free: None, ready: None }
    }
}

impl Group {
    /// Notes since when no peer has been active (`None` while one is), and sets the timers of what
    /// a claim then waits for: hold, preparation, election.
    pub(super) fn note_free(&mut self, around: Around<'_>) {
        if around.peers.iter().any(|peer| peer.is_active(self.id)) {
            self.candidate.free = None;
            return;
        }
        let prepared = self.prepared_by(around);
        let free = *self.candidate.free.get_or_insert(around.now);
        let election = free + around.timing().election;
        let waits = [(Timer::Hold, self.candidate.hold), (Timer::Preparation, prepared), (Timer::Election, election)];
        for (timer, due) in waits.into_iter().filter(|(_, due)| *due > around.now) {
            self.timers.set(timer, due);
        }
    }

    /// Notes since when this node is ready, and whether it asks for the group. It asks if an
    /// operator or the witnesses' word wants it to, or if it is preferred and was ready for long
    /// enough (preemption).
    pub(super) fn note_ready(&mut self, around: Around<'_>) {
        // Where the service does worse than on the active, nothing is asked for.
        let reason = self.reason(around);
        let ready = (reason == Reason::None || reason.is_lack()) && !self.is_outdone(around);
        let asked = around.commands.is_asked_to_take(self.id) || self.is_fault_to_be_moved(around);
        let policy = around.policy(self.id);
        if !ready {
            self.candidate.ready = None;
            self.candidate.wants = false;
            return;
        }
        let due = *self.candidate.ready.get_or_insert(around.now) + around.rules.preempt_delay(policy.preempt_delay);
        let preempts = policy.preempt && policy.prefer == around.setup.me;
        self.candidate.wants = asked || (preempts && around.now >= due);
        if preempts && due > around.now {
            self.timers.set(Timer::Preempt, due);
        }
    }
}
