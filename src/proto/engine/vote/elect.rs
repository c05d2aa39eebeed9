//! Standing for election: when a node may claim a group, and when a majority has elected it.
//!
//! Votes take the place of the evidence of a bare pair (`evidence`): a majority's votes prove that
//! no gate but ours is open, whatever we hear. What is left to judge here is who should try, so
//! that nothing moves without need: the active's own word, its silence, the witness's word
//! (`promote`), the right of way, and whether our own segment is alive.
//!
//! Owns: claims while votes decide. Never does: count votes (`count`) or give them (`consent`).
//! Without a majority a claim stays out, and nothing opens.

use crate::engine::around::{Around, Requests};
use crate::engine::group::{Group, Permit, consent_cause};
use crate::engine::notice::{Cause, Notice};
use crate::engine::peer::{PeerAt, Presence};
use crate::engine::timers::Timer;
use crate::rules::vote::promise;
use crate::timing::Promote;
use crate::types::{Epoch, GroupId, MonoTime};
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

/// Time in which a fault does not bring a group back to the node that gave it away.
const RETURN: Duration = Duration::from_secs(60);

impl Group {
    /// Whether the group is to be claimed, or opened with the votes that it has.
    pub fn permit_by_votes(&mut self, around: Around<'_>, requests: &mut Requests<'_>) -> Permit {
        let mut cause = Cause::Free;
        let mut offered = false;
        for peer in around.peers.nodes() {
            let Some(why) = self.way_is_free(peer, around, requests) else { return Permit::No };
            // Who has just let go for us waits for nobody else.
            let ours = |row: &Row| row.role == Role::Handover || row.consent == self.epochs.reserve;
            offered |= around.peers[peer].row(self.id).is_some_and(ours);
            if cause == Cause::Free {
                cause = why;
            }
        }
        if around.now < self.ballot.yields && !offered {
            self.timers.set(Timer::Yield, self.ballot.yields);
            return Permit::No;
        }
        if !self.may_vote_for_itself(around) {
            self.timers.set(Timer::Vote, self.ballot.bound_until(around.peers).max(self.ballot.from));
            // The active closes when it sees that its offer is taken; until then our vote is its
            // own.
            return if offered { Permit::Claim } else { Permit::No };
        }
        let reserve = self.epochs.reserve;
        let claimed = self.claim.epoch == reserve && self.ballot.asks == reserve;
        // A deadline before the next pulse could not be renewed in time.
        let votes = || self.votes_until(around.setup, around.turn, around.peers);
        let elected = claimed && votes() > around.now + around.timing().pulse;
        if elected { Permit::Open(cause) } else { Permit::Claim }
    }

    /// Why a peer does not stand in the way of our claim; `None` if it does.
    fn way_is_free(&mut self, peer: PeerAt, around: Around<'_>, requests: &mut Requests<'_>) -> Option<Cause> {
        match around.presence(peer) {
            Presence::Left if around.has_left_lately(peer) => Some(Cause::Handover),
            Presence::Left | Presence::Unknown | Presence::Silent => self.is_gone(peer, around, requests),
            Presence::Heard => self.is_willing(peer, around),
            Presence::Suspicious => self.is_willing(peer, around).or_else(|| self.is_gone(peer, around, requests)),
        }
    }

    /// Why a peer that is heard lets us claim, by what it says; `None` if it does not.
    fn is_willing(&self, peer: PeerAt, around: Around<'_>) -> Option<Cause> {
        let reserve = self.epochs.reserve;
        if around.is_elsewhere(peer, self.id) {
            return None;
        }
        let Some(row) = around.peers[peer].row(self.id) else {
            return around.peers[peer].is_complete().then_some(Cause::Free);
        };
        match row.role {
            Role::Active | Role::Witness => None,
            Role::Handover => (row.claim == reserve).then_some(Cause::Handover),
            Role::Starting | Role::Standby | Role::Fault | Role::Paused if row.consent == reserve => {
                Some(consent_cause(row.reason))
            }
            Role::Starting | Role::Standby | Role::Fault | Role::Paused => {
                let waits = row.epoch >= reserve || self.waits_for(peer, row, around);
                (!waits).then_some(Cause::Free)
            }
        }
    }

    /// What the silence of a peer allows: what it was granted last is over, and the other
    /// conditions of a claim hold.
    fn is_gone(&mut self, peer: PeerAt, around: Around<'_>, requests: &mut Requests<'_>) -> Option<Cause> {
        let timing = around.timing();
        let known = &around.peers[peer];
        let start = around.leases[self.interface].serviceable.max(known.last_heard(around.turn));
        let bound = match known.heard {
            Some(_) => timing.promise.max(promise(known.lease_us(), timing.drift_ppm)),
            None => timing.listen,
        };
        let over = (start + bound).max(known.promised);
        if around.now < over {
            self.timers.set(Timer::Grant, over);
            return None;
        }
        // Once we claim, the witnesses' word is not asked for: a witness that has granted our claim
        // speaks of us.
        let claimed = self.claim.epoch != Epoch::NONE;
        let promote = around.policy(self.id).promote;
        if promote != Promote::Peer && !claimed && !around.is_nobody_active(self.id) {
            requests.wishes.word_of_witnesses = true;
            return None;
        }
        self.is_connected(peer, start, around, requests).then_some(Cause::Silence)
    }

