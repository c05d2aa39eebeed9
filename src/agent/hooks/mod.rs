//! Programs and units around a move of a group.
//!
//! Each group has a worker: one thing at a time, in the order it was asked for. Workers live on the thread of the checks, at
//! ordinary priority; the thread that pulses waits for none of them, and learns by an order how they ended. A program that
//! takes too long is killed with everything it has started. Nothing is run that others than root can change.
//!
//! | file | noun |
//! |---|---|
//! | `launch` | one program: environment, user, time limit, output |
//! | `job` | what is run for one step of a move |
//! | `worker` | the jobs of one group |

mod job;
#[cfg(test)]
mod tests;
mod worker;

pub use job::{Job, Occasion};
pub use worker::{Ended, Tools, Workers};
