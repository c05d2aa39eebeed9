//! Time: what is due happens, and engines are woken when they asked for it.

use super::{Due, Sim};
use crate::sim::clock::Real;
use crate::sim::node::Waiting;
use crate::sim::oracle::Oracle;
use std::time::Duration;

/// Number of wake-ups of a node without time passing that are still in order.
const SPINS: usize = 50;

impl Sim {
    /// Lets `span` pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while !self.has_failed() {
            let due = self.queue.next();
            let wake = self.nodes.iter().map(|node| node.wake).min().unwrap_or(Real::NEVER);
            let next = due.min(wake).max(self.now);
            if next > end {
                break;
            }
            if next > self.now {
                self.nodes.iter_mut().for_each(|node| node.spins = 0);
            }
            self.now = next;
            if due <= next {
                let Some(due) = self.queue.pop() else { break };
                self.handle_due(due);
            } else {
                self.wake_nodes();
            }
            Oracle::check(self);
        }
        if !self.has_failed() {
            self.now = end;
            Oracle::check(self);
        }
    }

    /// Lets every node whose deadline has come handle a tick.
    fn wake_nodes(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].wake > self.now {
                continue;
            }
            self.nodes[node].spins += 1;
            if self.nodes[node].spins > SPINS {
                self.oracle.violated(|| format!("node {node} asks again and again for a deadline that has passed"));
            }
            self.offer(node, Waiting::Tick);
        }
    }

    /// Lets one entry of the queue happen.
    fn handle_due(&mut self, due: Due) {
        match due {
            Due::Datagram { to, from, wire, bytes } => self.arrive_datagram(to, from, wire, bytes),
            Due::Refused { to, from, wire } => {
                let link = self.link(to, from, wire);
                if self.nodes[to].powered && !self.nodes[to].asleep {
                    self.offer(to, Waiting::Refused(link));
                }
            }
            Due::Probe { to, from, interface, group, named } => {
                self.arrive_probe(to, (from, named), interface, group);
            }
            Due::Traffic { to, host } => self.arrive_traffic(to, host),
            Due::Sighting { to, interface, sighting } => self.offer_sighting(to, interface, sighting),
            Due::Learn { host, group, mac } => self.hosts[host].cache[group] = Some(mac),
            Due::Written { to, life, version } => self.finish_write(to, life, version),
            Due::Retry { to, life } => {
                if self.nodes[to].life == life {
                    self.begin_write(to);
                }
            }
            Due::Resume { to } => self.resume(to),
            Due::Start { to, life } => {
                if self.nodes[to].life == life && self.nodes[to].engine.is_none() {
                    self.start(to);
                }
            }
            Due::Slow { to, life, waiting } => {
                if self.nodes[to].life == life && self.nodes[to].engine.is_some() {
                    self.offer(to, waiting);
                }
            }
            Due::Asked { witness, from, bytes } => self.reach_witness(witness, from, bytes),
            Due::Remembered { witness, life, version } => self.finish_memory_write(witness, life, version),
            Due::WitnessStart { witness, life } => {
                let machine = &self.witnesses[witness];
                if machine.life == life && machine.voter.is_none() {
                    self.start_witness(witness);
                }
            }
            Due::WitnessResume { witness } => self.resume_witness(witness),
            Due::Correct { group, node, opening } => Oracle::check_clients(self, group, node, opening),
        }
    }
}
