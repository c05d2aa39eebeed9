//! The protocol: who may answer for an address, and on what evidence. Pure: `handle(now, event)`
//! gives actions.
//!
//! Owns: types, times, rules, the wire, the engine of a node and the voter of a witness. Never
//! does: read a clock, open a socket or file, start a thread, ask for randomness; nothing here
//! knows an operating system. Time comes with each event. Errors in here are for the simulator and
//! the model check of `vipair-proof` to find.
//!
//! | room | noun |
//! |---|---|
//! | [`types`] | the nouns that every room shares |
//! | [`timing`] | every derived time, and its formula |
//! | [`rules`] | what every voter keeps to |
//! | [`durable`] | what survives a restart |
//! | [`wire`] | bytes and values |
//! | [`engine`] | a node: who is active |
//! | [`voter`] | a witness: whom it votes for |
//! | [`mutant`] | one rule broken on purpose, to check those who check |

#![forbid(unsafe_code)]

#[cfg(any(test, feature = "proof"))]
pub mod canon;
pub mod durable;
pub mod engine;
pub mod mutant;
pub mod rules;
pub mod timing;
pub mod types;
pub mod voter;
pub mod wire;

/// Sixteen hex digits that change with every source file of this crate. A recording is replayed
/// only by the engine that made it.
pub const ENGINE_TAG: &str = env!("VIPAIR_ENGINE");
