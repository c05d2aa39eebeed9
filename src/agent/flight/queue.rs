//! From the hot thread to the slow side: records as they come, through a bounded queue without a
//! lock.
//!
//! Owns: the bytes of a record and both queues. The hot thread hands each event to the engine
//! itself and then notes it here, with the engine's actions: it copies a record's bytes and goes
//! on; nobody is woken. When the queue is full the record is lost, and so is every one after it
//! until a new segment has begun: a replay must not run over a hole. What is large (a snapshot,
//! another configuration) goes through a second queue, and a record in the first one says where it
//! belongs. Never does: call the engine but for its snapshot between two turns.

use super::happened::{Decision, Happened};
use crate::engine::{Action, Engine, Event, Reconfiguration, Snapshot};
use crate::types::{LinkId, LinkPath, MonoTime};
use crate::wire::auth::{MAX_DATAGRAM, TAG_SIZE};
use rtrb::{Consumer, Producer, RingBuffer};
use serde::{Deserialize, Serialize};

/// How much is kept of a datagram that did not open, in bytes: its prefix, and the cluster that it
/// names. Nothing else of it decides anything.
pub(super) const FIRST: usize = 12;

/// Bytes that wait for the slow side, which looks every 250 ms: ten seconds of profile `fast` with
/// two links, or a storm of 16,000 frames a second.
const BYTES: usize = 256 * 1024;
/// Snapshots and configurations that wait.
const PARCELS: usize = 8;
/// The longest record: an adopted gate with every group open.
pub(super) const RECORD: usize = 16 * 1024;
/// Before the payload of a record: its length, its kind, its time.
const FRAME: usize = 2 + 1 + 8;

/// Kind of a record, and its number in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Tick = 0,
    /// A datagram that a key of ours has sealed: its link, its bytes without the tag.
    Datagram = 1,
    /// A datagram that did not open: its link, its length, its first bytes.
    Unopened = 2,
    Happened = 3,
    Decision = 4,
    /// Stands for the next parcel.
    Parcel = 5,
    Reconfigured = 6,
}

impl Kind {
    /// The kind that has this number; `None` for others.
    pub fn of(number: u8) -> Option<Kind> {
        [Kind::Tick, Kind::Datagram, Kind::Unopened, Kind::Happened, Kind::Decision, Kind::Parcel, Kind::Reconfigured]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// Reason for a segment to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Start {
    /// The recorder has just begun.
    First,
    /// The segment before was long enough.
    Next,
    /// Records were lost before it.
    Gap,
}

/// A value that is too large for the queue of bytes.
#[derive(Debug)]
pub(super) enum Parcel {
    Segment { start: Start, snapshot: Box<Snapshot> },
    Reconfigured(Box<Reconfiguration>),
}

/// The hot thread's end.
#[derive(Debug)]
pub struct Recorder {
    bytes: Producer<u8>,
    parcels: Producer<Parcel>,
    scratch: Box<[u8; RECORD]>,
    /// Why a segment is to begin after this turn, if one is.
    wanted: Option<Start>,
    /// Whether a record has been lost since the segment began.
    torn: bool,
    /// Datagrams that no key of ours had opened when the last event was noted.
    unopened: u64,
}

/// The slow side's end.
#[derive(Debug)]
pub struct Tape {
    bytes: Consumer<u8>,
    parcels: Consumer<Parcel>,
}

/// Makes both ends.
#[must_use]
pub fn queue() -> (Recorder, Tape) {
    let (bytes_in, bytes) = RingBuffer::new(BYTES);
    let (parcels_in, parcels) = RingBuffer::new(PARCELS);
    let recorder = Recorder {
        bytes: bytes_in,
        parcels: parcels_in,
        scratch: Box::new([0; RECORD]),
        wanted: Some(Start::First),
        torn: false,
        unopened: 0,
    };
    (recorder, Tape { bytes, parcels })
}

impl Recorder {
    /// Notes an event that the engine has handled at `now`, and the actions it answered with. Every
    /// event must be noted, in its order. `unopened`: how many datagrams the engine has been given,
    /// this one included, that no key of ours opened (`Rejects::unopened`).
    pub fn note(&mut self, now: MonoTime, event: Event<'_>, unopened: u64, actions: &[Action]) {
        let opened = std::mem::replace(&mut self.unopened, unopened) == unopened;
        self.put_event(now, event, opened);
        self.put_decisions(now, actions);
    }

