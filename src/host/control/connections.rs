//! TCP connections and their mirror, as `status` tells them.

use serde::{Deserialize, Serialize};

/// TCP connections of one group's addresses.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionsStatus {
    /// Number of connections here; `None` while the gate is closed.
    pub known: Option<u64>,
    /// Number of connections of the other node that are known here: after a takeover their clients
    /// would be told.
    pub mirrored: u64,
    /// Milliseconds since the other node last told its complete list; `None` if it never did.
    pub mirrored_age_ms: Option<f64>,
    /// Number of packets sent to clients of a former active since the start.
    pub tickled: u64,
    /// Number of connections reset here since the start, at the end of a drain.
    pub reset: u64,
}

/// The exchange of lists of connections with the other node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MirrorStatus {
    /// Whether the other node takes our lists.
    pub told: bool,
    /// Number of our connections that the other node says it holds.
    pub held: u64,
    /// Milliseconds since the other node said so; `None` if it never did.
    pub held_age_ms: Option<f64>,
    /// Whether the other node tells us its lists.
    pub heard: bool,
    /// Number of callers and listeners that were refused: without the key, no peer, or damaged.
    pub refused: u64,
    /// Number of connections beyond the bound, which were left out of the newest list.
    pub left_out: u64,
    /// Milliseconds of processor time that the newest list took.
    pub list_took_ms: f64,
    /// Milliseconds from the start of one list to the next.
    pub list_every_ms: f64,
}
