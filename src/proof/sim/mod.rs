//! The simulator: the engine that runs in the agent, and the wire it speaks, under virtual time.
//!
//! Owns: nodes with their kernels, clocks and disks, the wires and hosts between them, everything
//! that is done to them, and the oracle that looks after every event. A seed draws all of it; the
//! same seed is the same run, bit by bit. Never does: read a clock for a run, or change what it
//! checks. A failure tells its seed, the violation and the history.
//!
//! | file | what |
//! |---|---|
//! | `swarm` | what a seed decides once: the cluster, and which faults strike how often |
//! | `play` | how a run goes |
//! | `faults` | what is done to the nodes and wires |
//! | `world` | time, events, and the carrying out of what engines decide |
//! | `node`, `witness`, `kernel`, `clock`, `net`, `hosts` | the things in the world |
//! | `queue`, `random` | what is due, and the only source of chance |
//! | `calm` | a cluster at rest, where runs with one purpose begin |
//! | `directed`, `votes` | runs with one purpose each, without and with witnesses |
//! | `service` | the services of a run |
//! | `oracle` | the promises |
//! | `transitions`, `coverage` | legal changes of role, and counts of what happened |
//! | `history`, `names` | lines for people, and numbers of things |
//! | `many` | many seeds on many threads |

mod calm;
mod clock;
mod coverage;
mod directed;
mod faults;
mod history;
mod hosts;
mod kernel;
mod many;
#[cfg(test)]
mod mutants;
mod names;
mod net;
mod node;
mod oracle;
mod play;
mod queue;
mod random;
mod service;
mod swarm;
#[cfg(test)]
mod tests;
mod transitions;
mod votes;
mod witness;
mod world;

pub use history::Want;
pub use many::{Job, Report, run_many};
pub use play::tell_seed_on_panic;
pub use play::{Mode, run, story};
