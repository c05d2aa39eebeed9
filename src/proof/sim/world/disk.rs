//! The disks: slow, failing, torn, and always with the newest state first.

use super::{Due, Sim};
use crate::durable::{Durable, Loaded};
use crate::engine::Action;
use crate::sim::names::ms;
use crate::sim::node::Waiting;

impl Sim {
    /// Takes the state of every `Persist` in a list to be written.
    pub(super) fn persist(&mut self, node: usize, list: &[Action]) {
        for action in list {
            if let Action::Persist { version, state } = action {
                if self.nodes[node].engine.is_none() {
                    return;
                }
                self.nodes[node].disk.wanted = Some((*version, state.clone()));
                self.begin_write(node);
            }
        }
    }

    /// Begins to write the newest wanted state, unless a write is under way.
    pub(super) fn begin_write(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        if machine.disk.writing.is_some() {
            return;
        }
        let Some((version, state)) = machine.disk.wanted.take() else { return };
        machine.disk.writing = Some(state);
        let (life, latency) = (machine.life, machine.disk.latency);
        self.schedule(Due::Written { to: node, life, version }, latency);
    }

    /// Ends a write: the state is durable, or the write has failed and is tried again.
    pub(super) fn finish_write(&mut self, node: usize, life: u64, version: u64) {
        if self.nodes[node].life != life {
            return;
        }
        let Some(state) = self.nodes[node].disk.writing.take() else { return };
        if self.nodes[node].disk.fails {
            // A failed write is tried again; a newer state goes before it.
            self.nodes[node].disk.wanted.get_or_insert((version, state));
            self.offer(node, Waiting::StoreFailed);
            self.schedule(Due::Retry { to: node, life }, ms(100));
            return;
        }
        self.store(node, state);
        if self.nodes[node].engine.is_some() {
            self.offer(node, Waiting::Stored(version));
        }
        self.begin_write(node);
    }

    /// Puts a state on the disk of a node, and checks that no durable epoch falls.
    pub(super) fn store(&mut self, node: usize, state: Durable) {
        let disk = &mut self.nodes[node].disk;
        self.oracle.check_durable(node, &disk.content, &state);
        disk.former = std::mem::replace(&mut disk.content, Loaded::State(state));
    }
}
