//! Services and their checks: processes that have nothing to do with the agent, and what it is told of them.

use super::Sim;
use crate::engine::Event;
use crate::sim::names::{group_id, ms};
use crate::sim::node::Waiting;

impl Sim {
    /// Checks of a process come to their first verdicts.
    pub fn tell_services(&mut self, at: usize) {
        if !self.plan.service.checked {
            return;
        }
        for group in 0..self.plan.groups.len() {
            let delay = self.random.span(ms(500));
            self.slow(at, Waiting::Health(group), delay);
        }
    }

    /// A service does better or worse than before.
    pub fn change_service(&mut self, at: usize) -> bool {
        let group = self.random.below(self.plan.groups.len());
        let health = self.random.pick(&[0, 0, 10, 20, 254, 255]);
        self.note(|_| format!("node {at}: the service of group {group} does {health} badly"));
        self.nodes[at].services[group] = health;
        let delay = self.random.span(ms(20));
        self.slow(at, Waiting::Health(group), delay);
        true
    }

    /// An agent hears how a service does now.
    pub(super) fn hear_health(&mut self, at: usize, group: usize) {
        let health = self.nodes[at].services[group];
        if let Some(place) = self.nodes[at].places[group] {
            self.take(at, Event::Health { group: group_id(place), health });
        }
    }
}
