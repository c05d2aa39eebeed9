//! Rules of a witness: what it promises, what ends a promise, and what it remembers.

use super::Rules;
use super::vote::promise;
use crate::mutant::Mutant;
use crate::types::Epoch;
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

impl Rules {
    /// A new session of a holder releases nothing of what was promised to the one before (S5).
    #[must_use]
    pub fn promises_outlive_sessions(self) -> bool {
        self.keeps(Mutant::NewSessionReleases)
    }

    /// Every pulse that asks renews what was promised (S5).
    #[must_use]
    pub fn pulses_renew_promises(self) -> bool {
        self.keeps(Mutant::PromiseNotRenewed)
    }

    /// Time for which a witness votes for nobody else after a pulse that stated a lease of
    /// `lease_us`, in µs (S5).
    #[must_use]
    pub fn witness_promises_for(self, lease_us: u32, drift_ppm: u64) -> Duration {
        let lease = Duration::from_micros(u64::from(lease_us));
        match (self.keeps(Mutant::PromiseTooShort), self.keeps(Mutant::PromiseNotStretched)) {
            (false, _) => lease / 2,
            (true, false) => lease,
            (true, true) => promise(lease_us, drift_ppm),
        }
    }

    /// Whether a node that starts releases what its kernel may still have open (S5).
    #[must_use]
    pub fn starter_releases(self, row: &Row) -> bool {
        row.role == Role::Starting && !self.keeps(Mutant::StarterReleases)
    }

    /// Whether a row that only reserves the promised epoch releases it (S5).
    #[must_use]
    pub fn reserve_releases(self, row: &Row, promised: Epoch) -> bool {
        row.reserve == promised && !self.keeps(Mutant::ReserveReleases)
    }

    /// An epoch is granted once the ceiling above it is on the disk (S2).
    #[must_use]
    pub fn ceiling_comes_first(self) -> bool {
        self.keeps(Mutant::CeilingNotAwaited)
    }

    /// What is promised to another is kept (S5).
    #[must_use]
    pub fn keeps_promises(self) -> bool {
        self.keeps(Mutant::PromiseIgnored)
    }

    /// A promise lasts its time, however silent its holder is (S5).
    #[must_use]
    pub fn promises_outlast_silence(self) -> bool {
        self.keeps(Mutant::PromiseEndsWithSilence)
    }

    /// A witness that starts grants nothing below its ceiling (S2).
    #[must_use]
    pub fn remembers_ceiling(self) -> bool {
        self.keeps(Mutant::CeilingForgotten)
    }

    /// A witness without memory grants nothing before every node has told it everything (S2).
    #[must_use]
    pub fn damaged_memory_waits(self) -> bool {
        self.keeps(Mutant::DamagedMemoryGrants)
    }

    /// A witness that has just started votes for nobody (S5).
    #[must_use]
    pub fn witness_abstains(self) -> bool {
        self.keeps(Mutant::WitnessNotAbstaining)
    }
}
