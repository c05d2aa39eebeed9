//! The language of the control socket: one JSON object per line, over a unix stream socket.
//!
//! A client sends one [`Request`] per line; the agent answers each with one [`Response`] line, and `events` with any
//! number of `event` lines and then, unless it follows, one `end`. Owns: the shapes, and the bound on a line. Never
//! does: I/O, or decide anything. A line that is too long or no request is answered with `ok: false` and closes nothing
//! but, for a line that is too long, the connection.
//!
//! Fields are only ever added. Readers ignore fields they do not know.

pub use super::checks::{CheckStatus, MAX_SHOWN_CHECKS};
pub use super::connections::{ConnectionsStatus, MirrorStatus};
pub use super::lines::{LineBuffer, ProtocolError};
use crate::config::KeyPrint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest request line, newline included. The longest request names one group.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Longest response line, newline included: a status of 1,024 groups at about 1 KiB each fits four times.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// A group's status shows at most this many of its addresses, and the count.
pub const MAX_SHOWN_ADDRESSES: usize = 8;

/// What an operator asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    /// How is everything?
    Status,
    /// Move `group` to the other node, both cooperating.
    Switch {
        /// The group's name.
        group: String,
    },
    /// Keep `group` closed on this node until resumed; an active group is handed over first.
    Pause {
        /// The group's name.
        group: String,
    },
    /// End a pause.
    Resume {
        /// The group's name.
        group: String,
    },
    /// The recent events, and with `follow` those to come.
    Events {
        /// Go on with new events until the client closes.
        #[serde(default)]
        follow: bool,
    },
    /// Write down what the flight recorder has.
    Record,
    /// With which configuration does the agent run?
    Running,
}

/// What the agent answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "lowercase")]
pub enum Response {
    /// To `status`.
    Status(Box<StatusReport>),
    /// To `switch`, `pause`, `resume`, and to anything that was not understood.
    Outcome(Outcome),
    /// To `record`: where it is.
    Recorded {
        /// The file.
        path: String,
    },
    /// To `running`.
    Running(Box<Running>),
    /// To `events`, once for each.
    Event(Event),
    /// To `events` without `follow`: that was all.
    End,
}

/// With what an agent runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Running {
    /// The file it reads at a reload.
    pub file: String,
    /// This node's name.
    pub node: String,
    /// It was told so when it was started, and does not look for its addresses.
    pub named: bool,
    /// The file's text as it was when it was read last.
    pub text: String,
    /// By what its keys can be told apart.
    pub keys: Vec<KeyPrint>,
}

/// Whether a command was carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// It was.
    pub ok: bool,
    /// What happened, or why nothing did, in a sentence for people.
    pub message: String,
}

/// What one node knows, all of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StatusReport {
    /// This node's name.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// The agent's version.
    pub version: String,
    /// How long the agent has been running, in milliseconds.
    pub uptime_ms: u64,
    /// The times it runs with.
    pub timing: TimingStatus,
    /// All groups, in the order of the configuration.
    pub groups: Vec<GroupStatus>,
    /// All links, by peer and index.
    pub links: Vec<LinkStatus>,
    /// What the peers' configuration has otherwise, a sentence per field: "silence_ms is 18 here and 180 on beta".
    pub differences: Vec<String>,
    /// How the peer is told of connections; `None` if no group wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// The latest wake-up of the thread that keeps the gate open, in milliseconds after its time.
    #[serde(default)]
    pub worst_lateness_ms: f64,
    /// 999 of 1,000 of its wake-ups were at most this late, in milliseconds; up to a quarter too much.
    #[serde(default)]
    pub lateness_p999_ms: f64,
    /// Its wake-ups by how late they were: below so many µs, and not below the bound before, so many since the start. The last
    /// bound, 65,536, also has whatever was later.
    #[serde(default)]
    pub lateness_us: Vec<(u64, u64)>,
    /// Renewals of gates' leases in the same way, from when they were due until they were written.
    #[serde(default)]
    pub renewal_us: Vec<(u64, u64)>,
    /// What an operator should know: no real-time priority, memory not locked, a stranger has an address.
    pub warnings: Vec<String>,
}

/// The times an agent runs with.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TimingStatus {
    /// `fast`, `lan`, `wan`, or `custom` when some are overridden.
    pub profile: String,
    /// Milliseconds between pulses.
    pub pulse_ms: f64,
    /// Milliseconds of silence before a takeover.
    pub silence_ms: f64,
    /// Milliseconds a gate stays open without renewal.
    pub lease_ms: f64,
}

/// What a node is for a group, as people and programs read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// The agent has just begun and listens.
    #[default]
    Starting,
    /// Gate closed, watching.
    Standby,
    /// Gate open.
    Active,
    /// Active and giving the group away.
    Handover,
    /// Gate closed and not able to serve.
    Fault,
    /// Gate closed by the operator.
    Paused,
}

