//! A watch: the asking of one silent peer, with its evidence for each interface.

use super::segment::Segment;
use crate::rules::evidence::PROBES;
use crate::types::{GroupId, InterfaceId, MacAddr, MonoTime};
use std::time::Duration;

/// Somebody on the segment must have been heard within this many questions: six rounds of asking.
const FRESH: u32 = 12;
/// Intervals after a whole series in which further probes keep it young, until the group is open.
const KEPT: u32 = 4;
/// A series whose last probe is older than so many intervals is of another time.
const YOUNG: u32 = 4;

/// Probes of one interface, in one watch.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Probes {
    /// Probes sent since the last answer.
    pub unanswered: u32,
    /// When the newest of them was sent.
    pub last_sent: MonoTime,
    /// When the first of them was sent.
    pub first_sent: MonoTime,
    pub last_answer: Option<MonoTime>,
    pub veto_told: bool,
    /// Position of the group whose turn is next.
    pub cursor: u16,
    /// The group whose address was answered last: it is asked again until it falls silent.
    pub answered: Option<GroupId>,
    /// Whether a whole series of probes stayed unanswered since the last answer. Another series
    /// tells whether that still holds.
    pub confirmed: bool,
    /// How many probes make a series here, by what is known of the peer.
    pub series: u32,
    /// A question that can wait is not asked before.
    pub next: MonoTime,
    /// Time between two such questions at present; zero before the first.
    pub pace: Duration,
}

/// How urgent a question is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Urgency {
    /// Nothing is to be asked.
    Nothing,
    /// It is asked when the budget has room for it.
    CanWait,
    /// A takeover waits for it.
    Needed,
}

impl Probes {
    /// Probes in a row that had their time and got no answer. `wait` is the time that an answer may
    /// take.
    pub fn mature(&self, now: MonoTime, wait: Duration) -> u32 {
        if self.last_sent + wait <= now { self.unanswered } else { self.unanswered.saturating_sub(1) }
    }

    /// How urgent the next question is. `marks`: instants from which on an answer may tell
    /// something new; `enough`: how many probes make a series; `interval`:
    /// the time between two probes of a series; `anew`: whether another series is waited for.
    pub fn urgency(
        &self,
        marks: &[MonoTime],
        enough: u32,
        (interval, anew): (Duration, bool),
        now: MonoTime,
    ) -> Urgency {
        let Some(mark) = marks.iter().copied().filter(|mark| *mark <= now).max() else { return Urgency::Nothing };
        let marked = self.last_sent < mark;
        // A group has some time to open, in which the series stays young.
        let kept = now <= mark + interval * (enough + KEPT);
        match self.unanswered {
            0 if marked => Urgency::Needed,
            0 => Urgency::CanWait,
            unanswered if unanswered < enough => Urgency::Needed,
            _ if self.last_sent + interval * 2 > now => Urgency::Nothing,
            _ if marked || kept || anew => Urgency::Needed,
            _ => Urgency::CanWait,
        }
    }

    /// Begins another series if the last one is of another time. `enough`: how many probes make one.
    pub fn begin_series(&mut self, enough: u32, interval: Duration, now: MonoTime) {
        if !self.is_fresh(interval, now) {
            self.confirmed |= self.unanswered >= enough;
            self.unanswered = 0;
        }
    }

    /// True while the last probe is young enough for the series to tell how things are now.
    pub fn is_fresh(&self, interval: Duration, now: MonoTime) -> bool {
        self.last_sent + interval * YOUNG >= now
    }

    /// Sets when the next question may leave that can wait: at first after `pause`, then each time
    /// twice as long later, up to `slowest`.
    pub fn slow_down(&mut self, pause: Duration, slowest: Duration, now: MonoTime) {
        self.pace = if self.pace.is_zero() { pause } else { self.pace * 2 }.min(slowest);
        self.next = now + self.pace;
    }

    /// Notes an answer for the address of `group`.
    pub fn note_answer(&mut self, group: GroupId, now: MonoTime) {
        self.unanswered = 0;
        self.confirmed = false;
        (self.last_answer, self.answered) = (Some(now), Some(group));
    }

    /// Forgets what was asked in vain: nobody could hear it.
    pub fn void(&mut self) {
        self.unanswered = 0;
        self.confirmed = false;
        self.last_sent = MonoTime::ZERO;
    }

    /// True if there were answers and now there is none, but not yet for as many probes as speak for
    /// this many groups.
    pub fn falls_silent(&self, groups: usize) -> bool {
        let enough = PROBES.saturating_add(u32::try_from(groups).unwrap_or(u32::MAX));
        self.last_answer.is_some() && (1..=enough).contains(&self.unanswered)
    }

    /// The probe whose turn it is: where the search begins, and which group is probed again.
    pub fn turn(&self) -> ProbeTurn {
        ProbeTurn { cursor: self.cursor, again: self.answered.filter(|_| self.unanswered < PROBES) }
    }

    /// Follows the group that was answered to its new number. What older probes have shown is void
    /// with the table of groups that they were sent for.
    pub fn renumber(&mut self, number: impl Fn(GroupId) -> Option<GroupId>) {
        self.answered = self.answered.and_then(number);
        self.cursor = 0;
        self.void();
    }

    /// Notes a probe for the address of `group`, whose peer has named `mac` as its own. Returns to
    /// whom the probe goes if not to everybody.
    pub fn send(&mut self, group: GroupId, mac: Option<MacAddr>, now: MonoTime) -> Option<MacAddr> {
        self.cursor = group.0 + 1;
        if self.unanswered == 0 {
            self.first_sent = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.last_sent = now;
        // Unicast reaches the peer whatever its switch thinks of broadcasts; every second one goes
        // to all, in case its hardware address has changed.
        mac.filter(|_| self.unanswered % 2 == 1)
    }
}

/// Whose address is probed next on an interface.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct ProbeTurn {
    /// Position of the group whose turn is next.
    pub cursor: u16,
    /// The group whose address was answered last, and is to be asked again.
    pub again: Option<GroupId>,
}

/// The asking of one peer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Watch {
    pub since: MonoTime,
    /// A group waits for another series: until then questions follow each other as at first.
    pub wanted: MonoTime,
    pub next: MonoTime,
    /// Time between two questions at present.
    pub interval: Duration,
    /// By interface.
    pub probes: Vec<Probes>,
}

impl Watch {
    pub fn new(now: MonoTime, interval: Duration, interfaces: usize) -> Watch {
        Watch { since: now, wanted: now, next: now, interval, probes: vec![Probes::default(); interfaces] }
    }

    /// Time within which somebody must have been heard on a segment for it to count as alive:
    /// [`FRESH`] questions.
    pub fn window(&self) -> Duration {
        self.interval * FRESH
    }

    /// The evidence of an interface.
    pub fn on(&self, interface: InterfaceId) -> &Probes {
        &self.probes[usize::from(interface.0)]
    }

    /// The evidence of an interface, to be changed.
    pub fn on_mut(&mut self, interface: InterfaceId) -> &mut Probes {
        &mut self.probes[usize::from(interface.0)]
    }

    /// True if somebody on the segment was heard since `start`, while this watch asked, and within
    /// `window`.
    pub fn hears(&self, segment: &Segment, start: MonoTime, window: Duration, now: MonoTime) -> bool {
        segment.is_alive(start.max(self.since).max(now.back(window)))
    }
}
