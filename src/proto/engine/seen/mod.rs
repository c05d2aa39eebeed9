//! What may be seen of an engine from outside its own run: snapshots, and views for simulator and
//! model.
//!
//! Owns: the ways to look. Never does: change anything. `inspect` and `canon` are no part of what
//! ships.

#[cfg(any(test, feature = "proof"))]
mod canon;
#[cfg(any(test, feature = "proof"))]
mod inspect;
mod snapshot;

pub use snapshot::Snapshot;
pub(super) use snapshot::no_setup;
