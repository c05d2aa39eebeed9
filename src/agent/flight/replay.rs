//! The replay: the engine runs again, from each snapshot, over every event, with the real wire
//! code.
//!
//! Owns: the comparison with the flight. Never does: repair a recording. Datagrams are sealed again
//! with the substitute key of the number they carry; a datagram that did not open comes back as one
//! that does not. Decisions are compared with those of the flight, and the state at the end of each
//! segment with the snapshot of the next one. Where replay and flight part, the engine is not the
//! one that flew, or it is not pure: then no replay proves anything, and the [`Comparison`] says
//! so.

use super::file::Recording;
use super::happened::Decision;
use super::pack::{Record, Unpacker};
use super::ring::{Segment, Span};
use crate::engine::{Actions, Engine, Event, Reconfiguration};
use crate::types::MonoTime;
use std::collections::VecDeque;
use thiserror::Error;

/// Input of one step of the engine.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A segment begins; the engine is as its snapshot says.
    Begin(&'a Segment),
    /// The engine handles an event.
    Event(Event<'a>),
    /// The engine takes over another configuration.
    Reconfigured(&'a Reconfiguration),
    /// The segment ends.
    End,
}

/// One step of the engine.
#[derive(Debug)]
pub struct Step<'a> {
    /// Span of the step's segment.
    pub span: &'a Span,
    /// Instant of the step.
    pub now: MonoTime,
    /// Input of the step.
    pub input: Input<'a>,
    /// Actions of the engine.
    pub actions: &'a Actions,
    /// The engine after the step.
    pub engine: &'a Engine,
    /// Whether a datagram was believed; false for other events, true for inputs that are no event.
    pub believed: bool,
}

/// Place where replay and flight part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parting {
    /// Number of the segment, counted from 1.
    pub segment: usize,
    /// Instant of the step.
    pub now: MonoTime,
    /// Decision or state in flight.
    pub flown: String,
    /// Decision or state in the replay.
    pub replayed: String,
}

/// Result of comparing replay and flight.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Number of events and configurations that the engine was given.
    pub events: u64,
    /// Number of decisions that are the same.
    pub decisions: u64,
    /// Number of snapshots that the replay arrived at.
    pub snapshots: usize,
    /// Number of snapshots that the replay should have arrived at.
    pub expected_snapshots: usize,
    /// First place of each segment where the two part.
    pub partings: Vec<Parting>,
}

impl Comparison {
    /// Whether replay and flight part nowhere.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.partings.is_empty()
    }
}

/// Reason why a segment cannot be replayed, although its bytes are those that were written. The
/// first number is the segment's, counted from 1.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Senseless {
    /// The snapshot is not of this engine.
    #[error("segment {0}: its snapshot is none of this engine")]
    Snapshot(usize),
    /// The bytes at the offset of the second number are no record.
    #[error("segment {0}: there is no record at byte {1}")]
    Record(usize, usize),
    /// A record names groups, interfaces or keys that do not exist.
    #[error("segment {0}: a record speaks of what is not there")]
    Number(usize),
}

/// Runs the whole recording through the engine, calls `show` with every step, and returns how
/// replay and flight compare.
///
/// # Errors
/// See [`Senseless`].
pub fn replay(recording: &Recording, mut show: impl FnMut(&Step<'_>)) -> Result<Comparison, Senseless> {
    let mut comparison = Comparison::default();
    for (index, segment) in recording.segments.iter().enumerate() {
        let next = recording.segments.get(index + 1).filter(|_| !segment.span.cut);
        let mut pilot = Pilot::new(index + 1, segment, &mut comparison)?;
        pilot.show_step(Input::Begin(segment), segment.span.begin, true, &mut show);
        pilot.fly(&mut show)?;
        pilot.compare_state(next);
    }
    Ok(comparison)
}

/// Replay of one segment.
struct Pilot<'a> {
    /// Number of the segment, counted from 1.
    number: usize,
    segment: &'a Segment,
    engine: Engine,
    /// Actions upon the last input.
    out: Actions,
    /// Decisions upon the last input that were not compared yet.
    decided: VecDeque<Decision>,
    /// Instant of the last input.
    now: MonoTime,
    /// Whether replay and flight have parted in this segment.
    parted: bool,
    comparison: &'a mut Comparison,
}

