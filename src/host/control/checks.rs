//! What `status` says of a group's service.

use serde::{Deserialize, Serialize};

/// A group's status shows at most this many of its checks, those that fail first.
pub const MAX_SHOWN_CHECKS: usize = 8;

/// One check on this node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CheckStatus {
    /// `tcp`, `http`, `process`, `unit` or `exec`.
    pub kind: String,
    /// What is tried: an address, a page, a process, a unit, a program.
    pub target: String,
    /// It succeeds; `None` while it has come to no verdict yet.
    pub ok: Option<bool>,
    /// What its failing adds to the group's health; `None`: it vetoes.
    pub weight: Option<u8>,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// Why it fails; empty when it does not.
    pub error: String,
}
