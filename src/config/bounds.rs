//! Which times fit together, and why: the inequalities of `[timing]` in one place.
//!
//! Owns: the bounds that validation enforces and `vipair check` prints. Never does: derive times (that is `timing`).
//! A broken rule is a configuration error; nothing here fails.

use super::timing::Timing;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What `pulse_ms` may be: shorter pulses drown in the scheduling noise of a busy machine.
pub const PULSE_MS: RangeInclusive<u64> = 5..=10_000;
/// What `silence_ms` may be at most: a takeover that waits longer than a minute is none.
pub const SILENCE_MS: RangeInclusive<u64> = 8..=60_000;
/// What `lease_ms` may be: a short stall must not close the gate, and a dead agent's server must not answer for long.
pub const LEASE_MS: RangeInclusive<u64> = 50..=60_000;

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

/// Every inequality between times. What one time may be by itself is in the ranges above.
pub const RULES: [Rule; 2] = [
    Rule {
        key: "silence_ms",
        value: |t| t.silence,
        limit: |t| t.suspicion + t.probe * 3,
        formula: "silence ≥ suspicion + 3 × probe",
        reason: "a standby must have time to ask three times before it takes over",
    },
    Rule {
        key: "lease_ms",
        value: |t| t.lease,
        limit: |t| t.pulse * 3,
        formula: "lease ≥ 3 × pulse",
        reason: "two renewals in a row may come late without the gate closing",
    },
];
