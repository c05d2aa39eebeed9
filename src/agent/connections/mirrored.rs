//! The peer's connections, as the peer lists them.
//!
//! Owns: these lists; they stay when the peer falls silent, because then they are needed. Never
//! does: check who sent a frame; the listener admits only the peer. Connections beyond the bound
//! are left out.

use super::MAX_CONNECTIONS;
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::{Connection, Frame};
use std::collections::{BTreeSet, HashMap};

/// Lists of the peer's groups.
#[derive(Debug, Default)]
pub(super) struct Mirrored {
    lists: HashMap<GroupKey, Held>,
    /// Number of connections in all lists.
    count: usize,
    /// Groups whose list the peer began since the last call of `take_begun`: they are open there.
    begun: Vec<GroupKey>,
}

/// List of one group.
#[derive(Debug, Default)]
struct Held {
    list: BTreeSet<Connection>,
    /// List that replaces the present one when it is complete.
    renewed: Option<BTreeSet<Connection>>,
    /// Arrival of the newest statement that the list is complete.
    complete_at: Option<MonoTime>,
    /// Whether the list was taken for tickling, and no connection came since.
    spent: bool,
}

impl Mirrored {
    /// Applies a frame to the lists; returns the answer to [`Frame::Complete`]. Frames about groups
    /// that are not ours change nothing.
    pub fn apply(&mut self, frame: Frame, is_ours: impl Fn(GroupKey) -> bool, now: MonoTime) -> Option<Frame> {
        match frame {
            Frame::Begin(group) if is_ours(group) => {
                let dropped = self.lists.entry(group).or_default().renewed.replace(BTreeSet::new());
                self.count -= dropped.map_or(0, |list| list.len());
                if !self.begun.contains(&group) {
                    self.begun.push(group);
                }
            }
            Frame::Add(group, connections) if is_ours(group) => {
                let room = (2 * MAX_CONNECTIONS).saturating_sub(self.count);
                let held = self.lists.entry(group).or_default();
                held.spent &= held.renewed.is_some();
                let list = held.newest();
                let before = list.len();
                // The room is twice the bound, because a renewed list stands beside the present
                // one.
                list.extend(connections.into_iter().take(room));
                self.count += list.len() - before;
            }
            Frame::Remove(group, connections) if is_ours(group) => {
                let list = self.lists.entry(group).or_default().newest();
                let before = list.len();
                for connection in &connections {
                    list.remove(connection);
                }
                self.count -= before - list.len();
            }
            Frame::Complete(number) => {
                for held in self.lists.values_mut() {
                    if let Some(renewed) = held.renewed.take() {
                        self.count -= held.list.len();
                        held.list = renewed;
                        held.spent = false;
                    }
                    held.complete_at = Some(now);
                }
                return Some(Frame::Held(number, u32::try_from(self.count).unwrap_or(u32::MAX)));
            }
            Frame::Begin(_) | Frame::Add(..) | Frame::Remove(..) | Frame::Held(..) => {}
        }
        None
    }

    /// Connections of a group, present and renewed, so that their clients can be tickled; empty if
    /// they were taken before. The list itself stays: the peer may be alive and go on with changes
    /// to it.
    pub fn take_for_tickling(&mut self, group: GroupKey) -> Vec<Connection> {
        let Some(held) = self.lists.get_mut(&group).filter(|held| !held.spent) else { return Vec::new() };
        held.spent = true;
        let renewed = held.renewed.iter().flatten().filter(|connection| !held.list.contains(connection));
        held.list.iter().chain(renewed).take(MAX_CONNECTIONS).copied().collect()
    }

    /// Groups whose list the peer has begun since the last call.
    pub fn take_begun(&mut self) -> Vec<GroupKey> {
        std::mem::take(&mut self.begun)
    }

    /// Forgets groups that are not ours any more.
    pub fn keep(&mut self, is_ours: impl Fn(GroupKey) -> bool) {
        self.lists.retain(|group, _| is_ours(*group));
        let size = |held: &Held| held.list.len() + held.renewed.as_ref().map_or(0, BTreeSet::len);
        self.count = self.lists.values().map(size).sum();
    }

    /// Number of a group's connections, and the arrival of the newest statement that these are all.
    pub fn figures_of(&self, group: GroupKey) -> (usize, Option<MonoTime>) {
        let held = self.lists.get(&group).filter(|held| !held.spent);
        held.map_or((0, None), |held| (held.list.len(), held.complete_at))
    }
}

impl Held {
    /// The list that additions and removals go to.
    fn newest(&mut self) -> &mut BTreeSet<Connection> {
        self.renewed.as_mut().unwrap_or(&mut self.list)
    }
}
