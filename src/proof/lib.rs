//! The proofs of the protocol: simulator, model check, fuzzing, and the rules of the house. None of
//! this is in the program that ships.
//!
//! Owns: the simulator, the model check, the checks of every input from outside, and the rules of
//! the house. Never does: decide anything for the product. A broken promise ends in a panic that
//! names it, with the seed or the path to it.
//!
//! | room | noun |
//! |---|---|
//! | [`sim`] | many histories under virtual time, drawn from seeds |
//! | `model` | all histories of a small cluster |
//! | `fuzz` | inputs from outside (feature `fuzz`) |
//! | `house` | what the source tree and the documents must keep to (feature `fuzz`) |
//!
//! Simulator and model use `vipair-proto` alone, so that they build without anything that knows an
//! operating system.

#[cfg(feature = "fuzz")]
pub mod fuzz;
#[cfg(all(test, feature = "fuzz"))]
mod house;
#[cfg(test)]
mod model;
pub mod sim;

#[cfg(feature = "fuzz")]
use vipair_agent::flight;
#[cfg(feature = "fuzz")]
use vipair_host::{config, control, io, store};
#[cfg(test)]
use vipair_proto::canon;
use vipair_proto::{durable, engine, mutant, rules, timing, types, voter, wire};
#[cfg(feature = "fuzz")]
use vipair_witness as witness;

/// The commit that is built, which a failure of the simulator names; the package's version outside
/// a repository.
pub const REVISION: &str = env!("VIPAIR_REVISION");
