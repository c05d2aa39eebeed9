//! Bridges: whether the cable behind one has a signal.
//!
//! A bridge has its carrier from any of its ports, those of virtual machines included. For a group
//! on a bridge what counts is the ports that lead out of this machine: physical interfaces, bonds,
//! VLANs and the like. Ports of virtual machines and containers are told by the kind of their
//! device. Where no port leads out, the bridge's own word stands.
//!
//! Owns: what is known of the ports of each bridge, and the state that was reported last. Never
//! does: change a port. When the ports cannot be read, what was known of them stands.

use super::KeeperEvent;
use crate::io::netlink::{Netlink, NetlinkEvent};
use crate::types::{InterfaceId, MacAddr};

/// Kinds of devices that end in a virtual machine, a container or nowhere.
const LOCAL_KINDS: [&str; 7] = ["tun", "veth", "macvtap", "netkit", "dummy", "ifb", "vcan"];

/// What was reported of one interface.
#[derive(Clone, Debug)]
struct State {
    up: bool,
    carrier: bool,
    mac: MacAddr,
    port_of: Option<String>,
}

/// One interface that may be a bridge.
#[derive(Debug)]
struct Bridge {
    interface: InterfaceId,
    index: u32,
    state: State,
    /// Whether a port that leads out of this machine has a signal; `None` if there is none.
    uplink: Option<bool>,
}

impl Bridge {
    /// The interface's state, with the carrier of its cable.
    fn report(&self) -> KeeperEvent {
        let State { up, carrier, mac, port_of } = self.state.clone();
        let carrier = carrier && self.uplink.unwrap_or(true);
        KeeperEvent::State { interface: self.interface, up, carrier, mac, port_of }
    }
}

/// The bridges among the client interfaces.
#[derive(Debug, Default)]
pub(super) struct Uplinks {
    bridges: Vec<Bridge>,
    /// Whether the ports must be read again.
    is_stale: bool,
}

impl Uplinks {
    /// Takes the kernel's event as a hint: ports may have come, gone or changed.
    pub fn handle_event(&mut self, event: &NetlinkEvent) {
        self.is_stale |= match event {
            NetlinkEvent::Link(_) | NetlinkEvent::LinkGone { .. } | NetlinkEvent::Overrun => true,
            NetlinkEvent::AddressAdded { .. }
            | NetlinkEvent::AddressRemoved { .. }
            | NetlinkEvent::FilterChanged { .. } => false,
        };
    }

    /// The report of an interface's state, with the carrier of its cable. `index`: its number.
    pub fn adjust(&mut self, netlink: &mut Netlink, event: KeeperEvent, index: u32) -> KeeperEvent {
        let KeeperEvent::State { interface, up, carrier, mac, port_of } = event else { return event };
        let uplink = read(netlink, index).unwrap_or(None);
        self.forget(index);
        let state = State { up, carrier, mac, port_of };
        let bridge = Bridge { interface, index, state, uplink };
        let event = bridge.report();
        self.bridges.push(bridge);
        event
    }

    /// Reads the ports again where that is due; the reports of interfaces whose cable has gained or
    /// lost its signal.
    pub fn look(&mut self, netlink: &mut Netlink) -> Vec<KeeperEvent> {
        let mut news = Vec::new();
        if !std::mem::take(&mut self.is_stale) {
            return news;
        }
        for bridge in &mut self.bridges {
            let Ok(uplink) = read(netlink, bridge.index) else { continue };
            if std::mem::replace(&mut bridge.uplink, uplink).unwrap_or(true) != uplink.unwrap_or(true) {
                news.push(bridge.report());
            }
        }
        news
    }

    /// Reports of the interface `index` bear another number from now on.
    pub fn renumber(&mut self, index: u32, interface: InterfaceId) {
        let known = self.bridges.iter_mut().filter(|known| known.index == index);
        known.for_each(|bridge| bridge.interface = interface);
    }

    /// Forgets the interface `index`, which is gone or guarded no more.
    pub fn forget(&mut self, index: u32) {
        self.bridges.retain(|known| known.index != index);
    }
}

/// Whether a port of the bridge `index` that leads out of this machine has a signal; `None` if it
/// has no such port, or is no bridge.
fn read(netlink: &mut Netlink, index: u32) -> std::io::Result<Option<bool>> {
    let ports = netlink.bridge_ports(index)?;
    let mut uplinks = ports.iter().filter(|port| !LOCAL_KINDS.contains(&port.kind.as_str())).peekable();
    let any = uplinks.peek().is_some();
    Ok(any.then(|| uplinks.any(|port| port.carrier)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S8: what a bridge's cable says is reported under the number that the interface has now.
    #[test]
    fn after_a_reload_the_cable_is_reported_under_the_interfaces_new_number() {
        let state = || State { up: true, carrier: true, mac: MacAddr([2; 6]), port_of: None };
        let bridge = |number, index| Bridge { interface: InterfaceId(number), index, state: state(), uplink: None };
        let mut uplinks = Uplinks { bridges: vec![bridge(0, 7), bridge(1, 8), bridge(2, 9)], is_stale: false };
        // The first one is removed, and the last takes its number.
        uplinks.renumber(9, InterfaceId(0));
        uplinks.renumber(8, InterfaceId(1));
        uplinks.forget(7);
        let numbers: Vec<_> = uplinks.bridges.iter().map(|bridge| (bridge.index, bridge.interface)).collect();
        assert_eq!(numbers, [(8, InterfaceId(1)), (9, InterfaceId(0))]);
    }
}
