//! One witness as the simulator sees it: machine, clock, process, and a disk with two copies of
//! what must survive.
//!
//! The voter is the one that runs in `vipair witness`. The machine around it is modelled: a start
//! reads the newer whole copy, a write goes to the older one, an answer goes to where its question
//! came from.

use super::clock::{Clock, Real};
use crate::types::MonoTime;
use crate::voter::{Loaded, Memory, Voter};
use std::time::Duration;

/// Number of datagrams that wait for a stopped process; later ones are lost.
pub const BACKLOG: usize = 256;

/// One of the two places for a state on the disk.
#[derive(Clone, Debug, Default)]
pub enum Slot {
    /// No write was ever made there.
    #[default]
    Empty,
    /// A state, with the number of its write: the highest is the newest.
    Whole(u64, Memory),
    Damaged,
}

/// The disk of a witness: content and behaviour.
#[derive(Default)]
pub struct Disk {
    pub slots: [Slot; 2],
    /// Number of writes so far.
    pub writes: u64,
    /// The content at the last start of the process.
    pub former: [Slot; 2],
    /// Whether writes fail.
    pub fails: bool,
    /// Time that a write takes.
    pub latency: Duration,
    /// The newest state that the process wants there, with its version.
    pub wanted: Option<(u64, Memory)>,
    /// The state that is being written, with its version.
    pub writing: Option<(u64, Memory)>,
}

impl Disk {
    /// The place of the newest whole copy.
    fn newest(&self) -> Option<usize> {
        let number = |slot: &Slot| match slot {
            Slot::Whole(number, _) => Some(*number),
            Slot::Empty | Slot::Damaged => None,
        };
        (0..2).filter(|place| number(&self.slots[*place]).is_some()).max_by_key(|place| number(&self.slots[*place]))
    }

    /// Writes a state over the older one.
    pub fn put(&mut self, memory: Memory) {
        self.writes += 1;
        let place = self.newest().map_or(0, |newest| 1 - newest);
        self.slots[place] = Slot::Whole(self.writes, memory);
    }

    /// Damages the newer copy, or both.
    pub fn damage(&mut self, both: bool) {
        let newest = self.newest().unwrap_or(0);
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if (both || place == newest) && !matches!(slot, Slot::Empty) {
                *slot = Slot::Damaged;
            }
        }
    }

    /// The content as a process that starts reads it.
    pub fn load(&self) -> Loaded {
        match self.newest().map(|place| &self.slots[place]) {
            Some(Slot::Whole(_, memory)) => Loaded::Memory(memory.clone()),
            Some(Slot::Empty | Slot::Damaged) | None => {
                let fresh = self.slots.iter().all(|slot| matches!(slot, Slot::Empty));
                if fresh { Loaded::Fresh } else { Loaded::Damaged }
            }
        }
    }
}

/// One witness: machine, clock, process and disk.
pub struct Witness {
    /// The voter of the process; `None` if none runs.
    pub voter: Option<Box<Voter>>,
    pub clock: Clock,
    pub disk: Disk,
    /// Datagrams that wait for a stopped process, each with its sender; `None` while it runs.
    pub pause: Option<Vec<(usize, Vec<u8>)>>,
    /// Whether the machine has power.
    pub powered: bool,
    /// Whether the machine is frozen: its clock stands still, and nothing reaches it.
    pub frozen: bool,
    /// Number of the process, which rises with each start.
    pub life: u64,
    /// Whether its checks find the services well.
    pub healthy: bool,
}

impl Witness {
    /// A machine that has power, and on which no voter was ever started.
    pub fn new(now: Real) -> Witness {
        Witness {
            voter: None,
            clock: Clock::new(now, MonoTime(1_000_000_000), 0),
            disk: Disk { latency: Duration::from_millis(3), ..Disk::default() },
            pause: None,
            powered: true,
            frozen: false,
            life: 0,
            healthy: true,
        }
    }

    /// Whether the process answers.
    pub fn is_running(&self) -> bool {
        self.voter.is_some() && self.pause.is_none()
    }
}
