//! What the kernel of a node holds: a gate on each interface with its lease and its latch, and what is open.

use crate::types::{Epoch, MonoTime};

/// The gate of one interface.
#[derive(Clone, Copy, Default, Debug)]
pub struct Gate {
    /// Installed, with the addresses behind it.
    pub there: bool,
    /// Which one it is: a replaced gate is another.
    pub serial: u64,
    /// The deadline of the lease, by the node's clock.
    pub until: MonoTime,
    pub generation: u64,
    /// The generation under which a frame was refused for an open group.
    pub refused: u64,
}

impl Gate {
    /// True while its lease lets open groups answer.
    pub fn is_live(&self, local: MonoTime) -> bool {
        self.there && local < self.until && self.refused != self.generation
    }

    pub fn is_refused(&self) -> bool {
        self.generation != 0 && self.refused == self.generation
    }
}

#[derive(Clone, Debug)]
pub struct Kernel {
    pub gates: Vec<Gate>,
    /// By group of the simulation: the epoch it is open with; NONE when it is closed.
    pub open: Vec<Epoch>,
}

impl Kernel {
    pub fn new(interfaces: usize, groups: usize) -> Kernel {
        Kernel { gates: vec![Gate::default(); interfaces], open: vec![Epoch::NONE; groups] }
    }

    pub fn is_open(&self, group: usize) -> bool {
        self.open[group] != Epoch::NONE
    }
}
