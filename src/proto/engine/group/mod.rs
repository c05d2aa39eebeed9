//! A group on this node: its role, its epochs, and its row.
//!
//! Owns: the state of one group, which a step of that group alone changes. Never does: look at
//! another group, or change another room: what a step reads comes as [`Around`], what it asks for
//! goes to [`Requests`].
//!
//! | file | noun |
//! |---|---|
//! | `table` | all groups of this node |
//! | `roles` | the role table: what a group does next |
//! | `open` | claims, and when a gate may open |
//! | `announce` | announcements |
//! | `epochs` | epochs, and their reservation |
//! | `reason` | why a node is not ready; the row that says so |
//! | `conflict` | two that are active: who gives way |
//! | `candidate` | who would like a group |
//! | `health` | how the service does on either node, and what follows |
//! | `service`, `hook` | what is known of the service, and what is run for it |
//! | `unrest` | a group that its fault follows |
//! | `command` | what operators ask |

use super::around::Requests;
use super::lease::Lease;
use super::notice::Cause;
use super::peer::{PeerAt, Peers};
use super::setup::{GroupSetup, Setup};
use super::timers::Timers;
use super::vote::Ballot;
use super::{Index, peer};
use crate::durable::GroupState;
use crate::rules::vote::abstention;
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId, MacAddr, MonoTime, NodeId, Vip};
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

mod announce;
mod candidate;
mod command;
mod conflict;
mod epochs;
mod health;
mod hook;
mod open;
mod reason;
mod roles;
mod service;
mod table;
mod unrest;

pub(super) use announce::Announcing;
pub(super) use candidate::Candidate;
pub(super) use conflict::Contest;
pub(super) use epochs::Epochs;
pub(super) use open::{Claim, Permit, consent_cause};
#[cfg(any(test, feature = "proof"))]
pub(super) use service::Running;
pub(super) use service::{End, Service};
pub(super) use table::Groups;

/// A handover under way: this node is still active and has offered the group.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Offer {
    /// The peer it is offered to.
    pub peer: PeerAt,
    /// The epoch the peer has reserved.
    pub epoch: Epoch,
    /// When the offer ends.
    pub until: MonoTime,
}

/// Somebody else who answers for an address of the group: the peer, or a stranger. Nothing is decided
/// by it; people are told.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Claimant {
    /// Its hardware address.
    pub mac: MacAddr,
    /// When it was last seen to answer.
    pub seen: MonoTime,
}

/// Addresses of a group, as far as the engine cares.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Addresses {
    /// The address that is probed: the first IPv4 address if there is one (its answer is unicast
    /// and quickest).
    pub probe: Vip,
    /// Whether any is in place; `None` until the host has told. A group without one is not served.
    pub there: Option<bool>,
    /// Whether a reload added some, which are announced once they are in place.
    pub added: bool,
}

/// The state of one group.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Group {
    pub id: GroupId,
    pub key: GroupKey,
    pub interface: InterfaceId,
    pub addresses: Addresses,
    pub role: Role,
    /// Why the role is what it is.
    pub cause: Cause,
    /// Since when it is.
    pub since: MonoTime,
    pub epochs: Epochs,
    pub claim: Claim,
    /// The epoch that this node has agreed to; NONE if it is bound to nobody.
    pub consent: Epoch,
    pub paused: bool,
    pub candidate: Candidate,
    pub offer: Option<Offer>,
    /// Connections are carried until then after a handover.
    pub drain_until: Option<MonoTime>,
    pub announcing: Announcing,
    /// When an address was last defended against a stranger.
    pub defended: Option<MonoTime>,
    /// Who was last seen to answer for an address of the group, other than this server.
    pub claimant: Option<Claimant>,
    /// While both nodes are active and this one goes on; announce again when the other has closed.
    pub contested: Option<Contest>,
    pub ballot: Ballot,
    pub service: Service,
    /// The row that peers are told; `row_version` is the version of the table with which it last
    /// changed.
    pub row: Row,
    pub row_version: u64,
    pub timers: Timers,
}

