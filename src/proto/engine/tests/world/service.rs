//! Services of the world's nodes: how healthy they are, and the hooks that are run for them.

use super::{Due, World};
use crate::engine::{Event, GroupSetup, Hook, Lacks};
use crate::types::{Epoch, GroupId};
use crate::wire::pulse::Reason;
use std::time::Duration;

/// The same on both nodes, but for what comes of hooks.
#[derive(Default)]
pub struct Service {
    /// Whether a check decides alone: until its first verdict the health is unknown.
    pub checked: bool,
    pub before_open: Option<Duration>,
    pub before_close: Option<Duration>,
    /// By node: after how long a hook ends, and whether well; `None` if it never ends.
    pub ends: [Option<(Duration, bool)>; 2],
}

impl Service {
    /// The group's configuration with this service's check and hooks.
    pub(super) fn apply(&self, group: GroupSetup) -> GroupSetup {
        let health = if self.checked { u8::MAX } else { 0 };
        GroupSetup { health, before_open: self.before_open, before_close: self.before_close, ..group }
    }
}

impl World {
    /// Tells an engine the health of group 0's service: 0 serves, 255 does not.
    pub fn set_health(&mut self, at: usize, health: u8) {
        self.handle(at, Event::Health { group: GroupId(0), health });
        self.handle(at, Event::Tick);
    }

    /// Tells an engine what its node lacks for group 0.
    pub fn set_lacks(&mut self, at: usize, lacks: Lacks) {
        self.handle(at, Event::Lacks { group: GroupId(0), lacks });
        self.handle(at, Event::Tick);
    }

    /// Notes that a node was told to run a hook, and schedules its end.
    pub(super) fn run_hook(&mut self, at: usize, group: GroupId, hook: Hook, epoch: Epoch) {
        self.nodes[at].hooks.push((group, hook, epoch));
        if let Some((delay, ok)) = self.service.ends[at] {
            self.schedule(Due::Hook { to: at, group, hook, epoch, ok }, delay);
        }
    }

    /// Why a node is not ready for group 0, by its status report.
    pub fn reason(&self, at: usize) -> Reason {
        self.nodes[at].engine.as_ref().unwrap().report(self.now).groups[0].reason
    }
}
