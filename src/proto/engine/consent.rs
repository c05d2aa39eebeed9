//! Consents: what this node agrees to, and with witnesses what it votes for.
//!
//! In a bare pair a consent says that our gate is closed and that we open only with a higher epoch. With witnesses it is a
//! vote as well, and a *promise* not to vote for anybody else, ourselves included, before the lease that the other
//! counts from its own sending is over on our clock (S5). A standby votes for an active as for a claimant.
//!
//! Owns: when a node consents, how long it is bound, and when it may vote for itself. Never does: open, or count votes
//! (`vote`). A promise is not durable: a node that was restarted abstains until whatever it promised is over.

use super::{Engine, Presence, group_id};
use crate::mutant::Mutant;
use crate::rules::vote::{Ask, ask, gives_up};
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

/// A promise, running or over.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Promise {
    /// The position of the peer it was made to.
    pub peer: usize,
    pub epoch: Epoch,
    /// It is renewed no more, and ends then. `None` while the peer goes on asking: then it ends with
    /// [`Peer::promised`](super::Peer).
    pub ends: Option<MonoTime>,
}

impl Promise {
    /// It is renewed no more.
    pub fn freeze(&mut self, until: MonoTime) {
        self.ends.get_or_insert(until);
    }
}

impl Engine {
    /// Answers the claims of peers while this node is not active: consent, or silence.
    pub(super) fn consider_consent(&mut self, at: usize, now: MonoTime) {
        if self.is_blind(self.groups[at].interface, now) {
            // An earlier life's gate may be open: there is nothing to give away yet.
            return;
        }
        for peer in self.node_peers() {
            let presence = self.presence(peer, now);
            if !matches!(presence, Presence::Heard | Presence::Suspicious) {
                continue;
            }
            let Some(row) = self.peers[peer].row(group_id(at)).copied() else { continue };
            if self.setup.votes.is_some() && !self.may_grant(at, peer, &row, now) {
                continue;
            }
            if row.claim == Epoch::NONE || row.role == Role::Handover || row.claim.node() != self.peers[peer].id {
                continue;
            }
            let rival = self.groups[at].claim != Epoch::NONE && self.setup.me < self.peers[peer].id;
            let rival = rival && !self.is_mutant(Mutant::ConsentsCross);
            if rival && !self.peers[peer].deaf {
                // Both claim: the lower number goes first, whatever either configuration prefers.
                continue;
            }
            if self.is_outdated_claim(at, row.claim) {
                continue;
            }
            let again = self.setup.votes.is_some() && row.claim == self.groups[at].consent;
            let granted = again && self.is_live(at, row.claim);
            let higher = row.claim > self.groups[at].promised() || self.is_mutant(Mutant::LowEpochConsented);
            if (higher || again && row.claim > self.groups[at].seen) && !granted {
                self.consent(at, row.claim, now);
            }
        }
    }

    /// True if this node may vote for what a peer's row claims. What it holds is voted for here and now.
    fn may_grant(&mut self, at: usize, peer: usize, row: &Row, now: MonoTime) -> bool {
        let id = self.peers[peer].id;
        let stated = self.peers[peer].config.map_or(0, |config| config.lease_us);
        if !self.is_lease_known(Duration::from_micros(u64::from(stated))) {
            return false;
        }
        let ballot = &self.groups[at].ballot;
        let promised = ballot.promise.filter(|promise| promise.peer != peer && self.end_of(promise) > now);
        if now < ballot.from || promised.is_some() {
            return false;
        }
        // A claimant that does not hear us cannot count our vote, and must not bind it: somebody else may need it.
        let useless = self.votes_decide() && self.peers[peer].deaf;
        match ask(id, row) {
            Some(Ask::Claims(_)) if useless => {
                let until = self.peers[peer].promised;
                if let Some(promise) = self.groups[at].ballot.promise.as_mut() {
                    promise.freeze(until);
                }
                false
            }
            Some(Ask::Claims(_)) => true,
            Some(Ask::Holds(epoch)) => {
                // Who holds less than was seen is about to find out.
                if epoch >= self.groups[at].seen && !self.is_live(at, epoch) {
                    self.groups[at].consent = epoch;
                    self.openable.forget();
                    self.promise(at, peer, epoch);
                    self.reserve(at);
                }
                false
            }
            None => false,
        }
    }

