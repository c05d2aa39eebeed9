//! What is to be made durable: versions of the node's state, and the states of groups that are no
//! longer configured.
//!
//! Owns: the number of the newest version, and when the next one is due. Never does: write. A disk
//! that fails is told of once; the store goes on trying, and what is not durable is not used.

use crate::durable::GroupState;
use crate::types::GroupKey;

/// States of groups that are configured no more, kept in case they return. Beyond that the oldest
/// are forgotten.
const FORMER: usize = 1024;

/// The engine's side of the store.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Persistence {
    /// What must stay durable of groups that are configured no more.
    pub former: Vec<GroupState>,
    /// Number of the newest version that was sent to the disk.
    pub version: u64,
    /// Another version is due.
    pub wanted: bool,
    /// The newest write failed.
    pub failing: bool,
}

impl Persistence {
    /// Begins with what a former life has left.
    pub fn new(former: Vec<GroupState>) -> Persistence {
        Persistence { former, version: 0, wanted: false, failing: false }
    }

    /// Begins another version. Returns its number.
    pub fn next_version(&mut self) -> u64 {
        self.wanted = false;
        self.version += 1;
        self.version
    }

    /// Keeps the state of a group that is dismissed.
    pub fn keep(&mut self, state: GroupState) {
        if self.former.len() >= FORMER {
            self.former.remove(0);
        }
        self.former.push(state);
    }

    /// Takes what is known of a group from before, which is from now on its own.
    pub fn recall(&mut self, key: GroupKey) -> Option<GroupState> {
        let place = self.former.iter().position(|state| state.key == key)?;
        Some(self.former.remove(place))
    }
}
