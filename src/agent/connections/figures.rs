//! Figures about connections, for `status`.
//!
//! Owns: their meaning. Never does: anything; the worker fills them in.

use crate::types::{GroupKey, MonoTime};
use std::collections::HashMap;
use std::time::Duration;

/// Figures of all groups; with up to a hundred groups they are at most a tenth of a second old.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Figures of each group.
    pub groups: HashMap<GroupKey, GroupFigures>,
    /// Instant since which the peer takes our lists; `None` if it does not.
    pub told_since: Option<MonoTime>,
    /// Instant since which the peer does not take our lists.
    pub untold_since: Option<MonoTime>,
    /// Number of connections that the peer says it holds.
    pub held: u32,
    /// Arrival of that number.
    pub held_at: Option<MonoTime>,
    /// Whether the peer sends us its lists.
    pub heard: bool,
    /// Number of callers and listeners refused since the start.
    pub refused: u64,
    /// Number of connections beyond the bound, left out of the newest list.
    pub left_out: usize,
    /// Time that a processor was busy with the newest list.
    pub list_took: Duration,
    /// Time from one list to the next.
    pub list_every: Duration,
}

/// Figures of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupFigures {
    /// Number of our connections, if the group is open here or was a moment ago.
    pub known: Option<usize>,
    /// Number of the peer's connections that are known here.
    pub mirrored: usize,
    /// Arrival of the peer's newest statement that its list is complete.
    pub mirrored_at: Option<MonoTime>,
    /// Number of packets sent to clients of the former active since the start.
    pub tickled: u64,
    /// Number of connections reset here since the start.
    pub reset: u64,
}
