//! Another configuration for a running engine, without missing a pulse.
//!
//! Groups are recognised by their key and keep their whole state; removed ones are closed first, and what must survive
//! of them stays in the durable state; new ones begin by listening, and are not opened before their addresses are
//! there. What peers said is kept by key, too. When the set of groups changes, the rows that a peer sent before may
//! lack those of groups that were unknown here, so its whole table is asked for again: an acknowledgement of nothing.
//! A new group counts a peer's table as complete only when the peer has made it after hearing of the new one.

use super::action::{Action, Actions, GateAction, Outcome};
use super::group::Group;
use super::lease::Interface;
use super::notice::Cause;
use super::setup::{GroupSetup, Reconfiguration};
use super::{Engine, Index, Presence, group_id};
use crate::durable::GroupState;
use crate::types::{GroupKey, InterfaceId, MonoTime};
use crate::wire::pulse::Role;
use std::collections::HashMap;
use std::sync::Arc;

/// States of groups that are configured no more, kept in case they return. Beyond that the oldest are forgotten.
const FORMER: usize = 1024;

impl Engine {
    /// Goes on with another configuration. Nodes, links and interfaces stay as they are; groups that stay are not
    /// touched. Every action in `out` speaks of the groups by their old numbers: carry them out, change to the new
    /// table, and call [`Engine::handle`] with [`Event::Tick`](super::Event::Tick), which sends the first pulse.
    pub fn reconfigure(&mut self, change: Reconfiguration, now: MonoTime, out: &mut Actions) {
        let now = now.max(self.last);
        self.note_stall(now, out);
        self.check_leases(now, out);
        let mut known: HashMap<GroupKey, usize> =
            self.groups.iter().enumerate().map(|(at, group)| (group.key, at)).collect();
        let same = |group: &GroupSetup, at: usize| self.groups[at].interface == group.interface;
        // Where each new group was before. One that changed its interface is another group.
        let former: Vec<Option<usize>> =
            change.groups.iter().map(|group| known.remove(&group.key).filter(|&at| same(group, at))).collect();
        let mut staying = vec![false; self.groups.len()];
        former.iter().flatten().for_each(|&at| staying[at] = true);
        for at in (0..self.groups.len()).filter(|&at| !staying[at]) {
            self.dismiss(at, now, out);
        }
        let added = former.iter().any(Option::is_none);
        let other_set = change.digests.groups != self.setup.digests.groups;
        Arc::make_mut(&mut self.setup).epoch_floor = change.epoch_floor;
        // Whatever a peer says that it has of our table, it is of the table before.
        self.table += 1;
        self.arrange(&change.groups, &former, now);
        self.renumber(&former, added, other_set);
        let setup = Arc::make_mut(&mut self.setup);
        let lease = std::mem::replace(&mut setup.timing, change.timing).lease;
        setup.keys = change.keys;
        setup.digests = change.digests;
        setup.groups = change.groups;
        self.index = Arc::new(Index::new(setup));
        self.change_lease(lease, now);
        self.reserve_all();
        self.persist_wanted |= added || staying.contains(&false);
        self.next_pulse = now;
        self.group_deadline = now;
        self.dirty = true;
        self.stirred.clear();
    }

    /// Takes leave of a group: closed at once, its commands answered, its epochs remembered.
    fn dismiss(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        if self.groups[at].is_open() {
            self.close(at, MonoTime::ZERO, Cause::Removed, now, out);
        } else {
            out.push(Action::Gate(GateAction::Close { group: group_id(at), carry_until: MonoTime::ZERO }));
        }
        self.drop_commands(at, Outcome::Removed, out);
        if self.former.len() >= FORMER {
            self.former.remove(0);
        }
        let group = &self.groups[at];
        // A reservation on its way to the disk is not ours to use later: it may never have arrived.
        self.former.push(GroupState { reserve: group.reserve, ..group.durable() });
    }

