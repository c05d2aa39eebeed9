//! Helpers for the tests of several crates. Nothing of this is in the program that ships.

mod allocator;
pub mod netns;
mod steady;
pub mod stranger;

pub use allocator::{Counting, Usage, measured};
pub use steady::steady;
