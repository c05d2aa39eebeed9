//! The flight recorder: every event of the engine in the last minutes, and the way to run it again.
//!
//! Owns: the contents of a recording, the bounded way from the hot thread to it, its file, and its
//! replay through the engine that flew. Never does: decide anything, or delay the hot thread. A
//! full queue loses records and says so, and the recording goes on from the next snapshot. No key
//! is recorded: datagrams lose their tag, and the replay seals them again with a substitute key.
//!
//! | file | noun |
//! |---|---|
//! | `happened` | events and decisions, in recorded form |
//! | `queue` | from the hot thread to the slow side: records as they come |
//! | `pack` | records in little space |
//! | `ring` | the last minutes, in segments that each begin with a snapshot |
//! | `file` | a recording as bytes, and back |
//! | `shelf` | the directory of recordings |
//! | `replay` | the engine runs again, and its decisions are compared |
//! | `story` | a recording in sentences for people |
//! | `grounds` | the grounds that a decision rested on |

mod file;
mod grounds;
mod happened;
mod pack;
mod queue;
mod replay;
mod ring;
pub mod shelf;
mod story;
#[cfg(test)]
mod tests;

pub use file::{Book, ENGINE, Header, MAX_FILE, Recording, Unreadable};
pub use happened::{Decision, Happened};
pub use queue::{Recorder, Start, Tape, queue};
pub use replay::{Comparison, Input, Parting, Senseless, Step, replay};
pub use ring::{Ring, Segment};
pub use story::{Line, Story, Telling};
