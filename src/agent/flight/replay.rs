//! The engine runs again: from each snapshot, over every event, with the real wire code.
//!
//! Datagrams are sealed again with the substitute key of the number they carry; those that did not open come back as
//! ones that do not. What the engine decides is compared with what it decided when it flew, and its state at the end of
//! each segment with the snapshot that the next one begins with. Where the two part, the engine is not the one that
//! flew, or it is not pure: then no replay proves anything, and this says so.

use super::file::Recording;
use super::happened::Decision;
use super::pack::{Record, Unpacker};
use super::ring::{Segment, Span};
use crate::engine::{Actions, Engine, Event, Reconfiguration};
use crate::types::MonoTime;
use std::collections::VecDeque;
use thiserror::Error;

/// What the engine was given.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A segment begins; the engine is as its snapshot says.
    Begin(&'a Segment),
    /// An event.
    Event(Event<'a>),
    /// Another configuration.
    Reconfigured(&'a Reconfiguration),
    /// The segment ends.
    End,
}

/// One step of the engine.
#[derive(Debug)]
pub struct Step<'a> {
    /// In which segment.
    pub span: &'a Span,
    /// When.
    pub now: MonoTime,
    /// What came in.
    pub input: Input<'a>,
    /// What went out.
    pub actions: &'a Actions,
    /// The engine after it.
    pub engine: &'a Engine,
    /// What came in was a datagram, and it was believed.
    pub believed: bool,
}

/// Where replay and flight part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parting {
    /// The number of the segment, counted from 1.
    pub segment: usize,
    /// When.
    pub now: MonoTime,
    /// What was decided in flight.
    pub flown: String,
    /// What the replay decided.
    pub replayed: String,
}

/// Whether the replay is the flight.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Events the engine was given.
    pub events: u64,
    /// Decisions that are the same.
    pub decisions: u64,
    /// Snapshots that the replay arrived at.
    pub snapshots: usize,
    /// Snapshots that it should have arrived at.
    pub expected_snapshots: usize,
    /// Where the two part first in a segment.
    pub partings: Vec<Parting>,
}

impl Verdict {
    /// Nothing was found to be different.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.partings.is_empty()
    }
}

/// A segment makes no sense, although it is as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Senseless {
    /// Its snapshot.
    #[error("segment {0}: its snapshot is none of this engine")]
    Snapshot(usize),
    /// A record.
    #[error("segment {0}: there is no record at byte {1}")]
    Record(usize, usize),
    /// A record that speaks of groups, interfaces or keys that are not there.
    #[error("segment {0}: a record speaks of what is not there")]
    Number(usize),
}

/// Runs the whole recording and shows every step.
///
/// # Errors
/// See [`Senseless`].
pub fn replay(recording: &Recording, mut show: impl FnMut(&Step<'_>)) -> Result<Verdict, Senseless> {
    let mut verdict = Verdict::default();
    for (at, segment) in recording.segments.iter().enumerate() {
        let next = recording.segments.get(at + 1).filter(|_| !segment.span.cut);
        let mut pilot = Pilot::new(at + 1, segment, &mut verdict)?;
        pilot.step(Input::Begin(segment), segment.span.begin, true, &mut show);
        pilot.fly(&mut show)?;
        pilot.compare_state(next);
    }
    Ok(verdict)
}

struct Pilot<'a> {
    number: usize,
    segment: &'a Segment,
    engine: Engine,
    out: Actions,
    /// What the replay decided upon the last input, and has not been compared yet.
    decided: VecDeque<Decision>,
    now: MonoTime,
    parted: bool,
    verdict: &'a mut Verdict,
}

