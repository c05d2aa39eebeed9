//! How the service does on either node, and what follows.
//!
//! Checks run elsewhere; here a group has one number on each node, [`Row::health`]. An active hands over to a ready peer whose
//! number is lower, and to nobody else for that reason: a service that fails everywhere stays where it is. A standby that
//! does worse than the active is not offered the group, unless the active leaves. When the active is gone, it opens all the
//! same: nobody is worse than somebody who is not there.
//!
//! Owns: whose service does better, and which groups must be looked at because of it. Never does: move anything faster than
//! a handover does.

use super::action::{Actions, Outcome};
use super::hook::{Hook, Running};
use super::notice::Cause;
use super::{Engine, Presence, group_id};
use crate::mutant::Mutant;
use crate::types::MonoTime;
use crate::wire::pulse::{Reason, Role, Row};

/// A check that decides alone fails, or has not succeeded yet.
const DEAD: u8 = u8::MAX;

/// What is known of a group's service on this node.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Service {
    /// How badly it does.
    pub health: u8,
    /// It was told in this life; before that it is the worst that may be.
    pub known: bool,
    /// What is run before the group is opened or handed over.
    pub hook: Option<Running>,
    /// What has failed, and until when it is not tried again.
    pub failed: Option<(Hook, MonoTime)>,
}

impl Service {
    /// Nothing is known but what the worst is.
    pub fn new(health: u8) -> Service {
        Service { health, known: false, hook: None, failed: None }
    }
}

impl Engine {
    /// Takes note of how a group's service does here.
    pub(super) fn handle_health(&mut self, at: usize, health: u8) {
        let service = &mut self.groups[at].service;
        (service.health, service.known) = (health, true);
        self.stir(at);
    }

    /// A group is to be looked at with the next event. A thousand that are told of together cost one look.
    pub(super) fn stir(&mut self, at: usize) {
        if !self.stirred.contains(&at) {
            self.stirred.push(at);
        }
    }

    /// Looks at those groups alone: what happened to them happened to no others.
    pub(super) fn step_stirred(&mut self, now: MonoTime, out: &mut Actions) {
        let mut stirred = std::mem::take(&mut self.stirred);
        self.openable.forget();
        // What the others wait for was found out when they were looked at.
        self.poll.wanted = self.poll.asking.is_some();
        for &at in &stirred {
            self.groups[at].deadline = MonoTime::FOREVER;
            self.step(at, now, out);
            self.group_deadline = self.group_deadline.min(self.groups[at].deadline);
        }
        self.note_asking(now);
        self.finish_commands(now, out);
        stirred.drain(..).for_each(|at| self.publish_row(at));
        self.stirred = stirred;
        self.tally();
    }

    /// How badly the service does here.
    pub(super) fn health(&self, at: usize) -> u8 {
        if self.is_mutant(Mutant::HealthIgnored) { 0 } else { self.groups[at].service.health }
    }

    /// True if the service does not answer here.
    pub(super) fn is_unhealthy(&self, at: usize) -> bool {
        self.health(at) == DEAD
    }

    /// True if the service does worse here than on the peer that has the group.
    pub(super) fn is_outdone(&self, at: usize) -> bool {
        let active = |peer: &&super::Peer| peer.is_active(group_id(at));
        let rows = self.peers[self.node_peers()].iter().filter(active).filter_map(|peer| peer.row(group_id(at)));
        rows.map(|row| row.health).any(|health| health < self.health(at))
    }

    /// True if a standby may be given the group, as far as its row tells. One that does worse takes it only from a node that
    /// leaves.
    pub(super) fn may_take(&self, at: usize, row: &Row) -> bool {
        if self.is_mutant(Mutant::HealthIgnored) {
            return row.reason == Reason::None;
        }
        match row.reason {
            Reason::None => row.health <= self.health(at) || self.is_leaving(at),
            Reason::Unhealthy => self.is_leaving(at),
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
            | Reason::Hook => false,
        }
    }

    fn is_leaving(&self, at: usize) -> bool {
        self.groups[at].paused || self.stopping.is_some() || self.is_asked_to_pause(at)
    }

    /// The peer that should have the group instead of us, if it is ready for it, and why.
    pub(super) fn wanted_by(&mut self, at: usize, now: MonoTime) -> Option<(usize, Cause)> {
        let id = group_id(at);
        let give = self.groups[at].paused || self.stopping.is_some() || self.is_asked_to_give(at);
        if self.stands_back(at, Hook::BeforeClose) && self.stopping.is_none() {
            return None;
        }
        let mut best: Option<(u8, usize, Cause)> = None;
        for peer in self.node_peers() {
            let Some(row) = self.peers[peer].row(id).copied() else { continue };
            let ready = row.role == Role::Standby && row.reserve > self.groups[at].epoch && self.may_take(at, &row);
            if !ready || self.presence(peer, now) != Presence::Heard {
                continue;
            }
            let cause = if give || row.wants { Some(Cause::Operator) } else { self.does_better(at, &row, now) };
            if let Some(cause) = cause.filter(|_| best.is_none_or(|(health, ..)| row.health < health)) {
                best = Some((row.health, peer, cause));
            }
        }
        best.map(|(_, peer, cause)| (peer, cause))
    }

    /// Says so if the service does better on a peer. A node that has the group since a moment ago keeps it for another one
    /// unless its service does not answer at all and the other's does: two that take turns to do a little worse must not
    /// move it with every turn.
    fn does_better(&mut self, at: usize, row: &Row, now: MonoTime) -> Option<Cause> {
        let health = self.health(at);
        if !self.groups[at].service.known || row.health >= health {
            return None;
        }
        let group = &mut self.groups[at];
        let patience = group.since + self.setup.timing.patience.hold;
        if now < patience && !(health == DEAD && row.health == 0) {
            group.deadline = group.deadline.min(patience);
            return None;
        }
        Some(Cause::Health)
    }

    /// Why a heard peer cannot be given the group by an operator, if it cannot.
    pub(super) fn why_not(&self, row: &Row, at: usize, pausing: bool) -> Option<Outcome> {
        match row.reason {
            Reason::None if row.health <= self.health(at) || pausing => None,
            Reason::None => Some(Outcome::PeerNotReady(Reason::Unhealthy)),
            Reason::Unhealthy if pausing => None,
            reason => Some(Outcome::PeerNotReady(reason)),
        }
    }
}
