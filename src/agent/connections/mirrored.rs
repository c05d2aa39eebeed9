//! The peer's connections as it tells them.

use super::MAX_CONNECTIONS;
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::{Connection, Frame};
use std::collections::{BTreeSet, HashMap};

/// Lists of the peer's groups. They stay when it falls silent: then they are needed.
#[derive(Debug, Default)]
pub(super) struct Mirrored {
    lists: HashMap<GroupKey, Held>,
    count: usize,
    /// Groups whose list the peer began to tell: they are open there.
    begun: Vec<GroupKey>,
}

#[derive(Debug, Default)]
struct Held {
    list: BTreeSet<Connection>,
    /// Told anew, and not all of it yet.
    renewed: Option<BTreeSet<Connection>>,
    complete_at: Option<MonoTime>,
    /// Their clients have been told, and nothing came since.
    spent: bool,
}

impl Mirrored {
    /// Takes note of a frame. Groups that are not ours are passed over. Of [`Frame::Complete`] there is something to
    /// answer.
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
                // Twice the bound, because a list that is told anew stands beside the one before.
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

    /// A group's connections for telling their clients, those told before and those told anew; once. The list itself
    /// stays: the peer may be alive and go on with what changes.
    pub fn take(&mut self, group: GroupKey) -> Vec<Connection> {
        let Some(held) = self.lists.get_mut(&group).filter(|held| !held.spent) else { return Vec::new() };
        held.spent = true;
        let renewed = held.renewed.iter().flatten().filter(|connection| !held.list.contains(connection));
        held.list.iter().chain(renewed).take(MAX_CONNECTIONS).copied().collect()
    }

    /// Groups that the peer has begun to tell since the last call.
    pub fn take_begun(&mut self) -> Vec<GroupKey> {
        std::mem::take(&mut self.begun)
    }

    /// Forgets groups that are not ours any more.
    pub fn keep(&mut self, is_ours: impl Fn(GroupKey) -> bool) {
        self.lists.retain(|group, _| is_ours(*group));
        let size = |held: &Held| held.list.len() + held.renewed.as_ref().map_or(0, BTreeSet::len);
        self.count = self.lists.values().map(size).sum();
    }

    /// How many there are of a group, and when the peer last said that this is all.
    pub fn of(&self, group: GroupKey) -> (usize, Option<MonoTime>) {
        let held = self.lists.get(&group).filter(|held| !held.spent);
        held.map_or((0, None), |held| (held.list.len(), held.complete_at))
    }
}

impl Held {
    fn newest(&mut self) -> &mut BTreeSet<Connection> {
        self.renewed.as_mut().unwrap_or(&mut self.list)
    }
}
