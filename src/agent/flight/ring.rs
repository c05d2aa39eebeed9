//! The last minutes, in segments: each begins with a snapshot of the engine and has every event from there on.
//!
//! Bounded by bytes and by age; the oldest segment goes first, whole. A segment that outgrows its share while the hot
//! thread cannot begin another is cut: what comes until then is lost, and the file says so.

use super::pack::Packer;
use super::queue::{Parcel, RECORD, Start, Taken, Tape};
use crate::engine::Setup;
use crate::io::clock::WallTime;
use crate::types::MonoTime;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of all segments together.
const BYTES: usize = 2 << 20;
/// What ended longer ago is forgotten.
const AGE: Duration = Duration::from_secs(300);
/// A segment of this many bytes, or this old, is long enough.
const SEGMENT_BYTES: usize = 256 << 10;
const SEGMENT_AGE: Duration = Duration::from_secs(60);

/// What is known of a segment beside its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Why it begins.
    pub start: Start,
    /// When it begins.
    pub begin: MonoTime,
    /// What the wall clock showed then, in milliseconds since 1970.
    pub wall: u64,
    /// The time of its last record.
    pub end: MonoTime,
    /// How many records it has.
    pub records: u64,
    /// Records are missing at its end.
    pub cut: bool,
}

/// A snapshot and what happened from there on.
#[derive(Clone, Debug)]
pub struct Segment {
    /// When, and how much.
    pub span: Span,
    /// What the engine was built from.
    pub setup: Arc<Setup>,
    /// The engine at the beginning.
    pub snapshot: Vec<u8>,
    /// See `pack`.
    pub records: Vec<u8>,
}

impl Segment {
    fn size(&self) -> usize {
        self.snapshot.capacity() + self.records.capacity()
    }
}

struct Building {
    span: Span,
    setup: Arc<Setup>,
    snapshot: Vec<u8>,
    packer: Packer,
}

/// The recording as it grows.
pub struct Ring {
    tape: Tape,
    space: Box<[u8; RECORD]>,
    reel: Reel,
}

#[derive(Default)]
struct Reel {
    closed: VecDeque<Arc<Segment>>,
    building: Option<Building>,
    bytes: usize,
}

impl Ring {
    /// An empty one, which `tape` will fill.
    #[must_use]
    pub fn new(tape: Tape) -> Ring {
        Ring { tape, space: Box::new([0; RECORD]), reel: Reel::default() }
    }

    /// Takes what has come. `wall` tells the wall clock of an instant. True if a new segment should begin.
    pub fn drain(&mut self, now: MonoTime, wall: impl Fn(MonoTime) -> WallTime) -> bool {
        while let Some(taken) = self.tape.take(&mut self.space) {
            self.reel.take(taken, &wall);
        }
        self.reel.forget(now);
        self.reel.building.as_ref().is_some_and(|building| {
            building.packer.bytes.len() >= SEGMENT_BYTES || now.since(building.span.begin) >= SEGMENT_AGE
        })
    }

    /// Since when the segment that is being built goes.
    #[must_use]
    pub fn begun(&self) -> Option<MonoTime> {
        self.reel.building.as_ref().map(|building| building.span.begin)
    }

    /// Everything there is: segments that are over, and the one that is being built as far as it has come.
    #[must_use]
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        let open = self.reel.building.as_ref().map(|building| {
            Arc::new(Segment {
                span: building.span,
                setup: Arc::clone(&building.setup),
                snapshot: building.snapshot.clone(),
                records: building.packer.bytes.clone(),
            })
        });
        self.reel.closed.iter().cloned().chain(open).collect()
    }
}

impl Reel {
    fn forget(&mut self, now: MonoTime) {
        while self.bytes > BYTES || self.closed.front().is_some_and(|oldest| now.since(oldest.span.end) > AGE) {
            let Some(oldest) = self.closed.pop_front() else { break };
            self.bytes -= oldest.size();
        }
    }

    fn take(&mut self, taken: Taken<'_>, wall: &impl Fn(MonoTime) -> WallTime) {
        if let Some(Parcel::Segment { start, snapshot }) = taken.parcel {
            self.close(start == Start::Gap);
            let setup = Arc::clone(snapshot.setup());
            // An engine is made of numbers and lists: there is nothing that could not be written.
            let bytes = postcard::to_allocvec(&*snapshot).unwrap_or_default();
            let begin = taken.now;
            let span = Span { start, begin, wall: wall(begin).0, end: begin, records: 0, cut: false };
            self.building = Some(Building { span, setup, snapshot: bytes, packer: Packer::new(begin) });
            return;
        }
        let Some(building) = &mut self.building else { return };
        building.span.cut |= building.packer.bytes.len() >= BYTES / 2;
        if !building.span.cut && building.packer.push(&taken) {
            building.span.records += 1;
            building.span.end = building.span.end.max(taken.now);
        }
    }

    /// Ends the segment that is being built.
    fn close(&mut self, torn: bool) {
        let Some(Building { mut span, setup, snapshot, packer }) = self.building.take() else { return };
        span.cut |= torn;
        let mut records = packer.bytes;
        records.shrink_to_fit();
        let segment = Segment { span, setup, snapshot, records };
        self.bytes += segment.size();
        self.closed.push_back(Arc::new(segment));
    }
}
