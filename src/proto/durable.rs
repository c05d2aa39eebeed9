//! What survives a restart: per group the epochs this node has seen, reserved and held, and the operator's pause; and
//! the longest lease that a gate of this node may be open under.

use crate::types::{Epoch, GroupKey};
use std::time::Duration;

/// Everything that survives a restart.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Durable {
    /// No gate of this node is open under a longer lease; `None` where nobody wrote it down (an earlier version of this
    /// program).
    pub lease: Option<Duration>,
    /// One entry per group that is or was configured.
    pub groups: Vec<GroupState>,
}

/// The durable part of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct GroupState {
    /// Which group.
    pub key: GroupKey,
    /// The highest epoch known to be in use anywhere.
    pub seen: Epoch,
    /// The epoch that may be used once without waiting for the disk.
    pub reserve: Epoch,
    /// The highest epoch this node has opened with, or may have before a restart.
    pub held: Epoch,
    /// The operator has told this node to stand aside.
    pub paused: bool,
}

/// What the store found at start.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Loaded {
    /// There never was a state here.
    Fresh,
    /// The state of an earlier life.
    State(Durable),
    /// Files are there and none is valid.
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
