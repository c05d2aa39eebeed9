//! What is run before a group is opened or handed over, and what follows when it ends.
//!
//! A hook is run by somebody else, who reports its end. Meanwhile everything goes on: pulses, claims, consents, votes. What
//! permitted the opening is looked at again when the hook has ended, and with it or without, nothing else is opened or
//! closed later than before. Nobody waits for longer than the hook may take and a second.
//!
//! A hook may take long, and a guest may be frozen with its clock while it runs: what was said or left unanswered before its
//! end may be from another time without looking old. So when `before_open` has ended everybody is asked once more, and the
//! gate opens on what comes of that.
//!
//! Owns: which hook is waited for, and how long a node stands back when one has failed. Never does: run anything, or believe
//! the end of a hook that was run for another epoch.

use super::action::{Action, Actions};
use super::notice::{Cause, Notice};
use super::watch::{Evidence, PROBES};
use super::{Engine, Presence, group_id};
use crate::mutant::Mutant;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

/// For so much longer than it may take a hook is waited for: its end has a way to come.
const GRACE: Duration = Duration::from_secs(1);
/// A node whose hook has failed does not try again for so long; the other may.
const RETRY: Duration = Duration::from_secs(10);

/// When the engine waits for hooks. What is run after an opening or a closing does not concern it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Hook {
    /// Everything permits the opening; the gate is still closed.
    BeforeOpen,
    /// The peer is ready to take the group over; the gate is still open.
    BeforeClose,
}

/// Why a hook did not do what it was run for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum HookEnd {
    /// It failed.
    Failed,
    /// Nothing was heard of its end.
    Late,
    /// It ended well, and meanwhile the group is not to be opened or closed any more.
    Unused,
}

/// A hook that was begun.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Running {
    pub hook: Hook,
    /// What it was run for: nobody else's end is believed.
    pub epoch: Epoch,
    /// Nobody waits for longer.
    pub until: MonoTime,
    /// How it ended, once it has.
    pub ended: Option<End>,
}

/// The end of a hook, and what was known then.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct End {
    pub ok: bool,
    pub at: MonoTime,
    /// Our first counter since then.
    pub proof: u64,
    /// So many probes were unanswered then, on the group's interface.
    pub unanswered: u32,
}

impl End {
    /// How many of the probes that are unanswered now were so when it ended.
    pub fn before(&self, evidence: &Evidence) -> u32 {
        if evidence.first_sent > self.at { 0 } else { self.unanswered }
    }
}

impl Running {
    /// True while the group waits for what is said, or not, since it has ended.
    pub fn asks_anew(&self) -> bool {
        self.hook == Hook::BeforeOpen && self.ended.is_some_and(|end| end.ok)
    }
}

impl Engine {
    /// A hook has ended.
    pub(super) fn handle_hook(&mut self, at: usize, (hook, epoch): (Hook, Epoch), ok: bool, now: MonoTime) {
        let any = self.is_mutant(Mutant::HookOfAnotherEpoch);
        let end = End { ok, at: now, proof: self.counter + 1, unanswered: self.unanswered(at) };
        let asked = |running: &&mut Running| running.hook == hook && (running.epoch == epoch || any);
        if let Some(running) = self.groups[at].service.hook.as_mut().filter(asked) {
            running.ended.get_or_insert(end);
            self.hooked = end.proof;
            self.stir(at);
        }
    }

    /// How many probes the peers have left unanswered until now where the group is.
    fn unanswered(&self, at: usize) -> u32 {
        let interface = usize::from(self.groups[at].interface.0);
        let watches = self.peers[self.node_peers()].iter().filter_map(|peer| peer.watch.as_ref());
        watches.map(|watch| watch.evidence[interface].unanswered).max().unwrap_or_default()
    }

    /// True if what must be done before the group is opened is done. Begins it, and says once that it has failed.
    pub(super) fn is_prepared(&mut self, at: usize, cause: Cause, now: MonoTime, out: &mut Actions) -> bool {
        let Some(limit) = self.setup.groups[at].before_open.filter(|_| !self.is_mutant(Mutant::OpenedBeforeHook))
        else {
            return true;
        };
        let epoch = self.groups[at].reserve;
        let done = self.wait_for((at, Hook::BeforeOpen, epoch), limit, cause, now, out);
        let group = &mut self.groups[at];
        if done == Some(false) {
            group.claim = Epoch::NONE;
            group.claimed = None;
        } else if group.claim != epoch {
            // Who has consented without a claim must see that the group is not forgotten.
            group.claim = epoch;
            group.claimed = Some(now);
        }
        done == Some(true) && self.is_permitted_anew(at, now, out)
    }

    /// True if what permits the opening was said, or left unanswered, since the hook has ended. Asks for it.
    fn is_permitted_anew(&mut self, at: usize, now: MonoTime, out: &mut Actions) -> bool {
        let ended = self.groups[at].service.hook.and_then(|running| running.ended);
        let Some(end) = ended.filter(|_| !self.is_mutant(Mutant::OpenedOnWordsBeforeHook)) else { return true };
        if self.counter < end.proof {
            for peer in 0..self.peers.len() {
                self.send_pulse(peer, true, now, out);
            }
            for watch in self.peers.iter_mut().filter_map(|peer| peer.watch.as_mut()) {
                watch.next = watch.next.min(now);
            }
        }
        if self.votes_decide() {
            let granted = self.groups[at].ballot.granted;
            let voters = (0..self.peers.len()).filter(|peer| granted & (1 << peer) != 0);
            return voters.filter(|peer| self.peers[*peer].current >= end.proof).count() >= self.quorum();
        }
        self.node_peers().all(|peer| self.peers[peer].current >= end.proof || self.is_gone_still(at, peer, end, now))
    }

