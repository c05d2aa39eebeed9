//! The disks: slow, failing, torn, and always with the newest state first.

use super::{Due, Sim};
use crate::durable::{Durable, Loaded};
use crate::engine::Action;
use crate::sim::names::ms;
use crate::sim::node::Waiting;

impl Sim {
    pub(super) fn persist(&mut self, at: usize, list: &[Action]) {
        for action in list {
            if let Action::Persist { version, state } = action {
                if self.nodes[at].engine.is_none() {
                    return;
                }
                self.nodes[at].disk.wanted = Some((*version, state.clone()));
                self.write(at);
            }
        }
    }

    pub(super) fn write(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.disk.writing.is_some() {
            return;
        }
        let Some((version, state)) = node.disk.wanted.take() else { return };
        node.disk.writing = Some(state);
        let (life, latency) = (node.life, node.disk.latency);
        self.later(Due::Written { to: at, life, version }, latency);
    }

    pub(super) fn written(&mut self, at: usize, life: u64, version: u64) {
        if self.nodes[at].life != life {
            return;
        }
        let Some(state) = self.nodes[at].disk.writing.take() else { return };
        if self.nodes[at].disk.fails {
            // The newest state is tried again; what came meanwhile goes before this one.
            self.nodes[at].disk.wanted.get_or_insert((version, state));
            self.offer(at, Waiting::StoreFailed);
            self.later(Due::Retry { to: at, life }, ms(100));
            return;
        }
        self.put(at, state);
        if self.nodes[at].engine.is_some() {
            self.offer(at, Waiting::Stored(version));
        }
        self.write(at);
    }

    /// A state is on the disk.
    pub(super) fn put(&mut self, at: usize, state: Durable) {
        let disk = &mut self.nodes[at].disk;
        self.oracle.durable(at, &disk.content, &state);
        disk.former = std::mem::replace(&mut disk.content, Loaded::State(state));
    }
}