    /// Notes another configuration that the engine has taken over at `now`, and the actions it
    /// answered with. A new segment follows.
    pub fn note_reconfigured(&mut self, now: MonoTime, change: Reconfiguration, actions: &[Action]) {
        self.put_parcel(now, Kind::Reconfigured, Parcel::Reconfigured(Box::new(change)));
        self.put_decisions(now, actions);
        self.want_segment();
    }

    /// Records an event. `opened`: whether, if it was a datagram, a key of ours fitted.
    fn put_event(&mut self, now: MonoTime, event: Event<'_>, opened: bool) {
        match event {
            Event::Tick => self.put_record(Kind::Tick, now, |_| Some(0)),
            Event::Datagram { link, bytes } => self.put_datagram(now, link, bytes, opened),
            Event::Refused { .. }
            | Event::Link { .. }
            | Event::TooLarge { .. }
            | Event::Seen { .. }
            | Event::Interface { .. }
            | Event::Adopted { .. }
            | Event::LeaseRefused { .. }
            | Event::Addresses { .. }
            | Event::GateReplaced { .. }
            | Event::Anchor { .. }
            | Event::OwnMacs { .. }
            | Event::InsideMacs { .. }
            | Event::OwnAddresses { .. }
            | Event::Stored { .. }
            | Event::StoreFailed
            | Event::Command { .. }
            | Event::Health { .. }
            | Event::Lacks { .. }
            | Event::Hook { .. } => {
                if let Some(happened) = Happened::of(event) {
                    self.put_record(Kind::Happened, now, |space| encode(&happened, space));
                }
            }
        }
    }

    /// Records a datagram: without its tag if a key of ours opened it, else its length and first
    /// bytes.
    fn put_datagram(&mut self, now: MonoTime, link: LinkId, bytes: &[u8], opened: bool) {
        let link = link_bytes(link);
        if opened {
            let sealed = &bytes[..bytes.len().saturating_sub(TAG_SIZE)];
            self.put_record(Kind::Datagram, now, |space| concat(&[&link, sealed], space));
        } else {
            // A flood of garbage gets no more room than this.
            let first = &bytes[..bytes.len().min(FIRST)];
            let length = u16::try_from(bytes.len().min(MAX_DATAGRAM + 1)).unwrap_or(u16::MAX);
            self.put_record(Kind::Unopened, now, |space| concat(&[&link, &length.to_le_bytes(), first], space));
        }
    }

    /// Records what the engine decided upon the event before.
    fn put_decisions(&mut self, now: MonoTime, actions: &[Action]) {
        for decision in actions.iter().filter_map(Decision::of) {
            self.put_record(Kind::Decision, now, |space| encode(&decision, space));
        }
    }

    /// Lets a new segment begin when this turn is over.
    pub fn want_segment(&mut self) {
        self.wanted.get_or_insert(Start::Next);
    }

    /// Begins a segment if one is wanted, or if there is room again after a loss. Called between
    /// two turns, and before the first.
    pub fn end_turn(&mut self, now: MonoTime, engine: &Engine) {
        if self.torn && self.bytes.slots() > BYTES / 2 {
            self.wanted = Some(Start::Gap);
        }
        let Some(start) = self.wanted else { return };
        // Without room for it, a copy of the engine is of no use.
        if (self.torn && start != Start::Gap) || self.parcels.slots() == 0 {
            return;
        }
        self.wanted = None;
        self.torn = false;
        self.unopened = engine.rejects().unopened();
        let snapshot = Box::new(engine.snapshot());
        self.put_parcel(now, Kind::Parcel, Parcel::Segment { start, snapshot });
    }

