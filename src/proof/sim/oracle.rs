//! What must hold whatever is done: the promises, put as rules over what the simulator knows and the nodes cannot.
//!
//! The first violation ends a run; its text begins with the promise it breaks. Engines are judged by their own clocks
//! where a promise speaks of one node, by real time where it speaks of several.

use super::clock::{Real, stretched};
use super::node::Node;
use super::swarm::Plan;
use super::world::Sim;
use crate::durable::Loaded;
use crate::engine::Cause;
use crate::timing::Timing;
use crate::types::{Epoch, MonoTime};
use std::time::Duration;

mod answers;
mod beliefs;
mod clients;
mod epochs;
mod gates;
mod grants;
mod settle;
#[cfg(test)]
mod tests;
mod votes;

pub use clients::CORRECTED;
pub use settle::{is_settled, states};

/// How the active of a group changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It never had one.
    First,
    /// The node that had it last has it again.
    Again,
    /// Another node has it, and nobody had planned that.
    Takeover,
    /// Another node has it by plan: handover, switch, goodbye.
    Handover,
}

/// What the oracle knows of one node.
pub struct Seen {
    /// By group: the highest epoch it has been told or has used, as far as its memory or disk can know.
    told: Vec<Epoch>,
    /// By group: the epoch it opened with last.
    used: Vec<Epoch>,
    /// By group: the epoch it claims, and since when.
    claims: Vec<(Epoch, MonoTime)>,
    /// By group: when it was opened last.
    opened: Vec<Real>,
    /// By group: for how long it carried connections on when it last did.
    pub carried: Vec<Duration>,
    /// What its process was told.
    pub beliefs: beliefs::Beliefs,
    /// By group: it was open when its gate was replaced, and may be opened again with the same epoch.
    reopens: Vec<Epoch>,
    /// When its process went on after a stall.
    resumed: MonoTime,
    /// The shortest times its file has had in this life.
    least: Timing,
    /// By interface: when its agent saw a host last.
    neighbour: Vec<Option<Real>>,
    /// By interface: since when it is off the segment.
    isolated: Vec<Option<Real>>,
    /// By interface: the generation under which its kernel has turned somebody away.
    turned_away: Vec<u64>,
    /// By interface: the generation that its agent has been told was refused.
    refusal_told: Vec<u64>,
    /// When its process or its interfaces were last disturbed.
    disturbed: Real,
    /// What its engine looked like at the last full look.
    stamp: u64,
    stamped: bool,
}

/// Since when two nodes reach each other.
#[derive(Clone, Default)]
struct Pair {
    /// Frames of the second reach the machine of the first.
    reached: Option<Real>,
    /// In both directions, both processes running and knowing their gates.
    joined: Option<Real>,
    /// By interface: the segment between them is sound.
    segment: Vec<Option<Real>>,
    /// Words of the second reach the first, and are believed.
    hears: Option<Real>,
}

/// The longest that each time can be on any node, in real time.
#[derive(Clone, Copy)]
struct Bounds {
    pulse: Duration,
    silence: Duration,
    lease: Duration,
}

pub struct Oracle {
    /// The first promise that was broken.
    pub violation: Option<String>,
    pub seen: Vec<Seen>,
    /// By first and second node.
    pairs: Vec<Pair>,
    nodes: usize,
    /// By group: the highest epoch that opened.
    highest: Vec<Epoch>,
    counter: u64,
    /// By group: since when two nodes answer.
    doubled: Vec<Option<Real>>,
    /// By group: when two nodes answered last.
    last_doubled: Vec<Real>,
    bounds: Bounds,
    /// Instants at which two nodes answered, permitted or not.
    pub both: u64,
    /// By group: how often it was opened, and who opened it last.
    pub openings: Vec<usize>,
    holder: Vec<Option<usize>>,
    /// What was granted, by whom to whom.
    pub votes: votes::Votes,
}

impl Oracle {
    pub fn new(plan: &Plan) -> Oracle {
        let (groups, interfaces) = (plan.groups.len(), plan.interfaces);
        let none = vec![Epoch::NONE; groups];
        let timing = plan.timing();
        let seen = || Seen {
            told: none.clone(),
            used: none.clone(),
            claims: vec![(Epoch::NONE, MonoTime::ZERO); groups],
            opened: vec![Real(0); groups],
            carried: vec![Duration::ZERO; groups],
            beliefs: beliefs::Beliefs::default(),
            reopens: none.clone(),
            resumed: MonoTime::ZERO,
            least: timing,
            neighbour: vec![None; interfaces],
            isolated: vec![None; interfaces],
            turned_away: vec![0; interfaces],
            refusal_told: vec![0; interfaces],
            disturbed: Real(0),
            stamp: 0,
            stamped: false,
        };
        let pair = Pair { segment: vec![None; interfaces], ..Pair::default() };
        Oracle {
            violation: None,
            seen: (0..plan.nodes).map(|_| seen()).collect(),
            pairs: vec![pair; plan.nodes * plan.nodes],
            nodes: plan.nodes,
            highest: none.clone(),
            counter: 1,
            doubled: vec![None; groups],
            last_doubled: vec![Real(0); groups],
            bounds: Bounds { pulse: timing.pulse, silence: timing.silence, lease: timing.lease },
            both: 0,
            openings: vec![0; groups],
            holder: vec![None; groups],
            votes: votes::Votes::new(plan),
        }
    }

