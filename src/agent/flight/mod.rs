//! The flight recorder: everything the engine was told in the last minutes, and the way to run it again.
//!
//! Owns: what a recording is made of, the bounded way from the hot thread to it, its file, and its replay through the
//! engine that flew. Never does: decide anything, or delay the hot thread: a full queue loses records and says so, and
//! the recording goes on from the next snapshot. Keys are in none of it: datagrams lose their tag, and are sealed anew
//! with a substitute key when they are replayed.
//!
//! | file | noun |
//! |---|---|
//! | `happened` | what an engine is told and what it decides, as it is written down |
//! | `queue` | from the hot thread to the slow side: records as they come |
//! | `pack` | records in little space |
//! | `ring` | the last minutes, in segments that each begin with a snapshot |
//! | `file` | a recording as bytes, and back |
//! | `replay` | the engine runs again; does it decide the same? |
//! | `story` | what happened, for people |
//! | `evidence` | what a decision rested on |

mod evidence;
mod file;
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
pub use replay::{Input, Parting, Step, Verdict, replay};
pub use ring::{Ring, Segment};
pub use story::{Line, Story, Telling};