impl<'a> Pilot<'a> {
    /// Restores the engine from the segment's snapshot.
    fn new(number: usize, segment: &'a Segment, comparison: &'a mut Comparison) -> Result<Pilot<'a>, Senseless> {
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
            comparison,
        })
    }

    /// Gives the engine every recorded input, and compares its decisions.
    fn fly(&mut self, show: &mut impl FnMut(&Step<'_>)) -> Result<(), Senseless> {
        let mut records = Unpacker::new(&self.segment.records, self.segment.span.begin);
        while let Some((now, record)) = records.next().map_err(|offset| Senseless::Record(self.number, offset))? {
            match record {
                Record::Decision(decision) => self.compare(&decision),
                Record::Tick => self.handle(Event::Tick, now, show),
                Record::Datagram { link, bytes } => {
                    let bytes = self.seal(bytes)?;
                    self.handle(Event::Datagram { link, bytes: &bytes }, now, show);
                }
                Record::Unopened { link, length, first } => {
                    self.handle(Event::Datagram { link, bytes: &unopenable(length, &first) }, now, show);
                }
                Record::Happened(happened) => {
                    let setup = self.engine.setup();
                    if !happened.is_within(setup.groups.len(), usize::from(setup.interfaces)) {
                        return Err(Senseless::Number(self.number));
                    }
                    self.handle(happened.event(), now, show);
                }
                Record::Reconfigured(change) => {
                    self.begin_input(now);
                    self.engine.reconfigure((*change).clone(), now, &mut self.out);
                    self.end_input(Input::Reconfigured(&change), true, show);
                }
            }
        }
        self.expect_nothing_left();
        self.out.clear();
        self.show_step(Input::End, self.now, true, show);
        Ok(())
    }

    /// The datagram with a tag that the engine's key accepts, as it accepted the original one.
    fn seal(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Senseless> {
        let sealed = self.engine.setup().keys.seal_again(&mut bytes);
        if sealed { Ok(bytes) } else { Err(Senseless::Number(self.number)) }
    }

    /// Gives the engine an event.
    fn handle(&mut self, event: Event<'_>, now: MonoTime, show: &mut impl FnMut(&Step<'_>)) {
        let before = self.engine.rejects().total();
        self.begin_input(now);
        self.engine.handle(now, event, &mut self.out);
        let believed = matches!(event, Event::Datagram { .. }) && self.engine.rejects().total() == before;
        self.end_input(Input::Event(event), believed, show);
    }

    /// Closes the comparison of the last input, and clears its actions.
    fn begin_input(&mut self, now: MonoTime) {
        self.expect_nothing_left();
        self.out.clear();
        self.now = now;
        self.comparison.events += 1;
    }

    /// Keeps the decisions upon an input for comparison, and shows the step.
    fn end_input(&mut self, input: Input<'_>, believed: bool, show: &mut impl FnMut(&Step<'_>)) {
        self.decided.extend(self.out.list.iter().filter_map(Decision::of));
        self.show_step(input, self.now, believed, show);
    }

    /// Shows a step with the present actions and the present engine.
    fn show_step(&self, input: Input<'_>, now: MonoTime, believed: bool, show: &mut impl FnMut(&Step<'_>)) {
        let (actions, engine) = (&self.out, &self.engine);
        show(&Step { span: &self.segment.span, now, input, actions, engine, believed });
    }

    /// Compares the next decision with the one in flight.
    fn compare(&mut self, flown: &Decision) {
        match self.decided.pop_front() {
            Some(replayed) if replayed == *flown => self.comparison.decisions += 1,
            Some(replayed) => self.part(format!("{flown:?}"), format!("{replayed:?}")),
            None => self.part(format!("{flown:?}"), "nothing".to_owned()),
        }
    }

    /// Notes a parting if a decision is left over: it was not made in flight.
    fn expect_nothing_left(&mut self) {
        if let Some(replayed) = self.decided.pop_front() {
            self.part("nothing".to_owned(), format!("{replayed:?}"));
        }
        self.decided.clear();
    }

    /// Notes the first parting of this segment; later ones follow from it.
    fn part(&mut self, flown: String, replayed: String) {
        if !std::mem::replace(&mut self.parted, true) {
            let (segment, now) = (self.number, self.now);
            self.comparison.partings.push(Parting { segment, now, flown, replayed });
        }
    }

    /// Compares the engine at the segment's end with the snapshot of the next segment.
    fn compare_state(&mut self, next: Option<&std::sync::Arc<Segment>>) {
        let Some(next) = next else { return };
        self.comparison.expected_snapshots += 1;
        let here = postcard::to_allocvec(&self.engine.snapshot()).unwrap_or_default();
        if here == next.snapshot {
            self.comparison.snapshots += 1;
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

/// A datagram that does not open, for the same reason as the original one.
fn unopenable(length: usize, first: &[u8]) -> Vec<u8> {
    let mut bytes = first.to_vec();
    bytes.resize(length, 0);
    bytes
}

/// First line in which two texts differ, from each of them.
fn difference(flown: &str, replayed: &str) -> (String, String) {
    let differ = flown.lines().zip(replayed.lines()).find(|(one, other)| one != other);
    let (one, other) = differ.unwrap_or(("a longer state", "a shorter state"));
    (one.trim().to_owned(), other.trim().to_owned())
}
