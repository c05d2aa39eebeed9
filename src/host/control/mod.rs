//! The control socket: requests of operators to the agent, and the agent's answers.
//!
//! `protocol` is the language, `client` the side of the commands, `server` the side of the agent.
//! Never does: decide anything, or delay a pulse. Requests reach the engine through a bounded
//! queue; a request that fails is answered with the reason.

pub mod checks;
pub mod client;
pub mod connections;
mod lines;
mod links;
mod path;
pub mod protocol;
pub mod server;
#[cfg(test)]
mod tests;
pub mod timers;
