//! Timers of a group, as `status` tells them.

use serde::{Deserialize, Serialize};

/// What a group waits for next, by the clock.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TimerStatus {
    /// Name of the timer: `listening`, `hold`, `announce`, …
    pub name: String,
    /// Time until it ends, in milliseconds; 0 if it is due.
    pub in_ms: f64,
}
