//! Programs and units around a move of a group.
//!
//! Owns: a worker for each group, which does one job after the other in the order of posting.
//! Workers are tasks on the service thread; the programs run at ordinary priority. Never does: make
//! the hot thread wait; an order tells the hot thread how a job ended. Nothing is run that others
//! than root can change. A program that takes too long is killed with everything it has started.
//!
//! | file | noun |
//! |---|---|
//! | `job` | programs and units of one step of a move |
//! | `worker` | the jobs of one group |

mod job;
#[cfg(test)]
mod tests;
mod worker;

pub use job::{Job, Occasion};
pub use worker::{Ended, Tools, Workers};
