//! The state of one group on this node, and what may be said of it.

use super::health::Service;
use super::hook::Hook;
use super::setup::{GroupSetup, Setup};
use super::vote::Ballot;
use super::{Cause, Engine, Index, Loaded};
use crate::durable::GroupState;
use crate::mutant::Mutant;
use crate::rules::vote::abstention;
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId, MonoTime, NodeId, Vip};
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

/// A handover under way: this node is still active and has offered the group.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Offer {
    /// Position of the peer it is offered to.
    pub peer: usize,
    /// The epoch the peer has reserved.
    pub epoch: Epoch,
    /// When the offer ends.
    pub until: MonoTime,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Group {
    pub key: GroupKey,
    pub interface: InterfaceId,
    /// The address that is probed: the first IPv4 address if there is one (its answer is unicast and quickest).
    pub probe_address: Vip,
    pub role: Role,
    /// Why the role is what it is.
    pub cause: Cause,
    pub since: MonoTime,
    /// The epoch this node is active with; NONE when it is not.
    pub epoch: Epoch,
    pub seen: Epoch,
    /// Durably reserved, usable once.
    pub reserve: Epoch,
    /// On its way to the disk, with the persist version that carries it.
    pub reserving: Option<(Epoch, Option<u64>)>,
    /// The highest epoch this node has opened with, or may have: what a former life had reserved counts as used,
    /// for it may have ended before its disk could tell.
    pub held: Epoch,
    /// What the former life last knew to have used, and what it had reserved: its running gate has one of the two.
    pub(super) found: [Epoch; 2],
    pub claim: Epoch,
    pub claimed: Option<MonoTime>,
    pub consent: Epoch,
    pub paused: bool,
    pub wants: bool,
    /// Not before this may the node claim for itself: somebody else was given the right of way.
    pub hold: MonoTime,
    pub offer: Option<Offer>,
    pub drain_until: Option<MonoTime>,
    /// Since when nobody has been active as far as we know.
    pub free: Option<MonoTime>,
    /// Since when this node has been ready.
    pub ready: Option<MonoTime>,
    pub announce_step: usize,
    pub announce_at: MonoTime,
    pub defended: Option<MonoTime>,
    /// Since when both nodes are active and this one goes on; announce again when the other has closed.
    pub contested: Option<MonoTime>,
    pub state_damaged: bool,
    /// A counter that no lost state of this group can have reached; 0 when its state is known.
    pub floor: u64,
    /// The keeper has put its addresses in place. A group that was added later waits for that.
    pub installed: bool,
    /// Addresses were added, and are to be announced once they are in place.
    pub grown: bool,
    pub ballot: Ballot,
    pub service: Service,
    pub row: Row,
    pub row_version: u64,
    pub deadline: MonoTime,
}

impl Group {
    /// A group that begins to listen. `state` is what the store knows of it.
    pub fn new(group: &GroupSetup, state: Option<GroupState>, setup: &Setup, now: MonoTime) -> Group {
        let is_known = |state: &GroupState| state.seen.max(state.reserve).max(state.held) != Epoch::NONE;
        let former = setup
            .loaded
            .lease()
            .map_or(Duration::ZERO, |lease| abstention(super::send::micros(lease), setup.timing.drift_ppm));
        let is_new = !state.as_ref().is_some_and(is_known);
        let known = state.unwrap_or(GroupState {
            key: group.key,
            seen: Epoch::NONE,
            reserve: Epoch::NONE,
            held: Epoch::NONE,
            paused: false,
        });
        let votes = setup.votes.filter(|_| !setup.mutants.is_on(Mutant::NodeNotAbstaining));
        let from = votes.map_or(MonoTime::ZERO, |_| now + setup.timing.abstain.max(former));
        let unused = setup.mutants.is_on(Mutant::FormerReserveReused);
        let trusting = setup.mutants.is_on(Mutant::DamagedStateOpens);
        Group {
            key: group.key,
            interface: group.interface,
            probe_address: probe_address(&group.addresses),
            role: Role::Starting,
            cause: Cause::Heard,
            since: now,
            epoch: Epoch::NONE,
            seen: known.seen,
            reserve: Epoch::NONE,
            reserving: None,
            held: if unused { known.held } else { known.held.max(known.reserve) },
            found: [known.held, known.reserve],
            claim: Epoch::NONE,
            claimed: None,
            consent: Epoch::NONE,
            paused: known.paused,
            wants: false,
            hold: now,
            offer: None,
            drain_until: None,
            free: None,
            ready: None,
            announce_step: 0,
            announce_at: MonoTime::FOREVER,
            defended: None,
            contested: None,
            state_damaged: is_new && setup.loaded == Loaded::Damaged && !trusting,
            floor: if is_new { setup.epoch_floor } else { 0 },
            installed: true,
            grown: false,
            ballot: Ballot { from, ..Ballot::default() },
            service: Service::new(group.health),
            row: first_row(group, known.seen),
            row_version: 1,
            deadline: now,
        }
    }

