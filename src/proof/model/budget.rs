//! What may go wrong in a search: the budget of faults, and the ways that are cut.

use super::shape::PATHS;

/// Number of things of each kind that may still go wrong. `any` bounds their sum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    pub any: u8,
    /// Changes of the cuts; mending is free.
    pub cuts: u8,
    /// Datagrams that are lost.
    pub losses: u8,
    /// Datagrams that arrive twice.
    pub copies: u8,
    /// Datagrams, sightings and disk writes that are held up.
    pub delays: u8,
    /// Processes stopped between two events.
    pub stops: u8,
    /// Processes stopped between a decision and a write to the gate.
    pub traps: u8,
    /// Guests stopped with their clock.
    pub freezes: u8,
    /// Processes killed; the kernel goes on.
    pub kills: u8,
    /// Hosts that lose their power.
    pub crashes: u8,
    /// Ticks that a clock loses or gains.
    pub slips: u8,
    /// Losses of the interface's carrier; its return is free.
    pub carriers: u8,
    /// Operators' orders.
    pub orders: u8,
}

impl Budget {
    /// Enough of everything for a history.
    pub const LAVISH: Budget = Budget {
        any: 99,
        cuts: 99,
        losses: 99,
        copies: 99,
        delays: 99,
        stops: 99,
        traps: 99,
        freezes: 99,
        kills: 99,
        crashes: 99,
        slips: 99,
        carriers: 99,
        orders: 99,
    };
}

/// The ways that are cut: a bit for each sender, receiver and path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cuts(u32);

impl Cuts {
    /// The bit of one way.
    fn bit(from: usize, to: usize, path: usize) -> u32 {
        1 << ((from * 3 + to) * PATHS.len() + path)
    }

    /// Cuts of these ways, each a sender, a receiver and a path.
    pub fn of(ways: &[(usize, usize, usize)]) -> Cuts {
        Cuts(ways.iter().fold(0, |cut, &(from, to, path)| cut | Cuts::bit(from, to, path)))
    }

    /// These cuts and the others together.
    pub fn with(self, other: Cuts) -> Cuts {
        Cuts(self.0 | other.0)
    }

    pub fn is_cut(self, from: usize, to: usize, path: usize) -> bool {
        self.0 & Cuts::bit(from, to, path) != 0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}