    /// Builds the new group table.
    fn arrange(&mut self, groups: &[GroupSetup], former: &[Option<usize>], now: MonoTime) {
        let mut old: Vec<Option<Group>> = std::mem::take(&mut self.groups).into_iter().map(Some).collect();
        for (setup, former) in groups.iter().zip(former) {
            let kept = former.and_then(|before| Some((before, old[before].take()?)));
            let group = if let Some((before, mut group)) = kept {
                let (former, before) = (before, &self.setup.groups[before]);
                if group.revise(before, setup, group_id(former), &self.index) {
                    self.table += 1;
                    group.row_version = self.table;
                }
                group
            } else {
                let state = self.recall(setup.key);
                self.table += 1;
                let mut group = Group::new(setup, state, &self.setup, now);
                group.installed = false;
                group.row_version = self.table;
                group
            };
            self.groups.push(group);
        }
    }

    /// Everything that names a group by its number gets the new one.
    fn renumber(&mut self, former: &[Option<usize>], added: bool, other_set: bool) {
        let keys: Vec<GroupKey> = self.setup.groups.iter().map(|group| group.key).collect();
        let by_key: HashMap<GroupKey, usize> = keys.iter().enumerate().map(|(at, key)| (*key, at)).collect();
        // What a peer said of a group holds wherever the group lives here.
        let said: Vec<Option<usize>> = self.groups.iter().map(|group| by_key.get(&group.key).copied()).collect();
        for peer in &mut self.peers {
            peer.copy.renumber(&said);
            peer.counted = (0, 0);
            if added {
                peer.copy.fetch(self.counter + 1);
            }
            if other_set {
                peer.acked = 0;
            }
        }
        if other_set {
            self.groups.iter_mut().for_each(|group| group.ballot.known = 0);
        }
        for pending in &mut self.pending {
            let moved = former.iter().position(|before| *before == Some(pending.group));
            pending.group = moved.expect("invariant: commands of groups that went away were answered");
        }
    }

    /// What is known of a group from before, which is from now on its own.
    pub(super) fn recall(&mut self, key: GroupKey) -> Option<GroupState> {
        let at = self.former.iter().position(|state| state.key == key)?;
        Some(self.former.remove(at))
    }

    /// All addresses of an interface are there: groups that were added can be served, and addresses that were added
    /// to an active group are made known.
    pub(super) fn handle_installed(&mut self, interface: InterfaceId, now: MonoTime) {
        for at in 0..self.groups.len() {
            let group = &mut self.groups[at];
            if group.interface != interface {
                continue;
            }
            if !std::mem::replace(&mut group.installed, true) && group.role == Role::Starting {
                // Listening counts from here, as it does when an interface appears.
                group.since = now;
            }
            if std::mem::take(&mut group.grown) && group.is_open() {
                self.schedule_announcements(at, now);
            }
        }
        self.dirty = true;
    }

    /// The gate was replaced by a larger, closed one. What is open goes on if no peer can have taken it meanwhile;
    /// otherwise this is a lease that ran out.
    pub(super) fn handle_gate_replaced(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        let known = |peer: usize| match self.presence(peer, now) {
            // What was read after a stall may have been said before it.
            Presence::Heard => !self.peers[peer].deaf && self.is_proven(peer),
            Presence::Left => self.has_left_lately(peer, now),
            Presence::Unknown | Presence::Suspicious | Presence::Silent => false,
        };
        let state: &Interface = &self.interfaces[usize::from(interface.0)];
        if state.generation == 0 {
            return;
        }
        // Votes hold whatever anybody has done meanwhile, for as long as they were given.
        let voted = self.is_voted_on(interface);
        let until = state.until;
        if !voted && !self.node_peers().all(known) {
            self.handle_lapse(interface, now, out);
            return;
        }
        // The new gate is closed, so probes find nobody and do not latch it. If this process is stopped before it has
        // opened the groups again, a standby may take them: the lease must be over before that. The next pulse, which
        // comes at once, renews it as usual.
        let timing = &self.setup.timing;
        let (first, next) = ((timing.silence.saturating_sub(timing.pulse) / 2).max(timing.probe * 2), timing.probe);
        let first = if voted { first.min(until.since(now)) } else { first };
        self.begin_lease_of(interface, first, now, out);
        self.next_pulse = now + next;
        for (at, group) in self.groups.iter().enumerate().filter(|(_, group)| group.interface == interface) {
            let id = group_id(at);
            if group.is_open() {
                out.push(Action::Gate(GateAction::Open { group: id, epoch: group.epoch }));
            } else if let Some(carry_until) = group.drain_until {
                out.push(Action::Gate(GateAction::Close { group: id, carry_until }));
            }
        }
        self.dirty = true;
    }
}
