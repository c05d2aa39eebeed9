//! Interfaces and the gates on them, as the slow side of an agent finds, installs and loses them.

use super::{Due, Sim};
use crate::engine::{Event, InterfaceFacts};
use crate::sim::kernel::Gate;
use crate::sim::names::{group_id, interface_id, ms};
use crate::sim::node::Waiting;
use crate::sim::oracle::Oracle;
use crate::types::{Epoch, GroupId};
use std::time::Duration;

impl Sim {
    /// Lets a process handle the facts of an interface.
    pub(super) fn handle_facts(&mut self, node: usize, interface: usize) {
        if !self.nodes[node].interfaces[interface].is_usable() {
            self.let_go(node, interface);
        }
        let was_gone = std::mem::take(&mut self.nodes[node].interfaces[interface].was_gone);
        let eth = self.nodes[node].interfaces[interface];
        // A gate that the slow side has replaced was there all the time, although the process has
        // not heard of the new one yet.
        let gate = self.nodes[node].kernel.gates[interface].there && eth.attached.is_some();
        let facts = if eth.exists && eth.named && !was_gone {
            let (enslaved, carrier, mac) = (eth.enslaved, eth.carrier, self.nodes[node].macs[interface]);
            InterfaceFacts { exists: true, enslaved, carrier, mac, gate }
        } else {
            InterfaceFacts::default()
        };
        self.handle(node, Event::Interface { interface: interface_id(interface), facts });
        for group in 0..self.plan.groups.len() {
            if self.plan.groups[group].interface == interface {
                self.offer(node, Waiting::Addresses(group));
            }
        }
    }

    /// Lets a process handle whether any address of a group is in place.
    pub(super) fn handle_addresses(&mut self, node: usize, group: usize) {
        let interface = self.plan.groups[group].interface;
        // As in the facts: the addresses stay where they are while a gate is replaced.
        let machine = &self.nodes[node];
        let gated = machine.kernel.gates[interface].there && machine.interfaces[interface].attached.is_some();
        let there = gated && !machine.bare[group];
        if let Some(place) = self.nodes[node].places[group] {
            self.handle(node, Event::Addresses { group: group_id(place), there });
        }
    }

    /// Takes all addresses of a group away on a node, or gives them back.
    pub fn set_bare(&mut self, node: usize, group: usize, bare: bool) {
        self.note(|_| format!("node {node}: group {group} has no address: {bare}"));
        self.nodes[node].bare[group] = bare;
        self.oracle.note_disturbed(node, self.now);
        self.touched = true;
        self.offer(node, Waiting::Addresses(group));
    }

    /// Attaches the process to the gate of an interface, which the slow side has installed now or
    /// found from an earlier life. A gate with a lease is adopted.
    pub(super) fn attach(&mut self, node: usize, interface: usize) {
        if !self.nodes[node].interfaces[interface].is_usable() || self.nodes[node].is_attached(interface) {
            return;
        }
        if self.nodes[node].interfaces[interface].was_gone {
            self.handle_facts(node, interface);
            // What comes next may find the process stopped.
            return self.offer(node, Waiting::Attach(interface));
        }
        if self.nodes[node].kernel.gates[interface].passed_by {
            self.close_all(node, interface);
            self.nodes[node].kernel.gates[interface] = Gate::default();
        }
        if !self.nodes[node].kernel.gates[interface].there {
            let serial = self.next_serial();
            self.nodes[node].kernel.gates[interface] = Gate { there: true, serial, ..Gate::default() };
        }
        let gate = self.nodes[node].kernel.gates[interface];
        self.nodes[node].interfaces[interface].attached = Some(gate.serial);
        if gate.generation != 0 {
            self.adopt(node, interface, gate);
        }
        // Offered, not handled: the process may have stopped in the middle of adopting.
        self.offer(node, Waiting::Facts(interface));
        self.offer(node, Waiting::Own(interface));
    }

    /// Lets a process handle the gate of its former life.
    fn adopt(&mut self, node: usize, interface: usize, gate: Gate) {
        self.oracle.restart_segment_counts(self.now);
        let mut open: Vec<(GroupId, Epoch)> = Vec::new();
        for group in 0..self.plan.groups.len() {
            if self.plan.groups[group].interface != interface || !self.nodes[node].kernel.is_open(group) {
                continue;
            }
            match self.nodes[node].places[group] {
                Some(place) => open.push((group_id(place), self.nodes[node].kernel.open[group])),
                // A group that the file no longer names is closed by the slow side.
                None => self.nodes[node].kernel.open[group] = Epoch::NONE,
            }
        }
        open.sort_unstable();
        let refused = gate.is_refused();
        if refused {
            self.oracle.note_refusal_told(node, interface, gate.generation);
        }
        let (until, generation) = (gate.until, gate.generation);
        let interface = interface_id(interface);
        self.handle(node, Event::Adopted { interface, until, generation, refused, open: &open });
    }

    /// Closes every group of an interface in the kernel: without a gate the addresses are removed
    /// at once.
    fn close_all(&mut self, node: usize, interface: usize) {
        for group in 0..self.plan.groups.len() {
            if self.plan.groups[group].interface == interface {
                self.nodes[node].kernel.open[group] = Epoch::NONE;
            }
        }
    }

