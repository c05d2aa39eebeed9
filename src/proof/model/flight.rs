//! Flights: datagrams, frames, and ends of writes and hooks on their way, and how they enter a
//! state's canon.

use super::shape::PATHS;
use super::state::Node;
use super::witness::Witness;
use crate::canon::Canon;
use crate::durable::Durable;
use crate::engine::Hook;
use crate::types::Epoch;
use crate::voter::Memory;
use crate::wire::frame::Sighting;
use crate::wire::pulse::{Header, Row};

/// The content of a flight.
#[derive(Clone, Debug)]
pub enum Freight {
    /// A datagram, with its header and rows for the model's own account.
    Pulse { path: usize, bytes: Vec<u8>, header: Header, rows: Vec<Row> },
    /// A frame of the segment, as its receiver reads it.
    Seen(Sighting),
    /// A write to a node's disk has ended.
    Stored { life: u8, version: u64, state: Durable },
    /// A write to the witness's disk has ended.
    Remembered { life: u8, version: u64, memory: Memory },
    /// A hook has ended well.
    Ended { life: u8, hook: Hook, epoch: Epoch },
}

/// The receiver of a flight.
#[derive(Clone, Copy)]
pub enum Receiver<'a> {
    Node(&'a Node),
    Witness(&'a Witness),
}

impl Receiver<'_> {
    /// Whether the receiver would drop a datagram as a copy.
    fn has_seen(self, header: &Header) -> bool {
        let (session, counter) = (header.session, header.counter);
        match self {
            Receiver::Node(node) => node.engine.as_ref().is_some_and(|engine| engine.has_seen(session, counter)),
            Receiver::Witness(witness) => {
                witness.voter.as_ref().is_some_and(|voter| voter.has_seen(session, counter))
            }
        }
    }

    /// Adds to the canon a version of the durable state that life `of` of the receiver has written,
    /// and whether the receiver still lives that life.
    fn canon_version(self, of: u8, version: u64, canon: &mut Canon) {
        match self {
            Receiver::Node(node) => {
                canon.flags(&[node.life == of]);
                if let Some(engine) = &node.engine {
                    engine.canon_version(version, canon);
                }
            }
            Receiver::Witness(witness) => {
                canon.flags(&[witness.life == of]);
                if let Some(voter) = &witness.voter {
                    voter.canon_version(version, canon);
                }
            }
        }
    }
}

/// Something on its way to a node or the witness. A flight that is not held up arrives in the
/// instant in which it was sent.
#[derive(Clone, Debug)]
pub struct Flight {
    /// The sender, by end.
    pub from: usize,
    /// The receiver, by end.
    pub to: usize,
    /// Number of ticks for which the flight is held up.
    pub late: u8,
    /// Round of the instant in which the flight was sent.
    pub round: u16,
    pub freight: Freight,
}

impl Flight {
    /// The queue of the flight, within which nothing overtakes: sender, receiver, kind.
    pub fn queue(&self) -> (usize, usize, usize) {
        let kind = match &self.freight {
            Freight::Pulse { path, .. } => *path,
            Freight::Seen(_) => PATHS.len(),
            Freight::Stored { .. } | Freight::Remembered { .. } => PATHS.len() + 1,
            Freight::Ended { .. } => PATHS.len() + 2,
        };
        (self.from, self.to, kind)
    }

    /// Whether the flight comes from the receiver's own machine: the end of a write or a hook.
    pub fn is_stored(&self) -> bool {
        matches!(self.freight, Freight::Stored { .. } | Freight::Remembered { .. } | Freight::Ended { .. })
    }

    /// Adds the flight to the canon; `receiver` knows whether the datagram would be a copy.
    pub fn canon(&self, receiver: Receiver<'_>, canon: &mut Canon) {
        let Flight { from, to, late, round: _, freight } = self;
        canon.plain((*from as u64) << 16 | (*to as u64) << 8 | u64::from(*late));
        match freight {
            Freight::Pulse { path, bytes: _, header, rows } => {
                canon.size(*path);
                header.canon(canon);
                canon.list(rows, |canon, row| row.canon(canon));
                canon.flags(&[receiver.has_seen(header)]);
            }
            Freight::Seen(Sighting::Claim { address, mac, nameless: _ }) => {
                canon.address(*address);
                canon.mac(*mac);
            }
            Freight::Seen(Sighting::Presence { mac }) => canon.mac(*mac),
            Freight::Stored { life, version, state } => {
                receiver.canon_version(*life, *version, canon);
                state.canon(canon);
            }
            Freight::Remembered { life, version, memory } => {
                receiver.canon_version(*life, *version, canon);
                memory.canon(canon);
            }
            Freight::Ended { life, hook, epoch } => {
                receiver.canon_version(*life, 0, canon);
                canon.plain(*hook as u64);
                canon.epochs(&[*epoch]);
            }
        }
    }

    /// The place of the flight in a canon: independent of the order in which histories sent
    /// flights.
    pub fn place(&self) -> (usize, usize, usize, u8, u64, u64) {
        let (from, to, kind) = self.queue();
        let (session, counter) = match &self.freight {
            Freight::Pulse { header, .. } => (header.session, header.counter),
            Freight::Seen(_) => (0, 0),
            Freight::Ended { epoch, .. } => (0, epoch.0),
            Freight::Stored { version, .. } | Freight::Remembered { version, .. } => (0, *version),
        };
        (from, to, kind, self.late, session, counter)
    }
}
