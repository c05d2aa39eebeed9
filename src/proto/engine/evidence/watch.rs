//! A watch: the asking of one silent peer, with its evidence for each interface.

use super::segment::Segment;
use crate::rules::evidence::PROBES;
use crate::types::{GroupId, InterfaceId, MacAddr, MonoTime};
use std::time::Duration;

/// Somebody on the segment must have been heard within this many questions: six rounds of asking.
const FRESH: u32 = 12;

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
}

impl Probes {
    /// Probes in a row that had their time and got no answer. `wait` is the time that an answer may
    /// take.
    pub fn mature(&self, now: MonoTime, wait: Duration) -> u32 {
        if self.last_sent + wait <= now { self.unanswered } else { self.unanswered.saturating_sub(1) }
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
        self.unanswered = 0;
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
    pub next: MonoTime,
    /// Time between two questions at present.
    pub interval: Duration,
    /// By interface.
    pub probes: Vec<Probes>,
    pub round: u32,
}

impl Watch {
    pub fn new(now: MonoTime, interval: Duration, interfaces: usize) -> Watch {
        Watch { since: now, next: now, interval, probes: vec![Probes::default(); interfaces], round: 0 }
    }

    /// Instant from which on somebody must have been heard on a segment for it to count as alive:
    /// since the asking began, and within the last [`FRESH`] questions.
    pub fn asked_since(&self, now: MonoTime) -> MonoTime {
        self.since.max(now.back(self.interval * FRESH))
    }

    /// The evidence of an interface.
    pub fn on(&self, interface: InterfaceId) -> &Probes {
        &self.probes[usize::from(interface.0)]
    }

    /// The evidence of an interface, to be changed.
    pub fn on_mut(&mut self, interface: InterfaceId) -> &mut Probes {
        &mut self.probes[usize::from(interface.0)]
    }

    /// True if somebody on the segment was heard since `start`, while this watch asked.
    pub fn hears(&self, segment: &Segment, start: MonoTime, now: MonoTime) -> bool {
        segment.is_alive(start.max(self.asked_since(now)))
    }
}
