//! Commands of operators: switch, pause, resume, stop. Each is answered with how it ended.
//!
//! Owns: commands under way, and the stop. Never does: hand a group over; the step of the group
//! reads the command and does. A command that nothing comes of is answered when its time is over.

use super::{Group, health};
use crate::engine::Engine;
use crate::engine::action::{Action, Actions, Outcome};
use crate::engine::around::Around;
use crate::engine::commands::{Kind, Pending};
use crate::engine::event::Command;
use crate::engine::notice::Cause;
use crate::engine::peer::{PeerAt, Presence};
use crate::types::{GroupId, MonoTime};
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

/// A stop does not wait longer than this for peers to accept what is handed over.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

impl Group {
    /// Why a handover cannot begin, if it cannot. `giving` is the command that gives the group away;
    /// without one this node takes it.
    fn refusal(&self, giving: Option<Kind>, around: Around<'_>) -> Option<Outcome> {
        if around.commands.is_busy(self.id) {
            return Some(Outcome::Busy);
        }
        let is_heard = |peer: &PeerAt| around.presence(*peer) == Presence::Heard;
        if !around.peers.nodes().any(|peer| is_heard(&peer)) {
            return Some(Outcome::NoPeer);
        }
        let kind = giving?;
        let mut blocked = Some(Outcome::NoPeer);
        for peer in around.peers.nodes().filter(is_heard) {
            if let Some(row) = around.peers[peer].row(self.id) {
                blocked = Some(self.why_not(row, kind == Kind::Pause, around)?);
            }
        }
        blocked
    }

    /// What a switch of this group would be, or why it cannot begin.
    fn plan_switch(&self, around: Around<'_>) -> Result<Kind, Outcome> {
        let open = self.is_open();
        if let Some(refusal) = self.refusal(open.then_some(Kind::Give), around) {
            return Err(refusal);
        }
        match self.reason(around) {
            _ if open => Ok(Kind::Give),
            Reason::None if self.is_outdone(around) => Err(Outcome::NotReady(Reason::Unhealthy)),
            Reason::None => Ok(Kind::Take),
            reason if reason.is_lack() && !self.is_outdone(around) => Ok(Kind::Take),
            reason => Err(Outcome::NotReady(reason)),
        }
    }

    /// What a pause of this group would be, if it takes time, or why it cannot begin.
    fn plan_pause(&self, around: Around<'_>) -> Result<Option<Kind>, Outcome> {
        if self.paused {
            return Err(Outcome::AlreadySo);
        }
        if !self.is_open() {
            return Ok(None);
        }
        self.refusal(Some(Kind::Pause), around).map_or(Ok(Some(Kind::Pause)), Err)
    }

    /// True if somebody could take the group over.
    fn has_heir(&self, around: Around<'_>) -> bool {
        around.peers.nodes().any(|peer| {
            let able = around.peers[peer].row(self.id).is_some_and(health::is_able);
            able && around.presence(peer) == Presence::Heard
        })
    }
}

impl Engine {
    /// Begins what an operator asks for, or answers at once.
    pub(in crate::engine) fn handle_command(&mut self, id: u64, command: Command, now: MonoTime, out: &mut Actions) {
        self.groups.look_again = true;
        let outcome = match command {
            Command::Switch(group) => {
                let plan = self.groups[group].plan_switch(self.around(now));
                plan.map_or_else(Some, |kind| self.begin_command(id, kind, group, now))
            }
            Command::Pause(group) => self.begin_pause(id, group, now),
            Command::Resume(group) => Some(self.set_paused(group, false)),
            Command::Stop => {
                self.commands.stopping.get_or_insert(now + STOP_PATIENCE);
                Some(Outcome::Done)
            }
            Command::Abandon => {
                self.commands.end_patience(id, now);
                None
            }
        };
        if let Some(outcome) = outcome {
            out.push(Action::Reply { id, outcome });
        }
    }

    /// Begins a pause. Returns the answer if there is one at once, else `None`.
    fn begin_pause(&mut self, id: u64, group: GroupId, now: MonoTime) -> Option<Outcome> {
        match self.groups[group].plan_pause(self.around(now)) {
            Err(refusal) => Some(refusal),
            Ok(Some(kind)) => self.begin_command(id, kind, group, now),
            Ok(None) => Some(self.set_paused(group, true)),
        }
    }

    /// Notes a command that takes time. Returns `None`: the answer comes when it has ended.
    fn begin_command(&mut self, id: u64, kind: Kind, group: GroupId, now: MonoTime) -> Option<Outcome> {
        let preparation = self.groups[group].preparation(self.around(now));
        let patience = (self.setup.timing.silence * 2).max(Duration::from_secs(3)) + preparation;
        self.commands.pending.push(Pending { id, kind, group, until: now + patience });
        None
    }

    /// Sets whether this node stands aside for a group, and makes it durable.
    fn set_paused(&mut self, group: GroupId, paused: bool) -> Outcome {
        if std::mem::replace(&mut self.groups[group].paused, paused) == paused {
            return Outcome::AlreadySo;
        }
        self.store.wanted = true;
        Outcome::Done
    }

    /// Answers commands that are done or out of time. A pause that is done stands aside from now
    /// on.
    pub(in crate::engine) fn finish_commands(&mut self, now: MonoTime, out: &mut Actions) {
        let mut place = 0;
        while place < self.commands.pending.len() {
            let pending = self.commands.pending[place];
            let taken = self.peers.iter().any(|peer| peer.is_active(pending.group));
            let open = self.groups[pending.group].is_open();
            let done = match pending.kind {
                Kind::Give | Kind::Pause => taken && !open,
                Kind::Take => open,
            };
            if !done && now < pending.until {
                self.groups.deadline = self.groups.deadline.min(pending.until);
                place += 1;
                continue;
            }
            self.commands.pending.swap_remove(place);
            self.groups.look_again = true;
            if done && pending.kind == Kind::Pause {
                self.groups[pending.group].paused = true;
                self.store.wanted = true;
            }
            let outcome = if done { Outcome::Done } else { Outcome::TimedOut };
            out.push(Action::Reply { id: pending.id, outcome });
        }
    }

    /// Goes on with a stop, if there is one: closes groups that no peer can take, waits for
    /// handovers until the patience ends, then says goodbye.
    pub(in crate::engine) fn finish_stop(&mut self, now: MonoTime, out: &mut Actions) {
        let Some(patience) = self.commands.stopping else { return };
        for group in self.groups.ids() {
            let state = &self.groups[group];
            let stuck = state.role == Role::Active && !state.has_heir(self.around(now));
            if state.is_open() && (stuck || now >= patience) {
                self.with_group(group, now, out, |group, around, requests| {
                    group.release(Cause::Stopping, around, requests);
                });
            }
        }
        if self.must_stay(patience, now) {
            let pulse = self.setup.timing.pulse;
            self.groups.deadline = if now >= patience { now + pulse } else { self.groups.deadline.min(patience) };
            return;
        }
        self.commands.stopped = true;
        self.publish_rows(now);
        // The goodbye is sent twice: one datagram may be lost, and this process will not repeat it.
        for _ in 0..2 {
            self.post(now).send_to_all(false, out);
        }
        out.push(Action::Stopped);
    }

    /// True while something is open, or may be, that a stop has to close first.
    fn must_stay(&self, patience: MonoTime, now: MonoTime) -> bool {
        let open = self.groups.iter().any(|group| group.is_open() || group.drain_until.is_some());
        let blind = self.leases.former.blind && now < patience;
        (open || blind) && self.setup.rules().closes_before_goodbye()
    }
}
