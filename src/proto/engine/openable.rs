//! Number of groups that a silent peer may have opened since it was last heard: those for which it
//! has our consent.
//!
//! Owns: the count, which every group asks for that waits for the evidence to be enough. Never
//! does: decide what is enough (see `evidence`). The count is made once for each pass over the
//! groups, and kept true while groups change in it.

use super::peer::PeerAt;
use crate::types::InterfaceId;

/// Most groups that count: each asks for one more unanswered probe before a takeover.
const OPENABLE: u32 = 32;

/// Number of groups that each peer may have opened on each interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Openable {
    /// By peer, then by interface. Empty while nobody is asked for it.
    counts: Vec<u32>,
    interfaces: usize,
}

impl Openable {
    /// Counts anew. `given`: for each group that has our consent, the peer and the interface;
    /// `size`: the numbers of peers and of interfaces.
    pub fn count(&mut self, given: impl Iterator<Item = (PeerAt, InterfaceId)>, size: (usize, usize)) {
        let (peers, interfaces) = size;
        self.counts.clear();
        self.counts.resize(peers * interfaces, 0);
        self.interfaces = interfaces;
        given.for_each(|(peer, interface)| *self.place(peer, interface) += 1);
    }

    /// Forgets the count: groups change from here on.
    pub fn forget(&mut self) {
        self.counts.clear();
    }

    /// Keeps the count true when a group on an interface was given to `before`, and is now given to
    /// `after`.
    pub fn replace(&mut self, before: Option<PeerAt>, after: Option<PeerAt>, interface: InterfaceId) {
        if before == after || self.counts.is_empty() {
            return;
        }
        before.into_iter().for_each(|peer| *self.place(peer, interface) -= 1);
        after.into_iter().for_each(|peer| *self.place(peer, interface) += 1);
    }

    /// Number of groups that `peer` may have opened on an interface, [`OPENABLE`] at most. One
    /// group there is being stepped: `before` is the peer that it was given to when it was counted,
    /// `after` the peer that it is given to now.
    pub fn of(&self, peer: PeerAt, interface: InterfaceId, before: Option<PeerAt>, after: Option<PeerAt>) -> u32 {
        let place = peer.number() * self.interfaces + usize::from(interface.0);
        let counted = self.counts.get(place).copied().unwrap_or_default();
        let others = counted - u32::from(before == Some(peer) && !self.counts.is_empty());
        (others + u32::from(after == Some(peer))).min(OPENABLE)
    }

    /// The count for a peer and an interface.
    fn place(&mut self, peer: PeerAt, interface: InterfaceId) -> &mut u32 {
        &mut self.counts[peer.number() * self.interfaces + usize::from(interface.0)]
    }
}
