//! What tests ask of the world.

use super::World;
use crate::engine::{Cause, Notice};
use crate::types::{GroupId, MonoTime};
use crate::wire::pulse::Role;
use std::time::Duration;

impl World {
    pub fn role(&self, at: usize) -> Role {
        self.nodes[at].engine.as_ref().unwrap().report(self.now).groups[0].role
    }

    pub fn answering(&self) -> Vec<usize> {
        (0..2).filter(|&at| self.nodes[at].kernel.answers(GroupId(0), self.now)).collect()
    }

    /// Who answers for another of the world's groups.
    pub fn answering_for(&self, number: u16) -> Vec<usize> {
        (0..2).filter(|&at| self.nodes[at].kernel.answers(GroupId(number), self.now)).collect()
    }

    pub fn changes(&self, at: usize) -> Vec<(Role, Cause)> {
        let role = |(_, notice): &(MonoTime, Notice)| match notice {
            Notice::Role { to, cause, .. } => Some((*to, *cause)),
            _ => None,
        };
        self.nodes[at].notices.iter().filter_map(role).collect()
    }

    /// Runs until somebody other than `than` answers for group 0; how long it took.
    pub fn run_until_answered_by(&mut self, who: usize, limit: Duration) -> Duration {
        let start = self.now;
        while self.now.since(start) < limit {
            if self.answering() == [who] {
                return self.now.since(start);
            }
            self.run(Duration::from_micros(100));
        }
        panic!("node {who} does not answer after {limit:?}: {:#?}", (self.changes(0), self.changes(1)));
    }
}
