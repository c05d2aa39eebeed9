//! All groups of this node, and which of them have to be looked at.

use super::Group;
use crate::engine::around::Around;
use crate::engine::evidence::ProbeTurn;
use crate::engine::peer::{Peer, PeerAt, Peers};
use crate::engine::setup::Setup;
use crate::rules::Rules;
use crate::types::{GroupId, InterfaceId, MonoTime, Vip};
use crate::wire::pulse::Row;
use std::ops::{Index, IndexMut};

/// The groups, by their numbers.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Groups {
    pub list: Vec<Group>,
    /// Whether something changed that any group may have to act on: all are stepped in this turn.
    pub look_again: bool,
    /// Groups that are to be stepped alone: their change concerns no other group.
    pub alone: Vec<GroupId>,
    /// The earliest deadline of any group, of an operator's command, or of a stop.
    pub deadline: MonoTime,
}

impl Index<GroupId> for Groups {
    type Output = Group;

    fn index(&self, group: GroupId) -> &Group {
        &self.list[usize::from(group.0)]
    }
}

impl IndexMut<GroupId> for Groups {
    fn index_mut(&mut self, group: GroupId) -> &mut Group {
        &mut self.list[usize::from(group.0)]
    }
}

impl Groups {
    pub fn new(now: MonoTime) -> Groups {
        Groups { list: Vec::new(), look_again: true, alone: Vec::new(), deadline: now }
    }

    /// The numbers of all groups.
    pub fn ids(&self) -> impl Iterator<Item = GroupId> + use<> {
        // The configuration allows at most 1,024.
        (0..u16::try_from(self.list.len()).unwrap_or(u16::MAX)).map(GroupId)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Group> {
        self.list.iter()
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Group> {
        self.list.iter_mut()
    }

    /// The group of this number, if there is one.
    pub fn get(&self, group: GroupId) -> Option<&Group> {
        self.list.get(usize::from(group.0))
    }

    /// All groups in turn, from the one at `cursor` on.
    pub fn from(&self, cursor: u16) -> impl Iterator<Item = &Group> {
        let cursor = usize::from(cursor).checked_rem(self.list.len()).unwrap_or_default();
        self.list[cursor..].iter().chain(&self.list[..cursor])
    }

    /// The group whose address is to be probed next on an interface, where we might take one over
    /// from a silent `peer`. `tells`: whether silence after a question for an address tells something.
    pub fn to_be_probed(
        &self,
        interface: InterfaceId,
        peer: &Peer,
        turn: &ProbeTurn,
        tells: impl Fn(Vip) -> bool,
        rules: Rules,
    ) -> Option<&Group> {
        let here = |group: &&Group| group.interface == interface && !group.is_open();
        let may_serve = |group: &&Group| peer.is_active(group.id) || group.may_be_opened_by(peer.id);
        // Only an address that the peer may answer for can tell anything: the silence of others
        // means nothing.
        let again = turn.again.and_then(|group| self.get(group)).filter(here);
        let known = |group: &&Group| may_serve(group) && tells(group.addresses.probe);
        let likely = again.or_else(|| self.from(turn.cursor).filter(here).find(known));
        let likely = likely.or_else(|| self.from(turn.cursor).filter(here).find(may_serve));
        let likely = likely.filter(|_| rules.probes_served_addresses());
        likely.or_else(|| self.from(turn.cursor).find(here))
    }

    /// Groups that a peer may have opened behind our back: to which peer each was given, and on
    /// which interface.
    pub fn given(&self, peers: &Peers) -> impl Iterator<Item = (PeerAt, InterfaceId)> {
        self.list.iter().filter_map(|group| Some((group.may_be_opened_behind_us(peers)?, group.interface)))
    }

    /// The row at a position of the table, as it is told.
    pub fn row_of(&self, position: usize) -> Row {
        self.list[position].row
    }

    /// Notes that a group is to be stepped alone with the next event. A thousand notes before it
    /// cost one turn.
    pub fn step_alone(&mut self, group: GroupId) {
        if !self.alone.contains(&group) {
            self.alone.push(group);
        }
    }

    /// Writes what is now true into all rows. `table` is the version of the table.
    pub fn publish(&mut self, around: Around<'_>, table: &mut u64) {
        self.list.iter_mut().for_each(|group| group.publish(around, table));
    }

    /// Sees to it that every group has a usable reservation or one on its way. True if one must be
    /// made durable.
    pub fn reserve_all(&mut self, setup: &Setup) -> bool {
        let reserve = |wanted: bool, group: &mut Group| group.epochs.reserve(group.unusable(), setup) || wanted;
        self.list.iter_mut().fold(false, reserve)
    }

    /// Announces again our open groups that a peer was active with when it fell silent, now that
    /// the peer is heard again: both nodes may have answered. The peer may close on our word before
    /// we hear from it that it was active; then nothing else tells its clients who is left (L4).
    pub fn announce_after_division(&mut self, around: Around<'_>, peer: PeerAt) {
        for group in self.list.iter_mut().filter(|group| group.is_open()) {
            if around.peers[peer].is_active(group.id) {
                group.announce_anew(around.rules, around.now);
            }
        }
    }
}
