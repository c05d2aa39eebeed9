//! The language of the control socket: one JSON object per line, over a unix stream socket.
//!
//! A client sends one [`Request`] per line; the agent answers each with one [`Response`] line, and
//! `events` with any number of `event` lines and then, unless it follows, one `end`. Owns: the
//! shapes, and the bound on a line. Never does: I/O, or decide anything. A line that is no request
//! is answered with `ok: false`; so is a line that is too long, after which the connection is
//! closed.
//!
//! New versions only add fields. Readers ignore fields that they do not know.

pub use super::checks::{CheckStatus, MAX_SHOWN_CHECKS};
pub use super::connections::{ConnectionsStatus, MirrorStatus};
pub use super::lines::{LineBuffer, ProtocolError};
pub use super::links::{LinkState, LinkStatus, RejectStatus};
pub use super::timers::TimerStatus;
use crate::config::KeyPrint;
use crate::types::MonoTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest request line in bytes, newline included. The longest request names one group.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Longest response line in bytes, newline included: a status of 1,024 groups at about 1 KiB each
/// fits four times.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// Most addresses that a group's status shows, beside their number.
pub const MAX_SHOWN_ADDRESSES: usize = 8;

/// One request of an operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    /// Ask for the status.
    Status,
    /// Move `group` to the other node, both cooperating.
    Switch {
        /// Name of the group.
        group: String,
    },
    /// Keep `group` closed on this node until resumed; an active group is handed over first.
    Pause {
        /// Name of the group.
        group: String,
    },
    /// End the pause of `group`.
    Resume {
        /// Name of the group.
        group: String,
    },
    /// Ask for the recent events, and with `follow` for those to come.
    Events {
        /// Whether to go on with new events until the client closes.
        #[serde(default)]
        follow: bool,
    },
    /// Write the flight recorder's content to a file.
    Record,
    /// Ask for the configuration that the agent runs with.
    Running,
    /// Read configuration and keys again; the answer says what has changed, or why nothing has.
    Reload,
    /// Hand over every group and take no part any more, until the agent is started again.
    Leave,
}

/// One line of the agent's answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "lowercase")]
pub enum Response {
    /// Answer to `status`.
    Status(Box<StatusReport>),
    /// Answer to `switch`, `pause`, `resume`, `reload` and `leave`, and to any request that was
    /// refused or not understood.
    Outcome(Outcome),
    /// Answer to `record`.
    Recorded {
        /// Path of the file that was written.
        path: String,
    },
    /// Answer to `running`.
    Running(Box<Running>),
    /// Answer to `events`, one line for each event.
    Event(Event),
    /// End of the answer to `events` without `follow`.
    End,
}

/// The configuration that an agent runs with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Path of the file that the agent reads at a reload.
    pub file: String,
    /// Name of this node.
    pub node: String,
    /// Whether the name was given at the start; if not, the node is found by its addresses.
    pub named: bool,
    /// Text of the file when it was last read.
    pub text: String,
    /// Fingerprints of the agent's keys.
    pub keys: Vec<KeyPrint>,
}

/// Outcome of a command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the command was carried out.
    pub ok: bool,
    /// Sentence for people: what was done, or why nothing was.
    pub message: String,
}

/// The status of one node: all that it knows.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StatusReport {
    /// Name of this node.
    pub node: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Version of the agent.
    pub version: String,
    /// Milliseconds since the start of the agent.
    pub uptime_ms: u64,
    /// Times that the agent runs with.
    pub timing: TimingStatus,
    /// All groups, in the order of the configuration.
    pub groups: Vec<GroupStatus>,
    /// All links, by peer and index.
    pub links: Vec<LinkStatus>,
    /// Machines that cannot be told from this one, or from another that is expected: a sentence for
    /// each. They are among the warnings, too.
    #[serde(default)]
    pub alike: Vec<String>,
    /// How the configuration's file differs from what the agent runs with: that a reload was refused,
    /// or that the file was changed since. They are among the warnings, too.
    #[serde(default)]
    pub not_loaded: Vec<String>,
    /// Datagrams that were turned away, an entry for each reason that there was.
    #[serde(default)]
    pub rejected: Vec<RejectStatus>,
    /// Differences between the nodes' configurations, a sentence per field: "silence_ms is 18 here
    /// and 180 on beta".
    pub differences: Vec<String>,
    /// The exchange of lists of connections with the peer; `None` if no group wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// Lateness of the latest wake-up of the thread that keeps the gate open, in milliseconds.
    #[serde(default)]
    pub worst_lateness_ms: f64,
    /// Lateness of 999 of 1,000 wake-ups of that thread at most, in milliseconds; up to a quarter
    /// too much.
    #[serde(default)]
    pub lateness_p999_ms: f64,
    /// Wake-ups of that thread since the start, by lateness: pairs of an upper bound in µs and the
    /// number of wake-ups below it and not below the bound before. The last bound, 65,536, also has
    /// all that were later.
    #[serde(default)]
    pub lateness_us: Vec<(u64, u64)>,
    /// Renewals of gates' leases since the start, in the same form, by the time from due to
    /// written.
    #[serde(default)]
    pub renewal_us: Vec<(u64, u64)>,
    /// Warnings for the operator: no real-time priority, memory not locked, a stranger has an
    /// address.
    pub warnings: Vec<String>,
}

