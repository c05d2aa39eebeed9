//! Another configuration for a running engine, without missing a pulse.
//!
//! Groups are recognised by their key and keep their whole state; removed ones are closed first,
//! and what must survive of them stays in the durable state; new ones begin by listening, and are
//! not opened before their addresses are there. What peers said is kept by key, too. When the set
//! of groups changes, the rows that a peer sent before may lack those of groups that were unknown
//! here, so its whole table is asked for again: an acknowledgement of nothing. A new group counts a
//! peer's table as complete only when the peer has made it after hearing of the new one.

use super::action::{Action, Actions, Outcome};
use super::group::Group;
use super::notice::Cause;
use super::setup::{GroupSetup, Reconfiguration};
use super::{Engine, Index};
use crate::durable::GroupState;
use crate::types::{GroupId, GroupKey, MonoTime};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Engine {
    /// Goes on with another configuration. Nodes, links and interfaces stay as they are; groups
    /// that stay are not touched. Every action in `out` speaks of the groups by their old numbers:
    /// carry them out, change to the new table, and call [`Engine::handle`] with
    /// [`Event::Tick`](super::Event::Tick), which sends the first pulse.
    pub fn reconfigure(&mut self, change: Reconfiguration, now: MonoTime, out: &mut Actions) {
        let now = now.max(self.turn.last);
        self.begin_turn(now, out);
        let former = self.former_places(&change.groups);
        let staying: HashSet<GroupId> = former.iter().flatten().copied().collect();
        let leaving: Vec<GroupId> = self.groups.ids().filter(|group| !staying.contains(group)).collect();
        leaving.iter().for_each(|group| self.dismiss(*group, now, out));
        let added = former.iter().any(Option::is_none);
        let other_set = change.digests.groups != self.setup.digests.groups;
        Arc::make_mut(&mut self.setup).epoch_floor = change.epoch_floor;
        // Whatever a peer says that it has of our table, it is of the table before.
        self.outbox.table += 1;
        self.arrange(&change.groups, &former, now);
        self.renumber(&former, added, other_set);
        let setup = Arc::make_mut(&mut self.setup);
        let lease = std::mem::replace(&mut setup.timing, change.timing).lease;
        setup.keys = change.keys;
        setup.digests = change.digests;
        setup.groups = change.groups;
        self.index = Arc::new(Index::new(setup));
        let index = &self.index;
        self.peers.iter_mut().for_each(|peer| peer.note_elsewhere(index));
        self.leases.former.change_lease(lease, now);
        self.store.wanted |= self.leases.former.wants_durable(&self.setup.timing);
        self.store.wanted |= self.groups.reserve_all(&self.setup);
        self.store.wanted |= added || !leaving.is_empty();
        self.turn.next_pulse = now;
        self.groups.deadline = now;
        self.groups.look_again = true;
        self.groups.alone.clear();
    }

    /// Where each of the new groups was before. One that changed its interface is another group.
    fn former_places(&self, groups: &[GroupSetup]) -> Vec<Option<GroupId>> {
        let mut known: HashMap<GroupKey, &Group> = self.groups.iter().map(|group| (group.key, group)).collect();
        let mut place = |setup: &GroupSetup| {
            let group = known.remove(&setup.key).filter(|group| group.interface == setup.interface);
            group.map(|group| group.id)
        };
        groups.iter().map(&mut place).collect()
    }

    /// Takes leave of a group: closed at once, its commands answered, its epochs remembered.
    fn dismiss(&mut self, group: GroupId, now: MonoTime, out: &mut Actions) {
        if self.groups[group].is_open() {
            self.with_group(group, now, out, |group, around, requests| {
                group.close(MonoTime::ZERO, Cause::Removed, around, requests);
            });
        } else {
            out.push(Action::close(group));
        }
        self.commands.drop_all_of(group, Outcome::Removed, out);
        let state = &self.groups[group];
        // A reservation on its way to the disk is not ours to use later: it may never have arrived.
        self.store.keep(GroupState { reserve: state.epochs.reserve, ..state.durable() });
    }

    /// Builds the new group table.
    fn arrange(&mut self, groups: &[GroupSetup], former: &[Option<GroupId>], now: MonoTime) {
        let mut old: Vec<Option<Group>> = std::mem::take(&mut self.groups.list).into_iter().map(Some).collect();
        for (id, (setup, former)) in (0..).map(GroupId).zip(groups.iter().zip(former)) {
            let kept = former.and_then(|before| Some((before, old[usize::from(before.0)].take()?)));
            let group = if let Some((former, mut group)) = kept {
                let before = &self.setup.groups[usize::from(former.0)];
                if group.revise(before, setup, former, &self.index) {
                    self.outbox.table += 1;
                    group.row_version = self.outbox.table;
                }
                group.id = id;
                group
            } else {
                let state = self.store.recall(setup.key);
                self.outbox.table += 1;
                let mut group = Group::new(id, setup, state, &self.setup, now);
                // Once something was written, all was told that was lost; this group is new since then.
                group.epochs.damaged &= self.store.version == 0;
                group.row_version = self.outbox.table;
                group
            };
            self.groups.list.push(group);
        }
    }

    /// Gives the new number to everything that names a group by its number.
    fn renumber(&mut self, former: &[Option<GroupId>], added: bool, other_set: bool) {
        let keys = self.setup.groups.iter().map(|group| group.key).enumerate();
        let by_key: HashMap<GroupKey, usize> = keys.map(|(place, key)| (key, place)).collect();
        // What a peer said of a group holds wherever the group lives here.
        let said: Vec<Option<usize>> = self.groups.iter().map(|group| by_key.get(&group.key).copied()).collect();
        let next = self.outbox.next();
        for peer in self.peers.iter_mut() {
            peer.copy.renumber(&said, self.groups.iter().map(|group| group.key));
            peer.counted = (0, 0);
            if added {
                peer.copy.fetch(next);
            }
            if other_set {
                peer.acked = 0;
            }
        }
        if other_set {
            self.groups.iter_mut().for_each(|group| group.ballot.known = super::peer::PeerSet::default());
        }
        let moved: HashMap<GroupId, GroupId> =
            self.groups.ids().zip(former).filter_map(|(id, before)| Some(((*before)?, id))).collect();
        let renumbered = moved.len() < former.len() || moved.iter().any(|(before, id)| before != id);
        if renumbered || other_set {
            self.evidence.renumber(|group| moved.get(&group).copied());
        }
        for pending in &mut self.commands.pending {
            let number = moved.get(&pending.group).copied();
            pending.group = number.expect("invariant: commands of groups that went away were answered");
        }
    }
}
