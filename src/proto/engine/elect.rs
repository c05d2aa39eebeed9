//! Standing for election: when a node may claim a group, and when a majority has elected it.
//!
//! Votes take the place of the evidence of a bare pair (`watch`): a majority's votes prove that no gate but ours is open,
//! whatever we hear. What is left to judge here is who should try, so that nothing moves without need: the active's own
//! word, its silence, the witness's word (`promote`), the right of way, and whether our own segment is alive.
//!
//! Owns: claims while votes decide, and how often they are repeated. Never does: count votes (`vote`) or give them
//! (`consent`). Without a majority a claim stays out, and nothing opens.

use super::action::Actions;
use super::notice::{Cause, Notice};
use super::promote::{Permit, consent_cause};
use super::{Engine, Presence, group_id};
use crate::mutant::Mutant;
use crate::rules::vote::promise;
use crate::timing::Promote;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

/// A fault does not bring a group back to the node that gave it away, for so long.
const RETURN: Duration = Duration::from_secs(60);

impl Engine {
    /// Whether the group is to be claimed, or opened with the votes that it has.
    pub(super) fn permit_by_votes(&mut self, at: usize, now: MonoTime, out: &mut Actions) -> Permit {
        let mut cause = Cause::Free;
        let mut offered = false;
        for peer in self.node_peers() {
            let Some(why) = self.way_is_free(at, peer, now, out) else { return Permit::No };
            offered |= self.peers[peer].row(group_id(at)).is_some_and(|row| row.role == Role::Handover);
            if cause == Cause::Free {
                cause = why;
            }
        }
        let bound = self.bound_until(at);
        let timing = &self.setup.timing;
        let group = &mut self.groups[at];
        if now < group.ballot.yields && !offered {
            group.deadline = group.deadline.min(group.ballot.yields);
            return Permit::No;
        }
        if !self.may_vote_for_itself(at, now) {
            let group = &mut self.groups[at];
            group.deadline = group.deadline.min(bound.max(group.ballot.from));
            // The active closes when it sees that its offer is taken; until then our vote is its own.
            return if offered { Permit::Claim } else { Permit::No };
        }
        let group = &self.groups[at];
        let claimed = group.claim == group.reserve && group.ballot.asks == group.reserve;
        // Less than the time to the next pulse could not be renewed in time.
        let elected = claimed && self.deadline_of(at) > now + timing.pulse;
        if elected { Permit::Open(cause) } else { Permit::Claim }
    }

    /// Why a peer does not stand in the way of our claim; `None` if it does.
    fn way_is_free(&mut self, at: usize, peer: usize, now: MonoTime, out: &mut Actions) -> Option<Cause> {
        match self.presence(peer, now) {
            Presence::Left if self.has_left_lately(peer, now) => Some(Cause::Handover),
            Presence::Left | Presence::Unknown | Presence::Silent => self.is_gone(at, peer, now, out),
            Presence::Heard => self.is_willing(at, peer, now),
            Presence::Suspicious => self.is_willing(at, peer, now).or_else(|| self.is_gone(at, peer, now, out)),
        }
    }

    /// What a peer that is heard says.
    fn is_willing(&mut self, at: usize, peer: usize, now: MonoTime) -> Option<Cause> {
        let group = &self.groups[at];
        let Some(row) = self.peers[peer].row(group_id(at)) else {
            return self.peers[peer].is_complete().then_some(Cause::Free);
        };
        match row.role {
            Role::Active | Role::Witness => None,
            Role::Handover => (row.claim == group.reserve).then_some(Cause::Handover),
            Role::Starting | Role::Standby | Role::Fault | Role::Paused if row.consent == group.reserve => {
                Some(consent_cause(row.reason))
            }
            Role::Starting | Role::Standby | Role::Fault | Role::Paused => {
                let waits = row.epoch >= group.reserve || self.waits_for(at, peer, row, now);
                (!waits).then_some(Cause::Free)
            }
        }
    }

    /// What its silence allows: what it was granted last is over, and the promotion's other conditions hold.
    fn is_gone(&mut self, at: usize, peer: usize, now: MonoTime, out: &mut Actions) -> Option<Cause> {
        let timing = &self.setup.timing;
        let interface = self.groups[at].interface;
        let known = &self.peers[peer];
        let start = self.interfaces[usize::from(interface.0)].serviceable.max(self.resumed);
        let start = start.max(known.heard.unwrap_or(MonoTime::ZERO));
        let stated = known.config.map_or(0, |config| config.lease_us);
        let bound = match known.heard {
            Some(_) => timing.promise.max(promise(stated, timing.drift_ppm)),
            None => timing.listen,
        };
        let over = (start + bound).max(known.promised);
        if now < over {
            let group = &mut self.groups[at];
            group.deadline = group.deadline.min(over);
            return None;
        }
        // A witness that has granted our claim speaks of us from then on.
        let claimed = self.groups[at].claim != Epoch::NONE;
        if self.setup.groups[at].promote != Promote::Peer && !claimed && !self.is_nobody_active(at, now) {
            self.poll.wanted = true;
            return None;
        }
        self.is_connected(at, peer, start, now, out).then_some(Cause::Silence)
    }

