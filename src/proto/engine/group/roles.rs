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
//! | active | standby | a higher epoch, an unheard claimant, a lapsed lease, no majority, our number elsewhere |
//! | active | fault | the interface cannot serve |
//! | handover | standby | the peer accepted: answers end, traffic is carried for the drain time |
//! | handover | active | the peer did not accept in time |
//! | fault | standby | mended |
//! | paused | standby | resumed |

use super::open::Claim;
use super::{Group, Offer};
use crate::engine::action::{Action, GateAction};
use crate::engine::around::{Around, Requests};
use crate::engine::notice::{Cause, Notice};
use crate::engine::peer::{Peer, PeerAt, Presence};
use crate::engine::timers::Timer;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::Role;
use std::time::Duration;

/// How long an adopted active waits for its interface to be confirmed before it counts as faulty.
const ADOPTION: Duration = Duration::from_secs(2);

impl Group {
    /// Does what is to be done next, and sets the timers of what is waited for.
    pub fn step(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        self.timers.clear();
        self.note_seen(around, requests);
        self.end_drain(around.now, requests);
        self.note_hook(around.now, requests);
        // A step may lead to the next (starting → standby → active); the table has no cycle without
        // a wait.
        for _ in 0..3 {
            let before = self.role;
            match before {
                Role::Starting => self.step_starting(around, requests),
                Role::Standby => self.step_standby(around, requests),
                Role::Active => self.step_active(around, requests),
                Role::Handover => self.step_handover(around, requests),
                Role::Fault => self.step_fault(around, requests),
                Role::Paused => self.step_paused(around, requests),
                // A witness has no engine: no group of ours ever has this role.
                Role::Witness => {}
            }
            if self.role == before {
                break;
            }
        }
        self.announce(around, requests);
        self.reserve(around.setup, requests);
    }

    /// Learns epochs from the peers' rows; damaged state counts as mended once every peer has told
    /// its own.
    fn note_seen(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        let nodes = around.peers.other_nodes();
        if around.rules.learns_epochs() {
            let told = nodes.iter().filter_map(|peer| peer.row(self.id)).map(|row| row.epoch);
            self.epochs.seen = told.fold(self.epochs.seen, Epoch::max);
        }
        if around.has_votes() {
            self.note_bar(around, requests);
        }
        self.note_forgotten(around, requests);
        if self.epochs.damaged && nodes.iter().all(Peer::is_complete) {
            self.epochs.damaged = false;
            self.reserve(around.setup, requests);
        }
    }

    /// Learns from the consent of a peer what this node has claimed in a life that its disk knows
    /// nothing of: the peer consents to nothing below that.
    fn note_forgotten(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        let known = [self.epochs.own, self.epochs.reserve];
        let rows = around.peers.other_nodes().iter().filter_map(|peer| peer.row(self.id));
        let given = rows.map(|row| row.consent).filter(|epoch| epoch.node() == around.setup.me);
        let highest = given.filter(|epoch| !known.contains(epoch)).max().unwrap_or(Epoch::NONE);
        if highest > self.unusable() {
            self.ballot.bar = highest;
            self.reserve(around.setup, requests);
        }
    }

    /// Ends the drain after a handover when its time is over; until then, sets its timer.
    fn end_drain(&mut self, now: MonoTime, requests: &mut Requests<'_>) {
        match self.drain_until {
            Some(until) if now >= until => self.end_drain_early(requests),
            Some(until) => self.timers.set(Timer::Drain, until),
            None => {}
        }
    }

