//! What the control socket tells of links, and of datagrams that were turned away.
//!
//! Owns: the shapes. Never does: I/O, or count anything.

use serde::{Deserialize, Serialize};

/// State of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Pulses arrive.
    Up,
    /// No pulse for longer than the suspicion time.
    Silent,
    /// The link cannot work: no local address, no socket, no carrier, or nothing can be sent on it.
    #[default]
    Down,
}

impl LinkState {
    /// The word that people and programs read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Up => "up",
            LinkState::Silent => "silent",
            LinkState::Down => "down",
        }
    }
}

/// Status of one path to one peer.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Name of the peer.
    pub peer: String,
    /// Position in `links`, counted from 0, or `segment`.
    pub path: String,
    /// Our end: an address, or an interface for `segment`.
    pub local: String,
    /// The other end: an address, or a hardware address for `segment`.
    pub remote: String,
    /// State of the link.
    pub state: LinkState,
    /// Milliseconds since the last authenticated pulse; `None` if there was none.
    pub last_heard_ms: Option<f64>,
    /// Number of authenticated pulses received.
    pub received: u64,
    /// Number of pulses sent.
    pub sent: u64,
    /// Number of datagrams refused: not authentic, replayed, malformed.
    pub rejected: u64,
    /// Number of datagrams that the kernel did not send because they were too long for the link.
    #[serde(default)]
    pub too_large: u64,
    /// Length in bytes of the longest datagrams that are sent on the link; `None` if it is that of
    /// the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u64>,
}

/// Datagrams that were turned away for one reason.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RejectStatus {
    /// Word for the reason.
    pub reason: String,
    /// Whether only somebody with the cluster's key can have made them.
    pub authentic: bool,
    /// Number since the start.
    pub count: u64,
    /// Where the last one came from: an address, or the clients' segment and its interface.
    pub from: String,
    /// Milliseconds since the last one.
    pub last_ms: f64,
}
