//! The promises, as properties of every state.
//!
//! - S1: with a witness at most one gate answers. For the bare pair S8 takes its place, in two
//!   forms. Where no cut of the search leaves the pair without a way: never two. Where some do: two
//!   only while the nodes are apart, and no longer than it takes (V1 to V3, the same bounds as the
//!   simulator's).
//! - S2: epochs are used once, by the node they belong to, above all it knows; what is durable
//!   never falls.
//! - S4: no deadline later than decision + lease. Checked when it is written.
//! - S5: a voter has no overlapping promises. The votes of a bare pair are consents: one leaves a
//!   node only while its own gate is closed. With a witness its grants are added here.
//! - S7: a gate opens under a lease only, everything is closed before a new lease begins, and an
//!   engine never thinks that it answers when its gate does not.
//! - L2: where the search harms one node only, the other one answers all the time.
//! - L5: where the search asks for it: after long enough without a fault exactly one answers.

use super::act::Act;
use super::shape::{Plant, SEGMENT, Shape};
use super::state::State;
use stateright::Property;

pub const S2: &str = "S2: epochs rise, have one holder and are durable";
pub const S4: &str = "S4: no deadline is later than decision + lease";
pub const S5: &str = "S5: a consent leaves only with the own gate closed";
pub const S5_VOTER: &str = "S5: a voter has granted to one only, and a gate opens by a majority's grants";
pub const S7: &str = "S7: a gate is open only by a running lease, and its engine knows";
pub const SPIN: &str = "every engine lets time go on";
pub const S1: &str = "S1: with a witness at most one answers";
pub const ALONE: &str = "S8: two answer only if no way is left between them";
pub const JOINED: &str = "S8 V1: two nodes that are joined do not both answer";
pub const LATCHED: &str = "S8 V2: probes and latch end it on a sound segment";
pub const HEARD: &str = "S8 V3: who hears the other does not go on for ever";
pub const SPARED: &str = "L2: what befalls the standby alone takes nothing from the active";
pub const SETTLED: &str = "L5: without faults one answers";
/// States that must be reached in a search, or the search proves nothing.
pub const OTHER: &str = "seen: node 1 answers";
pub const BOTH: &str = "seen: both answer";
pub const FROZEN: &str = "seen: a guest that was frozen answers beside another";

/// Number of ticks without a fault after which exactly one answers.
const CALM: u8 = 60;

/// Ticks that the rules must count, up to their bounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ghost {
    /// Ticks since all processes run and are joined in both directions.
    joined: u8,
    /// Ticks since the segment is sound.
    segment: u8,
    /// Ticks since two answer and each believes the other on a link.
    hears: u8,
    /// Ticks since nothing has gone wrong; counted only for `liveness`.
    calm: u8,
}

impl Ghost {
    /// Restarts the count of V2, because an agent has adopted the gate of its former life: agents
    /// that are restarted in turns may answer beside each other for longer.
    pub fn adopted(&mut self) {
        self.segment = 0;
    }
}

/// Counts one tick more in `since`, up to `bound`, if a tick `passes` while a condition `holds`;
/// sets `since` to 0 if the condition does not hold.
fn count(since: &mut u8, holds: bool, passes: bool, bound: u8) {
    *since = if holds { since.saturating_add(u8::from(passes)).min(bound) } else { 0 };
}

/// Number of whole ticks in a span.
fn whole_ticks(span: std::time::Duration) -> u8 {
    u8::try_from(span.as_nanos() / super::shape::TICK.as_nanos()).unwrap_or(u8::MAX)
}

impl Shape {
    /// The counts of a world in which nothing was ever wrong: every count is beyond its bound.
    pub fn sound(&self) -> Ghost {
        Ghost { joined: self.joined_bound() + 1, segment: self.latched_bound() + 1, hears: 0, calm: 0 }
    }

    /// The bound of V1 in ticks: two pulses, and the delay of a flight that is held up.
    fn joined_bound(&self) -> u8 {
        whole_ticks(self.timing.pulse * 2) + self.lateness()
    }

    /// The bound of V2 in ticks: a silence, two leases and two pulses, and the delay of a flight.
    fn latched_bound(&self) -> u8 {
        let timing = &self.timing;
        whole_ticks(timing.silence + timing.lease * 2 + timing.pulse * 2) + self.lateness()
    }

    /// The bound of V3 in ticks: three silences and six pulses, and the delay of a flight.
    fn heard_bound(&self) -> u8 {
        whole_ticks(self.timing.silence * 3 + self.timing.pulse * 6) + self.lateness()
    }

    /// Ticks for which a flight may be held up.
    fn lateness(&self) -> u8 {
        if self.budget.delays > 0 { self.delay } else { 0 }
    }

