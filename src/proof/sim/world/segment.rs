//! The clients' segments: probes, answers, announcements, and what hosts and agents make of them.

use super::{Asker, Due, Sim};
use crate::engine::{Event, OwnAddress};
use crate::mutant::Mutant;
use crate::sim::names::{
    STRANGER, group_of, host_address, host_mac, host_of, inside_address, inside_mac, interface_id, own_address, vip,
};
use crate::sim::node::Waiting;
use crate::types::{MacAddr, MonoTime, Vip};
use crate::wire::frame::Sighting;
use std::time::Duration;

/// Time that the machine inside a node takes to be heard.
const INSIDE: Duration = Duration::from_micros(20);

impl Sim {
    /// Tells the engine of a node the address of its own on an interface, if it has one.
    pub(super) fn handle_own(&mut self, node: usize, interface: usize) {
        let own = OwnAddress { address: own_address(node), prefix: 24 };
        let own = if self.plan.switch.without_own { &[][..] } else { &[own][..] };
        self.handle(node, Event::OwnAddresses { interface: interface_id(interface), own });
    }

    /// Sends a node's probe for an address to everybody, or to the one with a hardware address.
    /// `named`: the node names an address of its own.
    pub(super) fn send_probe(
        &mut self,
        from: usize,
        interface: usize,
        address: Vip,
        (target, named): (Option<MacAddr>, bool),
    ) {
        if !self.nodes[from].is_connected(interface) {
            return;
        }
        let nameless = (!named).then(|| self.nodes[from].macs[interface]);
        // The machine inside answers whomever its host asks, whatever has become of the cable and
        // whatever a switch drops.
        let (address_inside, mac) = (inside_address(from), inside_mac(from, interface));
        let sighting = Sighting::Claim { address: address_inside, mac, nameless };
        self.schedule(Due::Sighting { to: from, interface, sighting }, INSIDE);
        let inspected = self.plan.switch.drops_nameless && !named;
        if !self.is_let_through(from, interface) || inspected {
            return;
        }
        let (wire, group) = (self.net.segment_wire(interface), group_of(address));
        for to in self.others(from) {
            if target.is_some_and(|mac| !self.is_at(mac, from, to, interface)) {
                continue;
            }
            for delay in self.net.arrivals(from, to, wire, &mut self.random).into_iter().flatten() {
                self.schedule(Due::Probe { to, from, interface, group, named }, delay);
            }
        }
        if let Some(group) = group.filter(|group| self.squatted[*group] && target.is_none())
            && let Some(way) = self.net.host_delay(from, interface, &mut self.random)
        {
            let sighting = Sighting::Claim { address: vip(group), mac: STRANGER, nameless };
            self.schedule(Due::Sighting { to: from, interface, sighting }, way * 2);
        }
        if let Some(host) = host_of(address).filter(|host| *host < self.hosts.len())
            && self.hosts[host].plan.interface == interface
            && target.is_none_or(|mac| mac == host_mac(host))
            && let Some(way) = self.net.host_delay(from, interface, &mut self.random)
            && let Some(back) = self.net.host_delay(from, interface, &mut self.random)
        {
            let sighting = Sighting::Claim { address, mac: host_mac(host), nameless };
            self.schedule(Due::Sighting { to: from, interface, sighting }, way + back);
        }
    }

    /// Takes a probe in at a node: its kernel answers or latches, its agent sees the sender.
    pub(super) fn arrive_probe(
        &mut self,
        to: usize,
        (from, named): (usize, bool),
        interface: usize,
        group: Option<usize>,
    ) {
        if !self.nodes[to].is_connected(interface) {
            return;
        }
        if let Some(group) = group {
            self.ask_kernel(to, interface, Asker::Node(from, named), group);
        }
        let mac = self.nodes[from].macs[interface];
        self.offer_sighting(to, interface, Sighting::Presence { mac });
    }

    /// Lets every host ask for every address of its segment: nodes see that the host is there,
    /// kernels answer or latch.
    pub fn traffic(&mut self) {
        for host in 0..self.hosts.len() {
            let interface = self.hosts[host].plan.interface;
            for to in 0..self.nodes.len() {
                if let Some(delay) = self.net.host_delay(to, interface, &mut self.random) {
                    self.schedule(Due::Traffic { to, host }, delay);
                }
            }
        }
    }

    /// Tells a node which machine is inside it, on each segment.
    pub(super) fn tell_inside(&mut self, node: usize) {
        for interface in 0..self.plan.interfaces {
            let macs = [inside_mac(node, interface)];
            self.handle(node, Event::InsideMacs { interface: interface_id(interface), macs: &macs });
        }
    }

    /// Takes a host's requests in at a node: its kernel answers or latches, its agent sees the
    /// host.
    pub(super) fn arrive_traffic(&mut self, to: usize, host: usize) {
        let interface = self.hosts[host].plan.interface;
        if !self.nodes[to].is_connected(interface) {
            return;
        }
        for group in 0..self.plan.groups.len() {
            if self.plan.groups[group].interface == interface {
                self.ask_kernel(to, interface, Asker::Host(host), group);
            }
        }
        let (address, mac) = (host_address(host), host_mac(host));
        self.offer_sighting(to, interface, Sighting::Claim { address, mac, nameless: None });
    }

