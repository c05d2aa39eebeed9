//! What will happen, and datagrams that were recorded on their way.

use crate::sim::node::Waiting;
use crate::types::MacAddr;
use crate::wire::frame::Sighting;

/// The party that asks for an address.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    /// A node, which probes; whether it names an address of its own.
    Node(usize, bool),
    /// A host, which wants to send.
    Host(usize),
}

/// An entry of the queue: what is due at an instant.
pub enum Due {
    /// A datagram arrives at the machine of a node.
    Datagram { to: usize, from: usize, wire: usize, bytes: Vec<u8> },
    /// Word of the other end's kernel that nobody listens.
    Refused { to: usize, from: usize, wire: usize },
    /// A probe, and with it the sign that its sender is there.
    Probe { to: usize, from: usize, interface: usize, group: Option<usize>, named: bool },
    /// A host asks for every address of its segment.
    Traffic { to: usize, host: usize },
    /// A frame shows something to a node.
    Sighting { to: usize, interface: usize, sighting: Sighting },
    /// A host learns at which hardware address an address is.
    Learn { host: usize, group: usize, mac: MacAddr },
    /// The end of a write to a node's disk.
    Written { to: usize, life: u64, version: u64 },
    /// Another try of a failed write.
    Retry { to: usize, life: u64 },
    /// A stopped process or machine of a node goes on.
    Resume { to: usize },
    /// An agent starts, unless its node has lived on.
    Start { to: usize, life: u64 },
    /// An event of the slow side for its process.
    Slow { to: usize, life: u64, waiting: Waiting },
    /// A node's datagram for a witness.
    Asked { witness: usize, from: usize, bytes: Vec<u8> },
    /// The end of a write to a witness's disk.
    Remembered { witness: usize, life: u64, version: u64 },
    /// A witness starts, unless it has lived on.
    WitnessStart { witness: usize, life: u64 },
    /// A stopped witness goes on.
    WitnessResume { witness: usize },
    /// The moment at which hosts must know who opened.
    Correct { group: usize, node: usize, opening: usize },
}

/// A datagram that was recorded on its way.
pub struct Recording {
    pub to: usize,
    pub from: usize,
    pub wire: usize,
    pub bytes: Vec<u8>,
}
