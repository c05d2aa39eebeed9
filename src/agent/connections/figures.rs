//! What `status` tells about connections.

use crate::types::{GroupKey, MonoTime};
use std::collections::HashMap;
use std::time::Duration;

/// All of it, as it was a tenth of a second ago at the most.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Of each group.
    pub groups: HashMap<GroupKey, GroupFigures>,
    /// Since when the peer takes our lists; `None` if it does not.
    pub told_since: Option<MonoTime>,
    /// Since when it does not.
    pub untold_since: Option<MonoTime>,
    /// Connections that the peer says it holds.
    pub held: u32,
    /// When it said so.
    pub held_at: Option<MonoTime>,
    /// The peer tells us its lists.
    pub heard: bool,
    /// Callers and listeners that were refused.
    pub refused: u64,
    /// Connections beyond the bound that were left out of the newest list.
    pub left_out: usize,
    /// How long a processor was busy with the newest list.
    pub list_took: Duration,
    /// Time from one list to the next.
    pub list_every: Duration,
}

/// One group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupFigures {
    /// Connections here, when the group is open here or was a moment ago.
    pub known: Option<usize>,
    /// Connections of the peer that are known here.
    pub mirrored: usize,
    /// When the peer last said that this is all.
    pub mirrored_at: Option<MonoTime>,
    /// Packets sent to clients of the former active since the start.
    pub tickled: u64,
    /// Connections reset here since the start.
    pub reset: u64,
}
