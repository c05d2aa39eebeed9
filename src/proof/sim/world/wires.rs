//! Datagrams between the nodes on links and segments, and the kernel's word that nobody listens.

use super::{Due, RECORDED, Recording, Sim};
use crate::sim::names::witness_of;
use crate::sim::node::Waiting;
use crate::types::{LinkId, MacAddr};
use std::ops::Range;

impl Sim {
    /// Cuts these wires between all nodes, or mends them.
    pub fn cut_wires(&mut self, wires: Range<usize>, cut: bool) {
        let now = self.now;
        for from in 0..self.nodes.len() {
            for to in self.others(from) {
                for wire in wires.clone() {
                    self.net.set_cut(from, to, wire, cut, now);
                }
            }
        }
        self.touched = true;
    }

    /// Sends a node's datagram over a link, and perhaps records it. `mac`: where it goes on a segment.
    pub(super) fn send_datagram(&mut self, node: usize, link: LinkId, mac: MacAddr, bytes: &[u8]) {
        if let Some(witness) = witness_of(link.peer) {
            return self.ask_witness(node, witness, bytes);
        }
        let (to, wire) = self.way(node, link);
        if wire >= self.net.udp && !self.nodes[node].is_connected(wire - self.net.udp) {
            return;
        }
        if !self.is_carried(node, link, (to, wire), mac, bytes.len()) {
            return;
        }
        if self.records && self.random.chance(2) {
            self.record(node, to, wire, bytes);
        }
        for delay in self.net.arrivals(node, to, wire, &mut self.random).into_iter().flatten() {
            let bytes = self.buffer(bytes);
            self.schedule(Due::Datagram { to, from: node, wire, bytes }, delay);
        }
    }

    /// Keeps a datagram to be replayed.
    fn record(&mut self, from: usize, to: usize, wire: usize, bytes: &[u8]) {
        let place = self.random.below(RECORDED);
        let recording = Recording { to, from, wire, bytes: bytes.to_vec() };
        match self.recorded.get_mut(place) {
            Some(old) => *old = recording,
            None => self.recorded.push(recording),
        }
    }

    /// Takes a datagram in at the machine of a node, or sends back that nobody listens.
    pub(super) fn arrive_datagram(&mut self, to: usize, from: usize, wire: usize, bytes: Vec<u8>) {
        let node = &self.nodes[to];
        let udp = wire < self.net.udp || wire == self.net.witness_wire();
        let reached = if udp { node.powered && !node.asleep } else { node.is_connected(wire - self.net.udp) };
        if !reached {
            self.buffers.push(bytes);
            return;
        }
        if node.engine.is_some() && !node.exited && !self.is_closed(to, wire) {
            let link = self.link(to, from, wire);
            self.offer(to, Waiting::Datagram(link, bytes));
            return;
        }
        self.buffers.push(bytes);
        if udp && from < self.nodes.len() {
            for delay in self.net.arrivals(to, from, wire, &mut self.random).into_iter().flatten() {
                self.schedule(Due::Refused { to: from, from: to, wire }, delay);
            }
        }
    }
}
