//! Rules that more than one voter keeps: the engine of a node and the voter of a witness decide by
//! the same functions.
//!
//! Owns: what a row asks of a voter and gives up, how long a promise binds, how results of checks
//! are counted. Never does: remember anything of its own. An oracle computes for itself what is
//! right, but for what a row asks and gives up.

pub mod tally;
pub mod vote;
