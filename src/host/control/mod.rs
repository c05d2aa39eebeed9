//! The control socket: what operators ask the agent, and what it answers.
//!
//! `protocol` is the language, `client` the side of the commands. Nothing here decides anything, and nothing
//! here can delay a pulse: requests reach the engine through a bounded queue.

pub mod checks;
pub mod client;
pub mod connections;
mod lines;
pub mod protocol;
pub mod server;
#[cfg(test)]
mod tests;
