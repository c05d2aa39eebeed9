//! Carries out the engine's actions on the hot thread.
//!
//! Owns: the gates, the sockets and the table of groups. Stores to the gate, datagrams and probes
//! are done at once; everything slower is published to the slow side or handed to the announcer.
//! Never does: decide or wait. What cannot be sent is a lost datagram. A gate is closed before it is
//! let go of: its memory is the one that its program reads, whatever its interface is called by now
//! and wherever it is. So a group without a gate at hand is closed.

use super::links::Links;
use crate::announcer::AnnouncerHandle;
use crate::engine::{Action, GateAction};
use crate::gate::{GateHandle, LeaseView};
use crate::io::clock;
use crate::io::links::SendOutcome;
use crate::io::segment::PacketSocket;
use crate::orders::{Attach, Group, HotEnd, Regrouped, Tale};
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId, LinkId, LinkPath, MacAddr, MonoTime, NodeId, Vip};
use crate::wire::frame;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Peer of a frame whose sender is not known yet. Nodes are numbered from 1.
const NOBODY: NodeId = NodeId(0);

/// An interface with its gate.
pub(crate) struct Eth {
    mac: MacAddr,
    gate: GateHandle,
    socket: PacketSocket,
    /// Generation that this process began or found; 0 before.
    generation: u64,
}

/// Everything the hot thread can touch.
pub(crate) struct Hands {
    /// Each interface; `None` while it has no gate.
    pub interfaces: Vec<Option<Eth>>,
    /// UDP links with their sockets.
    pub links: Links,
    /// The other nodes, without witnesses.
    peers: Vec<NodeId>,
    groups: Vec<Group>,
    announcer: AnnouncerHandle,
    /// Room for a frame that is being sent.
    frame: Vec<u8>,
    /// When this turn was due.
    pub due: MonoTime,
    /// Links that did not take a datagram, and its length. At most one entry for each link.
    pub too_large: Vec<(LinkId, u16)>,
}

impl Hands {
    /// Hands without gates and sockets for so many interfaces and these links; `peers` are the
    /// other nodes.
    pub fn new(
        interfaces: usize,
        links: Vec<LinkId>,
        peers: Vec<NodeId>,
        groups: Vec<Group>,
        announcer: AnnouncerHandle,
    ) -> Hands {
        Hands {
            interfaces: (0..interfaces).map(|_| None).collect(),
            links: Links::new(links),
            peers,
            groups,
            announcer,
            frame: Vec::with_capacity(2048),
            due: MonoTime::ZERO,
            too_large: Vec::new(),
        }
    }

    /// Uses a gate and a packet socket on an interface from now on.
    pub fn attach(&mut self, attach: Attach) {
        let slots: HashMap<GroupKey, u16> = attach.slots.into_iter().collect();
        for group in &mut self.groups {
            if group.interface == attach.interface {
                group.slot = slots.get(&group.key).copied();
                group.announcement.ifindex = attach.ifindex;
                group.announcement.source = attach.mac;
            }
        }
        let eth = Eth { mac: attach.mac, gate: attach.gate, socket: attach.socket, generation: 0 };
        self.interfaces[usize::from(attach.interface.0)] = Some(eth);
    }

    /// Exchanges the table of groups. Groups that stay keep their slots; new groups have none yet.
    pub fn rearrange(&mut self, groups: Vec<Group>) {
        let before = std::mem::replace(&mut self.groups, groups);
        let slots: HashMap<(GroupKey, InterfaceId), Option<u16>> =
            before.iter().map(|group| ((group.key, group.interface), group.slot)).collect();
        for group in &mut self.groups {
            group.slot = slots.get(&(group.key, group.interface)).copied().flatten();
            // Every interface had a group before: the set of interfaces does not change.
            let Some(beside) = before.iter().find(|other| other.interface == group.interface) else { continue };
            group.announcement.ifindex = beside.announcement.ifindex;
            group.announcement.source = beside.announcement.source;
            group.announcement.gateway = beside.announcement.gateway;
        }
    }