    /// True if somebody but the peer is heard on our own segment: an address that nobody can reach
    /// is of no use. Asks for the segment's isolation to be noted.
    fn is_connected(&self, peer: PeerAt, start: MonoTime, around: Around<'_>, requests: &mut Requests<'_>) -> bool {
        let isolation = around.rules.isolation(around.timing().patience.isolation);
        let segment = &around.evidence[self.interface];
        let Some(watch) = around.evidence.watch(peer) else { return false };
        // Once a claim is out neighbours are asked more rarely.
        let window = watch.window().max(around.timing().patience.slowest * 3);
        let heard = watch.hears(segment, start, window, around.now) || !around.rules.needs_living_segment();
        let alive = heard || around.now.since(start) >= isolation;
        if !alive && !segment.is_unheard(watch.interval * 2, window, around.now) {
            requests.wishes.ask_segment = true;
            return false;
        }
        if !alive && !requests.wishes.isolated.unwrap_or(segment.isolated) {
            requests.notice(Notice::Isolated { interface: self.interface });
        }
        requests.wishes.isolated = Some(!alive);
        alive
    }

    /// True if the witnesses' word alone is to move the group here while its active is heard. Not
    /// within [`RETURN`] after this node gave the group away: a fault on both nodes would move it
    /// for ever.
    pub fn is_fault_to_be_moved(&mut self, around: Around<'_>) -> bool {
        if !around.has_votes() || around.policy(self.id).promote != Promote::Witness {
            return false;
        }
        let active = |peer: PeerAt| around.peers[peer].is_active(self.id) && around.presence(peer) == Presence::Heard;
        if !around.peers.nodes().any(active) || !around.is_faulty(self.id) {
            return false;
        }
        let again = self.since + RETURN;
        if self.cause == Cause::Handover && around.now < again {
            self.timers.set(Timer::Return, again);
            return false;
        }
        true
    }

    /// True if every other node has consented to an epoch of ours, whichever it was: each waits for
    /// us now, and claims nothing, whatever a witness has granted it before.
    fn is_let_go_first(&self, around: Around<'_>) -> bool {
        around.peers.nodes().all(|peer| {
            let row = around.peers[peer].row(self.id);
            around.is_speaking(peer) && row.is_some_and(|row| row.consent.node() == around.setup.me)
        })
    }

    /// Learns below which epochs witnesses grant nothing. A claimant that sees that a witness has
    /// granted a higher claim lets it go first: two that outbid each other would both be without a
    /// majority. It waits for nobody while the others wait for it.
    pub fn note_bar(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        let alone = self.is_let_go_first(around);
        if alone {
            self.ballot.yields = MonoTime::ZERO;
        }
        for peer in around.peers.witnesses() {
            let Some(row) = around.peers[peer].row(self.id) else { continue };
            let ours = [self.epochs.own, self.epochs.reserve];
            let others = [row.epoch, row.consent].into_iter().filter(|epoch| !ours.contains(epoch));
            let bar = others.fold(row.reserve, Epoch::max);
            if self.claim.epoch != Epoch::NONE && row.consent > self.claim.epoch && !alone {
                self.ballot.yields = around.now + around.timing().patience.hold;
            }
            if around.rules.learns_bar() {
                self.ballot.bar = self.ballot.bar.max(bar);
            }
        }
        self.reserve(around.setup, requests);
    }
}

impl Around<'_> {
    /// True if `what` holds for the group's row of a majority of the witnesses.
    fn witnesses_say(self, group: GroupId, what: impl Fn(&Row) -> bool) -> bool {
        let says = |peer: &PeerAt| self.is_speaking(*peer) && self.peers[*peer].row(group).is_some_and(&what);
        self.peers.witnesses().filter(says).count() >= self.peers.electorate().majority_of_witnesses()
    }

    /// True if the witnesses say that the group's active has a fault.
    fn is_faulty(self, group: GroupId) -> bool {
        self.witnesses_say(group, |row| row.faulty)
    }

    /// True if the witnesses say that the group's active has a fault, or know of none. One that
    /// abstains does not know.
    pub fn is_nobody_active(self, group: GroupId) -> bool {
        let me = self.setup.me;
        let is_free =
            |row: &Row| row.reason == Reason::None && (row.consent == Epoch::NONE || row.consent.node() == me);
        self.witnesses_say(group, |row| row.faulty || is_free(row))
    }
}