    /// Starting: leaves for standby (or paused) when every other node has told its table and this
    /// one could serve, or when the listening time is over; never before abstention ends.
    fn step_starting(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        self.consider_consent(around, requests);
        let lease = &around.leases[self.interface];
        let heard = |peer: &Peer| peer.heard.is_some() && (peer.is_complete() || peer.left);
        // With witnesses the node abstains first, until every promise of its former life is over.
        let abstains = around.now < self.ballot.from;
        let told = around.peers.other_nodes().iter().all(heard) && !abstains;
        let over = self.since.max(lease.serviceable).max(around.turn.resumed) + around.timing().listen;
        let over = over.max(self.ballot.from);
        // Stay in starting until we could serve: a node that is not preferred waits for one that is
        // starting.
        let able = self.is_serviceable(lease) && self.has_reserve();
        if (told && able) || around.now >= over || !around.rules.listens_first() {
            let role = if around.rules.is_paused(self.paused) { Role::Paused } else { Role::Standby };
            self.set_role(role, Cause::Heard, around, requests);
        } else if abstains {
            self.timers.set(Timer::Abstention, self.ballot.from);
        } else {
            self.timers.set(Timer::Listening, over);
        }
    }

    /// Standby: leaves for paused or fault; otherwise consents to peers, and claims or opens.
    fn step_standby(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        if around.rules.is_paused(self.paused) {
            return self.set_role(Role::Paused, Cause::Pause, around, requests);
        }
        if !self.is_serviceable(&around.leases[self.interface]) {
            return self.set_role(Role::Fault, Cause::Interface, around, requests);
        }
        self.note_free(around);
        self.note_ready(around);
        self.consider_consent(around, requests);
        self.consider_opening(around, requests);
    }

    /// Fault: leaves for paused or standby; consents to peers meanwhile.
    fn step_fault(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        self.candidate.ready = None;
        self.consider_consent(around, requests);
        if self.paused {
            self.set_role(Role::Paused, Cause::Pause, around, requests);
        } else if self.is_serviceable(&around.leases[self.interface]) {
            self.set_role(Role::Standby, Cause::Mended, around, requests);
        }
    }

    /// Paused: leaves for standby when the pause ends; consents to peers meanwhile.
    fn step_paused(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        self.candidate.ready = None;
        self.consider_consent(around, requests);
        if !self.paused {
            self.set_role(Role::Standby, Cause::Pause, around, requests);
        }
    }

    /// Active: closes if it must; otherwise offers the group to a peer that should have it.
    fn step_active(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        if self.must_yield(around, requests) {
            return;
        }
        if let Some((peer, cause)) = self.wanted_by(around) {
            self.offer_to(peer, cause, around, requests);
        }
    }

    /// Handover: closes if it must; hands over once the peer claims; takes the offer back if the
    /// peer is silent, is not ready any more, or lets the offer's time pass. A pulse that is late
    /// takes nothing back: meanwhile this node answers, and its hook may run.
    fn step_handover(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        if self.must_yield(around, requests) {
            return;
        }
        let Some(offer) = self.offer else {
            return self.set_role(Role::Active, Cause::Operator, around, requests);
        };
        let row = around.peers[offer.peer].row(self.id);
        let heard = around.presence(offer.peer) == Presence::Heard;
        if heard && row.is_some_and(|row| row.claim == offer.epoch) {
            return self.hand_over(offer, around, requests);
        }
        let ready = row.is_some_and(|row| row.reserve == offer.epoch && self.may_take(row, around));
        if !around.is_speaking(offer.peer) || !ready || around.now >= offer.until {
            self.keep(around, requests);
        } else {
            self.timers.set(Timer::Offer, offer.until);
        }
    }

    /// Lets the peer that has taken our offer open, once our hooks have ended: closes, and
    /// consents.
    fn hand_over(&mut self, offer: Offer, around: Around<'_>, requests: &mut Requests<'_>) {
        if !around.rules.closes_before_consent() {
            return self.give_consent(offer.epoch, around, requests);
        }
        match self.is_released(around, requests) {
            // The hook did what it was run for, so people are told nothing of it.
            Some(true) => self.service.hook = None,
            Some(false) => return self.keep(around, requests),
            None => return,
        }
        if matches!(self.cause, Cause::Health | Cause::Lacks) {
            self.note_move_for_health(around, requests);
        }
        let until = around.now + around.rules.drain(around.policy(self.id).drain);
        self.close(until, Cause::Handover, around, requests);
        self.give_consent(offer.epoch, around, requests);
    }