    /// Notes that a promise is broken. Only the first one counts: what follows may follow from it.
    pub fn violated(&mut self, story: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(story());
        }
    }

    /// Notes `story` unless the promise holds.
    pub fn hold(&mut self, holds: bool, story: impl FnOnce() -> String) {
        if !holds {
            self.violated(story);
        }
    }

    /// The longest times that any node has had, in real time.
    pub fn set_bounds(&mut self, nodes: &[Node], plan: &Plan) {
        let ppm = nodes.iter().map(|node| node.clock.error_ppm()).max().unwrap_or(0).max(plan.ppm.unsigned_abs());
        for node in nodes {
            let timing = &node.config.timing;
            let bounds = &mut self.bounds;
            bounds.pulse = bounds.pulse.max(stretched(timing.pulse, ppm));
            bounds.silence = bounds.silence.max(stretched(timing.silence, ppm));
            bounds.lease = bounds.lease.max(stretched(timing.lease, ppm));
        }
    }

    /// An epoch floor for a node without a state: above everything used, as a clock that runs right would give.
    pub fn epoch_floor(&self) -> u64 {
        self.counter + 1
    }

    pub fn begin_life(&mut self, node: usize, local: MonoTime, timing: Timing) {
        let seen = &mut self.seen[node];
        seen.neighbour.fill(None);
        seen.claims.fill((Epoch::NONE, local));
        seen.reopens.fill(Epoch::NONE);
        seen.resumed = MonoTime::ZERO;
        seen.least = timing;
        seen.stamped = false;
    }

    pub fn note_stall(&mut self, node: usize, local: MonoTime) {
        self.seen[node].resumed = local;
    }

    pub fn note_neighbour(&mut self, node: usize, interface: usize, now: Real) {
        self.seen[node].neighbour[interface] = Some(now);
    }

    pub fn note_refusal(&mut self, node: usize, interface: usize, generation: u64) {
        self.seen[node].turned_away[interface] = generation;
    }

    pub fn note_refusal_told(&mut self, node: usize, interface: usize, generation: u64) {
        self.seen[node].refusal_told[interface] = generation;
    }

    pub fn note_disturbed(&mut self, node: usize, now: Real) {
        self.seen[node].disturbed = now;
    }

    /// An agent goes on with the gate of its former life, or a machine wakes up with what it had: agents may take turns.
    pub fn restart_segment_counts(&mut self, now: Real) {
        for since in self.pairs.iter_mut().flat_map(|pair| &mut pair.segment).flatten() {
            *since = now;
        }
    }

    /// The file of a node says something else now.
    pub fn note_reconfigured(sim: &mut Sim, node: usize, before: Timing) {
        let after = sim.nodes[node].config.timing;
        let seen = &mut sim.oracle.seen[node];
        seen.stamped = false;
        for other in [before, after] {
            seen.least.silence = seen.least.silence.min(other.silence);
            seen.least.probe = seen.least.probe.min(other.probe);
        }
        sim.oracle.set_bounds(&sim.nodes, &sim.plan);
    }

    /// A group became active on a node: how its active changed.
    pub fn note_active(&mut self, group: usize, node: usize, cause: Cause) -> Change {
        if cause == Cause::Adopted {
            return Change::Again;
        }
        self.openings[group] += 1;
        match self.holder[group].replace(node) {
            None => Change::First,
            Some(last) if last == node => Change::Again,
            Some(_) if cause == Cause::Handover => Change::Handover,
            Some(_) => Change::Takeover,
        }
    }

    /// A process ended: it will know what the disk knows.
    pub fn reset_to_disk(&mut self, node: usize, disk: &Loaded) {
        epochs::reset_to_disk(&mut self.seen[node], disk);
    }

    /// A disk was not honest: what its node knows is older than what it did.
    pub fn reset_to_old_disk(&mut self, node: usize, disk: &Loaded) {
        self.seen[node].used.fill(Epoch::NONE);
        self.reset_to_disk(node, disk);
    }

    fn pair(&mut self, first: usize, second: usize) -> &mut Pair {
        &mut self.pairs[first * self.nodes + second]
    }
}
