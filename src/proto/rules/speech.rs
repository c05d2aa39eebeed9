//! Rules of what is sent, what is believed, and in which order.

use super::Rules;
use crate::mutant::Mutant;

impl Rules {
    /// Pulses travel over the segment where all links are silent (S8).
    #[must_use]
    pub fn uses_segment(self) -> bool {
        self.keeps(Mutant::SegmentUnused)
    }

    /// Rows are told again until they are acknowledged (L5).
    #[must_use]
    pub fn repeats_rows(self) -> bool {
        self.keeps(Mutant::RowsSentOnce)
    }

    /// An acknowledgement of a former session counts for nothing (L5).
    #[must_use]
    pub fn forgets_former_acks(self) -> bool {
        self.keeps(Mutant::FormerAckCounts)
    }

    /// A peer's acknowledgement may fall: then everything is told again (L5).
    #[must_use]
    pub fn acks_may_fall(self) -> bool {
        self.repeats_rows() && self.forgets_former_acks()
    }

    /// Whether a header tells how things are now: `newest` says that it was not overtaken on the
    /// way.
    #[must_use]
    pub fn is_current(self, newest: bool) -> bool {
        newest || !self.keeps(Mutant::OvertakenBelieved)
    }

    /// Whether a node tells a peer that it does not hear it: `deaf`, as it is (S8).
    #[must_use]
    pub fn says_deaf(self, deaf: bool) -> bool {
        deaf && self.keeps(Mutant::DeafNotTold)
    }
}
