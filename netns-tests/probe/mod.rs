//! What a client and a switch see, and the verdict over it.
//!
//! Owns: the sampler that asks who has an address, the questions at each server's own port, the web
//! client, the capture on the switch's ports, the oracle. Never does: asking the product anything;
//! the wire alone shows whether a promise was kept. Each probe is a thread with a socket of its
//! own; a probe that cannot keep up says so instead of reporting less.

pub mod asker;
pub mod capture;
pub mod flood;
pub mod frames;
pub mod idle;
pub mod knock;
pub mod openings;
pub mod oracle;
pub mod socket;
pub mod web;
pub mod writer;
