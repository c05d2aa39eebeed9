//! Which times fit together, and why: the inequalities of `[timing]` in one place.
//!
//! Owns: the bounds that validation enforces and `vipair check` prints. Never does: derive times (that is `timing`).
//! A broken rule is a configuration error; nothing here fails.

use crate::timing::{LEASE_MS, SLACK, Timing, stretch};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What `pulse_ms` may be: shorter pulses drown in the scheduling noise of a busy machine.
pub const PULSE_MS: RangeInclusive<u64> = 5..=10_000;
/// What `silence_ms` may be at most: a takeover that waits longer than a minute is none.
pub const SILENCE_MS: RangeInclusive<u64> = 8..=60_000;
/// What `lease_ms` may be with a witness, where a takeover waits for it: what the shortest pulse permits.
pub const VOTED_LEASE_MS: RangeInclusive<u64> = 19..=60_000;
/// What `drift_ppm` may be: clocks that differ by more than a twentieth are broken.
pub const DRIFT_PPM: RangeInclusive<u64> = 1..=50_000;
/// What a grant's way to the voter and back may take at least, jitter and the voter's own time included.
pub const ROUND_TRIP: Duration = SLACK.saturating_mul(4);

/// What `lease_ms` may be, with or without a witness.
#[must_use]
pub fn lease_ms(witness: bool) -> RangeInclusive<u64> {
    if witness { VOTED_LEASE_MS } else { LEASE_MS }
}

/// One inequality: `value` must be `limit` or more.
pub struct Rule {
    /// The key of `[timing]` it is about.
    pub key: &'static str,
    /// The time it is about.
    pub value: fn(&Timing) -> Duration,
    /// The least that is right, which depends on other times.
    pub limit: fn(&Timing) -> Duration,
    /// The inequality as people write it.
    pub formula: &'static str,
    /// Why it must hold.
    pub reason: &'static str,
}

impl Rule {
    /// True if `timing` obeys the rule.
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

/// Promises are derived so that these two hold: they are here to be shown, and so that a test can see them broken.
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

/// Every inequality between times, with or without a witness. What one time may be by itself is in the ranges above.
#[must_use]
pub fn rules(witness: bool) -> &'static [Rule] {
    if witness { &[ASKING, GRANTING, PROMISING, ABSTAINING] } else { &[ASKING, RENEWING] }
}