    /// Takes over what changed in its configuration; true if its row is another now. `former` was its number, by which
    /// `index` still knows its addresses.
    pub fn revise(&mut self, before: &GroupSetup, after: &GroupSetup, former: GroupId, index: &Index) -> bool {
        if before.addresses != after.addresses {
            self.grown |= after.addresses.iter().any(|address| index.group_of(*address) != Some(former));
            // A peer that is configured as before answers for the old address, and evidence must not depend on a new one.
            if !after.addresses.contains(&self.probe_address) {
                self.probe_address = probe_address(&after.addresses);
            }
        }
        let same = (self.row.addresses, self.row.policy) == (after.addresses_digest, after.policy_digest);
        self.row.addresses = after.addresses_digest;
        self.row.policy = after.policy_digest;
        !same
    }

    /// True while the gate answers for the group.
    pub fn is_open(&self) -> bool {
        self.role.is_open()
    }

    /// The highest epoch that this node has promised not to undercut.
    pub fn promised(&self) -> Epoch {
        self.seen.max(self.consent)
    }

    /// An epoch that is not above this is never opened with: what was promised, and what witnesses refuse.
    pub fn unusable(&self) -> Epoch {
        self.promised().max(self.ballot.bar)
    }

    /// True if the node was given the right of way and may have opened since, without our having heard of it.
    pub fn may_be_opened_by(&self, node: NodeId) -> bool {
        self.consent > self.seen && self.consent.node() == node
    }

    /// What the row says is reserved. A witness that has lost its memory must learn what a former life may have been active
    /// with, and its disk could not tell us more than that it was reserved.
    fn told_reserve(&self, voted: bool) -> Epoch {
        if self.has_reserve() {
            self.reserve
        } else if voted && self.held > self.seen {
            self.held
        } else {
            Epoch::NONE
        }
    }

    /// True if the reserved epoch could be opened with.
    pub fn has_reserve(&self) -> bool {
        self.reserve != Epoch::NONE && self.reserve > self.unusable()
    }

    /// True if a gate found open with this epoch was opened by a former life of this node.
    pub fn may_adopt(&self, epoch: Epoch) -> bool {
        epoch != Epoch::NONE && self.found.contains(&epoch)
    }

    /// Takes over the epoch of a gate that was found open, and its lease.
    pub fn adopt(&mut self, epoch: Epoch, until: MonoTime) {
        self.epoch = epoch;
        // Whoever granted the lease of the former life is bound by it. Our own vote is what was found open.
        (self.ballot.asks, self.ballot.known) = (epoch, 0);
        self.ballot.floor = until;
        self.held = self.held.max(epoch);
        self.seen = self.seen.max(epoch);
    }

    pub fn durable(&self) -> GroupState {
        let reserve = match self.reserving {
            Some((epoch, _)) => epoch,
            None => self.reserve,
        };
        GroupState { key: self.key, seen: self.promised(), reserve, held: self.held, paused: self.paused }
    }
}

/// What is said of a group before anything has happened.
fn first_row(group: &GroupSetup, seen: Epoch) -> Row {
    Row {
        epoch: seen,
        health: group.health,
        addresses: group.addresses_digest,
        policy: group.policy_digest,
        ..Row::new(group.key, Role::Starting, Reason::Listening)
    }
}

/// The first IPv4 address if there is one.
fn probe_address(addresses: &[Vip]) -> Vip {
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.copied().unwrap_or(Vip::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

impl Engine {
    /// Why this node is not ready to open the group; [`Reason::None`] if it is.
    pub(super) fn reason(&self, at: usize) -> Reason {
        let group = &self.groups[at];
        let facts = &self.interfaces[usize::from(group.interface.0)].facts;
        if self.stopping.is_some() {
            Reason::Stopping
        } else if group.paused && !self.is_mutant(Mutant::PausedOpens) {
            Reason::Paused
        } else if !facts.exists {
            Reason::NoInterface
        } else if !facts.gate {
            Reason::NoGate
        } else if !facts.carrier {
            Reason::NoCarrier
        } else if !facts.addresses || !group.installed {
            Reason::NoAddresses
        } else if group.is_open() {
            if self.is_unhealthy(at) { Reason::Unhealthy } else { Reason::None }
        } else if group.state_damaged {
            Reason::StateDamaged
        } else if !group.has_reserve() {
            Reason::NoReservation
        } else if group.role == Role::Starting {
            Reason::Listening
        } else if self.stands_back(at, Hook::BeforeOpen) {
            Reason::Hook
        } else if self.segments[usize::from(group.interface.0)].isolated {
            Reason::Isolated
        } else if self.is_unhealthy(at) {
            Reason::Unhealthy
        } else {
            Reason::None
        }
    }

    /// Writes what is now true into the rows; a changed row gets a new version and is sent at once.
    pub(super) fn publish_rows(&mut self) {
        for at in 0..self.groups.len() {
            self.publish_row(at);
        }
    }

    /// The same for one of them.
    pub(super) fn publish_row(&mut self, at: usize) {
        let reason = self.reason(at);
        let mac = self.interfaces[usize::from(self.groups[at].interface.0)].facts.mac;
        let consent = self.told_consent(at);
        let voted = self.setup.votes.is_some();
        let group = &mut self.groups[at];
        let row = Row {
            epoch: if group.is_open() { group.epoch } else { group.seen },
            reserve: group.told_reserve(voted),
            claim: group.offer.map_or(group.claim, |offer| offer.epoch),
            consent,
            mac,
            role: group.role,
            reason,
            wants: group.wants,
            faulty: false,
            health: group.service.health,
            ..group.row
        };
        if row != group.row {
            self.table += 1;
            group.row = row;
            group.row_version = self.table;
            self.note_asked(at);
        }
    }
}
