//! Why a node is not ready, and the row that tells peers how the group stands here.

use super::Group;
use crate::engine::around::Around;
use crate::engine::event::Hook;
use crate::engine::lease::Leases;
use crate::engine::peer::{PeerAt, Peers};
use crate::types::Epoch;
use crate::wire::pulse::{Reason, Role, Row};

impl Group {
    /// Why this node is not ready to open the group; [`Reason::None`] if it is.
    pub fn reason(&self, around: Around<'_>) -> Reason {
        let facts = &around.leases[self.interface].facts;
        if around.commands.stopping.is_some() {
            Reason::Stopping
        } else if around.rules.is_paused(self.paused) {
            Reason::Paused
        } else if !facts.exists {
            Reason::NoInterface
        } else if facts.enslaved {
            Reason::Enslaved
        } else if !facts.gate {
            Reason::NoGate
        } else if !facts.carrier {
            Reason::NoCarrier
        } else if self.addresses.there != Some(true) {
            Reason::NoAddresses
        } else if self.is_open() {
            if self.is_unhealthy(around) { Reason::Unhealthy } else { self.lacks(around).reason() }
        } else if around.doubled.there {
            Reason::SameNumber
        } else if self.epochs.damaged {
            Reason::StateDamaged
        } else if !self.has_reserve() {
            Reason::NoReservation
        } else if self.role == Role::Starting {
            Reason::Listening
        } else if self.service.waits_after_failed_hook(Hook::BeforeOpen, around.turn.last) {
            Reason::Hook
        } else if around.evidence[self.interface].isolated {
            Reason::Isolated
        } else if self.is_unhealthy(around) {
            Reason::Unhealthy
        } else if around.peers.nodes().any(|peer| self.shares_mac(peer, around.peers, around.leases)) {
            Reason::SameMac
        } else {
            self.lacks(around).reason()
        }
    }

    /// True if a peer has our hardware address on the group's interface, as it said last. Whoever
    /// answers for the group's address cannot be told from us then.
    pub fn shares_mac(&self, peer: PeerAt, peers: &Peers, leases: &Leases) -> bool {
        let ours = leases[self.interface].facts.mac;
        !ours.is_zero() && peers[peer].row(self.id).is_some_and(|row| row.mac == ours)
    }

    /// Writes what is now true into the row. A changed row gets the next version of the table, and
    /// is sent at once.
    pub fn publish(&mut self, around: Around<'_>, table: &mut u64) {
        let row = Row {
            epoch: self.epochs.told(self.is_open()),
            reserve: self.told_reserve(around.has_votes()),
            claim: self.offer.map_or(self.claim.epoch, |offer| offer.epoch),
            consent: self.told_consent(around.has_votes()),
            mac: around.leases[self.interface].facts.mac,
            role: self.role,
            reason: self.reason(around),
            wants: self.candidate.wants,
            faulty: false,
            health: self.told_lacks(around).added_to(self.service.health),
            ..self.row
        };
        if row != self.row {
            *table += 1;
            self.row = row;
            self.row_version = *table;
            self.ballot.note_asked(around.setup.me, &self.row);
        }
    }

    /// The reserve that the row tells. With witnesses and without a usable reserve, that is the
    /// highest epoch that a former life of this node may have been active with: a witness that has
    /// lost its memory must learn it.
    fn told_reserve(&self, has_votes: bool) -> Epoch {
        if self.has_reserve() {
            self.epochs.reserve
        } else if has_votes && self.epochs.held > self.epochs.seen {
            self.epochs.held
        } else {
            Epoch::NONE
        }
    }
}
