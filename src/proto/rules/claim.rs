//! Rules of claim, consent and the right of way.

use super::Rules;
use crate::mutant::Mutant;
use crate::types::Epoch;
use std::time::Duration;

impl Rules {
    /// An active closes before it consents to a claim (S8).
    #[must_use]
    pub fn closes_before_consent(self) -> bool {
        self.keeps(Mutant::ConsentWhileOpen)
    }

    /// The former active of a handover closes in the turn in which it consents, not after (S8).
    #[must_use]
    pub fn closes_in_order(self) -> bool {
        self.keeps(Mutant::ConsentBeforeClosing)
    }

    /// When claims cross, only one of the two consents, by an order that both know.
    #[must_use]
    pub fn crossing_claims_are_ordered(self) -> bool {
        self.keeps(Mutant::ConsentsCross)
    }

    /// Whether a claim is below what was seen or may have been held: it gets no consent (S2).
    #[must_use]
    pub fn is_below(self, claim: Epoch, known: Epoch) -> bool {
        claim < known && self.keeps(Mutant::LowEpochConsented)
    }

    /// Whether a claim is above what was promised (S2).
    #[must_use]
    pub fn is_above(self, claim: Epoch, promised: Epoch) -> bool {
        claim > promised || !self.keeps(Mutant::LowEpochConsented)
    }

    /// Whether a consent is recent enough to count. `proven`: it was given since our last stall
    /// (S8).
    #[must_use]
    pub fn is_fresh(self, proven: bool) -> bool {
        proven || !self.keeps(Mutant::StaleConsentCounts)
    }

    /// Who has consented does not claim for a while (L3).
    #[must_use]
    pub fn holds_after_consent(self) -> bool {
        self.keeps(Mutant::HoldIgnored)
    }

    /// A node lets the better placed one claim a free group first.
    #[must_use]
    pub fn right_of_way(self) -> bool {
        self.keeps(Mutant::NoRightOfWay)
    }

    /// Time for which the preferred node must be ready before it takes its group back: as
    /// `configured`.
    #[must_use]
    pub fn preempt_delay(self, configured: Duration) -> Duration {
        if self.keeps(Mutant::PreemptsAtOnce) { configured } else { Duration::ZERO }
    }

    /// A node consents to nothing before it has found out whether its own gate is open (S8).
    #[must_use]
    pub fn blind_node_is_silent(self) -> bool {
        self.keeps(Mutant::BlindStartConsents)
    }

    /// Goodbye is said when every gate is closed (S8).
    #[must_use]
    pub fn closes_before_goodbye(self) -> bool {
        self.keeps(Mutant::GoodbyeWhileOpen)
    }
}
