//! Rules that more than one voter keeps: the engine of a node and the voter of a witness decide by the same functions.
//!
//! Owns: what a row asks of a vote and gives up, how long a promise binds, how results of checks are counted. Never does:
//! remember anything of its own. The simulator's oracle does not use this room: it computes what is right anew.

pub mod tally;
pub mod vote;
