//! Rules of the lease, the gate, hooks and announcements.

use super::Rules;
use crate::mutant::Mutant;
use crate::types::{Epoch, MonoTime};
use std::time::Duration;

impl Rules {
    /// End of a lease that is renewed at `now`: counted from the wake-up that decided it, not from
    /// the store (S4).
    #[must_use]
    pub fn renewed_until(self, now: MonoTime, lease: Duration, pulse: Duration) -> MonoTime {
        if self.keeps(Mutant::LeaseFromNextPulse) { now + lease } else { now + lease + pulse }
    }

    /// Whether a lease is over (S7).
    #[must_use]
    pub fn is_lapsed(self, until: MonoTime, now: MonoTime) -> bool {
        now >= until && self.keeps(Mutant::LapsedLeaseRenewed)
    }

    /// A refusal of the gate is the end of the lease (S7).
    #[must_use]
    pub fn refusal_ends_lease(self) -> bool {
        self.keeps(Mutant::RefusalIgnored)
    }

    /// Whether a lease that was found running may be adopted. `refused`: its gate has turned a
    /// frame away, and never opens again under it (S7).
    #[must_use]
    pub fn is_adoptable(self, refused: bool) -> bool {
        !refused || !self.keeps(Mutant::RefusedLeaseAdopted)
    }

    /// A lapse closes what was open (S7).
    #[must_use]
    pub fn lapse_closes(self) -> bool {
        self.keeps(Mutant::LapseClosesNothing)
    }

    /// Number of a generation that begins at `now` after generation `before`. The time of its
    /// beginning is a number that the interface has never seen: time does not return (S7).
    #[must_use]
    pub fn generation(self, before: u64, now: MonoTime) -> u64 {
        if self.keeps(Mutant::GenerationReused) { now.0.max(before + 1) } else { before + 1 }
    }

    /// An active whose interface cannot serve closes (L1).
    #[must_use]
    pub fn closes_without_carrier(self) -> bool {
        self.keeps(Mutant::CarrierLossIgnored)
    }

    /// A node that closes because it cannot serve names an heir (L1).
    #[must_use]
    pub fn names_heir(self) -> bool {
        self.keeps(Mutant::ReleaseWithoutHeir)
    }

    /// Time for which the former active carries connections on: as `configured` (L3).
    #[must_use]
    pub fn drain(self, configured: Duration) -> Duration {
        if self.keeps(Mutant::DrainForgotten) { configured } else { Duration::ZERO }
    }

    /// The gate opens before the announcement, which it would drop otherwise (S3).
    #[must_use]
    pub fn opens_before_announcing(self) -> bool {
        self.keeps(Mutant::AnnouncedBeforeOpening)
    }

    /// Announcements are repeated (L4).
    #[must_use]
    pub fn announces_again(self) -> bool {
        self.keeps(Mutant::AnnouncedOnce)
    }

    /// The winner of a conflict announces again (L4).
    #[must_use]
    pub fn winner_announces(self) -> bool {
        self.keeps(Mutant::WinnerSilent)
    }

    /// The health of the service decides which node has the group (HP-8).
    #[must_use]
    pub fn health_counts(self) -> bool {
        self.keeps(Mutant::HealthIgnored)
    }

    /// Health as it is told, 0 (well) to 255 (dead) (HP-8).
    #[must_use]
    pub fn health(self, told: u8) -> u8 {
        if self.health_counts() { told } else { 0 }
    }

    /// A group is opened when its hook has ended (HP-8).
    #[must_use]
    pub fn hook_comes_first(self) -> bool {
        self.keeps(Mutant::OpenedBeforeHook)
    }

    /// Whether the end of a hook that was run for `ended` is that of the one run for `asked`
    /// (HP-8).
    #[must_use]
    pub fn is_same_hook(self, asked: Epoch, ended: Epoch) -> bool {
        asked == ended || !self.keeps(Mutant::HookOfAnotherEpoch)
    }

    /// After a hook everybody is asked once more (S1, S8).
    #[must_use]
    pub fn asks_after_hook(self) -> bool {
        self.keeps(Mutant::OpenedOnWordsBeforeHook)
    }
}
