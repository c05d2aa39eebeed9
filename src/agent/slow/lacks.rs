//! What this node lacks for each group, joined from what several parts say.
//!
//! Owns: the set of each group, and which set the engine knows. Never does: find out what is
//! lacking, or judge it: a part tells a lack as soon as it is there and when it is over, and each
//! kind of lack has one part that tells it. What is said of a group that a reload is removing is
//! kept until the reload is over, and then forgotten; the table tells the engine everything again.

use super::current::{Current, Numbering};
use crate::engine::Lacks;
use crate::orders::Order;
use crate::types::GroupKey;
use std::collections::{HashMap, HashSet};

/// The sets of all groups that lack something.
#[derive(Debug, Default)]
pub(crate) struct LackTable {
    lacking: HashMap<GroupKey, Lacks>,
}

impl LackTable {
    /// Notes whether a group lacks something, which is an order to the engine if that is new.
    pub fn note(&mut self, key: GroupKey, lack: Lacks, holds: bool, numbering: Numbering<'_>) -> Option<Order> {
        let before = self.of(key);
        let after = if holds { before.and(lack) } else { before.without(lack) };
        if after == before {
            return None;
        }
        if after.is_empty() {
            self.lacking.remove(&key);
        } else {
            self.lacking.insert(key, after);
        }
        order(key, after, numbering)
    }

    /// What a group lacks, as far as the parts have told.
    pub fn of(&self, key: GroupKey) -> Lacks {
        self.lacking.get(&key).copied().unwrap_or_default()
    }

    /// Forgets the groups that a reload has removed, and tells the engine of all others again.
    pub fn reconfigure(&mut self, current: &Current, numbering: Numbering<'_>) -> Vec<Order> {
        let known: HashSet<GroupKey> = current.config.groups.iter().map(|group| group.key).collect();
        self.lacking.retain(|key, _| known.contains(key));
        self.lacking.iter().filter_map(|(key, lacks)| order(*key, *lacks, numbering)).collect()
    }
}

/// Order that tells what a group lacks, unless the group is about to be removed.
fn order(key: GroupKey, lacks: Lacks, numbering: Numbering<'_>) -> Option<Order> {
    Some(Order::Lacks { group: numbering.of(key)?, lacks })
}
