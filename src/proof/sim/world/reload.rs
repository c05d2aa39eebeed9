//! Files that differ between nodes, and files that change under a running agent.

use super::Sim;
use crate::engine::Reconfiguration;
use crate::sim::names::ms;
use crate::sim::node::{GroupConfig, Waiting};
use crate::sim::oracle::Oracle;
use crate::sim::swarm::GroupPlan;
use crate::timing::Timing;
use crate::types::Epoch;
use std::sync::Arc;
use std::time::Duration;

impl Sim {
    /// Draws changes to the file of a node, which no process reads yet.
    pub(super) fn skew(&mut self, node: usize) {
        for _ in 0..1 + self.random.below(3) {
            let count = self.nodes[node].config.groups.len();
            let which = self.random.below(count.max(1));
            match self.random.below(6) {
                0 => self.skew_timing(node),
                1 => self.skew_membership(node, which),
                2 if count > 1 => self.nodes[node].config.groups.swap(0, which),
                3 if count > 0 => {
                    let second = &mut self.nodes[node].config.groups[which].second;
                    *second = !*second;
                }
                4 if count > 0 => {
                    let prefer = self.random.below(self.plan.nodes);
                    self.nodes[node].config.groups[which].prefer = prefer;
                    // Two nodes that prefer themselves and preempt would never come to rest.
                    self.nodes[node].config.groups[which].preempt = false;
                }
                _ => {
                    if let Some(group) = self.nodes[node].config.groups.get_mut(which) {
                        group.preempt = false;
                    }
                }
            }
        }
    }

    /// Draws other times for the file of a node.
    fn skew_timing(&mut self, node: usize) {
        let plain = self.plan.timing();
        let percent = self.random.pick(&[90, 100, 100, 125]);
        // No silence is shorter than a pulse of the other: that is no cluster, and `vipair check`
        // shows it.
        let part = |span: std::time::Duration| span * percent / 100;
        // A voted lease is a few pulses already: shorter ones are refused.
        let shortest = if self.plan.witnesses > 0 { 120 } else { 60 };
        let lease = plain.lease * self.random.pick(&[shortest, 100, 150]) / 100;
        let (pulse, silence) = (part(plain.pulse), part(plain.silence));
        self.nodes[node].config.timing = Timing::derive_with(pulse, silence, lease, plain.drift_ppm);
    }

    /// Takes a group out of a node's file, or puts a missing one back.
    fn skew_membership(&mut self, node: usize, which: usize) {
        let interface = |group: usize| self.plan.groups[group].interface;
        let groups = &self.nodes[node].config.groups;
        let alone =
            |group: usize| groups.iter().filter(|other| interface(other.group) == interface(group)).count() < 2;
        let missing = (0..self.plan.groups.len()).find(|group| groups.iter().all(|present| present.group != *group));
        if let Some(group) = missing {
            let GroupPlan { prefer, promote, .. } = self.plan.groups[group];
            let back = GroupConfig { group, prefer, preempt: false, promote, second: false, renamed: false };
            self.nodes[node].config.groups.push(back);
        } else if !alone(groups[which].group) {
            // Interfaces do not come and go with a file, so each keeps a group.
            self.nodes[node].config.groups.remove(which);
        }
    }

    /// Reloads a node with a file that lacks a group, unless its interface would lose the last one.
    pub fn remove_group(&mut self, node: usize, group: usize) {
        let interface = self.plan.groups[group].interface;
        let beside = |other: &GroupConfig| self.plan.groups[other.group].interface == interface;
        let alone = self.nodes[node].config.groups.iter().filter(|other| beside(other)).count() < 2;
        if self.nodes[node].is_running() && !alone {
            self.nodes[node].config.groups.retain(|other| other.group != group);
            let before = self.nodes[node].config.timing;
            self.reload(node, before);
        }
    }

    /// Reloads a node with a lease of `percent` of the present one.
    pub fn lengthen_lease(&mut self, node: usize, percent: u32) {
        let before = self.nodes[node].config.timing;
        let lease = before.lease * percent / 100;
        let timing = Timing::derive_with(before.pulse, before.silence, lease, before.drift_ppm);
        self.nodes[node].config.timing = timing;
        self.reload(node, before);
    }

    /// Reloads a running node with a file that is drawn.
    pub fn reconfigure(&mut self, node: usize) {
        if self.nodes[node].is_running() {
            let before = self.nodes[node].config.timing;
            self.skew(node);
            self.reload(node, before);
        }
    }

    /// Gives a group another name in the file of a node, which a process that runs reads at once if
    /// `now`. Under that name the node has no state of it.
    pub fn rename_group(&mut self, node: usize, which: usize, now: bool) {
        let before = self.nodes[node].config.timing;
        let config = &mut self.nodes[node].config.groups[which];
        config.renamed ^= true;
        let (group, renamed) = (config.group, config.renamed);
        self.note(|_| format!("node {node}: its file calls group {group} otherwise: {renamed}, read now: {now}"));
        self.oracle.note_renamed(group);
        if now && self.nodes[node].is_running() {
            self.reload(node, before);
        }
    }

    /// Gives the engine of a node its changed file, and checks that removed groups are closed (S7).
    /// `before` are the times of the former file.
    fn reload(&mut self, node: usize, before: Timing) {
        self.note(|sim| format!("node {node}: is given another file: {:?}", sim.nodes[node].config));
        let config = &self.nodes[node].config;
        let change = Reconfiguration {
            timing: config.timing,
            keys: Arc::clone(&self.keys),
            epoch_floor: self.oracle.epoch_floor(),
            digests: Sim::digests(config),
            groups: Sim::group_setups(config, &self.plan),
        };
        let local = self.local(node);
        let mut out = std::mem::take(&mut self.out);
        if let Some(engine) = self.nodes[node].engine.as_mut() {
            engine.reconfigure(change, local, &mut out);
        }
        self.oracle.seen[node].reloaded = before.lease;
        self.carry_out(node, &out.list, &out.bytes, local);
        self.oracle.seen[node].reloaded = Duration::ZERO;
        out.clear();
        self.out = out;
        self.number_groups(node);
        for group in 0..self.plan.groups.len() {
            let known = self.nodes[node].is_attached(self.plan.groups[group].interface);
            if known && self.nodes[node].places[group].is_none() && self.nodes[node].kernel.open[group] != Epoch::NONE
            {
                self.oracle.violated(|| format!("S7: group {group} was removed from node {node} and is open"));
            }
        }
        Oracle::note_reconfigured(self, node, before);
        self.offer(node, Waiting::Tick);
        self.schedule_verdicts(node);
        for group in 0..self.plan.groups.len() {
            let delay = self.random.span(ms(40));
            self.offer_later(node, Waiting::Addresses(group), delay);
        }
        self.set_wake(node);
    }
}
