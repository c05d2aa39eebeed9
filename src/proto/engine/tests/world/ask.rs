//! What tests ask of the world: roles, who answers, how long until somebody does.

use super::World;
use crate::engine::{Cause, Notice};
use crate::types::{GroupId, MonoTime};
use crate::wire::pulse::Role;
use std::time::Duration;

impl World {
    /// The role of a node for group 0, by its status report.
    pub fn role(&self, at: usize) -> Role {
        self.nodes[at].engine.as_ref().unwrap().report(self.now).groups[0].role
    }

    /// The nodes whose gates let answers for group 0 out now.
    pub fn answering(&self) -> Vec<usize> {
        (0..2).filter(|&at| self.nodes[at].kernel.answers(GroupId(0), self.now)).collect()
    }

    /// The nodes whose gates let answers for this group out now.
    pub fn answering_for(&self, number: u16) -> Vec<usize> {
        (0..2).filter(|&at| self.nodes[at].kernel.answers(GroupId(number), self.now)).collect()
    }

    /// All changes of role that a node has told, the oldest first, with their causes.
    pub fn changes(&self, at: usize) -> Vec<(Role, Cause)> {
        let role = |(_, notice): &(MonoTime, Notice)| match notice {
            Notice::Role { to, cause, .. } => Some((*to, *cause)),
            _ => None,
        };
        self.nodes[at].notices.iter().filter_map(role).collect()
    }

    /// Runs until `who` alone answers for group 0. Returns how long that took; panics after
    /// `limit`.
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
