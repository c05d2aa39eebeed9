//! Machines that cannot be told apart: one number for two, one hardware address for two, and copies
//! of a machine. And hardware addresses that change.

use super::{Due, Sim};
use crate::engine::Event;
use crate::sim::names::{id, position};
use crate::sim::node::Waiting;
use crate::sim::oracle::CORRECTED;
use crate::types::{MacAddr, NodeId};

impl Sim {
    /// The number by which a node knows another, or itself: the file of a node that has another's
    /// number gives that one its own.
    pub fn number(&self, node: usize, other: usize) -> NodeId {
        let own = self.nodes[node].number;
        match other {
            other if other == node => id(own),
            other if other == own => id(node),
            other => id(other),
        }
    }

    /// The node that another one knows by a number.
    pub fn known_as(&self, node: usize, number: NodeId) -> usize {
        position(self.number(node, position(number)))
    }

    /// Gives a node, whose process does not run, the number of `other`.
    pub fn renumber(&mut self, node: usize, other: usize) {
        self.note(|_| format!("node {node}: its file says that it is node {other}"));
        self.nodes[node].number = other;
        self.had_doubles |= other != node;
        self.oracle.votes.note_doubles();
    }

    /// Puts a copy of the disk of `other` into a machine without power.
    pub fn copy_disk(&mut self, node: usize, other: usize) {
        let content = self.nodes[other].disk.content.clone();
        self.note(|_| format!("node {node}: its disk is a copy of that of node {other}: {content:?}"));
        self.oracle.reset_to_old_disk(node, &content);
        self.oracle.votes.note_disk_loss(node);
        self.nodes[node].disk.former = content.clone();
        self.nodes[node].disk.content = content;
    }

    /// Whether a frame that `from` sends to one hardware address reaches `to`. What goes to the
    /// sender's own address comes from where the switch would send it, and is dropped.
    pub(super) fn is_at(&self, mac: MacAddr, from: usize, to: usize, interface: usize) -> bool {
        mac.is_multicast() || mac == self.nodes[to].macs[interface] && mac != self.nodes[from].macs[interface]
    }

    /// Gives an interface another hardware address, of which the process hears, and hosts when the
    /// node announces what it answers for (L4).
    pub fn set_mac(&mut self, node: usize, interface: usize, mac: MacAddr) {
        self.note(|_| format!("node {node}: interface {interface} has {mac}"));
        if std::mem::replace(&mut self.nodes[node].macs[interface], mac) == mac {
            return;
        }
        self.oracle.note_other_mac(node, self.now);
        for group in 0..self.plan.groups.len() {
            if self.plan.groups[group].interface == interface && self.answers(node, group) {
                let opening = self.oracle.openings[group];
                self.schedule(Due::Correct { group, node, opening }, CORRECTED);
            }
        }
        self.offer(node, Waiting::OwnMacs);
        self.offer(node, Waiting::Facts(interface));
    }

    /// Lets a process handle the hardware addresses of its machine.
    pub(super) fn handle_own_macs(&mut self, node: usize) {
        let own = self.nodes[node].macs.clone();
        self.handle(node, Event::OwnMacs { macs: &own });
    }
}
