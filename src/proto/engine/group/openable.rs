//! How many groups a silent peer may have opened since it was last heard: those that it was given the right of way for.
//!
//! Owns: the count, which every group asks for that waits for the evidence to be enough. Never does: decide what is enough
//! (see `evident`). The count is made once for each pass over the groups, and kept true while groups change in it.

use super::Group;
use crate::engine::peer::{PeerAt, Peers};
use crate::types::InterfaceId;

/// Groups given the right of way that are waited for, each by one probe more.
const OPENABLE: u32 = 32;

/// Number of groups that each peer may have opened on each interface.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Openable {
    /// By peer, then by interface. Empty while nobody is asked for it.
    counts: Vec<u32>,
    interfaces: usize,
}

impl Openable {
    /// Counts, over all groups.
    pub fn count(&mut self, groups: &[Group], peers: &Peers, interfaces: usize) {
        self.counts.clear();
        self.counts.resize(peers.len() * interfaces, 0);
        self.interfaces = interfaces;
        for group in groups.iter() {
            if let Some(peer) = group.may_be_opened_behind_us(peers) {
                *self.place(peer, group.interface) += 1;
            }
        }
    }

    /// Forgets the count: groups change from here on.
    pub fn forget(&mut self) {
        self.counts.clear();
    }

    /// Keeps the count true when a group has changed: `before` and `after` are the peers that may have opened it.
    pub fn replace(&mut self, before: Option<PeerAt>, after: Option<PeerAt>, interface: InterfaceId) {
        if before == after || self.counts.is_empty() {
            return;
        }
        before.into_iter().for_each(|peer| *self.place(peer, interface) -= 1);
        after.into_iter().for_each(|peer| *self.place(peer, interface) += 1);
    }

    /// How many groups `peer` may have opened where `group` is. `before`: who might have opened that group when it was counted,
    /// which may have changed in this very step.
    pub fn of(&self, peer: PeerAt, group: &Group, before: Option<PeerAt>, peers: &Peers) -> u32 {
        let place = peer.number() * self.interfaces + usize::from(group.interface.0);
        let counted = self.counts.get(place).copied().unwrap_or_default();
        let others = counted - u32::from(before == Some(peer) && !self.counts.is_empty());
        let own = u32::from(group.may_be_opened_behind_us(peers) == Some(peer));
        (others + own).min(OPENABLE)
    }

    fn place(&mut self, peer: PeerAt, interface: InterfaceId) -> &mut u32 {
        &mut self.counts[peer.number() * self.interfaces + usize::from(interface.0)]
    }
}
