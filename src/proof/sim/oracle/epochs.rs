//! S2: an epoch never has two holders, what is durable never falls, and no node opens below what it
//! was told.

use super::{Oracle, Seen};
use crate::durable::{Durable, Loaded};
use crate::sim::names::group_of_key;
use crate::types::{Epoch, NodeId};

/// Sets what a process that starts knows: what the disk says. A life counts what the one before had
/// reserved as used; nobody was told of it unless a gate was opened with it.
pub(super) fn reset_to_disk(seen: &mut Seen, disk: &Loaded) {
    seen.told.fill(Epoch::NONE);
    if let Loaded::State(state) = disk {
        for state in &state.groups {
            let group = group_of_key(state.key);
            seen.told[group] = state.seen.max(state.held.min(seen.used[group]));
        }
    }
}

impl Oracle {
    /// Checks that a write lowers no durable epoch.
    pub fn check_durable(&mut self, node: usize, before: &Loaded, after: &Durable) {
        let Loaded::State(before) = before else { return };
        for new in &after.groups {
            let Some(old) = before.groups.iter().find(|old| old.key == new.key) else { continue };
            // A reservation that nothing came of may be forgotten; one that was used must be known
            // as held.
            let group = group_of_key(new.key);
            let used = self.seen[node].used[group];
            let lost = new.reserve < old.reserve && used >= old.reserve && new.held < old.reserve;
            let falls = new.seen < old.seen || new.held < old.held || lost;
            self.hold(!falls || self.two_names[group], || {
                format!("S2: a durable epoch of node {node} falls: {old:?} to {new:?}")
            });
        }
    }

    /// Checks the epoch that a gate of a node, which has this number, opens with, and notes it as used.
    pub(super) fn check_epoch(&mut self, (node, number): (usize, NodeId), group: usize, epoch: Epoch) {
        let seen = &self.seen[node];
        let (told, used) = (seen.told[group], seen.used[group]);
        let apart = self.two_names[group];
        if seen.reopens[group] == epoch && used == epoch {
            return;
        }
        self.hold(epoch.node() == number, || format!("S2: node {node} opens with {epoch}, the epoch of another"));
        self.hold(apart || epoch > used, || format!("S2: node {node} opens group {group} with {epoch} after {used}"));
        self.hold(apart || epoch > told, || {
            format!("S2: node {node} opens group {group} with {epoch} although it was told {told}")
        });
        let seen = &mut self.seen[node];
        seen.used[group] = epoch;
        seen.told[group] = epoch;
        self.highest[group] = self.highest[group].max(epoch);
    }

    /// Raises the highest counter seen to those of `epochs`.
    pub(super) fn note_epochs(&mut self, epochs: [Epoch; 5]) {
        for epoch in epochs {
            self.counter = self.counter.max(epoch.counter());
        }
    }
}
