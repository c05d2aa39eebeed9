//! The pulse: the one datagram two nodes exchange, at most [`MAX_DATAGRAM`] bytes, network byte
//! order.
//!
//! State travels here, never in one-off commands. A pulse names the version of its sender's whole
//! group table and carries the rows that changed after the version the receiver acknowledged; a
//! receiver that has everything up to `base_version` may advance to `upto_version`. A lost datagram
//! therefore costs a pulse and never a protocol step.
//!
//! Owns the layout below. Never does: authentication ([`super::auth`]), freshness
//! ([`super::session`]), what the rows mean. A body that breaks the layout is
//! [`Reject::Malformed`] as a whole; no part of it is used.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | magic 0x76a9 |
//! | 2 | 1 | version |
//! | 3 | 1 | key id |
//! | 4 | 1 | sender, 1–255 |
//! | 5 | 1 | receiver, 1–255, not the sender |
//! | 6 | 1 | flags: bit 0 query, 1 goodbye, 2 deaf, 3 alone, 4 open; 5–7 zero, ignored on receipt |
//! | 7 | 1 | zero, ignored on receipt |
//! | 8 | 4 | cluster |
//! | 12 | 8 | session, not 0 |
//! | 20 | 8 | counter, from 1 |
//! | 28 | 8 | echo_session |
//! | 36 | 8 | echo_counter |
//! | 44 | 4 | pulse, µs |
//! | 48 | 4 | silence, µs |
//! | 52 | 4 | lease, µs |
//! | 56 | 4 | digest of nodes |
//! | 60 | 4 | digest of group names |
//! | 64 | 8 | table_version |
//! | 72 | 8 | base_version |
//! | 80 | 8 | upto_version |
//! | 88 | 8 | ack_version |
//! | 96 | 1 | number of rows n, 0–18 |
//! | 97 | 1 | zero, ignored on receipt |
//! | 98 | 58 n | rows |
//! | 98 + 58 n | 32 | tag |
//!
//! A row:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | group key |
//! | 8 | 8 | epoch |
//! | 16 | 8 | reserve |
//! | 24 | 8 | claim |
//! | 32 | 8 | consent |
//! | 40 | 6 | mac |
//! | 46 | 1 | role |
//! | 47 | 1 | reason |
//! | 48 | 1 | flags: bit 0 wants, 1 faulty; 2–7 zero, ignored on receipt |
//! | 49 | 1 | health: 0 serves, 1–254 weights of failing checks and of what the node lacks, 255 does not answer |
//! | 50 | 4 | digest of addresses |
//! | 54 | 4 | digest of policy |

use super::auth::{MAX_DATAGRAM, PREFIX_SIZE, Reject, TAG_SIZE};
use crate::types::{Epoch, GroupKey, MacAddr, NodeId};

mod codec;
mod config;
#[cfg(test)]
mod tests;

pub use codec::{Rows, decode, encode, peek_cluster};
pub use config::PeerConfig;

/// The UDP port of pulses.
pub const PORT: u16 = 7811;
/// Bytes of one row.
pub const ROW_SIZE: usize = 58;
/// Most rows of one pulse.
pub const ROWS_PER_PULSE: usize = (MAX_DATAGRAM - PREFIX_SIZE - HEADER_SIZE - TAG_SIZE) / ROW_SIZE;

/// Bytes between prefix and rows.
pub(super) const HEADER_SIZE: usize = 94;

