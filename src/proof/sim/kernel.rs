//! The kernel of a node: a gate on each interface with its lease and its latch, and what is open.

use crate::types::{Epoch, MonoTime};

/// The gate of one interface.
#[derive(Clone, Copy, Default, Debug)]
pub struct Gate {
    /// Whether the gate is installed, with the addresses behind it.
    pub there: bool,
    /// Number of this gate, which is one of its own for every installation.
    pub serial: u64,
    /// The deadline of the lease, by the node's clock.
    pub until: MonoTime,
    /// Number of the lease, which rises with each that begins; 0 before the first.
    pub generation: u64,
    /// The generation under which a frame was refused for an open group.
    pub refused: u64,
    /// Whether frames pass it by: another program was put before it, or it is in the wrong place.
    /// The kernel then answers for every address behind it.
    pub passed_by: bool,
}

impl Gate {
    /// Whether the lease lets open groups answer at `local`.
    pub fn is_live(&self, local: MonoTime) -> bool {
        self.there && local < self.until && self.refused != self.generation
    }

    /// Whether the present lease has turned somebody away, so that nothing answers under it any
    /// more.
    pub fn is_refused(&self) -> bool {
        self.generation != 0 && self.refused == self.generation
    }
}

/// The state of a kernel, which lasts as long as its machine has power.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub gates: Vec<Gate>,
    /// By group of the simulation: the epoch it is open with; NONE when it is closed.
    pub open: Vec<Epoch>,
}

impl Kernel {
    /// A kernel after boot, without gates.
    pub fn new(interfaces: usize, groups: usize) -> Kernel {
        Kernel { gates: vec![Gate::default(); interfaces], open: vec![Epoch::NONE; groups] }
    }

    /// Whether a group's gate is open, whatever its lease says.
    pub fn is_open(&self, group: usize) -> bool {
        self.open[group] != Epoch::NONE
    }
}
