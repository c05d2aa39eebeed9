//! Rules of the wire: what is let in.

use super::Rules;
use crate::mutant::Mutant;

impl Rules {
    /// The tag of a datagram decides (S6).
    #[must_use]
    pub fn checks_tags(self) -> bool {
        self.keeps(Mutant::TagNotChecked)
    }

    /// Whether a datagram is let in, as far as its counter tells: `fresh` says that it is no copy (S6).
    #[must_use]
    pub fn is_admitted(self, fresh: bool) -> bool {
        fresh || !self.keeps(Mutant::ReplayWindowOff)
    }

    /// Whether a pulse answers to our session, of whether it echoes it (S6).
    #[must_use]
    pub fn echoes_session(self, echoes: bool) -> bool {
        echoes || !self.keeps(Mutant::EchoNotRequired)
    }

    /// A session must prove that it is younger than the one before (S6).
    #[must_use]
    pub fn sessions_need_proof(self) -> bool {
        self.keeps(Mutant::ProofNotRequired)
    }

    /// Whether rows that were not told before are missing before those of a pulse (L5).
    #[must_use]
    pub fn is_gap(self, missing: bool) -> bool {
        missing && self.keeps(Mutant::RowGapsIgnored)
    }
}
