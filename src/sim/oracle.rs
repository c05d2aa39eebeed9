//! What must hold whatever is done: the promises, put as rules over what the simulator knows and the nodes cannot.
//!
//! # When two nodes may answer (S8)
//! "Cut off" is judged by the wires, not by what the engines think. While two nodes answer for a group,
//! - V1: they have not been joined in both directions, both processes running, for longer than two pulses and the
//!   longest way through the wires: hearing each other ends it;
//! - V2: the segment has not been sound between them for longer than a silence and two leases: probes and the latch
//!   end it, whatever the processes do. Two, because the agents may take turns: one ends when the other, which was
//!   stopped or restarted within its lease, goes on. An adoption begins the count anew for the same reason;
//! - V3: no running process that answers has believed words of the other reaching it for longer than it takes to be
//!   sure that the other is deaf; an opening may run ahead of the claim that goes with it by the way through the
//!   wires. Words can be believed only of a session that was proven while both directions
//!   worked: a process that restarted behind a one-way cut is not heard by anybody who insists on proof.
//!
//! Only ways without loss count as joined; otherwise chance could cut for as long as it likes.

use super::names::{group_id, id};
use super::net::SEGMENT;
use super::world::Sim;
use crate::engine::{GateAction, GroupState, Loaded};
use crate::types::{Epoch, GroupId, MonoTime};
use crate::wire::pulse::Role;
use std::collections::BTreeMap;
use std::time::Duration;

pub struct Oracle {
    /// Per node and group: the highest epoch it has been told or has used, as far as its memory or disk can know.
    told: [Vec<Epoch>; 2],
    /// Per node and group: the epoch it opened with last.
    used: [Vec<Epoch>; 2],
    highest: Vec<Epoch>,
    counter: u64,
    /// Since when both nodes are joined in both directions, with both processes running.
    joined: Option<MonoTime>,
    /// Since when the segment between them is sound.
    segment: Option<MonoTime>,
    /// Per node: since when it is off the segment.
    isolated: [Option<MonoTime>; 2],
    /// Per node: its agent has seen the bystander.
    pub neighbour: [bool; 2],
    /// Per hearing node: since when words of the other reach its running process and are believed.
    hears: [Option<MonoTime>; 2],
    /// Per group: since when two nodes answer.
    doubled: Vec<Option<MonoTime>>,
    /// Per node: the generation under which its kernel has turned somebody away.
    pub turned_away: [u64; 2],
    /// Per node and group: the epoch it claims, and since when.
    claims: [Vec<(Epoch, MonoTime)>; 2],
    /// Per node: when its process went on after a stall.
    pub resumed: [MonoTime; 2],
    /// Instants at which two nodes answered, permitted or not.
    pub both: usize,
    /// Changes of active.
    pub openings: BTreeMap<usize, usize>,
}

impl Oracle {
    pub fn new(groups: usize) -> Oracle {
        let none = vec![Epoch::NONE; groups];
        Oracle {
            told: [none.clone(), none.clone()],
            used: [none.clone(), none.clone()],
            doubled: vec![None; groups],
            highest: none,
            counter: 1,
            joined: None,
            segment: None,
            isolated: [None; 2],
            neighbour: [false; 2],
            hears: [None; 2],
            turned_away: [0; 2],
            claims: [vec![(Epoch::NONE, MonoTime::ZERO); groups], vec![(Epoch::NONE, MonoTime::ZERO); groups]],
            resumed: [MonoTime::ZERO; 2],
            both: 0,
            openings: BTreeMap::new(),
        }
    }

    /// An epoch floor for a node without a state: above everything used, as a clock that runs right would give.
    pub fn floor(&self) -> u64 {
        self.counter + 1
    }

    /// A process ended: it will know what the disk knows.
    pub fn forget(&mut self, at: usize, disk: &Loaded) {
        for (group, told) in self.told[at].iter_mut().enumerate() {
            *told = match disk {
                Loaded::State(states) => states[group].seen.max(states[group].held),
                Loaded::Fresh | Loaded::Damaged => Epoch::NONE,
            };
        }
    }

