//! What will happen, and what was seen on its way.

use crate::sim::node::Waiting;
use crate::wire::frame::Sighting;

/// Who asks for an address.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    Node(usize),
    Host(usize),
}

pub enum Due {
    Datagram {
        to: usize,
        from: usize,
        wire: usize,
        bytes: Vec<u8>,
    },
    /// The kernel of the other end says that nobody listens.
    Refused {
        to: usize,
        from: usize,
        wire: usize,
    },
    /// A probe, and with it the sign that its sender is there.
    Probe {
        to: usize,
        from: usize,
        interface: usize,
        group: Option<usize>,
    },
    /// A host asks for every address of its segment.
    Traffic {
        to: usize,
        host: usize,
    },
    Sighting {
        to: usize,
        interface: usize,
        sighting: Sighting,
    },
    /// A host learns who has an address.
    Learn {
        host: usize,
        group: usize,
        node: usize,
    },
    Written {
        to: usize,
        life: u64,
        version: u64,
    },
    Retry {
        to: usize,
        life: u64,
    },
    Resume {
        to: usize,
    },
    Start {
        to: usize,
        life: u64,
    },
    /// Something about an interface is done by the slow side of a process.
    Slow {
        to: usize,
        life: u64,
        waiting: Waiting,
    },
    /// A node's datagram reaches the machine of a witness.
    Asked {
        witness: usize,
        from: usize,
        bytes: Vec<u8>,
    },
    /// The disk of a witness has written, or would have.
    Remembered {
        witness: usize,
        life: u64,
        version: u64,
    },
    WitnessStart {
        witness: usize,
        life: u64,
    },
    WitnessResume {
        witness: usize,
    },
    /// Hosts should know by now who opened.
    Correct {
        group: usize,
        node: usize,
        opening: usize,
    },
}

/// A datagram that was seen on its way.
pub struct Recording {
    pub to: usize,
    pub from: usize,
    pub wire: usize,
    pub bytes: Vec<u8>,
}
