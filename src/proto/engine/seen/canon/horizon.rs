//! The reduction of an engine (`canon`): how far back the engine's past can matter, which is the
//! longest of its waits.
//!
//! Owns: which wait looks at which instant. Never does: look at an engine. The configured times are
//! taken apart by name, so a new one does not compile until somebody has decided about it.

use crate::canon::NEVER;
use crate::timing::{Patience, Timing};
use std::time::Duration;

/// A bound above two waits that are constants of the code: the grace of an adopted active, and the
/// age at which a neighbour is forgotten.
pub(super) const CONSTANTS: Duration = Duration::from_secs(64);

/// The longest of `waits`; those that never end are left out.
fn longest(waits: &[Duration]) -> Duration {
    waits.iter().filter(|wait| **wait < NEVER).max().copied().unwrap_or_default()
}

/// How far back the past can matter: an instant further back is as good as one at the limit.
pub(super) struct Horizon {
    /// Limit for the instants that silence is counted from.
    pub(super) silence: Duration,
    /// Limit for the beginning of a watch.
    pub(super) watch: Duration,
    /// Limit for the instants of frames heard on a segment, and of probes sent there.
    pub(super) segment: Duration,
    /// Limit for the beginning of a role.
    pub(super) role: Duration,
}

impl Horizon {
    /// The limits that follow from the configured times.
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
            unrest: _,
            unrest_most: _,
            offer: _,
            first_veto,
            isolation,
            asking,
            anchors: _,
            slowest: _,
            frame: _,
            deaf: _,
            segment: _,
            reach: _,
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
