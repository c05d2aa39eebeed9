//! The oracle: the promises, as rules over what the simulator knows and the nodes cannot.
//!
//! The first violation ends a run; its text begins with the promise it breaks. Where a promise
//! speaks of one node, that node's clock counts; where it speaks of several, real time counts.

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

/// The change of a group's active by an opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The group never had an active.
    First,
    /// The node that had the group last has it again.
    Again,
    /// Another node has the group, and nobody had planned that.
    Takeover,
    /// Another node has the group by plan: handover, switch, goodbye.
    Handover,
}

/// Facts that the oracle keeps about one node.
pub struct Seen {
    /// By group: the highest epoch that the node was told or has used, as far as its memory or disk
    /// can know.
    told: Vec<Epoch>,
    /// By group: the epoch of the last opening.
    used: Vec<Epoch>,
    /// By group: the epoch that the node claims, and since when by its clock.
    claims: Vec<(Epoch, MonoTime)>,
    /// By group: instant of the last opening.
    opened: Vec<Real>,
    /// By group: how long connections were carried on after the last closing that carried any.
    pub carried: Vec<Duration>,
    /// The words that the process was told and believed.
    pub beliefs: beliefs::Beliefs,
    /// By group: the epoch with which it may be opened again, because it was open when its gate was
    /// replaced.
    reopens: Vec<Epoch>,
    /// Instant at which the process last went on after a stall, by the node's clock.
    resumed: MonoTime,
    /// The shortest times that the file has had in this life.
    least: Timing,
    /// By interface: instant at which the agent last saw a host.
    neighbour: Vec<Option<Real>>,
    /// By interface: since when the node is off the segment.
    isolated: Vec<Option<Real>>,
    /// By interface: the generation under which the kernel has turned somebody away.
    turned_away: Vec<u64>,
    /// The lease of the former file while a process carries out what it decided at a reload.
    pub reloaded: Duration,
    /// By interface: the generation whose refusal the agent was told of.
    refusal_told: Vec<u64>,
    /// Instant at which the process or an interface was last disturbed.
    disturbed: Real,
    /// When an interface last got another hardware address.
    other_mac: Real,
    /// The engine's stamp at the last full look; equal stamps mean an unchanged engine.
    stamp: u64,
    /// Whether `stamp` still counts.
    stamped: bool,
}

/// Since when two nodes reach each other, in each of several ways.
#[derive(Clone, Default)]
struct Pair {
    /// Since when frames of the second reach the machine of the first.
    reached: Option<Real>,
    /// Since when frames pass in both directions, both processes running and knowing their gates.
    joined: Option<Real>,
    /// By interface: since when the segment between them is sound.
    segment: Vec<Option<Real>>,
    /// Since when datagrams of the second reach the first and are believed.
    hears: Option<Real>,
}

/// The longest that each of these times can last on any node, in real time.
#[derive(Clone, Copy)]
struct Bounds {
    pulse: Duration,
    silence: Duration,
    lease: Duration,
}

/// The oracle of a run.
pub struct Oracle {
    /// The first promise that was broken.
    pub violation: Option<String>,
    /// By node: what the oracle knows of it.
    pub seen: Vec<Seen>,
    /// Pairs, by first and second node.
    pairs: Vec<Pair>,
    /// Number of nodes.
    nodes: usize,
    /// By group: the highest epoch that was ever opened with.
    highest: Vec<Epoch>,
    /// The highest counter of any epoch seen.
    counter: u64,
    /// By group: since when two nodes answer without a break.
    doubled: Vec<Option<Real>>,
    /// By group: instant at which two nodes last answered.
    last_doubled: Vec<Real>,
    /// By group: whether it had two names.
    two_names: Vec<bool>,
    /// By group: when two last answered of which one could not know the other's answers.
    unasked: Vec<Real>,
    /// When a kernel last answered whose gate was passed by.
    pub passed_by: Real,
    bounds: Bounds,
    /// Instants at which two nodes answered, permitted or not.
    pub both: u64,
    /// By group: number of openings, adoptions left out.
    pub openings: Vec<usize>,
    /// By group: the node that opened it last.
    holder: Vec<Option<usize>>,
    /// The account of votes.
    pub votes: votes::Votes,
}

