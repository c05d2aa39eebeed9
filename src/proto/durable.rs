//! The durable state of a node: per group the epochs that it has seen, reserved and held, and the
//! operator's pause; and the longest lease that a gate of this node may be open under. Owns: what
//! must survive a restart. Never does: write it; that is the store's.

use crate::types::{Epoch, GroupKey};
use std::time::Duration;

/// The state of a node that survives a restart.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Durable {
    /// The longest lease that a gate of this node may be open under; `None` if it was not written
    /// down (by an earlier version of this program).
    pub lease: Option<Duration>,
    /// One entry per group that is or was configured.
    pub groups: Vec<GroupState>,
}

/// The durable part of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct GroupState {
    /// The group.
    pub key: GroupKey,
    /// The highest epoch known to be in use anywhere.
    pub seen: Epoch,
    /// The epoch that may be used once without waiting for the disk.
    pub reserve: Epoch,
    /// The highest epoch this node has opened with, or may have before a restart.
    pub held: Epoch,
    /// Whether the operator keeps this node from becoming active.
    pub paused: bool,
}

/// The durable state as the store found it at start.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Loaded {
    /// No state was ever here.
    Fresh,
    /// The state of an earlier life.
    State(Durable),
    /// Files are here, and none is valid.
    Damaged,
}

impl Loaded {
    /// The longest lease of an earlier life, if it was written down.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        match self {
            Loaded::State(state) => state.lease,
            Loaded::Fresh | Loaded::Damaged => None,
        }
    }
}
