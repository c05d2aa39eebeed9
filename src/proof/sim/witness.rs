//! One witness as the simulator sees it: machine, clock, process, and a disk with two copies of what must survive.
//!
//! The voter is the one that runs in `vipair witness`. What the machine around it does here: it begins anew with what the
//! newer whole copy says, writes to the older one, and answers to where a question came from.

use super::clock::{Clock, Real};
use crate::types::MonoTime;
use crate::voter::{Loaded, Memory, Voter};
use std::time::Duration;

/// Datagrams that wait for a stopped process; what comes later is lost.
pub const BACKLOG: usize = 256;

/// One of the two places of a state.
#[derive(Clone, Debug, Default)]
pub enum Slot {
    /// Nothing was ever written there.
    #[default]
    Empty,
    /// With the number of the write: the highest is the newest.
    Whole(u64, Memory),
    Damaged,
}

/// What the disk of a witness holds, and how it behaves.
#[derive(Default)]
pub struct Disk {
    pub slots: [Slot; 2],
    pub writes: u64,
    /// What was there when the process started last.
    pub former: [Slot; 2],
    pub fails: bool,
    pub latency: Duration,
    /// The newest state that the process wants there, with its version.
    pub wanted: Option<(u64, Memory)>,
    pub writing: Option<(u64, Memory)>,
}

impl Disk {
    fn newest(&self) -> Option<usize> {
        let number = |slot: &Slot| match slot {
            Slot::Whole(number, _) => Some(*number),
            Slot::Empty | Slot::Damaged => None,
        };
        (0..2).filter(|place| number(&self.slots[*place]).is_some()).max_by_key(|place| number(&self.slots[*place]))
    }

    /// A state is on the disk: in the place of the older one.
    pub fn put(&mut self, memory: Memory) {
        self.writes += 1;
        let place = self.newest().map_or(0, |newest| 1 - newest);
        self.slots[place] = Slot::Whole(self.writes, memory);
    }

    /// The place of the newer copy is damaged; of both, if `both`.
    pub fn damage(&mut self, both: bool) {
        let newest = self.newest().unwrap_or(0);
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if (both || place == newest) && !matches!(slot, Slot::Empty) {
                *slot = Slot::Damaged;
            }
        }
    }

    /// What a process that starts finds.
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

pub struct Witness {
    pub voter: Option<Box<Voter>>,
    pub clock: Clock,
    pub disk: Disk,
    /// A stopped process, and what waits for it: from whom, and what.
    pub pause: Option<Vec<(usize, Vec<u8>)>>,
    pub powered: bool,
    /// Its clock stands still, and nothing reaches it.
    pub frozen: bool,
    pub life: u64,
    /// Its checks find the services well.
    pub healthy: bool,
}

impl Witness {
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

    /// True while its process answers.
    pub fn is_running(&self) -> bool {
        self.voter.is_some() && self.pause.is_none()
    }
}