    /// S2: what is durable never falls.
    pub fn durable(&self, at: usize, before: &Loaded, after: &[GroupState]) {
        let Loaded::State(before) = before else { return };
        for (old, new) in before.iter().zip(after) {
            let falls = new.seen < old.seen || new.held < old.held || new.reserve < old.reserve;
            assert!(!falls, "S2: a durable epoch of node {at} falls: {old:?} to {new:?}");
        }
    }

    pub fn change_gate(sim: &mut Sim, at: usize, gate: GateAction, decided: MonoTime) {
        let (now, lease) = (sim.now, sim.timing.lease);
        let kernel = &mut sim.nodes[at].kernel;
        match gate {
            GateAction::Begin { generation, .. } => {
                assert!(generation > kernel.generation, "a generation is never used twice");
                assert!(kernel.open.is_empty(), "S7: everything is closed before a new generation");
                kernel.generation = generation;
                kernel.until = MonoTime::ZERO;
            }
            GateAction::Renew { until, .. } => {
                assert!(until <= decided + lease && until <= now + lease, "S4: counted from the wake-up");
                kernel.until = until;
            }
            GateAction::Open { group, epoch } => {
                assert!(kernel.generation != 0, "S7: a gate opens under a lease only");
                kernel.open.insert(group, epoch);
                if decided == now {
                    Oracle::check_evidence(sim, at, group, epoch);
                }
                sim.oracle.open(at, group, epoch);
            }
            GateAction::Close { group, .. } => drop(kernel.open.remove(&group)),
            GateAction::Forward { .. } => {}
        }
    }

    /// Without consent a node opens only after a claim that was out for a probe interval, after a silence that it
    /// witnessed, and not while it hears none of the neighbours it knew.
    fn check_evidence(sim: &Sim, at: usize, group: GroupId, epoch: Epoch) {
        let patience = sim.timing.silence + sim.timing.probe * 2 + sim.timing.pulse;
        let alone = sim.oracle.isolated[at].is_some_and(|since| sim.now.since(since) > patience);
        let consented = sim.nodes[at].engine.as_ref().is_some_and(|engine| {
            engine.view_peer(0, sim.now).left
                || engine.view_row(0, usize::from(group.0)).is_some_and(|row| row.consent == epoch)
        });
        let known = sim.oracle.neighbour[at] && sim.plan.profile == crate::config::Profile::Fast;
        let (claim, since) = sim.oracle.claims[at][usize::from(group.0)];
        let out = claim == epoch && sim.now.since(since) >= sim.timing.probe;
        assert!(consented || out, "node {at} opens {group:?} without a claim");
        let awake = sim.now.since(sim.oracle.resumed[at]);
        assert!(consented || awake >= sim.timing.silence, "node {at} opens {group:?} {awake:?} after a stall");
        assert!(!(alone && known) || consented, "node {at} opens {group:?} although it is off the segment");
    }

    fn open(&mut self, at: usize, group: GroupId, epoch: Epoch) {
        let group = usize::from(group.0);
        let (told, used) = (self.told[at][group], self.used[at][group]);
        assert!(epoch.node() == id(at), "S2: node {at} opens with {epoch}, the epoch of another");
        assert!(epoch > used, "S2: node {at} opens with {epoch} after {used}");
        assert!(epoch > told, "S2: node {at} opens with {epoch} although it was told {told}");
        self.used[at][group] = epoch;
        self.told[at][group] = epoch;
        self.highest[group] = self.highest[group].max(epoch);
        *self.openings.entry(group).or_default() += 1;
    }

    /// What the engine says of itself, after it has handled an event and its actions are done.
    pub fn after_event(sim: &mut Sim, at: usize) {
        let node = &sim.nodes[at];
        let Some(engine) = &node.engine else { return };
        for group in 0..sim.plan.groups.len() {
            let state = engine.view_group(group);
            let oracle = &mut sim.oracle;
            for epoch in [state.seen, state.reserve, state.reserving, state.consent, state.epoch] {
                oracle.counter = oracle.counter.max(epoch.counter());
            }
            let claim = &mut oracle.claims[at][group];
            if claim.0 != state.claim {
                *claim = (state.claim, sim.now);
            }
            if let Some(row) = engine.view_row(0, group) {
                oracle.told[at][group] = oracle.told[at][group].max(row.epoch);
            }
            if node.pause.is_none() {
                let open = node.kernel.open.contains_key(&group_id(group));
                assert_eq!(open, state.open, "the gate of node {at} group {group} is not as its role");
                assert!(!open || sim.now < node.kernel.until, "S7: node {at} thinks it answers after its lease");
                let refused = node.kernel.refused == node.kernel.generation;
                assert!(!(open && refused), "S7: node {at} thinks it answers, but its kernel has refused");
                assert!(!(open && state.role == Role::Paused), "a paused group of node {at} is open");
            }
        }
        let next = engine.next_deadline();
        assert!(
            next <= sim.now + sim.timing.pulse || node.exited || node.pause.is_some(),
            "no pulse is due: {next:?}"
        );
    }

