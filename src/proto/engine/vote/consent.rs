//! Consents: what this node agrees to, and with witnesses what it votes for.
//!
//! In a bare pair a consent says that our gate is closed and that we open only with a higher epoch.
//! With witnesses it is a vote as well, and a *promise* not to vote for anybody else, ourselves
//! included, before the lease that the other counts from its own sending is over on our clock (S5).
//! A standby votes for an active as for a claimant.
//!
//! Owns: when a node consents, how long it is bound, and when it may vote for itself. Never does:
//! open, or count votes (`count`). A promise is not durable: a node that was restarted abstains
//! until whatever it promised is over.

use super::Promise;
use crate::engine::around::{Around, Requests};
use crate::engine::group::{Claim, Group};
use crate::engine::peer::PeerAt;
use crate::rules::vote::{Ask, ask, gives_up};
use crate::types::{Epoch, MonoTime, NodeId};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

impl Group {
    /// Answers the claims of peers while this node is not active: consent, or silence.
    pub fn consider_consent(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        if around.leases.is_blind(self.interface, around.rules, around.now) {
            // A gate of a former life may be open, so no consent may say that ours is closed.
            return;
        }
        for peer in around.peers.nodes().filter(|peer| around.is_speaking(*peer)) {
            let id = around.peers[peer].id;
            let Some(row) = around.peers[peer].row(self.id).copied() else { continue };
            if around.has_votes() && !self.may_grant(peer, &row, around, requests) {
                continue;
            }
            if row.claim == Epoch::NONE || row.role == Role::Handover || row.claim.node() != id {
                continue;
            }
            let rival = self.claim.epoch != Epoch::NONE && around.setup.me < id;
            if rival && around.rules.crossing_claims_are_ordered() && !around.peers[peer].deaf {
                // Both claim: the lower number goes first, whatever either configuration prefers.
                continue;
            }
            if self.is_outdated_claim(row.claim, around, requests) {
                continue;
            }
            let again = around.has_votes() && row.claim == self.consent;
            let granted = again && self.ballot.is_live(row.claim);
            let higher = around.rules.is_above(row.claim, self.promised());
            if (higher || again && row.claim > self.epochs.seen) && !granted {
                self.give_consent(row.claim, around, requests);
            }
        }
    }

    /// True if this node may vote for what a peer's row claims. If the row says that the peer is
    /// active, this node votes for it here and the result is false: there is no claim to answer.
    fn may_grant(&mut self, peer: PeerAt, row: &Row, around: Around<'_>, requests: &mut Requests<'_>) -> bool {
        let claimant = &around.peers[peer];
        let stated = Duration::from_micros(u64::from(claimant.lease_us()));
        if !around.leases.former.is_lease_known(stated, around.timing()) {
            return false;
        }
        let elsewhere = |promise: &&Promise| promise.peer != peer && promise.end(around.peers) > around.now;
        if around.now < self.ballot.from || self.ballot.promise.as_ref().filter(elsewhere).is_some() {
            return false;
        }
        // A claimant that does not hear us cannot count our vote, and must not bind it: somebody
        // else may need it.
        let useless = around.votes_decide() && claimant.deaf;
        match ask(claimant.id, row) {
            Some(Ask::Claims(_)) if useless => {
                if let Some(promise) = self.ballot.promise.as_mut() {
                    promise.freeze(claimant.promised);
                }
                false
            }
            Some(Ask::Claims(_)) => true,
            Some(Ask::Holds(epoch)) => {
                // A peer active with a lower epoch than was seen gets no vote: it is about to
                // close.
                if epoch >= self.epochs.seen && !self.ballot.is_live(epoch) {
                    self.epochs.pledged = self.epochs.pledged.max(self.consent);
                    self.consent = epoch;
                    self.promise(peer, epoch, around);
                    self.reserve(around.setup, requests);
                }
                false
            }
            None => false,
        }
    }

    /// True if this node may vote for itself.
    pub fn may_vote_for_itself(&self, around: Around<'_>) -> bool {
        let bound = self.ballot.bound_until(around.peers);
        around.now >= self.ballot.from && around.rules.is_unbound(bound, around.now)
    }

    /// Promises our vote to a peer for `epoch`; renewed only while the peer's row asks for that
    /// epoch.
    fn promise(&mut self, peer: PeerAt, epoch: Epoch, around: Around<'_>) {
        let known = &around.peers[peer];
        let asked = known.row(self.id).and_then(|row| ask(known.id, row));
        let asks = asked.is_some_and(|asked| asked.epoch() == epoch);
        let ends = (!asks).then_some(known.promised);
        self.ballot.promise = Some(Promise { peer, epoch, ends });
    }

    /// Votes for this node itself: it has no consent any more, and opens only above what it
    /// consented to.
    pub fn vote_for_itself(&mut self) {
        self.epochs.seen = self.epochs.seen.max(self.consent);
        self.consent = Epoch::NONE;
        self.ballot.promise = None;
    }

    /// The consent that our row tells: with witnesses only a vote that is still renewed.
    pub fn told_consent(&self, has_votes: bool) -> Epoch {
        if !has_votes || self.ballot.is_live(self.consent) { self.consent } else { Epoch::NONE }
    }

    /// Notes what a peer says anew about the group: its promise may end, or be renewed no more.
    /// `until`: the end of what the peer was promised.
    pub fn note_row(&mut self, (peer, id): (PeerAt, NodeId), row: &Row, until: MonoTime) {
        let Some(promise) = self.ballot.promise.as_mut().filter(|promise| promise.peer == peer) else { return };
        if gives_up(id, row, promise.epoch) {
            self.ballot.promise = None;
        } else if ask(id, row).is_none_or(|asked| asked.epoch() != promise.epoch) {
            promise.freeze(until);
        }
    }

    /// True if our former life may have been active with a higher epoch than somebody claims. Told
    /// of it, the claimant reserves a higher one. Not told before: an active with a lower epoch
    /// would close at every restart of its standby.
    fn is_outdated_claim(&mut self, claim: Epoch, around: Around<'_>, requests: &mut Requests<'_>) -> bool {
        let outdated = around.rules.is_below(claim, self.epochs.held);
        if outdated {
            self.epochs.seen = self.epochs.seen.max(self.epochs.held);
            self.reserve(around.setup, requests);
        }
        outdated
    }

    /// Gives the right of way to `epoch`: this node claims nothing until the other had time to
    /// open.
    pub fn give_consent(&mut self, epoch: Epoch, around: Around<'_>, requests: &mut Requests<'_>) {
        self.consent = epoch;
        self.claim = Claim::NONE;
        self.candidate.hold = around.now + around.timing().patience.hold;
        if around.has_votes()
            && let Some(peer) = around.peers.find(epoch.node())
        {
            self.promise(peer, epoch, around);
        }
        self.reserve(around.setup, requests);
    }
}