/// Everything in a pulse but its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The node or witness that sends.
    pub sender: NodeId,
    /// The node or witness that the pulse is for.
    pub receiver: NodeId,
    /// The cluster's number, by which a witness of many clusters finds the key: see
    /// [`peek_cluster`].
    pub cluster: u32,
    /// The sender's session: random per process.
    pub session: u64,
    /// Number of the datagram, which rises within the session, whatever the receiver and link.
    pub counter: u64,
    /// The receiver's session as the sender knows it; 0 when not known.
    pub echo_session: u64,
    /// The highest counter the sender has received from the receiver's session; 0 for none.
    pub echo_counter: u64,
    /// One-bit facts about the sender.
    pub flags: Flags,
    /// The sender's time between two pulses in µs, so that a difference can be named.
    pub pulse_us: u32,
    /// The sender's silence in µs.
    pub silence_us: u32,
    /// The sender's lease in µs.
    pub lease_us: u32,
    /// Digests of the parts of the sender's configuration that must be equal everywhere.
    pub digests: Digests,
    /// Version of the sender's group table. Starts at 1 with each session.
    pub table_version: u64,
    /// The rows of the pulse are all that changed after this version, up to and including
    /// `upto_version`.
    pub base_version: u64,
    /// The last version that the rows of the pulse tell.
    pub upto_version: u64,
    /// The version of the *receiver's* table that the sender has completely (0: nothing).
    pub ack_version: u64,
}

impl Header {
    /// Checks that the pulse is of `cluster`, from somebody else and for `me`.
    ///
    /// # Errors
    /// [`Reject::Cluster`] of another cluster, [`Reject::OwnNumber`] with our own number as the
    /// sender's, [`Reject::Addressee`] if it is for somebody else.
    pub fn check_addressee(&self, cluster: u32, me: NodeId) -> Result<(), Reject> {
        if self.cluster != cluster {
            Err(Reject::Cluster)
        } else if self.sender == me {
            Err(Reject::OwnNumber)
        } else if self.receiver != me {
            Err(Reject::Addressee)
        } else {
            Ok(())
        }
    }
}

/// First four bytes of SHA-256 over a canonical text of one part of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Digests {
    /// Node names and link addresses.
    pub nodes: u32,
    /// The set of group names.
    pub groups: u32,
}

/// One-bit facts about the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Flags {
    /// Bit 0: the sender asks for an answer at once on this link.
    pub query: bool,
    /// Bit 1: the sender is leaving; its gates are closed.
    pub goodbye: bool,
    /// Bit 2: the sender has not heard the receiver for longer than its suspicion time.
    pub deaf: bool,
    /// Bit 3: the sender hears the receiver and no majority of witnesses, and its configuration
    /// lets the pair decide alone then.
    pub alone: bool,
    /// Bit 4, only in what is said to a double: a gate of the sender is open.
    pub open: bool,
}

/// The sender's row about one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// The group that the row is about.
    pub group: GroupKey,
    /// The highest epoch the sender has durably or safely seen in use; when it is active, its own.
    pub epoch: Epoch,
    /// The sender's durably reserved next epoch, NONE if it has none.
    pub reserve: Epoch,
    /// The epoch the sender asks to open with, NONE if it asks for nothing.
    pub claim: Epoch,
    /// The epoch the sender has consented to: its own gate is closed and it opens only with a
    /// higher one.
    pub consent: Epoch,
    /// The sender's hardware address on the group's interface, ZERO if not known.
    pub mac: MacAddr,
    /// The sender's role for the group.
    pub role: Role,
    /// The reason why the sender is not ready, [`Reason::None`] when it is.
    pub reason: Reason,
    /// Whether the sender would like to become active (operator or preemption).
    pub wants: bool,
    /// Only of a witness: whether the group's active has a fault.
    pub faulty: bool,
    /// Health of the service on the sender: 0 it serves, up to 254 the sum of the weights of
    /// failing checks, 255 a check that decides alone fails or has not succeeded yet.
    pub health: u8,
    /// Digest of the group's addresses in canonical order.
    pub addresses: u32,
    /// Digest of prefer, preempt, preempt delay and drain.
    pub policy: u32,
}

impl Row {
    /// A row with this role and reason, and nothing else.
    #[must_use]
    pub fn new(group: GroupKey, role: Role, reason: Reason) -> Row {
        Row {
            group,
            epoch: Epoch::NONE,
            reserve: Epoch::NONE,
            claim: Epoch::NONE,
            consent: Epoch::NONE,
            mac: MacAddr::ZERO,
            role,
            reason,
            wants: false,
            faulty: false,
            health: 0,
            addresses: 0,
            policy: 0,
        }
    }
}

