//! The simulator: the engine that runs in the agent, and the wire it speaks, under virtual time.
//!
//! Owns: nodes with their kernels and disks, the wires between them, everything that is done to them, and the oracle
//! that looks after every event. A seed draws all of it; the same seed is the same run, bit by bit. Never does: read a
//! clock, or change what it checks. A failure tells its seed, what was violated and the last things that happened.

mod faults;
mod kernel;
mod names;
mod net;
mod node;
mod oracle;
mod play;
mod random;
#[cfg(test)]
mod tests;
mod world;

pub(crate) use play::{disturb, lose_host, play, run};
pub(crate) use world::Sim;
