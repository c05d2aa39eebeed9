//! vipair: two Linux servers, one service address.
//!
//! Data goes one way: frame or datagram → `io` (stamped with its receive time) → `Event` → `engine` → `Action` →
//! `effects`. Effects report back as events. Nothing else calls upward.

pub mod checks;
pub mod cli;
pub mod config;
pub mod connections;
pub mod control;
pub mod daemon;
pub mod effects;
pub mod engine;
pub mod flight;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod gate;
pub mod hooks;
#[cfg(test)]
mod house;
pub mod io;
pub mod mutant;
#[cfg(any(test, feature = "sim"))]
mod sim;
pub mod types;
pub mod voter;
pub mod wire;
pub mod witness;