    /// Brings the counts of the rules up to date after an act, of which only some let a tick pass.
    pub fn count_ticks(&self, state: &mut State, act: Act) {
        let passes = matches!(act, Act::Pass | Act::Slip { .. });
        let disturbed = matches!(act, Act::Lose { .. } | Act::Delay { .. });
        let pairs = || {
            (0..self.nodes).flat_map(|from| (0..self.nodes).map(move |to| (from, to))).filter(|(from, to)| from != to)
        };
        let reaches = |(from, to): (usize, usize)| self.links.iter().any(|path| self.is_way(state, from, to, *path));
        let sound = |(from, to): (usize, usize)| self.is_way(state, from, to, SEGMENT);
        let running = state.nodes.iter().all(|node| node.is_running())
            && state.witness.as_ref().is_none_or(|witness| witness.is_running());
        let secret = self.plant == Some(Plant::SecretCut);
        let joined = running && !disturbed && (secret || pairs().all(reaches));
        let segment = !disturbed && (secret || pairs().all(sound));
        let proven = |(from, to): (usize, usize)| match (&state.nodes[from].engine, &state.nodes[to].engine) {
            (Some(own), Some(other)) => own.believes(other) && other.believes(own),
            (Some(_) | None, _) => false,
        };
        let both = state.answering(self.gates_ignore_deadlines()) > 1;
        let heard = both
            && running
            && pairs().any(|(from, to)| proven((from, to)) && self.is_way(state, to, from, self.links[0]));
        let (carriers, whole) = (state.nodes.iter().all(|node| node.carrier), state.cut.is_none());
        let free = matches!(act, Act::Pass | Act::Wake { .. } | Act::Arrive { .. });
        let late = state.air.iter().any(|flight| flight.late > 0);
        let calm = self.liveness && running && carriers && whole && free && !late;
        let ghost = &mut state.ghost;
        count(&mut ghost.calm, calm, passes, CALM);
        if self.one {
            // S1 remembers nothing.
            return;
        }
        count(&mut ghost.joined, joined, passes, self.joined_bound() + 1);
        count(&mut ghost.segment, segment, passes, self.latched_bound() + 1);
        count(&mut ghost.hears, heard, passes, self.heard_bound() + 1);
    }

    /// Whether it is planted that gates ignore their deadlines.
    pub fn gates_ignore_deadlines(&self) -> bool {
        self.plant == Some(Plant::GateIgnoresDeadline)
    }

    /// The promises that this search is about.
    pub fn rules(&self) -> Vec<Property<Shape>> {
        let mut rules = vec![
            Property::always(S2, |_: &Shape, state: &State| state.broken != Some(S2)),
            Property::always(S4, |_: &Shape, state: &State| state.broken != Some(S4)),
            Property::always(S5, |_: &Shape, state: &State| state.broken != Some(S5)),
            Property::always(S5_VOTER, |_: &Shape, state: &State| state.broken != Some(S5_VOTER)),
            Property::always(S7, |_: &Shape, state: &State| state.broken != Some(S7)),
            Property::always(SPIN, |_: &Shape, state: &State| state.broken != Some(SPIN)),
        ];
        match self.spared {
            Some(_) => rules.push(Property::always(SPARED, |shape: &Shape, state: &State| {
                shape.spared.is_none_or(|node| state.nodes[node].answers(shape.gates_ignore_deadlines()))
            })),
            None if self.moves => rules.push(Property::sometimes(OTHER, |shape: &Shape, state: &State| {
                state.nodes[1].answers(shape.gates_ignore_deadlines())
            })),
            None => {}
        }
        if self.one {
            rules.push(Property::always(S1, |shape: &Shape, state: &State| {
                let excused =
                    state.nodes.iter().any(|node| node.is_excused() && node.answers(shape.gates_ignore_deadlines()));
                state.answering(shape.gates_ignore_deadlines()) < 2 || excused
            }));
            if self.budget.freezes > 0 {
                rules.push(Property::sometimes(FROZEN, |shape: &Shape, state: &State| {
                    state.answering(shape.gates_ignore_deadlines()) > 1
                }));
            }
        } else if self.parts() {
            rules.push(Property::always(JOINED, |shape: &Shape, state: &State| {
                state.answering(shape.gates_ignore_deadlines()) < 2 || state.ghost.joined <= shape.joined_bound()
            }));
            rules.push(Property::always(LATCHED, |shape: &Shape, state: &State| {
                state.answering(shape.gates_ignore_deadlines()) < 2 || state.ghost.segment <= shape.latched_bound()
            }));
            rules.push(Property::always(HEARD, |shape: &Shape, state: &State| {
                state.ghost.hears <= shape.heard_bound()
            }));
            rules.push(Property::sometimes(BOTH, |shape: &Shape, state: &State| {
                state.answering(shape.gates_ignore_deadlines()) > 1
            }));
        } else {
            rules.push(Property::always(ALONE, |shape: &Shape, state: &State| {
                state.answering(shape.gates_ignore_deadlines()) < 2
            }));
        }
        if self.liveness {
            rules.push(Property::always(SETTLED, |shape: &Shape, state: &State| {
                state.ghost.calm < CALM || state.answering(shape.gates_ignore_deadlines()) == 1
            }));
        }
        rules
    }
}
