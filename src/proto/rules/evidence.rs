//! Rules of silence, probes and the segment.

use super::Rules;
use crate::mutant::Mutant;
use std::time::Duration;

/// Probes in a row that must stay unanswered.
pub const PROBES: u32 = 3;

impl Rules {
    /// Silence is not counted through a stall of our own process (S8).
    #[must_use]
    pub fn notices_stalls(self) -> bool {
        self.keeps(Mutant::StallNotNoticed)
    }

    /// A claim is out for a while before a gate opens on silence (S8).
    #[must_use]
    pub fn claims_before_opening(self) -> bool {
        self.keeps(Mutant::ClaimNotSent)
    }

    /// A node that has just started listens before it opens (S7, S8).
    #[must_use]
    pub fn listens_first(self) -> bool {
        self.keeps(Mutant::NoListening)
    }

    /// Silence after which a peer that was never heard counts as gone: the listening time (S7, S8).
    #[must_use]
    pub fn listening(self, listen: Duration) -> Duration {
        if self.listens_first() { listen } else { Duration::ZERO }
    }

    /// Answered probes hold a takeover back (S8).
    #[must_use]
    pub fn answers_veto(self) -> bool {
        self.keeps(Mutant::VetoIgnored)
    }

    /// Time for which answered probes hold a takeover back at most (S6).
    #[must_use]
    pub fn veto(self, patience: Duration) -> Duration {
        if self.keeps(Mutant::VetoUnlimited) { patience } else { Duration::MAX }
    }

    /// Number of probes in a row that must stay unanswered before a takeover; groups that the peer
    /// may have opened since come on top (L2).
    #[must_use]
    pub fn probes_needed(self) -> u32 {
        if self.keeps(Mutant::OneProbeEnough) { PROBES } else { 1 }
    }

    /// A takeover asks no more than it needs (L4).
    #[must_use]
    pub fn asks_little(self) -> bool {
        self.keeps(Mutant::AsksAllTheTime)
    }

    /// The silence of a question counts only where an ordinary host would ask so, or where it was
    /// seen to be answered (S8).
    #[must_use]
    pub fn needs_known_questions(self) -> bool {
        self.keeps(Mutant::UnknownQuestionCounts)
    }

    /// Only addresses that the peer may serve are probed, where there are any (S8).
    #[must_use]
    pub fn probes_served_addresses(self) -> bool {
        self.keeps(Mutant::AnyAddressProbed)
    }

    /// A node that hears nobody on the segment does not take over (S8).
    #[must_use]
    pub fn needs_living_segment(self) -> bool {
        self.keeps(Mutant::IsolatedTakesOver)
    }

    /// Machines inside this server are no sign that its segment is alive (S8).
    #[must_use]
    pub fn life_is_outside(self) -> bool {
        self.keeps(Mutant::InsideCounts)
    }

    /// Time for which silent neighbours hold a takeover back at most (S6).
    #[must_use]
    pub fn isolation(self, patience: Duration) -> Duration {
        if self.keeps(Mutant::IsolationUnlimited) { patience } else { Duration::MAX }
    }

    /// Probes that nobody could hear do not count (S8).
    #[must_use]
    pub fn unheard_probes_are_void(self) -> bool {
        self.keeps(Mutant::IsolatedProbesCount)
    }

    /// A refused datagram is a hint and no goodbye (S8).
    #[must_use]
    pub fn refusal_is_goodbye(self) -> bool {
        !self.keeps(Mutant::RefusedIsGoodbye)
    }

    /// Whether a header's goodbye counts: `said`, its flag (L1).
    #[must_use]
    pub fn is_goodbye(self, said: bool) -> bool {
        said && self.keeps(Mutant::GoodbyeIgnored)
    }

    /// A goodbye counts while it is young (S8).
    #[must_use]
    pub fn goodbye_grows_old(self) -> bool {
        self.keeps(Mutant::OldGoodbyeCounts)
    }
}