    /// True if a peer that does not speak was asked in vain since the hook has ended, as often as before an opening without
    /// one. A goodbye does not last for long enough to grow old.
    fn is_gone_still(&mut self, at: usize, peer: usize, end: End, now: MonoTime) -> bool {
        match self.presence(peer, now) {
            Presence::Left if self.has_left_lately(peer, now) => return true,
            Presence::Heard | Presence::Suspicious => return false,
            Presence::Left | Presence::Unknown | Presence::Silent => {}
        }
        let interface = self.groups[at].interface;
        let enough = PROBES + self.openable(peer, interface);
        let Some(watch) = self.peers[peer].watch.as_ref() else { return false };
        let evidence = &watch.evidence[usize::from(interface.0)];
        let since = evidence.mature(now, self.setup.timing.probe).saturating_sub(end.before(evidence));
        since >= enough
    }

    /// Whether what must be done before the group is handed over is done; `None` while it is being done.
    pub(super) fn is_released(&mut self, at: usize, now: MonoTime, out: &mut Actions) -> Option<bool> {
        let Some(limit) = self.setup.groups[at].before_close else { return Some(true) };
        let (epoch, cause) = (self.groups[at].epoch, self.groups[at].cause);
        let done = self.wait_for((at, Hook::BeforeClose, epoch), limit, cause, now, out);
        let until = self.groups[at].service.hook.map_or(now, |running| running.until);
        if let Some(offer) = self.groups[at].offer.as_mut() {
            offer.until = offer.until.max(until);
        }
        if let Some(patience) = self.stopping.as_mut() {
            *patience = (*patience).max(until + self.setup.timing.patience.offer);
            // Whoever leaves does so, however that ended.
            return done.map(|_| true);
        }
        done
    }

    fn wait_for(
        &mut self,
        (at, hook, epoch): (usize, Hook, Epoch),
        limit: Duration,
        cause: Cause,
        now: MonoTime,
        out: &mut Actions,
    ) -> Option<bool> {
        let group = &mut self.groups[at];
        let known = group.service.hook.filter(|running| running.hook == hook && running.epoch == epoch);
        let running = known.unwrap_or_else(|| {
            out.push(Action::Hook { group: group_id(at), hook, epoch, cause });
            Running { hook, epoch, until: now + limit + GRACE, ended: None }
        });
        group.service.hook = Some(running);
        let end = match running.ended.map(|end| end.ok) {
            Some(true) => return Some(true),
            None if now < running.until => {
                group.deadline = group.deadline.min(running.until);
                return None;
            }
            Some(false) => HookEnd::Failed,
            None => HookEnd::Late,
        };
        group.service.hook = None;
        group.service.failed = Some((hook, now + RETRY));
        group.deadline = group.deadline.min(now + RETRY);
        out.notice(Notice::Hook { group: group_id(at), hook, epoch, end });
        Some(false)
    }

    /// Takes leave of a hook that is not waited for any more, once it has ended, and of an old failure.
    pub(super) fn note_hook(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        let group = &mut self.groups[at];
        match group.service.failed {
            Some((_, until)) if now >= until => group.service.failed = None,
            Some((_, until)) => group.deadline = group.deadline.min(until),
            None => {}
        }
        let Some(running) = group.service.hook else { return };
        let Running { hook, epoch, until, ended } = running;
        let wanted = match hook {
            // While a peer's last words end and its silence does not count yet nothing is claimed, and nothing is decided.
            Hook::BeforeOpen => {
                let kept = group.has_reserve() && ended.is_some_and(|end| end.ok) && now < until;
                group.role == Role::Standby && group.reserve == epoch && (group.claim == epoch || kept)
            }
            Hook::BeforeClose => group.role == Role::Handover && group.epoch == epoch,
        };
        let end = match ended.map(|end| end.ok) {
            _ if wanted => {
                if now < until {
                    group.deadline = group.deadline.min(until);
                }
                return;
            }
            Some(true) => HookEnd::Unused,
            Some(false) => HookEnd::Failed,
            None if now >= until => HookEnd::Late,
            None => {
                group.deadline = group.deadline.min(until);
                return;
            }
        };
        group.service.hook = None;
        out.notice(Notice::Hook { group: group_id(at), hook, epoch, end });
    }

    /// True while this node stands back because a hook of this kind has failed.
    pub(super) fn stands_back(&self, at: usize, hook: Hook) -> bool {
        self.groups[at].service.failed.is_some_and(|(failed, until)| failed == hook && self.last < until)
    }

    /// True while a peer that has our consent and goes on claiming is let do what it has to do first.
    pub(super) fn lets_prepare(&self, at: usize, row: &Row, now: MonoTime) -> bool {
        row.claim != Epoch::NONE && row.claim == self.groups[at].consent && now < self.prepared_by(at)
    }

    /// When a peer that was given the right of way has done that, or never will.
    pub(super) fn prepared_by(&self, at: usize) -> MonoTime {
        let limit = self.setup.groups[at].before_open.map_or(Duration::ZERO, |limit| limit + GRACE);
        self.groups[at].hold + limit
    }

    /// How much longer hooks make a handover.
    pub(super) fn preparation(&self, at: usize) -> Duration {
        let setup = &self.setup.groups[at];
        [setup.before_close, setup.before_open].into_iter().flatten().map(|limit| limit + GRACE).sum()
    }
}
