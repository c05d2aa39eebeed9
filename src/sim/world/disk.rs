//! The disks: slow, failing, and always with the newest state first.

use super::{Due, Sim, Waiting};
use crate::engine::{Action, GroupState, Loaded};
use crate::sim::names::ms;

impl Sim {
    pub(super) fn persist(&mut self, at: usize, list: &[Action]) {
        for action in list {
            if let Action::Persist { version } = action {
                let Some(engine) = &self.nodes[at].engine else { return };
                let state = engine.durable_state();
                self.nodes[at].disk.wanted = Some((*version, state));
                self.write(at);
            }
        }
    }

    pub(super) fn write(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.disk.writing {
            return;
        }
        let Some((version, state)) = node.disk.wanted.clone() else { return };
        node.disk.writing = true;
        let (life, latency) = (node.life, node.disk.latency);
        self.later(Due::Written { to: at, life, version, state }, latency);
    }

    pub(super) fn written(&mut self, at: usize, life: u64, version: u64, state: Vec<GroupState>) {
        let (fails, current) = (self.nodes[at].disk.fails, self.nodes[at].life == life);
        if !current {
            return;
        }
        self.nodes[at].disk.writing = false;
        if fails {
            self.offer(at, Waiting::StoreFailed);
            self.later(Due::Retry { to: at, life }, ms(100));
            return;
        }
        let disk = &mut self.nodes[at].disk;
        self.oracle.durable(at, &disk.content, &state);
        disk.content = Loaded::State(state);
        if disk.wanted.as_ref().is_some_and(|(wanted, _)| *wanted <= version) {
            disk.wanted = None;
        }
        if self.nodes[at].engine.is_some() {
            self.offer(at, Waiting::Stored(version));
        }
        self.write(at);
    }
}
