//! What the tests of several wings need. Nothing of it is in the program that ships.

mod allocator;
pub mod netns;

pub use allocator::{Counting, Usage, measured};
