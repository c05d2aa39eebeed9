//! Services of the world's nodes: how they do, and what is run around them.

use super::{Due, World};
use crate::engine::{Event, GroupSetup, Hook};
use crate::types::{Epoch, GroupId};
use crate::wire::pulse::Reason;
use std::time::Duration;

/// The same on both nodes, but for what comes of hooks.
#[derive(Default)]
pub struct Service {
    /// A check decides alone: until the first verdict nobody knows.
    pub checked: bool,
    pub before_open: Option<Duration>,
    pub before_close: Option<Duration>,
    /// On each node: after how long hooks end, if they do, and whether well.
    pub ends: [Option<(Duration, bool)>; 2],
}

impl Service {
    pub(super) fn apply(&self, group: GroupSetup) -> GroupSetup {
        let health = if self.checked { u8::MAX } else { 0 };
        GroupSetup { health, before_open: self.before_open, before_close: self.before_close, ..group }
    }
}

impl World {
    /// Checks of a node come to another verdict about group 0.
    pub fn set_health(&mut self, at: usize, health: u8) {
        self.handle(at, Event::Health { group: GroupId(0), health });
        self.handle(at, Event::Tick);
    }

    pub(super) fn run_hook(&mut self, at: usize, group: GroupId, hook: Hook, epoch: Epoch) {
        self.nodes[at].hooks.push((group, hook, epoch));
        if let Some((delay, ok)) = self.service.ends[at] {
            self.later(Due::Hook { to: at, group, hook, epoch, ok }, delay);
        }
    }

    pub fn reason(&self, at: usize) -> Reason {
        self.nodes[at].engine.as_ref().unwrap().report(self.now).groups[0].reason
    }
}