    /// An agent goes on with the gate of its former life.
    pub fn note_adoption(&mut self, now: MonoTime) {
        self.segment = self.segment.map(|_| now);
    }

    /// After everything that happens.
    pub fn check(sim: &mut Sim) {
        Oracle::follow_wires(sim);
        let (now, timing) = (sim.now, sim.timing);
        let way = sim.net.delay.iter().max().copied().unwrap_or_default();
        let joined = timing.pulse * 2 + way * 6 + Duration::from_millis(1);
        let latched = timing.silence + timing.lease * 2 + timing.pulse * 2 + way * 6;
        let deaf = timing.silence * 3 + timing.pulse * 6 + way * 6;
        for group in 0..sim.plan.groups.len() {
            for at in sim.answering(group) {
                let away = sim.oracle.turned_away[at];
                assert!(away != sim.nodes[at].kernel.generation, "S7: a lapsed lease of node {at} answers again");
            }
            if sim.answering(group).len() < 2 {
                sim.oracle.doubled[group] = None;
                continue;
            }
            let oracle = &mut sim.oracle;
            oracle.both += 1;
            let over = |since: Option<MonoTime>, bound: Duration| since.is_some_and(|since| now.since(since) > bound);
            assert!(!over(oracle.joined, joined), "S8 V1: both answer for group {group} although they are joined");
            assert!(!over(oracle.segment, latched), "S8 V2: both answer for group {group} on a sound segment");
            // The last claim before an opening may still be on its way.
            if now.since(*oracle.doubled[group].get_or_insert(now)) <= joined {
                continue;
            }
            for at in 0..2 {
                let bound =
                    if sim.nodes[at].kernel.open[&group_id(group)] < oracle.highest[group] { joined } else { deaf };
                assert!(
                    !over(oracle.hears[at], bound),
                    "S8 V3: node {at} answers for group {group} and hears the other"
                );
            }
        }
    }

    /// Keeps account of since when which ways are open.
    fn follow_wires(sim: &mut Sim) {
        let now = sim.now;
        let carrier = sim.nodes[0].carrier && sim.nodes[1].carrier;
        let way = |from: usize, path: usize| sim.net.is_sound(from, path) && (path != SEGMENT || carrier);
        let reaches = |from: usize| (0..3).any(|path| way(from, path));
        let running = sim.nodes[0].is_running() && sim.nodes[1].is_running();
        let joined = running && reaches(0) && reaches(1);
        let segment = way(0, SEGMENT) && way(1, SEGMENT);
        let mut hears = [false; 2];
        for (at, hears) in hears.iter_mut().enumerate() {
            let (Some(own), Some(other)) = (&sim.nodes[at].engine, &sim.nodes[1 - at].engine) else { continue };
            let proven = own.view_peer(0, now).verified == Some(other.view_session())
                && other.view_peer(0, now).verified == Some(own.view_session());
            // On the segment pulses are sent only while no other way is heard.
            *hears = running && proven && (0..2).any(|path| way(1 - at, path));
        }
        let follow = |since: &mut Option<MonoTime>, holds: bool| {
            *since = if holds { since.or(Some(now)) } else { None };
        };
        for at in 0..2 {
            follow(&mut sim.oracle.isolated[at], sim.net.isolated[at]);
        }
        follow(&mut sim.oracle.joined, joined);
        follow(&mut sim.oracle.segment, segment);
        for (since, holds) in sim.oracle.hears.iter_mut().zip(hears) {
            follow(since, holds);
        }
    }
}
