//! What other threads of the agent send to the slow side: results of what they were asked to do.
//!
//! Owns: nothing. The hot thread does not use this queue but for its end: see `orders`.

use crate::announcer::AnnounceReport;
use crate::connections;
use crate::readiness;
use crate::store::WriteError;
use std::io;
use std::path::PathBuf;

/// A message to the slow side.
#[derive(Debug)]
pub(crate) enum Message {
    /// Result of a write, from the store's thread.
    Stored { version: u64, result: Result<(), WriteError> },
    /// Report on announcements, from the announcer's thread.
    Announced(AnnounceReport),
    /// Path of a finished recording, or why there is none, from the thread that wrote it.
    Recorded(Result<PathBuf, WriteError>),
    /// Report of the thread that asks whether clients would be answered and reached.
    Readiness(readiness::Report),
    /// Event from the thread that looks after connections.
    Connections(connections::Event),
    /// End of the hot thread, in order or not; its last message.
    HotEnded(io::Result<()>),
}
