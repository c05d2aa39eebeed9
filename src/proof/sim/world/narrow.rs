//! Wires that carry short frames only, and sockets that are closed.

use super::Sim;
use crate::engine::Event;
use crate::sim::names::udp;
use crate::sim::node::Waiting;
use crate::types::{LinkId, LinkPath, MacAddr};
use std::time::Duration;

impl Sim {
    /// Whether a datagram of so many bytes gets onto a wire, and to a machine with the hardware
    /// address that it is for. The kernel of the sender may say that it is too long.
    pub(super) fn is_carried(
        &mut self,
        node: usize,
        link: LinkId,
        (to, wire): (usize, usize),
        mac: MacAddr,
        bytes: usize,
    ) -> bool {
        if bytes > self.net.widest[wire] {
            self.coverage.too_long += 1;
            if self.net.refuses[wire] {
                let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
                self.offer_later(node, Waiting::TooLarge(link, bytes), Duration::ZERO);
            }
            return false;
        }
        match link.path {
            LinkPath::Udp(_) => !self.is_closed(node, wire),
            LinkPath::Segment(interface) => self.is_at(mac, node, to, usize::from(interface.0)),
        }
    }

    /// Whether the socket of a node on a wire is closed.
    pub fn is_closed(&self, node: usize, wire: usize) -> bool {
        self.nodes[node].closed.get(wire).is_some_and(|closed| *closed)
    }

    /// Closes the socket of a node on a UDP link, or opens it, and tells the process.
    pub fn set_closed(&mut self, node: usize, wire: usize, closed: bool) {
        self.note(|_| format!("node {node}: its socket on link {wire} is closed: {closed}"));
        self.nodes[node].closed[wire] = closed;
        self.net.changed = self.now;
        self.touched = true;
        self.offer(node, Waiting::Socket(wire));
    }

    /// Lets a process handle whether its socket on a UDP link is open.
    pub(super) fn handle_socket(&mut self, node: usize, wire: usize) {
        let open = !self.is_closed(node, wire);
        for other in self.others(node) {
            let link = LinkId { peer: self.number(node, other), path: self.path(wire) };
            debug_assert_eq!(link.path, udp(wire), "invariant: segments have no socket of this kind");
            self.handle(node, Event::Link { link, open });
        }
    }
}
