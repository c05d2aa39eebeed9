//! The frames of the mirror's TCP session, after the handshake: sealed, opened, refused.
//!
//! A frame: length of the body (2 bytes), kind (1), zero (1), body, tag (32). The tag covers
//! direction, number, and all before it.

use super::{Connection, HmacSha256, Refusal, TAG_SIZE, keyed, tag};
use crate::types::GroupKey;
use hmac::Mac;
use std::fmt;
use std::net::Ipv6Addr;

const HEAD: usize = 4;
const GROUP: usize = 8;
const CONNECTION: usize = 36;
/// Most connections in one frame.
pub const MAX_CONNECTIONS: usize = 400;
/// Longest body in bytes; a longer one is refused before it is read.
pub const MAX_BODY: usize = GROUP + MAX_CONNECTIONS * CONNECTION;

const BEGIN: u8 = 1;
const ADD: u8 = 2;
const REMOVE: u8 = 3;
const COMPLETE: u8 = 4;
const HELD: u8 = 5;

/// The content of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// The list of this group is told anew from here on; the one before stands until the next
    /// [`Frame::Complete`].
    Begin(GroupKey),
    /// These connections came, at most [`MAX_CONNECTIONS`].
    Add(GroupKey, Vec<Connection>),
    /// These connections went, at most [`MAX_CONNECTIONS`].
    Remove(GroupKey, Vec<Connection>),
    /// All lists are as the kernel had them a moment ago. The number rises with each.
    Complete(u64),
    /// The listener's answer to [`Frame::Complete`]: that number, and how many connections it
    /// holds.
    Held(u64, u32),
}

/// One side of an authenticated TCP connection.
pub struct Session {
    state: HmacSha256,
    is_caller: bool,
    sent: u64,
    received: u64,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("sent", &self.sent).field("received", &self.received).finish_non_exhaustive()
    }
}

impl Session {
    /// A session whose frames are sealed with `key`. `is_caller`: this end has opened the TCP
    /// connection.
    pub(super) fn new(key: &[u8; TAG_SIZE], is_caller: bool) -> Session {
        Session { state: keyed(key), is_caller, sent: 0, received: 0 }
    }

    /// Appends a frame to `out`.
    ///
    /// # Panics
    /// If the frame has more than [`MAX_CONNECTIONS`].
    pub fn seal(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; HEAD]);
        out[begin + 2] = put(frame, out);
        let length = out.len() - begin - HEAD;
        assert!(length <= MAX_BODY, "invariant: a frame has at most {MAX_CONNECTIONS} connections");
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        out[begin..begin + 2].copy_from_slice(&length.to_be_bytes());
        let direction = u8::from(self.is_caller);
        let seal = tag(&self.state, &[&[direction], &self.sent.to_be_bytes(), &out[begin..]]);
        self.sent += 1;
        out.extend_from_slice(&seal);
    }

    /// The first frame of `bytes` and its length; `None` until more has arrived.
    ///
    /// # Errors
    /// The reason to end the TCP connection.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Option<(Frame, usize)>, Refusal> {
        let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
        if length > MAX_BODY {
            return Err(Refusal::Malformed);
        }
        let whole = HEAD + length + TAG_SIZE;
        let Some(frame) = bytes.get(..whole) else { return Ok(None) };
        let (said, seal) = frame.split_at(whole - TAG_SIZE);
        let mut mac = self.state.clone();
        let direction = u8::from(!self.is_caller);
        [&[direction][..], &self.received.to_be_bytes(), said].iter().for_each(|part| mac.update(part));
        mac.verify_slice(seal).map_err(|_| Refusal::Tag)?;
        self.received += 1;
        let frame = get(head[2], &said[HEAD..]).ok_or(Refusal::Malformed)?;
        let from_caller = !matches!(frame, Frame::Held(..));
        if head[3] != 0 || from_caller == self.is_caller {
            return Err(Refusal::Malformed);
        }
        Ok(Some((frame, whole)))
    }
}

/// Appends the body and tells its kind.
fn put(frame: &Frame, out: &mut Vec<u8>) -> u8 {
    let mut list = |group: &GroupKey, connections: &[Connection]| {
        out.extend_from_slice(&group.0.to_be_bytes());
        for connection in connections {
            out.extend_from_slice(&connection.local.octets());
            out.extend_from_slice(&connection.remote.octets());
            out.extend_from_slice(&connection.local_port.to_be_bytes());
            out.extend_from_slice(&connection.remote_port.to_be_bytes());
        }
    };
    match frame {
        Frame::Begin(group) => {
            list(group, &[]);
            BEGIN
        }
        Frame::Add(group, connections) => {
            list(group, connections);
            ADD
        }
        Frame::Remove(group, connections) => {
            list(group, connections);
            REMOVE
        }
        Frame::Complete(number) => {
            out.extend_from_slice(&number.to_be_bytes());
            COMPLETE
        }
        Frame::Held(number, count) => {
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
            HELD
        }
    }
}

/// Reads the body of a frame of this kind; `None` if the kind is unknown or the length wrong.
fn get(kind: u8, body: &[u8]) -> Option<Frame> {
    let (number, rest) = body.split_first_chunk::<GROUP>()?;
    let number = u64::from_be_bytes(*number);
    let group = GroupKey(number);
    match kind {
        BEGIN => rest.is_empty().then_some(Frame::Begin(group)),
        ADD => Some(Frame::Add(group, connections(rest)?)),
        REMOVE => Some(Frame::Remove(group, connections(rest)?)),
        COMPLETE => rest.is_empty().then_some(Frame::Complete(number)),
        HELD => Some(Frame::Held(number, u32::from_be_bytes(rest.try_into().ok()?))),
        _ => None,
    }
}

/// Reads a list of connections; `None` if the last one is cut.
fn connections(bytes: &[u8]) -> Option<Vec<Connection>> {
    let chunks = bytes.chunks_exact(CONNECTION);
    chunks.remainder().is_empty().then(|| chunks.map(connection).collect())
}

/// Reads one connection of 36 bytes.
fn connection(bytes: &[u8]) -> Connection {
    let address =
        |offset: usize| bytes[offset..].first_chunk::<16>().copied().map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let port = |offset: usize| u16::from_be_bytes([bytes[offset], bytes[offset + 1]]);
    Connection { local: address(0), remote: address(16), local_port: port(32), remote_port: port(34) }
}