impl<'a> Pilot<'a> {
    fn new(number: usize, segment: &'a Segment, verdict: &'a mut Verdict) -> Result<Pilot<'a>, Senseless> {
        let snapshot =
            postcard::take_from_bytes(&segment.snapshot).ok().filter(|(_, rest)| rest.is_empty()).map(|(it, _)| it);
        let engine = snapshot.and_then(|snapshot| Engine::restore(snapshot, segment.setup.clone()));
        Ok(Pilot {
            number,
            segment,
            engine: engine.ok_or(Senseless::Snapshot(number))?,
            out: Actions::default(),
            decided: VecDeque::new(),
            now: segment.span.begin,
            parted: false,
            verdict,
        })
    }

    fn fly(&mut self, show: &mut impl FnMut(&Step<'_>)) -> Result<(), Senseless> {
        let mut records = Unpacker::new(&self.segment.records, self.segment.span.begin);
        while let Some((now, record)) = records.next().map_err(|at| Senseless::Record(self.number, at))? {
            match record {
                Record::Decision(decision) => self.compare(&decision),
                Record::Tick => self.take(Event::Tick, now, show),
                Record::Datagram { link, bytes } => {
                    let bytes = self.seal(bytes)?;
                    self.take(Event::Datagram { link, bytes: &bytes }, now, show);
                }
                Record::Unopened { link, length, first } => {
                    self.take(Event::Datagram { link, bytes: &blank(length, &first) }, now, show);
                }
                Record::Happened(happened) => {
                    let setup = self.engine.setup();
                    if !happened.is_within(setup.groups.len(), usize::from(setup.interfaces)) {
                        return Err(Senseless::Number(self.number));
                    }
                    self.take(happened.event(), now, show);
                }
                Record::Reconfigured(change) => {
                    self.begin_input(now);
                    self.engine.reconfigure((*change).clone(), now, &mut self.out);
                    self.end_input(Input::Reconfigured(&change), true, show);
                }
            }
        }
        self.settle();
        self.out.clear();
        self.step(Input::End, self.now, true, show);
        Ok(())
    }

    /// A datagram with a tag that the engine's key accepts, as it accepted the one it had.
    fn seal(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Senseless> {
        let sealed = self.engine.setup().keys.seal_again(&mut bytes);
        if sealed { Ok(bytes) } else { Err(Senseless::Number(self.number)) }
    }

    fn take(&mut self, event: Event<'_>, now: MonoTime, show: &mut impl FnMut(&Step<'_>)) {
        let before = self.engine.rejects().total();
        self.begin_input(now);
        self.engine.handle(now, event, &mut self.out);
        let believed = matches!(event, Event::Datagram { .. }) && self.engine.rejects().total() == before;
        self.end_input(Input::Event(event), believed, show);
    }

    fn begin_input(&mut self, now: MonoTime) {
        self.settle();
        self.out.clear();
        self.now = now;
        self.verdict.events += 1;
    }

    fn end_input(&mut self, input: Input<'_>, believed: bool, show: &mut impl FnMut(&Step<'_>)) {
        self.decided.extend(self.out.list.iter().filter_map(Decision::of));
        self.step(input, self.now, believed, show);
    }

    fn step(&self, input: Input<'_>, now: MonoTime, believed: bool, show: &mut impl FnMut(&Step<'_>)) {
        let (actions, engine) = (&self.out, &self.engine);
        show(&Step { span: &self.segment.span, now, input, actions, engine, believed });
    }

    fn compare(&mut self, flown: &Decision) {
        match self.decided.pop_front() {
            Some(replayed) if replayed == *flown => self.verdict.decisions += 1,
            Some(replayed) => self.part(format!("{flown:?}"), format!("{replayed:?}")),
            None => self.part(format!("{flown:?}"), "nothing".to_owned()),
        }
    }

    /// What is left over was not decided in flight.
    fn settle(&mut self) {
        if let Some(replayed) = self.decided.pop_front() {
            self.part("nothing".to_owned(), format!("{replayed:?}"));
        }
        self.decided.clear();
    }

    fn part(&mut self, flown: String, replayed: String) {
        if !std::mem::replace(&mut self.parted, true) {
            let (segment, now) = (self.number, self.now);
            self.verdict.partings.push(Parting { segment, now, flown, replayed });
        }
    }

    /// The next segment begins with the engine that this one ended with.
    fn compare_state(&mut self, next: Option<&std::sync::Arc<Segment>>) {
        let Some(next) = next else { return };
        self.verdict.expected_snapshots += 1;
        let here = postcard::to_allocvec(&self.engine.snapshot()).unwrap_or_default();
        if here == next.snapshot {
            self.verdict.snapshots += 1;
            return;
        }
        let there = postcard::from_bytes(&next.snapshot).ok();
        let there = there.and_then(|snapshot| Engine::restore(snapshot, next.setup.clone()));
        let (flown, replayed) = match there {
            Some(there) => difference(&format!("{there:#?}"), &format!("{:#?}", self.engine)),
            None => ("a state that cannot be read".to_owned(), "another one".to_owned()),
        };
        self.part(flown, replayed);
    }
}

/// A datagram that does not open, for the same reason as the one that was there.
fn blank(length: usize, first: &[u8]) -> Vec<u8> {
    let mut bytes = first.to_vec();
    bytes.resize(length, 0);
    bytes
}

/// The first line in which two texts differ.
fn difference(flown: &str, replayed: &str) -> (String, String) {
    let differ = flown.lines().zip(replayed.lines()).find(|(one, other)| one != other);
    let (one, other) = differ.unwrap_or(("a longer state", "a shorter state"));
    (one.trim().to_owned(), other.trim().to_owned())
}
