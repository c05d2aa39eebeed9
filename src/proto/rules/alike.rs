//! Rules of machines that look alike, and of paths that carry short datagrams only.

use super::Rules;
use crate::mutant::Mutant;
use crate::types::{Epoch, MacAddr, NodeId};

impl Rules {
    /// Of several that use our number one goes on at most, and no other opens (S2, S8).
    #[must_use]
    pub fn heeds_doubles(self) -> bool {
        self.keeps(Mutant::DoubleIgnored)
    }

    /// Whether an open gate of a former life may be ours: its epoch has our number `me` (S2).
    #[must_use]
    pub fn is_own_epoch(self, epoch: Epoch, me: NodeId) -> bool {
        epoch.node() == me || !self.keeps(Mutant::AnyEpochAdopted)
    }

    /// Whether a silent peer's gate would be found by asking: not where its answers cannot be told
    /// from our own, because it `shares` our hardware address (S8).
    #[must_use]
    pub fn is_askable(self, shares: bool) -> bool {
        !shares || !self.keeps(Mutant::SharedMacAsked)
    }

    /// Whether a hardware address that has changed is announced: whenever both are known (L4).
    #[must_use]
    pub fn announces_mac(self, before: MacAddr, after: MacAddr) -> bool {
        before != after && !before.is_zero() && !after.is_zero() && self.keeps(Mutant::NewMacNotAnnounced)
    }

    /// Whether a peer has consented to nothing: it `may` have the addresses under another name (S8).
    #[must_use]
    pub fn is_elsewhere(self, may: bool) -> bool {
        may && self.keeps(Mutant::NameForThing)
    }

    /// Datagrams become as short as a path needs them, and being alive never waits for what is to be
    /// told (L5).
    #[must_use]
    pub fn minds_narrow_paths(self) -> bool {
        self.keeps(Mutant::NarrowPathIgnored)
    }
}
