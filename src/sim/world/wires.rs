//! What travels between the nodes: datagrams, requests for addresses, and what agents see of them.

use super::{Due, RECORDED, SEGMENT, Sim, bystander};
use crate::sim::names::{group_id, mac, vip};
use crate::types::{MonoTime, Vip};
use crate::wire::frame::Sighting;

impl Sim {
    pub(super) fn send(&mut self, at: usize, path: usize, bytes: &[u8]) {
        if path == SEGMENT && !(self.nodes[0].carrier && self.nodes[1].carrier) {
            return;
        }
        if self.random.chance(2) {
            let place = self.random.below(RECORDED);
            let kept = (1 - at, path, bytes.to_vec());
            match self.recorded.get_mut(place) {
                Some(old) => *old = kept,
                None => self.recorded.push(kept),
            }
        }
        for delay in self.net.arrivals(at, path, &mut self.random) {
            self.later(Due::Datagram { to: 1 - at, path, bytes: bytes.to_vec() }, delay);
        }
    }

    /// A node asks who has an address.
    pub(super) fn ask(&mut self, from: usize, address: Vip) {
        let to = 1 - from;
        let group = (0..self.plan.groups.len()).any(|group| vip(group) == address);
        if !group {
            self.show_bystander(from);
        }
        if self.nodes[0].carrier && self.nodes[1].carrier {
            for delay in self.net.arrivals(from, SEGMENT, &mut self.random) {
                self.later(Due::Ask { to, from: Some(from), address }, delay);
                self.later(Due::Sighting { to, sighting: Sighting::Presence { mac: mac(from) } }, delay);
            }
        }
    }

    /// The bystander asks for every address: its own is seen by both nodes, and their kernels answer or latch.
    pub fn traffic(&mut self) {
        for to in 0..2 {
            self.show_bystander(to);
            for group in 0..self.plan.groups.len() {
                let arrival = self.net.bystander(to, &mut self.random).filter(|_| self.nodes[to].carrier);
                if let Some(delay) = arrival.filter(|_| self.plan.bystander) {
                    self.later(Due::Ask { to, from: None, address: vip(group) }, delay);
                }
            }
        }
    }

    fn show_bystander(&mut self, to: usize) {
        if self.plan.bystander
            && self.nodes[to].carrier
            && let Some(delay) = self.net.bystander(to, &mut self.random)
        {
            self.later(Due::Sighting { to, sighting: bystander() }, delay);
        }
    }

    /// A frame of `from` that shows something to the agent of `to`.
    pub(super) fn show(&mut self, from: usize, to: usize, sighting: Sighting) {
        if self.nodes[from].carrier && self.nodes[to].carrier {
            for delay in self.net.arrivals(from, SEGMENT, &mut self.random) {
                self.later(Due::Sighting { to, sighting }, delay);
            }
        }
    }

    pub(super) fn asked(&mut self, to: usize, from: Option<usize>, address: Vip) {
        let Some(group) = (0..self.plan.groups.len()).find(|&group| vip(group) == address) else { return };
        let now = self.now;
        let kernel = &mut self.nodes[to].kernel;
        if kernel.answers(group_id(group), now) {
            if let Some(from) = from {
                self.show(to, from, Sighting::Claim { address, mac: mac(to) });
            }
        } else if kernel.open.contains_key(&group_id(group)) && kernel.until != MonoTime::ZERO && now >= kernel.until
        {
            kernel.refused = kernel.generation;
            self.oracle.turned_away[to] = kernel.generation;
        }
    }
}
