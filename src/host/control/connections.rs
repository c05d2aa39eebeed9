//! What `status` tells about TCP connections and the mirror.

use serde::{Deserialize, Serialize};

/// TCP connections of one group.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionsStatus {
    /// Connections to its addresses here; `None` while its gate is closed.
    pub known: Option<u64>,
    /// Connections of the other node that are known here: whose clients would be told after a takeover.
    pub mirrored: u64,
    /// Milliseconds since the other node last said that this is all; `None` if it never did.
    pub mirrored_age_ms: Option<f64>,
    /// Packets sent to clients of a former active since the start.
    pub tickled: u64,
    /// Connections reset here since the start, at the end of a drain.
    pub reset: u64,
}

/// The exchange of lists of connections.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MirrorStatus {
    /// The other node takes our lists.
    pub told: bool,
    /// Connections it says it holds.
    pub held: u64,
    /// Milliseconds since it said so.
    pub held_age_ms: Option<f64>,
    /// The other node tells us its lists.
    pub heard: bool,
    /// Callers and listeners that were refused: no key, no peer, damaged.
    pub refused: u64,
    /// Connections beyond the bound that were left out of the newest list.
    pub left_out: u64,
    /// Milliseconds for which a processor was busy with the newest list.
    pub list_took_ms: f64,
    /// Milliseconds from one list to the next.
    pub list_every_ms: f64,
}