    /// Removes the gate of an interface; the agent, if there is one, installs it again soon.
    pub fn lose_gate(&mut self, node: usize, interface: usize) {
        self.note(|_| format!("node {node}: the gate of interface {interface} is removed"));
        self.close_all(node, interface);
        self.nodes[node].kernel.gates[interface] = Gate::default();
        self.offer(node, Waiting::Facts(interface));
        let delay = self.random.span(ms(50));
        self.offer_later(node, Waiting::Attach(interface), delay);
    }

    /// Lets frames pass the gate of an interface by, until the slow side looks; it takes the
    /// addresses away then, and installs the gate anew.
    pub fn displace_gate(&mut self, node: usize, interface: usize, look: Duration) {
        self.note(|_| format!("node {node}: frames pass the gate of interface {interface} by"));
        self.nodes[node].kernel.gates[interface].passed_by = true;
        self.oracle.note_disturbed(node, self.now);
        self.offer_later(node, Waiting::Look(interface), look);
    }

    /// Takes a gate away that frames pass by, with the addresses behind it.
    pub fn look_at_gate(&mut self, node: usize, interface: usize) {
        if self.nodes[node].kernel.gates[interface].passed_by {
            self.lose_gate(node, interface);
        }
    }

    /// Replaces the gate of an interface by another, closed one.
    pub fn replace_gate(&mut self, node: usize, interface: usize) {
        if self.nodes[node].engine.is_none() || self.nodes[node].exited || !self.nodes[node].is_attached(interface) {
            return;
        }
        self.note(|_| format!("node {node}: the gate of interface {interface} is replaced"));
        Oracle::note_replaced(self, node, interface);
        self.close_all(node, interface);
        let serial = self.next_serial();
        self.nodes[node].kernel.gates[interface] = Gate { there: true, serial, ..Gate::default() };
        self.offer(node, Waiting::Replaced(interface));
    }

    /// Attaches the process to the gate that replaced its own, and tells it so.
    pub(super) fn handle_replaced(&mut self, node: usize, interface: usize) {
        let gate = self.nodes[node].kernel.gates[interface];
        if gate.there {
            self.nodes[node].interfaces[interface].attached = Some(gate.serial);
            self.handle(node, Event::GateReplaced { interface: interface_id(interface) });
        }
    }

    /// Takes the carrier of an interface away, or gives it back.
    pub fn set_carrier(&mut self, node: usize, interface: usize, carrier: bool) {
        self.note(|_| format!("node {node}: carrier of interface {interface}: {carrier}"));
        self.nodes[node].interfaces[interface].carrier = carrier;
        self.oracle.note_disturbed(node, self.now);
        self.touched = true;
        self.offer(node, Waiting::Facts(interface));
    }

    /// Lets an interface vanish with its gate, or come back; the gate follows later.
    pub fn set_existing(&mut self, node: usize, interface: usize, exists: bool) {
        self.note(|_| format!("node {node}: interface {interface} exists: {exists}"));
        self.nodes[node].interfaces[interface].exists = exists;
        self.oracle.note_disturbed(node, self.now);
        self.touched = true;
        if exists {
            let delay = self.random.span(ms(50));
            self.offer_later(node, Waiting::Attach(interface), delay);
        } else {
            self.close_all(node, interface);
            self.nodes[node].kernel.gates[interface] = Gate::default();
            self.offer(node, Waiting::Facts(interface));
        }
    }

    /// Gives an interface another name, or its own again. The gate runs on under any name, until a
    /// process notices.
    pub fn set_named(&mut self, node: usize, interface: usize, named: bool) {
        self.note(|_| format!("node {node}: interface {interface} has its name: {named}"));
        self.nodes[node].interfaces[interface].named = named;
        self.note_usable(node, interface, named);
    }

    /// Makes an interface a port of another one, or frees it. Frames still reach the gate, until a
    /// process notices.
    pub fn set_enslaved(&mut self, node: usize, interface: usize, enslaved: bool) {
        self.note(|_| format!("node {node}: interface {interface} is a port: {enslaved}"));
        self.nodes[node].interfaces[interface].enslaved = enslaved;
        self.note_usable(node, interface, !enslaved);
    }

    /// Tells the process what has become of an interface; where it can be used again, a gate follows
    /// later.
    fn note_usable(&mut self, node: usize, interface: usize, usable: bool) {
        self.oracle.note_disturbed(node, self.now);
        self.touched = true;
        self.offer(node, Waiting::Facts(interface));
        if usable {
            let delay = self.random.span(ms(50));
            self.offer_later(node, Waiting::Attach(interface), delay);
        }
    }

    /// Lets go of an interface that cannot be used as it is: whatever is open there is closed before
    /// the engine hears of it, and the slow side takes addresses and gate away.
    fn let_go(&mut self, node: usize, interface: usize) {
        if self.nodes[node].is_attached(interface) {
            self.close_all(node, interface);
            self.nodes[node].kernel.gates[interface] = Gate::default();
        }
        self.nodes[node].interfaces[interface].attached = None;
    }

    /// Offers an event of the slow side after `delay`, if the process lives until then.
    pub fn offer_later(&mut self, node: usize, waiting: Waiting, delay: Duration) {
        let life = self.nodes[node].life;
        self.schedule(Due::Slow { to: node, life, waiting }, delay);
    }
}