/// The times an agent runs with.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TimingStatus {
    /// Name of the profile: `fast`, `lan`, `wan`, or `custom` when some times are overridden.
    pub profile: String,
    /// Milliseconds between pulses.
    pub pulse_ms: f64,
    /// Milliseconds of silence before a takeover.
    pub silence_ms: f64,
    /// Milliseconds for which a gate stays open without renewal.
    pub lease_ms: f64,
}

/// Role of a node for a group, as people and programs read it.
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
    /// The word that people and programs read.
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

/// Status of one group as this node sees it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Name of the group.
    pub name: String,
    /// Role of this node.
    pub role: GroupRole,
    /// Highest epoch known; when active, our own.
    pub epoch: u64,
    /// Name of the other node.
    pub peer: String,
    /// Role that the other node last told; `None` while it is not heard.
    pub peer_role: Option<GroupRole>,
    /// Whether this node is active or could become active now.
    pub ready: bool,
    /// Reason for not being ready, or what the node waits for; empty when all is well.
    pub reason: String,
    /// What the node waits for next in this group, by the clock; `None` while nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<TimerStatus>,
    /// Time of the last change of role, RFC 3339 in UTC (for example `2025-06-01T12:00:00Z`); empty
    /// when not known.
    pub since: String,
    /// Name of the node that is believed active; `None` if no node is known to be.
    pub active: Option<String>,
    /// Hardware address of somebody else who was seen to answer for an address of the group within
    /// the last minute; `None` if nobody was, or the other node that is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// Name of the interface on this node.
    pub interface: String,
    /// Number of addresses.
    pub address_count: u64,
    /// The first [`MAX_SHOWN_ADDRESSES`] addresses.
    pub addresses: Vec<String>,
    /// TCP connections of the addresses; `None` if the group does not want its clients told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionsStatus>,
    /// Counters of the gate and the engine by name: `answered`, `refused`, …
    pub counters: BTreeMap<String, u64>,
    /// Health number of the service here: 0 if it serves, 1 to 254 the sum of the weights of checks
    /// that fail, 255 if a check that vetoes fails or has no verdict yet.
    #[serde(default)]
    pub health: u8,
    /// Health number of the service on the other node; `None` while that is not heard.
    #[serde(default)]
    pub peer_health: Option<u8>,
    /// Number of checks.
    #[serde(default)]
    pub check_count: u64,
    /// At most [`MAX_SHOWN_CHECKS`] checks, those that fail first.
    #[serde(default)]
    pub checks: Vec<CheckStatus>,
}

/// Severity of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Info,
    /// A person should look, by day.
    Warning,
    /// A person should look now.
    Error,
}

impl Severity {
    /// The word that people and programs read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Time of the event, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// Number of the event in this agent process, rising by one; a gap means that some were
    /// dropped.
    pub sequence: u64,
    /// Severity of the event.
    pub severity: Severity,
    /// Kind of the event, one word for programs: `takeover`, `handover`, `link_silent`.
    pub kind: String,
    /// Name of the group that the event is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The event as a sentence for people.
    pub text: String,
    /// Details by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Encodes a message as one line, newline included.
///
/// # Errors
/// [`ProtocolError::TooLong`] if the line is longer than `limit`: show less.
/// [`ProtocolError::Malformed`] cannot happen with the types of this file.
pub fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    if line.len() > limit { Err(ProtocolError::TooLong(limit)) } else { Ok(line) }
}

/// A request as a client sends it.
#[derive(Serialize)]
pub(super) struct Asked<'r> {
    #[serde(flatten)]
    pub request: &'r Request,
    /// Until when the client waits, in milliseconds of CLOCK_BOOTTIME: see [`decode_deadline`].
    pub until_ms: u64,
}

/// Until when the client of a request waits, if its line tells: what could not be begun by then is not
/// begun, and what is not done is given up.
#[must_use]
pub fn decode_deadline(line: &[u8]) -> Option<MonoTime> {
    #[derive(Deserialize)]
    struct Deadline {
        until_ms: Option<u64>,
    }
    let deadline: Deadline = serde_json::from_slice(line).ok()?;
    deadline.until_ms.map(|until| MonoTime(until.saturating_mul(1_000_000)))
}

/// Decodes one line as a request.
///
/// # Errors
/// [`ProtocolError::Malformed`]: answer with an [`Outcome`] that says so.
pub fn decode_request(line: &[u8]) -> Result<Request, ProtocolError> {
    Ok(serde_json::from_slice(line)?)
}

/// Decodes one line as a response.
///
/// # Errors
/// [`ProtocolError::Malformed`]: client and agent are of different versions.
pub fn decode_response(line: &[u8]) -> Result<Response, ProtocolError> {
    Ok(serde_json::from_slice(line)?)
}

/// A time of the wall clock as RFC 3339 in UTC with milliseconds, as `since` and [`Event::time`]
/// carry it. The caller reads the clock. Times after the year 9999, which RFC 3339 cannot write,
/// show as the last day of 9999.
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