impl Group {
    /// A group that begins to listen. `state` is what the store knows of it.
    pub fn new(id: GroupId, group: &GroupSetup, state: Option<GroupState>, setup: &Setup, now: MonoTime) -> Group {
        let former = setup
            .loaded
            .lease()
            .map_or(Duration::ZERO, |lease| abstention(peer::micros(lease), setup.timing.drift_ppm));
        let votes = setup.votes.filter(|_| setup.rules().node_abstains());
        let from = votes.map_or(MonoTime::ZERO, |_| now + setup.timing.abstain.max(former));
        let epochs = Epochs::new(group.key, state, setup);
        Group {
            id,
            key: group.key,
            interface: group.interface,
            addresses: Addresses { probe: probe_address(&group.addresses), there: None, added: false },
            role: Role::Starting,
            cause: Cause::Heard,
            since: now,
            epochs,
            claim: Claim::NONE,
            consent: Epoch::NONE,
            paused: state.is_some_and(|state| state.paused),
            candidate: Candidate::new(now),
            offer: None,
            drain_until: None,
            announcing: Announcing::default(),
            defended: None,
            claimant: None,
            contested: None,
            ballot: Ballot { from, ..Ballot::default() },
            service: Service::new(group.health),
            row: first_row(group, epochs.seen),
            row_version: 1,
            timers: Timers::default(),
        }
    }

    /// Takes over what changed in its configuration; true if its row has changed. `former` was its
    /// number, by which
    /// `index` still knows its addresses.
    pub fn revise(&mut self, before: &GroupSetup, after: &GroupSetup, former: GroupId, index: &Index) -> bool {
        if before.addresses != after.addresses {
            self.addresses.added |= after.addresses.iter().any(|address| index.group_of(*address) != Some(former));
            // A peer that is configured as before answers for the old address, and evidence must
            // not depend on a new one.
            if !after.addresses.contains(&self.addresses.probe) {
                self.addresses.probe = probe_address(&after.addresses);
            }
        }
        let same = (self.row.addresses, self.row.policy) == (after.addresses_digest, after.policy_digest);
        self.row.addresses = after.addresses_digest;
        self.row.policy = after.policy_digest;
        !same
    }

    /// True when the group can be answered for here: its interface is whole, and it has an address.
    pub fn is_serviceable(&self, lease: &Lease) -> bool {
        lease.facts.is_serviceable() && self.addresses.there == Some(true)
    }

    /// True while the gate answers for the group.
    pub fn is_open(&self) -> bool {
        self.role.is_open()
    }

    /// The highest epoch that this node has promised not to undercut.
    pub fn promised(&self) -> Epoch {
        self.epochs.seen.max(self.consent)
    }

    /// An epoch that is not above this is never opened with: what was promised, and what witnesses
    /// refuse.
    pub fn unusable(&self) -> Epoch {
        self.promised().max(self.epochs.pledged).max(self.ballot.bar)
    }

    /// True if the reserved epoch could be opened with.
    pub fn has_reserve(&self) -> bool {
        self.epochs.reserve != Epoch::NONE && self.epochs.reserve > self.unusable()
    }

    /// Sees to it that there is a usable reservation or one on its way.
    pub fn reserve(&mut self, setup: &Setup, requests: &mut Requests<'_>) {
        requests.wishes.persist |= self.epochs.reserve(self.unusable(), setup);
    }

    /// True if `node` has our consent, and may have opened since without our having heard of it.
    pub fn may_be_opened_by(&self, node: NodeId) -> bool {
        self.consent > self.epochs.seen && self.consent.node() == node
    }

    /// The peer that has our consent and may have opened the group without our knowing; `None` if
    /// there is none, or if the peer says itself that it is active.
    pub fn may_be_opened_behind_us(&self, peers: &Peers) -> Option<PeerAt> {
        let given = self.consent > self.epochs.seen;
        let peer = given.then(|| peers.find(self.consent.node())).flatten();
        peer.filter(|peer| !peers[*peer].is_active(self.id))
    }

    /// Takes over a gate that was found open with `epoch`, and its lease.
    pub fn adopt(&mut self, epoch: Epoch, until: MonoTime) {
        // Voters that granted the former life's lease are bound until its end. Our own vote is for
        // the epoch that was found open.
        (self.ballot.asks, self.ballot.known) = (epoch, peer::PeerSet::default());
        self.ballot.floor = until;
        self.epochs.adopt(epoch);
    }

    /// What a later life must know of the group.
    pub fn durable(&self) -> GroupState {
        GroupState {
            key: self.key,
            seen: self.promised().max(self.epochs.pledged),
            reserve: self.epochs.durable_reserve(),
            held: self.epochs.held,
            paused: self.paused,
        }
    }
}

/// The row of a group that has just been added.
fn first_row(group: &GroupSetup, seen: Epoch) -> Row {
    Row {
        epoch: seen,
        health: group.health,
        addresses: group.addresses_digest,
        policy: group.policy_digest,
        ..Row::new(group.key, Role::Starting, Reason::Listening)
    }
}

/// The address to probe a group by: the first IPv4 address, or the first one if all are IPv6.
fn probe_address(addresses: &[Vip]) -> Vip {
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.copied().unwrap_or(Vip::V4(std::net::Ipv4Addr::UNSPECIFIED))
}
