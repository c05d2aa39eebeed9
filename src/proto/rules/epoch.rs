//! Rules of epochs, the disk, and conflicts.

use super::Rules;
use crate::durable::GroupState;
use crate::mutant::Mutant;
use crate::types::Epoch;

impl Rules {
    /// A reservation counts once it is durable (S2).
    #[must_use]
    pub fn reserves_on_disk_first(self) -> bool {
        self.keeps(Mutant::ReserveBeforeDisk)
    }

    /// A gate opens with a reserved epoch only (S2).
    #[must_use]
    pub fn opens_with_reserve_only(self) -> bool {
        self.keeps(Mutant::OpenedWithoutReserve)
    }

    /// A write that failed counts for nothing (S2).
    #[must_use]
    pub fn failed_write_counts(self) -> bool {
        !self.keeps(Mutant::FailedWriteTrusted)
    }

    /// The highest epoch that a former life may have opened with: what it had reserved counts as
    /// used (S2).
    #[must_use]
    pub fn held_by_former_life(self, state: &GroupState) -> Epoch {
        if self.keeps(Mutant::FormerReserveReused) { state.held.max(state.reserve) } else { state.held }
    }

    /// Epochs in the rows of peers are learned (S2).
    #[must_use]
    pub fn learns_epochs(self) -> bool {
        self.keeps(Mutant::EpochsNotLearned)
    }

    /// A node whose state is damaged is not ready before peers have told it their epochs (S7).
    #[must_use]
    pub fn damaged_state_waits(self) -> bool {
        self.keeps(Mutant::DamagedStateOpens)
    }

    /// Whether a group that an operator has paused stays closed (S7).
    #[must_use]
    pub fn is_paused(self, paused: bool) -> bool {
        paused && self.keeps(Mutant::PausedOpens)
    }

    /// Whether an active with epoch `own` closes for an active with epoch `other`: the higher one
    /// wins, always (S8).
    #[must_use]
    pub fn is_outranked(self, own: Epoch, other: Epoch) -> bool {
        if self.keeps(Mutant::LowerEpochWins) {
            other > own && self.keeps(Mutant::HigherEpochIgnored)
        } else {
            other < own
        }
    }

    /// An active closes when somebody was active after it, even one that is no more (S2).
    #[must_use]
    pub fn closes_when_out_of_date(self) -> bool {
        [Mutant::OutrankedStays, Mutant::HigherEpochIgnored, Mutant::LowerEpochWins]
            .into_iter()
            .all(|mutant| self.keeps(mutant))
    }

    /// An active closes on the claim of a peer that cannot hear it (S8).
    #[must_use]
    pub fn closes_for_deaf_claim(self) -> bool {
        self.keeps(Mutant::DeafClaimIgnored)
    }

    /// An active with the higher epoch gives way in the end to a rival that cannot hear it (S8).
    #[must_use]
    pub fn gives_way_to_deaf_rival(self) -> bool {
        self.keeps(Mutant::DeafRivalOutlasted)
    }
}
