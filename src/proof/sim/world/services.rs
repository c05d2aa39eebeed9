//! Services, their checks and hooks, and what the agent is told of them.

use super::Sim;
use crate::engine::{Event, Hook, Lacks};
use crate::sim::names::{group_id, ms};
use crate::sim::node::Waiting;
use crate::types::Epoch;

impl Sim {
    /// Schedules the first verdicts of a process's checks, and what the node lacks.
    pub fn schedule_verdicts(&mut self, node: usize) {
        for group in 0..self.plan.groups.len() {
            if self.plan.service.checked {
                let delay = self.random.span(ms(500));
                self.offer_later(node, Waiting::Health(group), delay);
            }
            if !self.nodes[node].lacks[group].is_empty() {
                let delay = self.random.span(ms(500));
                self.offer_later(node, Waiting::Lacks(group), delay);
            }
        }
    }

    /// Draws another health for a group's service on a node, and schedules the verdict of its
    /// checks. Always true: the fault has struck.
    pub fn change_service(&mut self, node: usize) -> bool {
        let group = self.random.below(self.plan.groups.len());
        let health = self.random.pick(&[0, 0, 10, 20, 254, 255]);
        self.note(|_| format!("node {node}: the service of group {group} does {health} badly"));
        self.nodes[node].services[group] = health;
        let delay = self.random.span(ms(20));
        self.offer_later(node, Waiting::Health(group), delay);
        true
    }

    /// Draws what a node lacks for a group from now on. Always true: the fault has struck.
    pub fn change_lacks(&mut self, node: usize) -> bool {
        let group = self.random.below(self.plan.groups.len());
        let all = [Lacks::NONE, Lacks::NONE, Lacks::ADDRESS, Lacks::WAY_BACK, Lacks::ANSWER, Lacks::REACH];
        let lacks = self.random.pick(&all).and(self.random.pick(&all));
        self.note(|_| format!("node {node} for group {group}: {lacks:?}"));
        self.nodes[node].lacks[group] = lacks;
        let delay = self.random.span(ms(20));
        self.offer_later(node, Waiting::Lacks(group), delay);
        true
    }

    /// Lets an engine handle what its node lacks now.
    pub(super) fn handle_lacks(&mut self, node: usize, group: usize) {
        let lacks = self.nodes[node].lacks[group];
        if let Some(place) = self.nodes[node].places[group] {
            self.handle(node, Event::Lacks { group: group_id(place), lacks });
        }
    }

    /// Lets an engine handle how a service does now.
    pub(super) fn handle_health(&mut self, node: usize, group: usize) {
        let health = self.nodes[node].services[group];
        if let Some(place) = self.nodes[node].places[group] {
            self.handle(node, Event::Health { group: group_id(place), health });
        }
    }

    /// Runs a hook. While faults strike, it may fail, end after its time, or never end.
    pub(super) fn run_hook(&mut self, node: usize, group: usize, hook: Hook, epoch: Epoch) {
        self.note(|_| format!("node {node}: {hook:?} of group {group} is run for {epoch}"));
        let service = self.plan.service;
        let limit = match hook {
            Hook::BeforeOpen => service.before_open,
            Hook::BeforeClose => service.before_close,
        };
        let limit = limit.unwrap_or_default();
        let kind = if self.faulty { self.random.below(10) } else { 0 };
        let delay = match kind {
            0..=7 => self.random.span(limit / 2),
            8 => limit + self.random.span(limit * 2),
            _ => return,
        };
        self.offer_later(node, Waiting::Hook(group, hook, epoch, kind != 7), delay);
    }

    /// Lets an engine handle the end of a hook.
    pub(super) fn handle_hook(&mut self, node: usize, group: usize, (hook, epoch, ok): (Hook, Epoch, bool)) {
        let Some(place) = self.nodes[node].places[group] else { return };
        self.note(|_| format!("node {node}: {hook:?} of group {group} for {epoch} has ended, well: {ok}"));
        if ok && hook == Hook::BeforeOpen {
            // The end of an older hook may be late, and after a state that was put back the newer one
            // has the lower epoch.
            self.nodes[node].prepared[group].push(epoch);
        }
        self.handle(node, Event::Hook { group: group_id(place), hook, epoch, ok });
    }

    /// Checks HP-8: the hook before an opening has ended well, and was run for this opening.
    pub(super) fn check_prepared(&mut self, node: usize, group: usize, epoch: Epoch) {
        let prepared = self.plan.service.before_open.is_none() || self.nodes[node].prepared[group].contains(&epoch);
        self.oracle.hold(prepared, || format!("HP-8: node {node} opens group {group} with {epoch} before its hook"));
    }
}
