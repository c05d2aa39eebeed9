//! What operators ask: switch, pause, resume, stop. Each answer says what came of it.

use super::action::{Action, Actions, Outcome};
use super::event::Command;
use super::notice::Cause;
use super::{Engine, Presence, group_id};
use crate::mutant::Mutant;
use crate::types::MonoTime;
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

/// Commands under way at a time; one more is answered with [`Outcome::Busy`].
const PENDING: usize = 256;
/// A stop does not wait longer than this for peers to accept what is handed over.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) enum Kind {
    Give,
    Take,
    Pause,
}

/// A command that was begun.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Pending {
    pub id: u64,
    pub kind: Kind,
    pub group: usize,
    pub until: MonoTime,
}

impl Engine {
    pub(super) fn handle_command(&mut self, id: u64, command: Command, now: MonoTime, out: &mut Actions) {
        self.dirty = true;
        let outcome = match command {
            Command::Switch(group) => self.begin_switch(id, usize::from(group.0), now),
            Command::Pause(group) => self.begin_pause(id, usize::from(group.0), now),
            Command::Resume(group) => Some(self.resume(usize::from(group.0))),
            Command::Stop => {
                self.stopping.get_or_insert(now + STOP_PATIENCE);
                Some(Outcome::Done)
            }
        };
        if let Some(outcome) = outcome {
            out.push(Action::Reply { id, outcome });
        }
    }

    fn begin_switch(&mut self, id: u64, at: usize, now: MonoTime) -> Option<Outcome> {
        let open = self.groups[at].is_open();
        if let Some(refusal) = self.refusal(at, open.then_some(Kind::Give), now) {
            return Some(refusal);
        }
        if !open {
            let reason = self.reason(at);
            if reason != Reason::None {
                return Some(Outcome::NotReady(reason));
            }
            if self.is_outdone(at) {
                return Some(Outcome::NotReady(Reason::Unhealthy));
            }
        }
        self.begin(id, if open { Kind::Give } else { Kind::Take }, at, now)
    }

    fn begin_pause(&mut self, id: u64, at: usize, now: MonoTime) -> Option<Outcome> {
        if self.groups[at].paused {
            return Some(Outcome::AlreadySo);
        }
        if self.groups[at].is_open() {
            if let Some(refusal) = self.refusal(at, Some(Kind::Pause), now) {
                return Some(refusal);
            }
            return self.begin(id, Kind::Pause, at, now);
        }
        self.groups[at].paused = true;
        self.persist_wanted = true;
        Some(Outcome::Done)
    }

    fn resume(&mut self, at: usize) -> Outcome {
        if !std::mem::replace(&mut self.groups[at].paused, false) {
            return Outcome::AlreadySo;
        }
        self.persist_wanted = true;
        Outcome::Done
    }

    /// Why a handover cannot begin, if it cannot. `giving`: why it is given away, if it is.
    fn refusal(&self, at: usize, giving: Option<Kind>, now: MonoTime) -> Option<Outcome> {
        let busy = self.stopping.is_some() || self.pending.iter().any(|pending| pending.group == at);
        if busy || self.pending.len() >= PENDING {
            return Some(Outcome::Busy);
        }
        let heard: Vec<usize> =
            self.node_peers().filter(|&peer| self.presence(peer, now) == Presence::Heard).collect();
        if heard.is_empty() {
            return Some(Outcome::NoPeer);
        }
        let kind = giving?;
        let mut blocked = Some(Outcome::NoPeer);
        for row in heard.iter().filter_map(|&peer| self.peers[peer].row(group_id(at))) {
            blocked = Some(self.why_not(row, at, kind == Kind::Pause)?);
        }
        blocked
    }

    fn begin(&mut self, id: u64, kind: Kind, group: usize, now: MonoTime) -> Option<Outcome> {
        let patience = (self.setup.timing.silence * 2).max(Duration::from_secs(3)) + self.preparation(group);
        self.pending.push(Pending { id, kind, group, until: now + patience });
        None
    }

    pub(super) fn is_asked_to_give(&self, at: usize) -> bool {
        self.pending.iter().any(|pending| pending.group == at && matches!(pending.kind, Kind::Give | Kind::Pause))
    }

    pub(super) fn is_asked_to_pause(&self, at: usize) -> bool {
        self.pending.iter().any(|pending| pending.group == at && pending.kind == Kind::Pause)
    }

    pub(super) fn is_asked_to_take(&self, at: usize) -> bool {
        self.pending.iter().any(|pending| pending.group == at && pending.kind == Kind::Take)
    }

    /// Answers commands that came to their end.
    pub(super) fn finish_commands(&mut self, now: MonoTime, out: &mut Actions) {
        let mut at = 0;
        while at < self.pending.len() {
            let pending = self.pending[at];
            let taken = self.peers.iter().any(|peer| peer.is_active(group_id(pending.group)));
            let open = self.groups[pending.group].is_open();
            let done = match pending.kind {
                Kind::Give | Kind::Pause => taken && !open,
                Kind::Take => open,
            };
            if !done && now < pending.until {
                self.group_deadline = self.group_deadline.min(pending.until);
                at += 1;
                continue;
            }
            self.pending.swap_remove(at);
            self.dirty = true;
            if done && pending.kind == Kind::Pause {
                self.groups[pending.group].paused = true;
                self.persist_wanted = true;
            }
            let outcome = if done { Outcome::Done } else { Outcome::TimedOut };
            out.push(Action::Reply { id: pending.id, outcome });
        }
    }

    /// Answers all commands of a group that nothing will come of any more.
    pub(super) fn drop_commands(&mut self, at: usize, outcome: Outcome, out: &mut Actions) {
        for pending in self.pending.extract_if(.., |pending| pending.group == at) {
            out.push(Action::Reply { id: pending.id, outcome });
        }
    }

    /// While stopping: close what nobody can take, wait for the rest, then say goodbye.
    pub(super) fn finish_stop(&mut self, now: MonoTime, out: &mut Actions) {
        let Some(patience) = self.stopping else { return };
        for at in 0..self.groups.len() {
            let group = &self.groups[at];
            let stuck = group.role == Role::Active && !self.has_heir(at, now);
            if group.is_open() && (stuck || now >= patience) {
                self.release(at, Cause::Stopping, now, out);
            }
        }
        let open = self.groups.iter().any(|group| group.is_open() || group.drain_until.is_some());
        let blind = self.leases.blind && now < patience;
        if (open || blind) && !self.is_mutant(Mutant::GoodbyeWhileOpen) {
            self.group_deadline = self.group_deadline.min(patience.max(now));
            if now >= patience {
                self.group_deadline = now + self.setup.timing.pulse;
            }
            return;
        }
        self.stopped = true;
        self.publish_rows();
        // Twice: one datagram may be lost, and nobody is left to repeat it.
        for _ in 0..2 {
            for peer in 0..self.peers.len() {
                self.send_pulse(peer, false, now, out);
            }
        }
        out.push(Action::Stopped);
    }

    fn has_heir(&self, at: usize, now: MonoTime) -> bool {
        self.node_peers().any(|peer| {
            let row = self.peers[peer].row(group_id(at));
            let able = row.is_some_and(|row| matches!(row.reason, Reason::None | Reason::Unhealthy));
            able && self.presence(peer, now) == Presence::Heard
        })
    }
}
