//! Checks of a group's service, as `status` tells them.

use serde::{Deserialize, Serialize};

/// Most checks that a group's status shows, those that fail first.
pub const MAX_SHOWN_CHECKS: usize = 8;

/// One check on this node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Kind of the check: `tcp`, `http`, `process`, `unit` or `exec`.
    pub kind: String,
    /// Target of the attempt: an address, a page, a process, a unit, a program.
    pub target: String,
    /// Whether the check succeeds; `None` before its first verdict.
    pub ok: Option<bool>,
    /// Weight of a fault in the group's health number, 1 to 254; `None`: the fault vetoes.
    pub weight: Option<u8>,
    /// Time since which the verdict stands, RFC 3339 in UTC.
    pub since: String,
    /// Reason for the failure; empty while the check succeeds.
    pub error: String,
}
