//! Rules of votes: what is promised, what a grant is worth, and who decides without witnesses.

use super::Rules;
use super::electorate::Electorate;
use super::vote::promise;
use crate::mutant::Mutant;
use crate::types::{Epoch, MonoTime};
use std::time::Duration;

impl Rules {
    /// A node that has just started votes for nobody (S5).
    #[must_use]
    pub fn node_abstains(self) -> bool {
        self.keeps(Mutant::NodeNotAbstaining)
    }

    /// Whether a node that has promised its vote to another until `bound` is free at `now` to vote
    /// for itself (S5).
    #[must_use]
    pub fn is_unbound(self, bound: MonoTime, now: MonoTime) -> bool {
        now >= bound || !self.keeps(Mutant::OwnVotePromised)
    }

    /// Time for which a node votes for nobody else after a pulse that stated a lease of
    /// `stated_us`; `own_us` is the node's own lease. Both in µs (S5).
    #[must_use]
    pub fn promised_for(self, stated_us: u32, own_us: u32, drift_ppm: u64) -> Duration {
        let lease_us = if self.keeps(Mutant::OwnLeasePromised) { stated_us } else { own_us };
        if self.keeps(Mutant::NodePromiseNotStretched) {
            promise(lease_us, drift_ppm)
        } else {
            Duration::from_micros(u64::from(lease_us))
        }
    }

    /// End of a lease that a grant allows: `sent` counts from the sending of what was granted,
    /// `received` from the receipt of the grant (S4).
    #[must_use]
    pub fn granted_until(self, sent: MonoTime, received: MonoTime) -> MonoTime {
        if self.keeps(Mutant::LeaseFromReceipt) { sent } else { received }
    }

    /// Whether the grants in a voter's table count. `whole`: every row of the table is known (S4).
    #[must_use]
    pub fn is_table_whole(self, whole: bool) -> bool {
        whole || !self.keeps(Mutant::GrantFromPart)
    }

    /// A grant that is withdrawn counts no more (S4).
    #[must_use]
    pub fn withdrawn_grants_end(self) -> bool {
        self.keeps(Mutant::OldGrantCounts)
    }

    /// Number of votes of others that an open group needs (S4).
    #[must_use]
    pub fn votes_of_others(self, electorate: Electorate) -> usize {
        if self.keeps(Mutant::FirstGrantDecides) { electorate.votes_of_others() } else { 1 }
    }

    /// Whether a node needs votes of others for the epoch `asks`: its own vote is no majority (S4).
    #[must_use]
    pub fn needs_votes_of_others(self, asks: Epoch) -> bool {
        asks == Epoch::NONE || self.keeps(Mutant::OwnVoteAlone)
    }

    /// End of the lease of an interface whose groups have votes until `first` at least and `last`
    /// at most (S4).
    #[must_use]
    pub fn votes_end(self, first: MonoTime, last: MonoTime, now: MonoTime) -> MonoTime {
        let end = if self.keeps(Mutant::LatestGroupDecides) { first } else { last };
        if end > now && !self.keeps(Mutant::RenewedBeyondVotes) { MonoTime::FOREVER } else { end }
    }

    /// A node learns below which epochs witnesses grant nothing (L5).
    #[must_use]
    pub fn learns_bar(self) -> bool {
        self.keeps(Mutant::BarNotLearned)
    }

    /// Whether nothing may be open without a majority: `strict`, as configured (S1).
    #[must_use]
    pub fn is_strict(self, strict: bool) -> bool {
        strict && self.keeps(Mutant::StrictIgnored)
    }
}
