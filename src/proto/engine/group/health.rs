//! How the service does on either node, and what follows.
//!
//! Checks run elsewhere; here a group has one number on each node, [`Row::health`]. An active hands
//! over to a ready peer whose number is lower, and to nobody else for that reason: a service that
//! fails everywhere stays where it is. A standby that does worse than the active is not offered the
//! group, unless the active leaves. When the active is gone, it opens all the same: nobody is worse
//! than somebody who is not there.
//!
//! Owns: whose service does better. Never does: move anything faster than a handover does.

use super::Group;
use crate::engine::action::Outcome;
use crate::engine::around::Around;
use crate::engine::event::Hook;
use crate::engine::lacks::Lacks;
use crate::engine::notice::Cause;
use crate::engine::peer::{PeerAt, Presence};
use crate::engine::timers::Timer;
use crate::types::MonoTime;
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

/// Health when a check that decides alone fails, or has not succeeded yet.
const DEAD: u8 = u8::MAX;

/// True if the sender of a row could open the group, be its service dead or not: a node with a dead
/// service is better than no node, and so is one that has our hardware address.
pub(super) fn is_able(row: &Row) -> bool {
    matches!(row.reason, Reason::None | Reason::Unhealthy | Reason::SameMac) || row.reason.is_lack()
}

impl Group {
    /// How badly the service does here, with what this node lacks.
    pub(super) fn health(&self, around: Around<'_>) -> u8 {
        around.rules.health(self.told_lacks(around).added_to(self.service.health))
    }

    /// What this node lacks for the group: what the host tells, and what the segment does.
    pub(super) fn told_lacks(&self, around: Around<'_>) -> Lacks {
        let unreached = around.evidence.reach(self.interface).unreached.is_some();
        if unreached { self.service.lacks.and(Lacks::REACH) } else { self.service.lacks }
    }

    /// What this node lacks for the group, as far as it counts.
    pub(super) fn lacks(&self, around: Around<'_>) -> Lacks {
        if around.rules.health_counts() { self.told_lacks(around) } else { Lacks::NONE }
    }

    /// True if the service does not answer here.
    pub(super) fn is_unhealthy(&self, around: Around<'_>) -> bool {
        self.health(around) == DEAD
    }

    /// True if the service does worse here than on the peer that has the group.
    pub(super) fn is_outdone(&self, around: Around<'_>) -> bool {
        let active = around.peers.other_nodes().iter().filter(|peer| peer.is_active(self.id));
        let mut rows = active.filter_map(|peer| peer.row(self.id));
        rows.any(|row| row.health < self.health(around))
    }

    /// True if a standby may be given the group, as far as its row tells. One that does worse takes
    /// it only from a node that leaves.
    pub(super) fn may_take(&self, row: &Row, around: Around<'_>) -> bool {
        if !around.rules.health_counts() {
            return row.reason == Reason::None;
        }
        match row.reason {
            Reason::None | Reason::Incomplete | Reason::Mute | Reason::NoWayBack | Reason::Unreached => {
                row.health <= self.health(around) || self.is_leaving(around)
            }
            Reason::Unhealthy | Reason::SameMac => self.is_leaving(around),
            Reason::NoInterface
            | Reason::NoCarrier
            | Reason::NoGate
            | Reason::NoAddresses
            | Reason::NoReservation
            | Reason::StateDamaged
            | Reason::Isolated
            | Reason::Paused
            | Reason::Listening
            | Reason::Stopping
            | Reason::Hook
            | Reason::SameNumber
            | Reason::Enslaved => false,
        }
    }

    /// True if this node wants to get rid of the group: paused, stopping, or asked to pause.
    fn is_leaving(&self, around: Around<'_>) -> bool {
        let commands = around.commands;
        self.paused || commands.stopping.is_some() || commands.is_asked_to_pause(self.id)
    }

    /// The peer that should have the group instead of us, if it is ready for it, and why.
    pub(super) fn wanted_by(&mut self, around: Around<'_>) -> Option<(PeerAt, Cause)> {
        let stopping = around.commands.stopping.is_some();
        let give = self.paused || stopping || around.commands.is_asked_to_give(self.id);
        if self.service.waits_after_failed_hook(Hook::BeforeClose, around.turn.last) && !stopping {
            return None;
        }
        let mut best: Option<(u8, PeerAt, Cause)> = None;
        for peer in around.peers.nodes() {
            let Some(row) = around.peers[peer].row(self.id) else { continue };
            let above = row.reserve > self.epochs.own;
            let ready = row.role == Role::Standby && above && self.may_take(row, around);
            if !ready || around.presence(peer) != Presence::Heard {
                continue;
            }
            let cause = if give || row.wants { Some(Cause::Operator) } else { self.does_better(row, around) };
            if let Some(cause) = cause.filter(|_| best.is_none_or(|(health, ..)| row.health < health)) {
                best = Some((row.health, peer, cause));
            }
        }
        best.map(|(_, peer, cause)| (peer, cause))
    }

    /// [`Cause::Health`] if the service does better on a peer, [`Cause::Lacks`] if it does only for
    /// what this node lacks. Before the first verdict of the checks only lacks count. A node that has had the group for
    /// less than the hold time keeps it, unless its service is dead and the peer's is whole:
    /// otherwise two nodes that take turns to do a little worse would move the group with every
    /// turn. A group that its fault follows from node to node is kept longer with each move.
    fn does_better(&mut self, row: &Row, around: Around<'_>) -> Option<Cause> {
        let health = if self.service.known { self.health(around) } else { self.lacks(around).added_to(0) };
        if row.health >= health {
            self.service.outreached = None;
            return None;
        }
        let patience = &around.timing().patience;
        let exempt = health == DEAD && row.health == 0;
        let hold = if exempt { Duration::ZERO } else { patience.hold };
        let due = self.since + hold.max(self.service.unrest.bar(patience, around.now));
        let due = due.max(self.reach_settled(row, around));
        if around.now < due {
            self.timers.set(Timer::Health, due);
            return None;
        }
        let service = if self.service.known { around.rules.health(self.service.health) } else { 0 };
        Some(if row.health >= service { Cause::Lacks } else { Cause::Health })
    }

    /// From when on a lack of reach counts against a peer whose row is `row`: the peer, too, must
    /// have had the time to find out that it hears nobody, and if it hears somebody again, we must
    /// have had the time to hear somebody as well.
    fn reach_settled(&mut self, row: &Row, around: Around<'_>) -> MonoTime {
        let others = self.service.lacks.without(Lacks::REACH);
        let service = if self.service.known { self.service.health } else { 0 };
        let unreached = around.evidence.reach(self.interface).unreached;
        let Some(since) = unreached.filter(|_| row.health >= others.added_to(service)) else {
            self.service.outreached = None;
            return MonoTime::ZERO;
        };
        let better = *self.service.outreached.get_or_insert(around.now);
        since.max(better) + around.timing().patience.reach
    }

    /// Why a heard peer cannot be given the group by an operator, if it cannot.
    pub(super) fn why_not(&self, row: &Row, pausing: bool, around: Around<'_>) -> Option<Outcome> {
        match row.reason {
            reason if reason == Reason::None || reason.is_lack() => {
                let refused = if reason == Reason::None { Reason::Unhealthy } else { reason };
                let worse = row.health > self.health(around) && !pausing;
                worse.then_some(Outcome::PeerNotReady(refused))
            }
            Reason::Unhealthy | Reason::SameMac if pausing => None,
            reason => Some(Outcome::PeerNotReady(reason)),
        }
    }
}