    /// Offers the agent of a node what a frame shows.
    pub(super) fn offer_sighting(&mut self, to: usize, interface: usize, sighting: Sighting) {
        if !self.nodes[to].is_connected(interface) {
            return;
        }
        if let Sighting::Claim { address, .. } = sighting
            && host_of(address).is_some()
            && self.nodes[to].is_running()
        {
            self.oracle.note_neighbour(to, interface, self.now);
        }
        self.offer(to, Waiting::Seen(interface, sighting));
    }

    /// Asks a kernel for an address: an open gate answers under its lease, and latches when the
    /// lease is over.
    fn ask_kernel(&mut self, to: usize, interface: usize, asker: Asker, group: usize) {
        if self.nodes[to].kernel.gates[interface].passed_by && !self.nodes[to].bare[group] {
            self.oracle.passed_by = self.now;
            return self.answer_asker(to, interface, asker, group);
        }
        if !self.nodes[to].kernel.is_open(group) {
            return;
        }
        let local = self.local(to);
        let gate = &mut self.nodes[to].kernel.gates[interface];
        if gate.is_live(local) {
            self.answer_asker(to, interface, asker, group);
        } else if gate.there && gate.until != MonoTime::ZERO && local >= gate.until {
            if !self.mutants.is_on(Mutant::LatchOff) {
                gate.refused = gate.generation;
            }
            self.oracle.note_refusal(to, interface, gate.generation);
        }
    }

    /// Sends the answer of an open gate to the one that asked.
    fn answer_asker(&mut self, from: usize, interface: usize, asker: Asker, group: usize) {
        match asker {
            Asker::Node(to, named) => {
                let nameless = (!named).then(|| self.nodes[to].macs[interface]);
                self.send_claim(from, to, (interface, group), nameless);
            }
            Asker::Host(host) => self.teach_host(from, interface, host, group),
        }
    }

    /// Sends a frame with which `from` claims an address to another node. `nameless`: who has asked
    /// without a sender, if it answers such a question.
    fn send_claim(&mut self, from: usize, to: usize, (interface, group): (usize, usize), nameless: Option<MacAddr>) {
        let wire = self.net.segment_wire(interface);
        for delay in self.net.arrivals(from, to, wire, &mut self.random).into_iter().flatten() {
            let mac = self.nodes[from].macs[interface];
            let sighting = Sighting::Claim { address: vip(group), mac, nameless };
            self.schedule(Due::Sighting { to, interface, sighting }, delay);
        }
    }

    /// Sends a host a frame from which it learns who has a group.
    fn teach_host(&mut self, from: usize, interface: usize, host: usize, group: usize) {
        if self.net.deafened[host][from] {
            return;
        }
        if let Some(delay) = self.net.host_delay(from, interface, &mut self.random) {
            let mac = self.nodes[from].macs[interface];
            self.schedule(Due::Learn { host, group, mac }, delay);
        }
    }

    /// Sends gratuitous ARP in both forms, if the gate lets it out.
    pub(super) fn send_announcement(&mut self, node: usize, group: usize) {
        let interface = self.plan.groups[group].interface;
        if !self.answers(node, group) || !self.nodes[node].is_connected(interface) {
            return;
        }
        let passed = [0; 2].map(|_| self.is_let_through(node, interface));
        for to in self.others(node).filter(|_| passed[0] || passed[1]) {
            self.send_claim(node, to, (interface, group), None);
        }
        for host in 0..self.hosts.len() {
            let plan = self.hosts[host].plan;
            // Announcements only correct a cache: a host that never spoke to the address has no
            // entry.
            if plan.interface == interface && self.hosts[host].cache[group].is_some() {
                for _ in 0..usize::from(plan.requests && passed[0]) + usize::from(plan.replies && passed[1]) {
                    self.teach_host(node, interface, host, group);
                }
            }
        }
    }

    /// Whether the switch lets a frame of ARP pass that the agent of a node sends of its own accord.
    /// Where frames are policed, what one announcement of each group needs passes at once, and
    /// fifteen frames in a second besides.
    fn is_let_through(&mut self, node: usize, interface: usize) -> bool {
        if !self.plan.switch.polices {
            return true;
        }
        let here = self.plan.groups.iter().filter(|group| group.interface == interface).count();
        let most = u64::try_from(here).unwrap_or(u64::MAX) * 2 + 15;
        let (left, since) = self.net.policed[interface][node];
        let gained = u64::try_from(self.now.since(since).as_millis()).unwrap_or(u64::MAX) * 15;
        // In thousandths of a frame.
        let left = left.saturating_add(gained).min(most * 1_000);
        let passes = left >= 1_000;
        self.net.policed[interface][node] = (if passes { left - 1_000 } else { left }, self.now);
        passes
    }
}
