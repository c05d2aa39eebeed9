//! Which times fit together, and why: the inequalities of `[timing]` in one place.
//!
//! Owns: the bounds that validation enforces and `vipair check` prints. Never does: derive times
//! (that is `timing`). A broken rule is a configuration error; nothing here fails.

use crate::timing::{LEASE_MS, SLACK, Timing, stretch};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Range of `pulse_ms`. Shorter pulses drown in the scheduling noise of a busy machine.
pub const PULSE_MS: RangeInclusive<u64> = 5..=10_000;
/// Range of `silence_ms`. A takeover that waits longer than a minute is none.
pub const SILENCE_MS: RangeInclusive<u64> = 8..=60_000;
/// Range of `lease_ms` with a witness, where a takeover waits for the lease. It begins with what
/// the shortest pulse permits.
pub const VOTED_LEASE_MS: RangeInclusive<u64> = 19..=60_000;
/// Range of `drift_ppm`. Clocks whose rates differ by more than a twentieth are broken.
pub const DRIFT_PPM: RangeInclusive<u64> = 1..=50_000;
/// Least time that a lease leaves for a grant's way to the voter and back, jitter and the voter's
/// own time included.
pub const ROUND_TRIP: Duration = SLACK.saturating_mul(4);

/// Range of `lease_ms`, with or without a witness.
#[must_use]
pub fn lease_ms(witness: bool) -> RangeInclusive<u64> {
    if witness { VOTED_LEASE_MS } else { LEASE_MS }
}

/// One inequality: `value` must be `limit` or more.
pub struct Rule {
    /// Key of `[timing]` that the rule is about.
    pub key: &'static str,
    /// The time that must be long enough.
    pub value: fn(&Timing) -> Duration,
    /// The least value of that time, computed from other times.
    pub limit: fn(&Timing) -> Duration,
    /// The inequality as people write it.
    pub formula: &'static str,
    /// The reason for the rule, as people read it.
    pub reason: &'static str,
}

impl Rule {
    /// Whether `timing` obeys the rule.
    #[must_use]
    pub fn holds(&self, timing: &Timing) -> bool {
        (self.value)(timing) >= (self.limit)(timing)
    }
}

const ASKING: Rule = Rule {
    key: "silence_ms",
    value: |t| t.silence,
    limit: |t| t.suspicion + t.probe * 3,
    formula: "silence ≥ suspicion + 3 × probe",
    reason: "a standby must have time to ask three times before it takes over",
};

const RENEWING: Rule = Rule {
    key: "lease_ms",
    value: |t| t.lease,
    limit: |t| t.pulse * 3,
    formula: "lease ≥ 3 × pulse",
    reason: "two renewals in a row may come late without the gate closing",
};

const GRANTING: Rule = Rule {
    key: "lease_ms",
    value: |t| t.lease,
    limit: |t| t.pulse * 3 + ROUND_TRIP,
    formula: "lease ≥ 3 × pulse + 4 ms",
    reason: "two grants in a row may be lost, and the third still has 4 ms for its round trip and its jitter",
};

/// A rule that derived times always obey, like [`ABSTAINING`]. Both stand here so that `vipair
/// check` shows them, and so that a test can break them.
const PROMISING: Rule = Rule {
    key: "lease_ms",
    value: |t| t.promise,
    limit: |t| stretch(t.lease, t.drift_ppm),
    formula: "promise ≥ lease × (1+ρ)/(1−ρ) + 1 ms",
    reason: "a voter is bound longer than the gate that it keeps open, whichever of their clocks is fast",
};

const ABSTAINING: Rule = Rule {
    key: "lease_ms",
    value: |t| t.abstain,
    limit: |t| stretch(t.promise, t.drift_ppm),
    formula: "abstain ≥ promise × (1+ρ)/(1−ρ) + 1 ms",
    reason: "a voter that was restarted votes when every promise of its former life is over",
};

/// All inequalities between times, with or without a witness. The ranges of single times are the
/// constants above.
#[must_use]
pub fn rules(witness: bool) -> &'static [Rule] {
    if witness { &[ASKING, GRANTING, PROMISING, ABSTAINING] } else { &[ASKING, RENEWING] }
}