impl GroupRole {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GroupRole::Starting => "starting",
            GroupRole::Standby => "standby",
            GroupRole::Active => "active",
            GroupRole::Handover => "handover",
            GroupRole::Fault => "fault",
            GroupRole::Paused => "paused",
        }
    }
}

/// One group as this node sees it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// What this node is for it.
    pub role: GroupRole,
    /// The highest epoch known; our own when active.
    pub epoch: u64,
    /// The name of the other node.
    pub peer: String,
    /// What the other node last said it is; `None` when it is not heard.
    pub peer_role: Option<GroupRole>,
    /// This node is active or could become so now.
    pub ready: bool,
    /// Why not, or what it waits for; empty when all is well.
    pub reason: String,
    /// When the role last changed, RFC 3339 in UTC (for example `2025-06-01T12:00:00Z`); empty when not known.
    pub since: String,
    /// The node that is believed active; `None` when nobody is known to be.
    pub active: Option<String>,
    /// The interface on this node.
    pub interface: String,
    /// How many addresses it has.
    pub address_count: u64,
    /// The first [`MAX_SHOWN_ADDRESSES`] of them.
    pub addresses: Vec<String>,
    /// TCP connections of its addresses; `None` if they are not looked after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionsStatus>,
    /// Counters of the gate and the engine by name: `answered`, `refused`, …
    pub counters: BTreeMap<String, u64>,
    /// How badly the service does here: 0 it serves, 1 to 254 the weights of what fails, 255 a check that vetoes fails or has
    /// come to nothing yet.
    #[serde(default)]
    pub health: u8,
    /// The same on the other node; `None` when it is not heard.
    #[serde(default)]
    pub peer_health: Option<u8>,
    /// How many checks it has.
    #[serde(default)]
    pub check_count: u64,
    /// At most [`MAX_SHOWN_CHECKS`] of them, those that fail first.
    #[serde(default)]
    pub checks: Vec<CheckStatus>,
}

/// How a link is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Pulses arrive.
    Up,
    /// No pulse for longer than the suspicion time.
    Silent,
    /// It cannot work: no local address, no socket, no carrier.
    #[default]
    Down,
}

impl LinkState {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Up => "up",
            LinkState::Silent => "silent",
            LinkState::Down => "down",
        }
    }
}

/// One path to one peer.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The peer's name.
    pub peer: String,
    /// The position in `links`, counted from 0, or `segment`.
    pub path: String,
    /// Our end: an address, or an interface for `segment`.
    pub local: String,
    /// The other end: an address, or a hardware address for `segment`.
    pub remote: String,
    /// How it is.
    pub state: LinkState,
    /// Milliseconds since the last authenticated pulse; `None` if there was none.
    pub last_heard_ms: Option<f64>,
    /// Authenticated pulses received.
    pub received: u64,
    /// Pulses sent.
    pub sent: u64,
    /// Datagrams that were refused: not authentic, replayed, malformed.
    pub rejected: u64,
}

/// How bad an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody should look, by day.
    Warning,
    /// Somebody should look now.
    Error,
}

impl Severity {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// Rises by one with every event of this agent process; a gap means that some were dropped.
    pub sequence: u64,
    /// How bad it is.
    pub severity: Severity,
    /// What happened, one word for programs: `takeover`, `handover`, `link_silent`.
    pub kind: String,
    /// The group it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What happened, a sentence for people.
    pub text: String,
    /// Details by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// One message as a line, newline included.
///
/// # Errors
/// [`ProtocolError::TooLong`] if it exceeds `limit`; show less. [`ProtocolError::Malformed`] cannot happen with the
/// types of this file.
pub fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    if line.len() > limit { Err(ProtocolError::TooLong(limit)) } else { Ok(line) }
}

/// Reads one line as a request.
///
/// # Errors
/// [`ProtocolError::Malformed`]; answer with an [`Outcome`] that says so.
pub fn decode_request(line: &[u8]) -> Result<Request, ProtocolError> {
    Ok(serde_json::from_slice(line)?)
}

/// Reads one line as a response.
///
/// # Errors
/// [`ProtocolError::Malformed`]: client and agent are of different versions.
pub fn decode_response(line: &[u8]) -> Result<Response, ProtocolError> {
    Ok(serde_json::from_slice(line)?)
}

/// Wall time as RFC 3339 in UTC with milliseconds, as `since` and [`Event::time`] carry it. The caller reads the clock.
/// Times after the year 9999, which RFC 3339 cannot write, show as its last day.
#[must_use]
pub fn rfc3339(since_unix_epoch: std::time::Duration) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, second) = (since_unix_epoch.as_secs() / 86_400, since_unix_epoch.as_secs() % 86_400);
    let mut year = 1970;
    while year < 9999 && days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let day = days.min(30) + 1;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let millis = since_unix_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}