    /// True if somebody but the peer is heard on our own segment: an address that nobody can reach is of no use.
    fn is_connected(&mut self, at: usize, peer: usize, start: MonoTime, now: MonoTime, out: &mut Actions) -> bool {
        let interface = self.groups[at].interface;
        let anywhere = self.is_mutant(Mutant::IsolatedTakesOver);
        let endless = self.is_mutant(Mutant::IsolationUnlimited);
        let isolation = if endless { Duration::MAX } else { self.setup.timing.patience.isolation };
        let Some(asked) = self.peers[peer].watch.as_ref().map(|watch| watch.asked_since(now)) else { return false };
        let segment = &mut self.segments[usize::from(interface.0)];
        let alive = segment.is_alive(start.max(asked)) || anywhere || now.since(start) >= isolation;
        if !alive && !segment.isolated {
            out.notice(Notice::Isolated { interface });
        }
        segment.isolated = !alive;
        alive
    }

    /// True if a majority of the witnesses says so.
    fn say_witnesses(&self, at: usize, now: MonoTime, what: impl Fn(&Row) -> bool) -> bool {
        let says = |peer: &usize| {
            let heard = matches!(self.presence(*peer, now), Presence::Heard | Presence::Suspicious);
            heard && self.peers[*peer].row(group_id(at)).is_some_and(&what)
        };
        self.witness_peers().filter(says).count() >= self.quorum()
    }

    /// True if the witnesses say that the group's active has a fault.
    fn is_faulty(&self, at: usize, now: MonoTime) -> bool {
        self.say_witnesses(at, now, |row| row.faulty)
    }

    /// True if the witnesses say that the group's active has a fault, or know of none. One that abstains does not know.
    pub(super) fn is_nobody_active(&self, at: usize, now: MonoTime) -> bool {
        let me = self.setup.me;
        let is_free =
            |row: &Row| row.reason == Reason::None && (row.consent == Epoch::NONE || row.consent.node() == me);
        self.say_witnesses(at, now, |row| row.faulty || is_free(row))
    }

    /// True if the witness's word alone is to move the group while its active is heard. A node that has just given the
    /// group away does not take it back for that: a fault on both would move it for ever.
    pub(super) fn is_fault_to_be_moved(&mut self, at: usize, now: MonoTime) -> bool {
        if self.setup.votes.is_none() || self.setup.groups[at].promote != Promote::Witness {
            return false;
        }
        let id = group_id(at);
        let active = |peer: usize| self.peers[peer].is_active(id) && self.presence(peer, now) == Presence::Heard;
        if !self.node_peers().any(active) || !self.is_faulty(at, now) {
            return false;
        }
        let group = &mut self.groups[at];
        let again = group.since + RETURN;
        if group.cause == Cause::Handover && now < again {
            group.deadline = group.deadline.min(again);
            return false;
        }
        true
    }

    /// Learns below which epochs witnesses grant nothing. A claimant that sees that a witness has granted a higher claim
    /// lets it go first: two that outbid each other would both be without a majority.
    pub(super) fn note_bar(&mut self, at: usize, now: MonoTime) {
        let id = group_id(at);
        let yields = now + self.setup.timing.patience.hold;
        for peer in self.witness_peers() {
            let Some(row) = self.peers[peer].row(id).copied() else { continue };
            let group = &mut self.groups[at];
            let ours = [group.epoch, group.reserve];
            let others = [row.epoch, row.consent].into_iter().filter(|epoch| !ours.contains(epoch));
            let bar = others.fold(row.reserve, Epoch::max);
            if group.claim != Epoch::NONE && row.consent > group.claim {
                group.ballot.yields = yields;
            }
            if !self.setup.mutants.is_on(Mutant::BarNotLearned) {
                group.ballot.bar = group.ballot.bar.max(bar);
            }
        }
        self.reserve(at);
    }

    /// While a claim waits for votes it is repeated as a question, as often as a silent peer is asked.
    pub(super) fn ask_for_votes(&mut self, now: MonoTime, out: &mut Actions) {
        let Some(since) = self.poll.asking.filter(|_| self.votes_decide() && now >= self.poll.next_ask) else {
            return;
        };
        let eager = now.since(since) < self.setup.timing.patience.asking;
        self.poll.next_ask = now + if eager { self.setup.timing.probe } else { self.setup.timing.pulse };
        for peer in 0..self.peers.len() {
            self.send_pulse(peer, true, now, out);
        }
    }

    /// After all groups were looked at: are there claims that wait for votes?
    pub(super) fn note_asking(&mut self, now: MonoTime) {
        if self.setup.votes.is_none() {
            return;
        }
        let claims = self.groups.iter().any(|group| group.claim != Epoch::NONE);
        let wanted = std::mem::take(&mut self.poll.wanted) || claims;
        let before = self.poll.asking;
        self.poll.asking = wanted.then(|| before.unwrap_or(now));
        if wanted && before.is_none() {
            // The rows that claim go out at once; the first question follows them.
            self.poll.next_ask = now + self.setup.timing.probe;
        }
    }
}