    /// Pushes a parcel, and a record of `kind` that stands for it. Without room for both, nothing
    /// is pushed, and the recording is torn.
    fn put_parcel(&mut self, now: MonoTime, kind: Kind, parcel: Parcel) {
        // Both or neither are pushed: the record says that the parcel is there.
        if self.torn || self.bytes.slots() < FRAME || self.parcels.push(parcel).is_err() {
            self.torn = true;
            return;
        }
        self.put_record(kind, now, |_| Some(0));
    }

    /// Pushes one record, whose payload `write` puts into the space it is given. `write` returns
    /// the length of the payload, or `None` if the space is too small. A record that finds no room
    /// tears the recording: nothing is recorded until the next segment.
    fn put_record(&mut self, kind: Kind, now: MonoTime, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        if self.torn {
            return;
        }
        let Some(length) = write(&mut self.scratch[FRAME..]) else {
            self.torn = true;
            return;
        };
        let whole = FRAME + length;
        let rest = u16::try_from(whole - 2).unwrap_or(u16::MAX);
        self.scratch[..2].copy_from_slice(&rest.to_le_bytes());
        self.scratch[2] = kind as u8;
        self.scratch[3..FRAME].copy_from_slice(&now.0.to_le_bytes());
        self.torn = self.bytes.push_entire_slice(&self.scratch[..whole]).is_err();
    }
}

/// Writes a value into `space`; returns its length, or `None` if there is no room.
fn encode<T: Serialize>(value: &T, space: &mut [u8]) -> Option<usize> {
    postcard::to_slice(value, space).ok().map(|used| used.len())
}

/// Copies the parts into `space`, one after the other; returns their length, or `None` if there is
/// no room.
fn concat(parts: &[&[u8]], space: &mut [u8]) -> Option<usize> {
    let mut used = 0;
    for part in parts {
        space.get_mut(used..used + part.len())?.copy_from_slice(part);
        used += part.len();
    }
    Some(used)
}

/// Link as three bytes.
pub(super) fn link_bytes(link: LinkId) -> [u8; 3] {
    match link.path {
        LinkPath::Udp(number) => [link.peer.0, 0, number],
        LinkPath::Segment(interface) => [link.peer.0, 1, interface.0],
    }
}

/// Link of three bytes; `None` if they are none.
pub(super) fn link_of([peer, path, number]: [u8; 3]) -> Option<LinkId> {
    let path = match path {
        0 => LinkPath::Udp(number),
        1 => LinkPath::Segment(crate::types::InterfaceId(number)),
        2.. => return None,
    };
    Some(LinkId { peer: crate::types::NodeId(peer), path })
}

/// A record as it comes out of the queue.
pub(super) struct Taken<'a> {
    pub kind: Kind,
    pub now: MonoTime,
    pub payload: &'a [u8],
    pub parcel: Option<Parcel>,
}

impl Tape {
    /// Next record, if there is one; `space` holds its bytes.
    pub(super) fn take<'a>(&mut self, space: &'a mut [u8; RECORD]) -> Option<Taken<'a>> {
        let mut length = [0; 2];
        // The producer publishes whole records, so what has a length has the rest.
        self.bytes.pop_entire_slice(&mut length).ok()?;
        let record = space.get_mut(..usize::from(u16::from_le_bytes(length)))?;
        self.bytes.pop_entire_slice(record).ok()?;
        let (kind, rest) = record.split_first()?;
        let (now, payload) = rest.split_first_chunk::<8>()?;
        let kind = Kind::of(*kind)?;
        let parcel = match kind {
            Kind::Parcel | Kind::Reconfigured => self.parcels.pop().ok(),
            Kind::Tick | Kind::Datagram | Kind::Unopened | Kind::Happened | Kind::Decision => None,
        };
        Some(Taken { kind, now: MonoTime(u64::from_le_bytes(*now)), payload, parcel })
    }
}
