//! The last minutes, in segments: each begins with a snapshot of the engine and has every event
//! from there on.
//!
//! Owns: the segments, bounded by bytes and by age; the oldest goes first, whole. Never does: make
//! the hot thread wait. A segment that outgrows its share while the hot thread cannot begin another
//! is cut: further records of it are lost, and the file says so.

use super::pack::Packer;
use super::queue::{Parcel, RECORD, Start, Taken, Tape};
use crate::engine;
use crate::io::clock::WallTime;
use crate::types::MonoTime;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of all segments together.
const BYTES: usize = 2 << 20;
/// Age of a segment's end at which the segment is forgotten.
const AGE: Duration = Duration::from_secs(300);
/// Size in bytes at which another segment should begin.
const SEGMENT_BYTES: usize = 256 << 10;
/// Age at which another segment should begin.
const SEGMENT_AGE: Duration = Duration::from_secs(60);

/// Times and size of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Reason why the segment begins.
    pub start: Start,
    /// Instant of the segment's beginning.
    pub begin: MonoTime,
    /// Time of the wall clock at the beginning, in milliseconds since 1970.
    pub wall: u64,
    /// Instant of the last record.
    pub end: MonoTime,
    /// Number of records.
    pub records: u64,
    /// Whether records are missing at the end.
    pub cut: bool,
}

/// Segment of a recording: a snapshot of the engine, and every record from there on.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Times and size of the segment.
    pub span: Span,
    /// Setup that the engine was built from.
    pub setup: Arc<engine::Setup>,
    /// Snapshot of the engine at the beginning, in postcard.
    pub snapshot: Vec<u8>,
    /// Records in the form of `pack`.
    pub records: Vec<u8>,
}

impl Segment {
    /// Bytes that the segment holds in memory.
    fn size(&self) -> usize {
        self.snapshot.capacity() + self.records.capacity()
    }
}

/// The segment that is being built.
struct Building {
    span: Span,
    setup: Arc<engine::Setup>,
    snapshot: Vec<u8>,
    packer: Packer,
}

/// Recording of the last minutes, as it grows.
pub struct Ring {
    tape: Tape,
    /// Room for one record.
    space: Box<[u8; RECORD]>,
    reel: Reel,
}

/// Segments of a ring.
#[derive(Default)]
struct Reel {
    /// Finished segments, the oldest first.
    closed: VecDeque<Arc<Segment>>,
    building: Option<Building>,
    /// Bytes of the finished segments.
    bytes: usize,
}

impl Ring {
    /// An empty ring, which `tape` will fill.
    #[must_use]
    pub fn new(tape: Tape) -> Ring {
        Ring { tape, space: Box::new([0; RECORD]), reel: Reel::default() }
    }

    /// Takes the records that have come. `wall` gives the wall clock's time of an instant. True if
    /// another segment should begin.
    pub fn drain(&mut self, now: MonoTime, wall: impl Fn(MonoTime) -> WallTime) -> bool {
        while let Some(taken) = self.tape.take(&mut self.space) {
            self.reel.take(taken, &wall);
        }
        self.reel.forget(now);
        self.reel.building.as_ref().is_some_and(|building| {
            building.packer.bytes.len() >= SEGMENT_BYTES || now.since(building.span.begin) >= SEGMENT_AGE
        })
    }

    /// Beginning of the segment that is being built.
    #[must_use]
    pub fn begun(&self) -> Option<MonoTime> {
        self.reel.building.as_ref().map(|building| building.span.begin)
    }

    /// All segments, the oldest first; the last is the one that is being built, as far as it has
    /// come.
    #[must_use]
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        let unfinished = self.reel.building.as_ref().map(|building| {
            Arc::new(Segment {
                span: building.span,
                setup: Arc::clone(&building.setup),
                snapshot: building.snapshot.clone(),
                records: building.packer.bytes.clone(),
            })
        });
        self.reel.closed.iter().cloned().chain(unfinished).collect()
    }
}

impl Reel {
    /// Removes finished segments beyond the bounds.
    fn forget(&mut self, now: MonoTime) {
        while self.bytes > BYTES || self.closed.front().is_some_and(|oldest| now.since(oldest.span.end) > AGE) {
            let Some(oldest) = self.closed.pop_front() else { break };
            self.bytes -= oldest.size();
        }
    }

    /// Adds a record to the segment that is being built, or begins another segment.
    fn take(&mut self, taken: Taken<'_>, wall: &impl Fn(MonoTime) -> WallTime) {
        if let Some(Parcel::Segment { start, snapshot }) = taken.parcel {
            self.close(start == Start::Gap);
            let setup = Arc::clone(snapshot.setup());
            // An engine consists of numbers and lists, which postcard can always write.
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

    /// Finishes the segment that is being built; `torn` says that records after it were lost.
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
