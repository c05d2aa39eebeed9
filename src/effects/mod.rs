//! What the engine wants, done: kernel, disk, hooks.
//!
//! Owns: everything slow. Never does: decide who is active, or make the pulse thread wait. Every result, good or
//! bad, goes back as an event.

pub mod announcer;
pub mod keeper;
pub mod shelf;
pub mod store;