impl Oracle {
    /// The oracle of a run that has not begun: no node was told anything, no group was ever open.
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
            reloaded: Duration::ZERO,
            refusal_told: vec![0; interfaces],
            disturbed: Real(0),
            other_mac: Real(0),
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
            two_names: vec![false; groups],
            unasked: vec![Real(0); groups],
            passed_by: Real(0),
            bounds: Bounds { pulse: timing.pulse, silence: timing.silence, lease: timing.lease },
            both: 0,
            openings: vec![0; groups],
            holder: vec![None; groups],
            votes: votes::Votes::new(plan),
        }
    }

    /// Notes that a promise is broken. Only the first violation is kept: others may follow from it.
    pub fn violated(&mut self, story: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(story());
        }
    }

    /// Notes `story` as a violation unless the promise holds.
    pub fn hold(&mut self, holds: bool, story: impl FnOnce() -> String) {
        if !holds {
            self.violated(story);
        }
    }

    /// Raises the bounds to the longest times that any node has now, in real time.
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

    /// The epoch floor of a node without a state: above every epoch that was used, like the floor
    /// that a right clock gives.
    pub fn epoch_floor(&self) -> u64 {
        self.counter + 1
    }

    /// Notes that a process begins, with the times of its file.
    pub fn begin_life(&mut self, node: usize, local: MonoTime, timing: Timing) {
        let seen = &mut self.seen[node];
        seen.neighbour.fill(None);
        seen.claims.fill((Epoch::NONE, local));
        seen.reopens.fill(Epoch::NONE);
        seen.resumed = MonoTime::ZERO;
        seen.least = timing;
        seen.stamped = false;
    }

    /// Notes that a process goes on after a stall.
    pub fn note_stall(&mut self, node: usize, local: MonoTime) {
        self.seen[node].resumed = local;
    }

    /// Notes that an agent has seen a host.
    pub fn note_neighbour(&mut self, node: usize, interface: usize, now: Real) {
        self.seen[node].neighbour[interface] = Some(now);
    }

    /// Notes that a kernel has turned somebody away under a lease.
    pub fn note_refusal(&mut self, node: usize, interface: usize, generation: u64) {
        self.seen[node].turned_away[interface] = generation;
    }

    /// Notes that an agent was told of a refused lease.
    pub fn note_refusal_told(&mut self, node: usize, interface: usize, generation: u64) {
        self.seen[node].refusal_told[interface] = generation;
    }

    /// Notes that an interface of a node has another hardware address.
    pub fn note_other_mac(&mut self, node: usize, now: Real) {
        self.seen[node].other_mac = now;
    }

    /// Notes that a process or interface of a node was disturbed.
    pub fn note_disturbed(&mut self, node: usize, now: Real) {
        self.seen[node].disturbed = now;
    }

    /// Restarts the count of V2 for all pairs, because an agent has gone on with the gate of its
    /// former life, or a machine has woken up: in turns, agents may answer beside each other for
    /// longer.
    pub fn restart_segment_counts(&mut self, now: Real) {
        for since in self.pairs.iter_mut().flat_map(|pair| &mut pair.segment).flatten() {
            *since = now;
        }
    }

    /// Notes that the file of a node has changed; `before` are the times of the former one.
    pub fn note_reconfigured(sim: &mut Sim, node: usize, before: Timing) {
        let after = sim.nodes[node].config.timing;
        let seen = &mut sim.oracle.seen[node];
        seen.stamped = false;
        for other in [before, after] {
            seen.least.silence = seen.least.silence.min(other.silence);
            seen.least.probe = seen.least.probe.min(other.probe);
        }
        for group in 0..sim.plan.groups.len() {
            if sim.nodes[node].config.groups.iter().all(|config| config.group != group) {
                sim.oracle.votes.note_removed(group);
            }
        }
        sim.oracle.set_bounds(&sim.nodes, &sim.plan);
    }

    /// Notes that a group became active on a node, and tells how its active changed.
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

    /// Notes that a process has ended: the next one knows what the disk knows.
    pub fn reset_to_disk(&mut self, node: usize, disk: &Loaded) {
        epochs::reset_to_disk(&mut self.seen[node], disk);
    }

    /// Notes that a disk was not honest: its node knows less than it did.
    pub fn reset_to_old_disk(&mut self, node: usize, disk: &Loaded) {
        self.seen[node].used.fill(Epoch::NONE);
        self.reset_to_disk(node, disk);
    }

    /// Notes that a group has another name on a node: from now on what is said, written and granted
    /// under one name tells nothing of the other, and who answers is all that counts.
    pub fn note_renamed(&mut self, group: usize) {
        self.two_names[group] = true;
    }

    /// The account of two nodes, in this order.
    fn pair(&mut self, first: usize, second: usize) -> &mut Pair {
        &mut self.pairs[first * self.nodes + second]
    }
}