    /// Uses a gate whose slots have changed, or another gate.
    pub fn regroup(&mut self, regrouped: Regrouped) {
        let Some(eth) = &mut self.interfaces[usize::from(regrouped.interface.0)] else { return };
        eth.gate = regrouped.gate;
        let slots: HashMap<GroupKey, u16> = regrouped.slots.into_iter().collect();
        for group in self.groups.iter_mut().filter(|group| group.interface == regrouped.interface) {
            group.slot = slots.get(&group.key).copied();
        }
    }

    /// Notes a gateway that is to learn our addresses by an ordinary request, besides the
    /// announcements.
    pub fn note_gateway(&mut self, interface: InterfaceId, address: std::net::Ipv4Addr, mac: MacAddr) {
        for group in self.groups.iter_mut().filter(|group| group.interface == interface) {
            group.announcement.gateway = Some((address, mac));
        }
    }

    /// Lets go of the gate and the packet socket of an interface, after closing all that is open in
    /// the gate: its program may run on, and the engine is about to tell others that nothing is
    /// open here.
    pub fn detach(&mut self, at: usize) {
        let Some(eth) = self.interfaces[at].take() else { return };
        for group in self.groups.iter_mut().filter(|group| usize::from(group.interface.0) == at) {
            if let Some(slot) = group.slot.take() {
                eth.gate.close(slot, MonoTime::ZERO);
            }
        }
        eth.gate.renew(MonoTime::ZERO);
    }

    /// Notes the hardware address that an interface has now: whatever is sent from here on names
    /// it.
    pub fn note_mac(&mut self, interface: InterfaceId, mac: MacAddr) {
        if let Some(eth) = &mut self.interfaces[usize::from(interface.0)] {
            eth.mac = mac;
        }
        for group in self.groups.iter_mut().filter(|group| group.interface == interface) {
            group.announcement.source = mac;
        }
    }

    /// Packet socket of an interface.
    pub fn socket(&self, at: usize) -> Option<&PacketSocket> {
        self.interfaces.get(at)?.as_ref().map(|eth| &eth.socket)
    }

    /// Segment links that go over an interface, one to each peer.
    pub fn segment_links(&self, interface: InterfaceId) -> Vec<LinkId> {
        self.peers.iter().map(|&peer| LinkId { peer, path: LinkPath::Segment(interface) }).collect()
    }

    /// Peer on whose segment link a frame counts until its header names the sender: a pair's only
    /// other node. With several peers it is nobody yet, and a frame that is rejected counts for the
    /// engine as a whole.
    pub fn presumed_sender(&self) -> NodeId {
        match self.peers[..] {
            [peer] => peer,
            _ => NOBODY,
        }
    }