    /// True while what was promised for `epoch` is renewed by every pulse of the peer that asks.
    fn is_live(&self, at: usize, epoch: Epoch) -> bool {
        let promise = self.groups[at].ballot.promise;
        promise.is_some_and(|promise| promise.epoch == epoch && promise.ends.is_none())
    }

    /// When a promise is over.
    pub(super) fn end_of(&self, promise: &Promise) -> MonoTime {
        promise.ends.unwrap_or(self.peers[promise.peer].promised)
    }

    /// When what is promised to others is over; ZERO if nothing is.
    pub(super) fn bound_until(&self, at: usize) -> MonoTime {
        self.groups[at].ballot.promise.map_or(MonoTime::ZERO, |promise| self.end_of(&promise))
    }

    /// True if this node may vote for itself.
    pub(super) fn may_vote_for_itself(&self, at: usize, now: MonoTime) -> bool {
        let bound = self.bound_until(at);
        now >= self.groups[at].ballot.from && (now >= bound || self.is_mutant(Mutant::OwnVotePromised))
    }

    fn promise(&mut self, at: usize, peer: usize, epoch: Epoch) {
        let known = &self.peers[peer];
        let asked = known.row(group_id(at)).and_then(|row| ask(known.id, row));
        let asks = asked.is_some_and(|asked| asked.epoch() == epoch);
        let ends = (!asks).then_some(known.promised);
        self.groups[at].ballot.promise = Some(Promise { peer, epoch, ends });
    }

    /// This node votes for itself: it has no consent any more, and opens only above what it consented to.
    pub(super) fn vote_for_itself(&mut self, at: usize) {
        self.forget_openable(at);
        let group = &mut self.groups[at];
        group.seen = group.seen.max(group.consent);
        group.consent = Epoch::NONE;
        group.ballot.promise = None;
    }

    /// What of our consent is told: with witnesses only a vote that every pulse renews.
    pub(super) fn told_consent(&self, at: usize) -> Epoch {
        let consent = self.groups[at].consent;
        if self.setup.votes.is_none() || self.is_live(at, consent) { consent } else { Epoch::NONE }
    }

    /// A peer says something new about a group: its promise may end, or be renewed no more.
    pub(super) fn note_row(&mut self, at: usize, peer: usize, row: &Row) {
        let (id, until) = (self.peers[peer].id, self.peers[peer].promised);
        let ballot = &mut self.groups[at].ballot;
        let Some(promise) = ballot.promise.as_mut().filter(|promise| promise.peer == peer) else { return };
        if gives_up(id, row, promise.epoch) {
            ballot.promise = None;
        } else if ask(id, row).is_none_or(|asked| asked.epoch() != promise.epoch) {
            promise.freeze(until);
        }
    }

    /// Nothing that a peer was promised is renewed any more, and whatever it is told from now on grants nothing: what our
    /// rows said until now must not be in the answer to what it has just sent.
    pub(super) fn freeze_promises(&mut self, peer: usize) {
        if self.setup.votes.is_none() {
            return;
        }
        let until = self.peers[peer].promised;
        let promises = self.groups.iter_mut().filter_map(|group| group.ballot.promise.as_mut());
        promises.filter(|promise| promise.peer == peer).for_each(|promise| promise.freeze(until));
        self.publish_rows();
    }

    /// True if our former life may have been active with a higher epoch than somebody claims. Told of it, the claimant
    /// reserves a higher one. Not told before: an active with a lower epoch would close at every restart of its standby.
    fn is_outdated_claim(&mut self, at: usize, claim: Epoch) -> bool {
        let outdated = claim < self.groups[at].held && !self.is_mutant(Mutant::LowEpochConsented);
        if outdated {
            self.forget_openable(at);
            let group = &mut self.groups[at];
            group.seen = group.seen.max(group.held);
            self.reserve(at);
        }
        outdated
    }

    /// Gives the right of way to `epoch`: this node claims nothing until the other had time to open.
    pub(super) fn consent(&mut self, at: usize, epoch: Epoch, now: MonoTime) {
        let hold = self.setup.timing.patience.hold;
        self.openable.forget();
        let group = &mut self.groups[at];
        group.consent = epoch;
        group.claim = Epoch::NONE;
        group.claimed = None;
        group.hold = now + hold;
        if self.setup.votes.is_some()
            && let Some(peer) = self.peer_at(epoch.node())
        {
            self.promise(at, peer, epoch);
        }
        self.reserve(at);
    }
}