/// A node's role for one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Role {
    /// The agent has just begun and listens.
    Starting = 0,
    /// Gate closed, watching.
    Standby = 1,
    /// Gate open.
    Active = 2,
    /// Active and giving the group to a peer.
    Handover = 3,
    /// Gate closed and not able to serve.
    Fault = 4,
    /// Gate closed by the operator.
    Paused = 5,
    /// A third voter, which has no gate and holds no address.
    Witness = 6,
}

impl Role {
    /// Whether the gate is open in this role.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Role::Active | Role::Handover)
    }

    /// The role with this number on the wire, if there is one.
    #[must_use]
    pub fn from_wire(number: u8) -> Option<Role> {
        const ALL: [Role; 7] =
            [Role::Starting, Role::Standby, Role::Active, Role::Handover, Role::Fault, Role::Paused, Role::Witness];
        ALL.into_iter().find(|role| *role as u8 == number)
    }
}

/// The reason why a node is not ready to become active.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// The node is ready.
    None = 0,
    /// The interface does not exist.
    NoInterface = 1,
    /// The interface is down or without carrier.
    NoCarrier = 2,
    /// The gate is not installed.
    NoGate = 3,
    /// The addresses are not configured yet.
    NoAddresses = 4,
    /// No epoch is durably reserved: the state directory cannot be written.
    NoReservation = 5,
    /// The state files are damaged and no peer has told the latest epoch yet.
    StateDamaged = 6,
    /// Nobody is heard on the clients' segment although neighbours are known.
    Isolated = 7,
    /// Paused by the operator.
    Paused = 8,
    /// Still listening after start.
    Listening = 9,
    /// The agent is stopping.
    Stopping = 10,
    /// The service on this node does not answer: [`Row::health`] is 255.
    Unhealthy = 11,
    /// The hook before the opening was run and has failed.
    Hook = 12,
    /// Some of the group's addresses are missing.
    Incomplete = 13,
    /// The kernel would not answer a client's question.
    Mute = 14,
    /// A route by which clients were reached has gone.
    NoWayBack = 15,
    /// Nobody on the clients' segment is heard although they are asked.
    Unreached = 16,
    /// Somebody authentic uses the number of this node: one of both is configured wrongly.
    SameNumber = 17,
    /// A peer has the hardware address of this node on the group's interface.
    SameMac = 18,
    /// The interface is a port of another one, a bridge or bond, which takes its frames.
    Enslaved = 19,
}

impl Reason {
    /// The reason with this number on the wire, if there is one.
    #[must_use]
    pub fn from_wire(number: u8) -> Option<Reason> {
        const ALL: [Reason; 20] = [
            Reason::None,
            Reason::NoInterface,
            Reason::NoCarrier,
            Reason::NoGate,
            Reason::NoAddresses,
            Reason::NoReservation,
            Reason::StateDamaged,
            Reason::Isolated,
            Reason::Paused,
            Reason::Listening,
            Reason::Stopping,
            Reason::Unhealthy,
            Reason::Hook,
            Reason::Incomplete,
            Reason::Mute,
            Reason::NoWayBack,
            Reason::Unreached,
            Reason::SameNumber,
            Reason::SameMac,
            Reason::Enslaved,
        ];
        ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// Whether a node that gives this reason could serve the group, only worse than another: it
    /// says what the node lacks.
    #[must_use]
    pub fn is_lack(self) -> bool {
        match self {
            Reason::Incomplete | Reason::Mute | Reason::NoWayBack | Reason::Unreached => true,
            Reason::None
            | Reason::NoInterface
            | Reason::NoCarrier
            | Reason::NoGate
            | Reason::NoAddresses
            | Reason::NoReservation
            | Reason::StateDamaged
            | Reason::Isolated
            | Reason::Paused
            | Reason::Listening
            | Reason::Stopping
            | Reason::Unhealthy
            | Reason::Hook
            | Reason::SameNumber
            | Reason::SameMac
            | Reason::Enslaved => false,
        }
    }
}