    /// Counts a move for the group's health, and tells people when the fault seems to follow it.
    fn note_move_for_health(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        if let Some(pause) = self.service.unrest.note_move(&around.timing().patience, around.now) {
            requests.notice(Notice::Unrest { group: self.id, pause });
        }
    }

    /// Keeps a group that was offered.
    fn keep(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        self.offer = None;
        self.set_role(Role::Active, Cause::Operator, around, requests);
    }

    /// Closes at once if an active must: its interface cannot serve, its majority is lost, a higher
    /// epoch is in use, or a deaf peer is active or about to be. True if it closed.
    fn must_yield(&mut self, around: Around<'_>, requests: &mut Requests<'_>) -> bool {
        let lease = &around.leases[self.interface];
        if !self.is_serviceable(lease) && around.rules.closes_without_carrier() {
            // An adopted gate has a grace until its interface and the group's addresses are
            // confirmed; without a gate there is nothing to wait for.
            let known = lease.serviceable != MonoTime::ZERO
                && (!lease.facts.is_serviceable() || self.addresses.there.is_some());
            let confirmed = known || lease.facts.enslaved || !lease.has_begun();
            let grace = self.since + ADOPTION;
            if confirmed || around.now >= grace {
                self.release(Cause::Interface, around, requests);
                return true;
            }
            self.timers.set(Timer::Adoption, grace);
        }
        if self.has_lost_majority(around) {
            self.close(MonoTime::ZERO, Cause::NoMajority, around, requests);
            return true;
        }
        if around.doubled.wins {
            self.close(MonoTime::ZERO, Cause::SameNumber, around, requests);
            return true;
        }
        let own = self.epochs.own;
        for peer in around.peers.nodes().filter(|peer| around.is_speaking(*peer)) {
            if let Some(row) = around.word_on(peer, self.id)
                && self.yield_to(peer, &row, around, requests)
            {
                return true;
            }
        }
        if self.epochs.seen > own && around.rules.closes_when_out_of_date() {
            // Another node was active after us and is no more: our epoch is out of date (S2).
            self.close(MonoTime::ZERO, Cause::HigherEpoch, around, requests);
            return true;
        }
        false
    }

    /// Offers the group to a peer by naming the peer's reserve in our row: the handover begins.
    fn offer_to(&mut self, peer: PeerAt, cause: Cause, around: Around<'_>, requests: &mut Requests<'_>) {
        let Some(row) = around.peers[peer].row(self.id) else { return };
        let until = around.now + around.timing().patience.offer;
        self.offer = Some(Offer { peer, epoch: row.reserve, until });
        self.set_role(Role::Handover, cause, around, requests);
    }

    /// Closes the gate, whatever the reason; the one way out of an open role.
    pub fn close(&mut self, carry_until: MonoTime, cause: Cause, around: Around<'_>, requests: &mut Requests<'_>) {
        requests.push(Action::Gate(GateAction::Close { group: self.id, carry_until }));
        self.offer = None;
        self.epochs.own = Epoch::NONE;
        self.contested = None;
        self.drain_until = (carry_until > around.now).then_some(carry_until);
        self.candidate.free = Some(around.now);
        self.announcing.end();
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
            | Cause::Lacks
            | Cause::SameNumber
            | Cause::Removed => Role::Standby,
        };
        self.set_role(role, cause, around, requests);
        requests.wishes.look_again = true;
    }

    /// Changes the role and says so, unless it is the same.
    pub fn set_role(&mut self, role: Role, cause: Cause, around: Around<'_>, requests: &mut Requests<'_>) {
        let from = std::mem::replace(&mut self.role, role);
        if from == role {
            return;
        }
        self.since = around.now;
        self.cause = cause;
        self.candidate.ready = None;
        // Only a standby claims: a claim left behind would keep this node from consenting to any
        // other.
        self.claim = Claim::NONE;
        let epoch = self.epochs.told(self.is_open());
        let nodes = around.peers.other_nodes().iter().filter(|_| cause == Cause::Silence);
        let silence = nodes.map(|peer| peer.silence(around.turn, around.now)).max().unwrap_or_default();
        requests.notice(Notice::Role { group: self.id, from, to: role, epoch, cause, silence });
    }
}
