//! How many groups a silent peer may have opened since it was last heard: those that it was given the right of way for.
//!
//! Owns: the count, which every group asks for that waits for the evidence to be enough. Never does: decide what is enough
//! (see `watch`). It is made once for all groups that are looked at together, and anew when a consent changes meanwhile.

use super::{Engine, group_id};
use crate::types::InterfaceId;

/// Groups given the right of way that are waited for, each by one probe more.
const OPENABLE: u32 = 32;

/// How many groups each peer may have opened on each interface, counted when it is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Openable(Vec<(usize, InterfaceId, u32)>);

impl Openable {
    /// What was counted before, or is now.
    pub fn of(&mut self, peer: usize, interface: InterfaceId, engine: &Engine) -> u32 {
        if let Some((.., count)) = self.0.iter().find(|(known, on, _)| (*known, *on) == (peer, interface)) {
            return *count;
        }
        let count = engine.count_openable(peer, interface);
        self.0.push((peer, interface, count));
        count
    }

    /// Count again: who may open what is another now.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

impl Engine {
    /// How many groups the peer may have opened since it was last heard: each of their addresses has to be asked. Counted
    /// once for all groups that are looked at together.
    pub(super) fn openable(&mut self, peer: usize, interface: InterfaceId) -> u32 {
        let mut counted = std::mem::take(&mut self.openable);
        let count = counted.of(peer, interface, self);
        debug_assert_eq!(count, self.count_openable(peer, interface), "forgotten when a consent changes");
        self.openable = counted;
        count
    }

    fn count_openable(&self, peer: usize, interface: InterfaceId) -> u32 {
        let known = &self.peers[peer];
        let groups = self.groups.iter().enumerate().filter(|(_, group)| group.interface == interface);
        let count = groups.filter(|(at, group)| group.may_be_opened_by(known.id) && !known.is_active(group_id(*at)));
        u32::try_from(count.count()).unwrap_or(u32::MAX).min(OPENABLE)
    }

    /// Before what was consented to changes, or counts no more: if somebody could have opened the group by it, the number of
    /// those is another.
    pub(super) fn forget_openable(&mut self, at: usize) {
        if self.groups[at].consent > self.groups[at].seen {
            self.openable.forget();
        }
    }
}
