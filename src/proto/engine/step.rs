//! The role table: what a group does next, given everything that is known.
//!
//! | role | leaves it for | when |
//! |---|---|---|
//! | starting | active | its own running gate was adopted |
//! | starting | standby | a peer told how things stand, or the listening time is over |
//! | standby | active | every peer consents, has left, or is evidently gone |
//! | standby | fault | the interface cannot serve |
//! | standby | paused | the operator says so |
//! | active | handover | operator, preemption, stop or health, and a ready peer |
//! | active | standby | a higher epoch, an unheard claimant, a lapsed lease, no majority of votes |
//! | active | fault | the interface cannot serve |
//! | handover | standby | the peer accepted: answers end, traffic is carried for the drain time |
//! | handover | active | the peer did not accept in time |
//! | fault | standby | mended |
//! | paused | standby | resumed |

use super::action::{Action, Actions, GateAction};
use super::group::Offer;
use super::notice::{Cause, Notice};
use super::{Engine, Presence, group_id};
use crate::mutant::Mutant;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

/// How long an adopted active waits for its interface to be confirmed before it counts as faulty.
const ADOPTION: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn step_groups(&mut self, now: MonoTime, out: &mut Actions) {
        self.group_deadline = MonoTime::FOREVER;
        self.openable.forget();
        self.poll.wanted = false;
        for at in 0..self.groups.len() {
            self.groups[at].deadline = MonoTime::FOREVER;
            self.step(at, now, out);
            self.group_deadline = self.group_deadline.min(self.groups[at].deadline);
        }
        self.note_asking(now);
    }

    pub(super) fn step(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        self.note_seen(at, now);
        self.end_drain(at, now, out);
        self.note_hook(at, now, out);
        // A step may lead to the next (starting → standby → active); the table has no cycle without a wait.
        for _ in 0..3 {
            let before = self.groups[at].role;
            match before {
                Role::Starting => self.step_starting(at, now, out),
                Role::Standby => self.step_standby(at, now, out),
                Role::Active => self.step_active(at, now, out),
                Role::Handover => self.step_handover(at, now, out),
                Role::Fault => self.step_fault(at, now, out),
                Role::Paused => self.step_paused(at, now, out),
                // A witness has no engine: no group of ours ever has this role.
                Role::Witness => {}
            }
            if self.groups[at].role == before {
                break;
            }
        }
        self.announce(at, now, out);
        self.reserve(at);
    }

    /// Learns epochs from the peers' rows; damaged state counts as mended once every peer has told its own.
    fn note_seen(&mut self, at: usize, now: MonoTime) {
        let id = group_id(at);
        let mut told = true;
        let learns = !self.is_mutant(Mutant::EpochsNotLearned);
        for peer in &self.peers[self.node_peers()] {
            told &= peer.is_complete();
            if let Some(row) = peer.row(id).filter(|_| learns) {
                let group = &mut self.groups[at];
                if group.consent > group.seen && row.epoch > group.seen {
                    self.openable.forget();
                }
                group.seen = group.seen.max(row.epoch);
            }
        }
        if self.setup.votes.is_some() {
            self.note_bar(at, now);
        }
        if self.groups[at].state_damaged && told {
            self.groups[at].state_damaged = false;
            self.reserve(at);
        }
    }

    fn end_drain(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        let group = &mut self.groups[at];
        match group.drain_until {
            Some(until) if now >= until => {
                group.drain_until = None;
                out.push(Action::Gate(GateAction::Close { group: group_id(at), carry_until: MonoTime::ZERO }));
            }
            Some(until) => group.deadline = group.deadline.min(until),
            None => {}
        }
    }

    fn step_starting(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        self.consider_consent(at, now);
        let group = &self.groups[at];
        let interface = &self.interfaces[usize::from(group.interface.0)];
        let heard = |peer: &super::Peer| peer.heard.is_some() && (peer.is_complete() || peer.left);
        // With witnesses it abstains first: whatever a former life of it promised must be over.
        let told = self.peers[self.node_peers()].iter().all(heard) && now >= group.ballot.from;
        let over = group.since.max(interface.serviceable).max(self.resumed) + self.setup.timing.listen;
        let over = over.max(group.ballot.from);
        // One that is about to be ready is waited for by a node that is not preferred; so it goes on starting until then.
        let able = interface.facts.is_serviceable() && group.installed && group.has_reserve();
        let paused = group.paused && !self.is_mutant(Mutant::PausedOpens);
        if (told && able) || now >= over || self.is_mutant(Mutant::NoListening) {
            let role = if paused { Role::Paused } else { Role::Standby };
            self.set_role(at, role, Cause::Heard, now, out);
        } else {
            let next = if now < self.groups[at].ballot.from { self.groups[at].ballot.from } else { over };
            self.groups[at].deadline = self.groups[at].deadline.min(next);
        }
    }

    fn step_standby(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        if self.groups[at].paused && !self.is_mutant(Mutant::PausedOpens) {
            self.set_role(at, Role::Paused, Cause::Pause, now, out);
            return;
        }
        if !self.is_serviceable(self.groups[at].interface) {
            self.set_role(at, Role::Fault, Cause::Interface, now, out);
            return;
        }
        self.note_free(at, now);
        self.note_ready(at, now);
        self.consider_consent(at, now);
        self.consider_opening(at, now, out);
    }

    fn step_fault(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        self.groups[at].ready = None;
        self.consider_consent(at, now);
        if self.groups[at].paused {
            self.set_role(at, Role::Paused, Cause::Pause, now, out);
        } else if self.is_serviceable(self.groups[at].interface) {
            self.set_role(at, Role::Standby, Cause::Mended, now, out);
        }
    }

    fn step_paused(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        self.groups[at].ready = None;
        self.consider_consent(at, now);
        if !self.groups[at].paused {
            self.set_role(at, Role::Standby, Cause::Pause, now, out);
        }
    }

    fn step_active(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        if self.must_yield(at, now, out) {
            return;
        }
        if let Some((peer, cause)) = self.wanted_by(at, now) {
            self.offer(at, peer, cause, now, out);
        }
    }

    fn step_handover(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        if self.must_yield(at, now, out) {
            return;
        }
        let Some(offer) = self.groups[at].offer else {
            self.set_role(at, Role::Active, Cause::Operator, now, out);
            return;
        };
        let row = self.peers[offer.peer].row(group_id(at)).copied();
        let heard = self.presence(offer.peer, now) == Presence::Heard;
        if heard && row.is_some_and(|row| row.claim == offer.epoch) {
            if self.is_mutant(Mutant::ConsentWhileOpen) {
                return self.consent(at, offer.epoch, now);
            }
            match self.is_released(at, now, out) {
                // It was of use: nothing is to be told of it.
                Some(true) => self.groups[at].service.hook = None,
                Some(false) => {
                    self.groups[at].offer = None;
                    return self.set_role(at, Role::Active, Cause::Operator, now, out);
                }
                None => return,
            }
            let drain =
                if self.is_mutant(Mutant::DrainForgotten) { Duration::ZERO } else { self.setup.groups[at].drain };
            let until = now + drain;
            self.close(at, until, Cause::Handover, now, out);
            self.consent(at, offer.epoch, now);
            return;
        }
        let ready = row.is_some_and(|row| row.reserve == offer.epoch && self.may_take(at, &row));
        if !heard || !ready || now >= offer.until {
            self.groups[at].offer = None;
            self.set_role(at, Role::Active, Cause::Operator, now, out);
        } else {
            self.groups[at].deadline = self.groups[at].deadline.min(offer.until);
        }
    }

    /// Everything that makes an active close at once. True if it did.
    fn must_yield(&mut self, at: usize, now: MonoTime, out: &mut Actions) -> bool {
        let id = group_id(at);
        let interface = &self.interfaces[usize::from(self.groups[at].interface.0)];
        if !interface.facts.is_serviceable() && !self.is_mutant(Mutant::CarrierLossIgnored) {
            // A gate that was adopted and is gone is closed, whatever is confirmed or not.
            let confirmed = interface.serviceable != MonoTime::ZERO || interface.generation == 0;
            let grace = self.groups[at].since + ADOPTION;
            if confirmed || now >= grace {
                self.release(at, Cause::Interface, now, out);
                return true;
            }
            self.groups[at].deadline = self.groups[at].deadline.min(grace);
        }
        if self.lags(at, now) {
            self.close(at, MonoTime::ZERO, Cause::NoMajority, now, out);
            return true;
        }
        let epoch = self.groups[at].epoch;
        for peer in self.node_peers() {
            if !matches!(self.presence(peer, now), Presence::Heard | Presence::Suspicious) {
                continue;
            }
            let Some(row) = self.peers[peer].row(id).copied() else { continue };
            let active = row.role.is_open();
            if active && self.is_outranked(epoch, row.epoch) {
                let peer = self.peers[peer].id;
                self.close(at, MonoTime::ZERO, Cause::HigherEpoch, now, out);
                out.notice(Notice::Conflict { group: id, peer, epoch: row.epoch, won: false });
                return true;
            }
            if active && self.groups[at].contested.is_none() {
                let peer = self.peers[peer].id;
                self.groups[at].contested = Some(now);
                self.announce_anew(at, now);
                out.notice(Notice::Conflict { group: id, peer, epoch: row.epoch, won: true });
            } else if !active && self.groups[at].contested.is_some() {
                // The loser has closed: tell the segment again who is left.
                self.groups[at].contested = None;
                self.announce_anew(at, now);
            }
            if active && self.is_hopeless(at, peer, now) {
                self.close(at, MonoTime::ZERO, Cause::Unheard, now, out);
                let peer = self.peers[peer].id;
                out.notice(Notice::Conflict { group: id, peer, epoch: row.epoch, won: false });
                return true;
            }
            // Where votes decide, it cannot open while we are.
            let heeded = !self.is_mutant(Mutant::DeafClaimIgnored) && !self.votes_decide();
            let claims = row.claim != Epoch::NONE && row.claim.node() == self.peers[peer].id;
            if heeded && self.peers[peer].deaf && !active && claims {
                // It cannot hear us and is about to open: one of us must close first, and only we know of both. It may
                // know so little of us that its epoch is below ours; then it gets no consent.
                self.close(at, MonoTime::ZERO, Cause::Unheard, now, out);
                if row.claim > epoch {
                    self.consent(at, row.claim, now);
                }
                return true;
            }
        }
        if self.groups[at].seen > epoch && !self.is_stubborn() {
            // Somebody was active after us and is no more: what we hold is out of date (S2).
            self.close(at, MonoTime::ZERO, Cause::HigherEpoch, now, out);
            return true;
        }
        false
    }

    fn offer(&mut self, at: usize, peer: usize, cause: Cause, now: MonoTime, out: &mut Actions) {
        let Some(row) = self.peers[peer].row(group_id(at)) else { return };
        let epoch = row.reserve;
        let until = now + self.setup.timing.patience.offer;
        self.groups[at].offer = Some(Offer { peer, epoch, until });
        self.set_role(at, Role::Handover, cause, now, out);
    }

    /// Closes because this node cannot serve, and lets a ready peer open without asking first.
    pub(super) fn release(&mut self, at: usize, cause: Cause, now: MonoTime, out: &mut Actions) {
        self.close(at, MonoTime::ZERO, cause, now, out);
        let id = group_id(at);
        let epoch = self.groups[at].promised();
        let silent = self.is_mutant(Mutant::ReleaseWithoutHeir);
        // One whose service does not answer is better than none.
        let able = |row: &&Row| matches!(row.reason, Reason::None | Reason::Unhealthy) && row.reserve > epoch;
        let heirs = self.peers[self.node_peers()].iter().filter_map(|peer| peer.row(id)).filter(able);
        if let Some(heir) = heirs.min_by_key(|row| row.health).filter(|_| !silent).map(|row| row.reserve) {
            self.consent(at, heir, now);
        }
    }

    /// Closes the gate, whatever the reason; the one way out of an open role.
    pub(super) fn close(&mut self, at: usize, carry_until: MonoTime, cause: Cause, now: MonoTime, out: &mut Actions) {
        out.push(Action::Gate(GateAction::Close { group: group_id(at), carry_until }));
        let group = &mut self.groups[at];
        group.offer = None;
        group.epoch = Epoch::NONE;
        group.contested = None;
        group.drain_until = (carry_until > now).then_some(carry_until);
        group.free = Some(now);
        group.announce_at = MonoTime::FOREVER;
        let role = match cause {
            Cause::Interface => Role::Fault,
            Cause::Adopted | Cause::Heard | Cause::Free | Cause::Silence | Cause::Handover | Cause::Operator => {
                Role::Standby
            }
            Cause::Mended
            | Cause::Lapsed
            | Cause::NoMajority
            | Cause::HigherEpoch
            | Cause::Unheard
            | Cause::Stopping
            | Cause::Pause
            | Cause::Health
            | Cause::Removed => Role::Standby,
        };
        self.set_role(at, role, cause, now, out);
        self.dirty = true;
    }

    pub(super) fn set_role(&mut self, at: usize, role: Role, cause: Cause, now: MonoTime, out: &mut Actions) {
        let nodes = self.peers[self.node_peers()].iter();
        let silence = nodes.map(|peer| peer.silence(self.resumed, now)).max().unwrap_or_default();
        let group = &mut self.groups[at];
        let from = std::mem::replace(&mut group.role, role);
        if from == role {
            return;
        }
        group.since = now;
        group.cause = cause;
        group.ready = None;
        // Only a standby claims: a claim left behind would keep this node from consenting to any other.
        group.claim = Epoch::NONE;
        group.claimed = None;
        let epoch = if group.is_open() { group.epoch } else { group.seen };
        let silence = if cause == Cause::Silence { silence } else { Duration::ZERO };
        out.notice(Notice::Role { group: group_id(at), from, to: role, epoch, cause, silence });
    }
}
