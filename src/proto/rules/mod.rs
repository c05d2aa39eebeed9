//! Rules: what every voter keeps to, and every rule that a mutant can break, as functions of one
//! line.
//!
//! Owns: what a row asks of a voter and gives up, who makes a majority, how long a promise binds,
//! how results of checks are counted; and [`Rules`], the named rules of engine and voter. The rules
//! of the wire stand in `wire::rules`. Never does: remember anything. The oracles of simulator and
//! model do not use these rules, except what a row asks and gives up.
//!
//! The doc of a rule states the protocol. A mutant breaks its rule here, inside the function that
//! states it, and nowhere else, so the engine's code is the protocol alone. In what ships [`Rules`]
//! has no memory, and every rule without an argument is a constant.

use crate::mutant::{Mutant, Mutants};

mod alike;
mod claim;
mod count;
pub mod electorate;
mod epoch;
pub mod evidence;
mod gate;
mod speech;
pub mod tally;
pub mod vote;
mod witness;

/// The rules of the protocol, one of them broken if a mutant is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules(Mutants);

impl Rules {
    /// The rules as `mutants` leaves them.
    #[must_use]
    pub const fn of(mutants: Mutants) -> Rules {
        Rules(mutants)
    }

    /// Whether the rule that `mutant` breaks holds.
    fn keeps(self, mutant: Mutant) -> bool {
        !self.0.is_on(mutant)
    }
}
