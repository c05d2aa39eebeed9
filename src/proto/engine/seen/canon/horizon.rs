//! How far back an engine's past can matter: the longest of its waits.
//!
//! Owns: which wait looks at what. Never does: look at an engine. Every time is taken apart by name, so that a new one does
//! not compile until it is thought of.

use crate::canon::NEVER;
use crate::timing::{Patience, Timing};
use std::time::Duration;

/// Longer than the grace of an adopted active and the age of neighbours, which are constants of the code.
pub(super) const CONSTANTS: Duration = Duration::from_secs(64);

/// The longest of some waits, those that never end left out.
fn longest(waits: &[Duration]) -> Duration {
    waits.iter().filter(|wait| **wait < NEVER).max().copied().unwrap_or_default()
}

/// How far back the past can matter.
pub(super) struct Horizon {
    /// For what silence is counted from.
    pub(super) silence: Duration,
    /// For when asking began.
    pub(super) watch: Duration,
    /// For when something was heard on the segment, or asked there.
    pub(super) segment: Duration,
    /// For the beginning of a role.
    pub(super) role: Duration,
}

impl Horizon {
    pub(super) fn of(timing: &Timing) -> Horizon {
        let Timing {
            pulse,
            silence,
            lease: _,
            suspicion,
            probe,
            listen,
            veto,
            election: _,
            promise: _,
            abstain: _,
            drift_ppm: _,
            patience,
        } = *timing;
        let Patience {
            hold: _,
            offer: _,
            first_veto,
            isolation,
            asking,
            anchors: _,
            deaf: _,
            segment: _,
            announcements: _,
        } = patience;
        let asked = pulse.max(probe) * 13;
        Horizon {
            silence: longest(&[silence, suspicion, listen, veto, first_veto, isolation, asked]) + probe,
            watch: longest(&[silence * 10, asking, asked]) + probe,
            segment: asked.max(CONSTANTS),
            role: listen.max(CONSTANTS),
        }
    }
}