    /// Lease and open groups that an earlier process left in the gate of an interface; `None`
    /// without a gate. The generation of that lease counts as this process's own from now on.
    pub fn adopt_lease(&mut self, at: usize) -> Option<(LeaseView, Vec<(GroupId, Epoch)>)> {
        let eth = self.interfaces[at].as_mut()?;
        let lease = eth.gate.lease();
        eth.generation = lease.generation;
        let mut open = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let Some(slot) = group.slot.filter(|_| usize::from(group.interface.0) == at) else { continue };
            let view = eth.gate.slot_view(slot);
            if view.answer_until > MonoTime::ZERO {
                open.push((GroupId(u16::try_from(index).unwrap_or(u16::MAX)), view.epoch));
            }
        }
        Some((lease, open))
    }

    /// Whether the gate has turned a frame away under the generation that we think is alive.
    pub fn is_refused(&self, at: usize) -> bool {
        let Some(eth) = &self.interfaces[at] else { return false };
        if eth.generation == 0 {
            return false;
        }
        let lease = eth.gate.lease();
        lease.generation == eth.generation && lease.refused == eth.generation
    }

    /// Carries out one action; returns whether the engine has stopped.
    pub fn carry_out(&mut self, now: MonoTime, action: Action, bytes: &[u8], end: &mut HotEnd) -> bool {
        match action {
            Action::Send { link, to, bytes: range } => self.send((link, to), &bytes[range], end),
            Action::Gate(gate) => {
                let is_renewal = matches!(gate, GateAction::Renew { .. });
                self.change_gate(gate);
                if is_renewal {
                    // The turn's own time is from before its work; the clock is read without a
                    // system call.
                    let after = clock::now().since(self.due).as_nanos();
                    end.vital.renewals.note(u64::try_from(after).unwrap_or(u64::MAX));
                }
            }
            Action::Probe { interface, address, to, sender } => self.probe(interface, (address, to), sender),
            Action::Announce { group, address } => {
                let mut order = self.groups[usize::from(group.0)].announcement.clone();
                if let Some(address) = address {
                    order.addresses = std::sync::Arc::from([address]);
                }
                if self.announcer.try_send(order).is_err() {
                    end.vital.announcements_dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Action::Persist { version, state } => end.publish(Tale::Persist { version, state }),
            Action::Notice(notice) => end.publish(Tale::Notice { at: now, notice }),
            Action::Reply { id, outcome } => end.publish(Tale::Reply { id, outcome }),
            Action::Hook { group, hook, epoch, cause } => end.publish(Tale::Hook { group, hook, epoch, cause }),
            Action::Stopped => {
                end.publish(Tale::Stopped);
                return true;
            }
        }
        false
    }

    /// Sends a datagram over a link, on the segment to a hardware address. Whether the network took
    /// it is noted.
    fn send(&mut self, (link, to): (LinkId, MacAddr), datagram: &[u8], end: &HotEnd) {
        match link.path {
            LinkPath::Udp(_) => {
                if let Some(outcome) = self.links.send(link, datagram) {
                    end.vital.unsent.note(link, outcome);
                    if outcome == SendOutcome::TooLarge {
                        self.note_too_large(link, datagram.len());
                    }
                }
            }
            LinkPath::Segment(interface) => {
                let Some(eth) = &self.interfaces[usize::from(interface.0)] else { return };
                self.frame.clear();
                frame::segment_frame(eth.mac, to, datagram, &mut self.frame);
                let sent = eth.socket.send(&self.frame);
                if sent.is_err_and(|error| error.raw_os_error() == Some(libc::EMSGSIZE)) {
                    self.note_too_large(link, datagram.len());
                }
            }
        }
    }

    /// Notes that a datagram was too long for its link; of several on one link, the shortest.
    fn note_too_large(&mut self, link: LinkId, length: usize) {
        let bytes = u16::try_from(length).unwrap_or(u16::MAX);
        match self.too_large.iter_mut().find(|(known, _)| *known == link) {
            Some((_, shortest)) => *shortest = bytes.min(*shortest),
            None => self.too_large.push((link, bytes)),
        }
    }

    /// Asks on the segment who answers for an address.
    fn probe(&mut self, interface: InterfaceId, (address, to): (Vip, Option<MacAddr>), sender: Option<Vip>) {
        let Some(eth) = &self.interfaces[usize::from(interface.0)] else { return };
        self.frame.clear();
        frame::question(eth.mac, sender, address, to, &mut self.frame);
        let _lost = eth.socket.send(&self.frame);
    }

    /// Carries out one change of a gate: stores to its shared memory, without a system call.
    fn change_gate(&mut self, gate: GateAction) {
        match gate {
            GateAction::Begin { interface, generation } => {
                if let Some(eth) = &mut self.interfaces[usize::from(interface.0)] {
                    eth.generation = generation;
                    eth.gate.begin(generation);
                }
            }
            GateAction::Renew { interface, until } => {
                if let Some(eth) = &self.interfaces[usize::from(interface.0)] {
                    eth.gate.renew(until);
                }
            }
            GateAction::Open { group, epoch } => {
                self.with_slot(group, |gate, slot| gate.open(slot, epoch, MonoTime::FOREVER));
            }
            GateAction::Close { group, carry_until } => {
                self.with_slot(group, |gate, slot| gate.close(slot, carry_until));
            }
            GateAction::Forward { group, until, mac } => {
                self.with_slot(group, |gate, slot| gate.forward(slot, until, mac));
            }
        }
    }

    /// Calls `change` with the gate and the slot of a group. Without a gate or a slot nothing is
    /// called: such a group was closed when they were let go of ([`Hands::detach`]), or has never
    /// been open.
    fn with_slot(&self, group: GroupId, change: impl FnOnce(&GateHandle, u16)) {
        let group = &self.groups[usize::from(group.0)];
        if let (Some(eth), Some(slot)) = (&self.interfaces[usize::from(group.interface.0)], group.slot) {
            change(&eth.gate, slot);
        }
    }
}
