//! Bridges: whether the cable behind one has a signal, and who is on the near side of it.
//!
//! A bridge has its carrier from any of its ports, those of virtual machines included, and hears
//! whoever is behind them. For a group on a bridge, or on a VLAN or macvlan of one, what counts is the
//! ports that lead out of this machine: those that the configuration names, or else physical interfaces, bonds, VLANs
//! and the like. Ports of virtual machines and containers are told by the kind of their device. Where
//! no port ever led out, the bridge's own word stands, and nobody is inside. A bridge that had an
//! uplink and has none any more has no signal.
//!
//! Owns: what is known of the ports of each bridge and of who is behind them, and what was reported
//! last. Never does: change a port. When the ports cannot be read, what was known of them stands.

use super::KeeperEvent;
use super::inside::Inside;
use crate::io::netlink::{BridgePort, Netlink, NetlinkEvent, NetlinkEvents};
use crate::types::{InterfaceId, MacAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What was reported of one interface.
#[derive(Clone, Debug)]
struct State {
    up: bool,
    carrier: bool,
    mac: MacAddr,
    port_of: Option<String>,
}

/// One interface that may have the frames of a bridge.
#[derive(Debug)]
struct Bridge {
    interface: InterfaceId,
    index: u32,
    state: State,
    /// Uplinks that the configuration names.
    named: Vec<String>,
    /// Number of the bridge: that of the interface, or of one below it.
    bridge: Option<u32>,
    ports: Vec<BridgePort>,
    /// Whether a named port was there: then no other leads out.
    by_name: bool,
    /// Whether a port that leads out of this machine has a signal; `None` if there never was one.
    uplink: Option<bool>,
    inside: Inside,
    /// Whether the bridge's table must be read again.
    unread: bool,
    /// Whether the last report said that the cable has a signal, as far as this file knows.
    told: bool,
}

/// What the kernel says of an interface: the bridge whose frames it has, and the bridge's ports.
type Reading = (Option<u32>, Vec<BridgePort>);

impl Bridge {
    /// An interface in this state, of whose bridge nothing is known.
    fn new(interface: InterfaceId, index: u32, state: State, named: &[String]) -> Bridge {
        Bridge {
            interface,
            index,
            state,
            named: named.to_vec(),
            bridge: None,
            ports: Vec::new(),
            by_name: false,
            uplink: None,
            inside: Inside::default(),
            unread: false,
            told: true,
        }
    }

    /// The interface's state, with the carrier of its cable.
    fn report(&mut self) -> KeeperEvent {
        let State { up, carrier, mac, port_of } = self.state.clone();
        self.told = self.uplink.unwrap_or(true);
        let carrier = carrier && self.told;
        KeeperEvent::State { interface: self.interface, up, carrier, mac, port_of }
    }

    /// Whether a port leads out of this machine.
    fn leads_out(&self, port: &BridgePort) -> bool {
        if self.by_name { self.named.contains(&port.name) } else { port.is_uplink() }
    }

    /// Whether the port with this number leads nowhere outside this machine.
    fn is_inner(&self, index: u32) -> bool {
        let mut ports = self.ports.iter().filter(|port| port.index == index);
        self.uplink.is_some() && ports.any(|port| !self.leads_out(port))
    }

    /// Takes in which ports the bridge has now.
    fn take_ports(&mut self, (bridge, ports): Reading) {
        if self.bridge != bridge {
            (self.bridge, self.uplink, self.inside) = (bridge, None, Inside::default());
        }
        let places = |ports: &[BridgePort]| ports.iter().map(|port| port.index).collect::<BTreeSet<_>>();
        let by_name = self.by_name || ports.iter().any(|port| self.named.contains(&port.name));
        self.unread |= places(&self.ports) != places(&ports) || self.by_name != by_name;
        (self.ports, self.by_name) = (ports, by_name);
        let outer: Vec<&BridgePort> = self.ports.iter().filter(|port| self.leads_out(port)).collect();
        if self.uplink.is_some() || !outer.is_empty() {
            self.uplink = Some(outer.iter().any(|port| port.carrier));
        }
    }

    /// Reads the bridge's table again, if that is due and anybody can be inside.
    fn read_table(&mut self, netlink: &mut Netlink) {
        let Some(bridge) = self.bridge.filter(|_| self.unread) else { return };
        let mut inside = std::mem::take(&mut self.inside);
        if self.is_shared() {
            // With an error the next event of any interface tries again.
            if let Ok(entries) = netlink.bridge_entries(bridge) {
                inside.read(&entries, |port| self.is_inner(port));
                self.unread = false;
            }
        } else {
            inside.retain(|_| false);
            self.unread = false;
        }
        self.inside = inside;
    }

    /// Whether machines inside this server may share the bridge.
    fn is_shared(&self) -> bool {
        self.ports.iter().any(|port| self.is_inner(port.index))
    }

    /// What people should know of named uplinks that are none.
    fn amiss(&self) -> Option<String> {
        let is_port = |name: &&String| !self.ports.iter().any(|port| port.name == **name);
        let missing: Vec<&str> = self.named.iter().filter(is_port).map(String::as_str).collect();
        match (missing.is_empty(), self.bridge) {
            (true, _) => None,
            (false, None) => Some("it is no bridge, and uplinks are named for it: they are not looked at".to_owned()),
            (false, Some(_)) if self.by_name => {
                Some(format!("no port of the bridge, but named as uplink: {}", missing.join(", ")))
            }
            (false, Some(_)) => Some(format!(
                "no port of the bridge, but named as uplink: {}; uplinks are told by the kind of the ports until one of those named is there",
                missing.join(", ")
            )),
        }
    }
}

/// The bridges among the client interfaces.
#[derive(Debug, Default)]
pub(super) struct Uplinks {
    bridges: Vec<Bridge>,
    /// Whether the ports must be read again.
    is_stale: bool,
    /// Whether the kernel does not tell what bridges learn, so that tables are read every second.
    is_deaf: bool,
    /// Who was reported to be inside, by interface. Others had nobody.
    told: BTreeMap<InterfaceId, Vec<MacAddr>>,
    /// What was told of named uplinks, by interface.
    amiss: BTreeMap<InterfaceId, String>,
}

impl Uplinks {
    /// Takes the kernel's event as a hint: ports may have come, gone or changed. What a bridge has
    /// learned is taken from the event itself.
    pub fn handle_event(&mut self, event: &NetlinkEvent) {
        match event {
            NetlinkEvent::Link(_) | NetlinkEvent::LinkGone { .. } => self.is_stale = true,
            NetlinkEvent::Overrun => {
                self.is_stale = true;
                self.bridges.iter_mut().for_each(|bridge| bridge.unread = true);
            }
            NetlinkEvent::Learned(entry) => {
                for bridge in self.bridges.iter_mut().filter(|bridge| bridge.bridge == Some(entry.bridge)) {
                    let inner = bridge.is_inner(entry.port);
                    // A port that has just come may not be known yet.
                    bridge.unread |= bridge.ports.iter().all(|port| port.index != entry.port);
                    bridge.inside.learn(*entry, inner);
                }
            }
            NetlinkEvent::AddressAdded { .. }
            | NetlinkEvent::AddressRemoved { .. }
            | NetlinkEvent::FilterChanged { .. } => {}
        }
    }

    /// Begins another second: a table that has outgrown what is kept of it is read again.
    pub fn begin_period(&mut self) {
        let due = self.bridges.iter_mut().filter(|bridge| bridge.inside.is_full() || self.is_deaf);
        due.for_each(|bridge| bridge.unread = true);
    }

    /// Lets the kernel tell what bridges learn, where that is of interest.
    pub fn listen(&mut self, events: &mut NetlinkEvents) {
        if self.is_deaf || !self.bridges.iter().any(Bridge::is_shared) {
            return;
        }
        if let Err(cause) = events.follow_bridges() {
            tracing::warn!(%cause, "cannot follow what bridges learn, reading their tables every second");
            self.is_deaf = true;
        }
    }

    /// Notes that events come from another socket from now on.
    pub fn begin_anew(&mut self) {
        self.is_deaf = false;
        self.handle_event(&NetlinkEvent::Overrun);
    }

    /// The report of an interface's state, with the carrier of its cable. `index`: its number.
    /// `named`: the uplinks that the configuration names for it.
    pub fn adjust(&mut self, netlink: &mut Netlink, event: KeeperEvent, index: u32, named: &[String]) -> KeeperEvent {
        self.note_state(event, index, named, read(netlink, index))
    }

    /// As `adjust`, after the reading. With an error what was known of the ports stands, and the next
    /// look tries again.
    fn note_state(
        &mut self,
        event: KeeperEvent,
        index: u32,
        named: &[String],
        reading: io::Result<Reading>,
    ) -> KeeperEvent {
        let KeeperEvent::State { interface, up, carrier, mac, port_of } = event else { return event };
        let state = State { up, carrier, mac, port_of };
        let known = self.bridges.iter().position(|known| known.index == index);
        let mut bridge = match known.map(|at| self.bridges.swap_remove(at)) {
            Some(known) => Bridge { interface, state, ..known },
            None => Bridge::new(interface, index, state, named),
        };
        match reading {
            Ok(reading) => bridge.take_ports(reading),
            Err(_) => self.is_stale = true,
        }
        let event = bridge.report();
        self.bridges.push(bridge);
        event
    }

    /// Reads the ports and tables again where that is due; the reports of interfaces whose cable has
    /// gained or lost its signal, or whose machines are others than before.
    pub fn look(&mut self, netlink: &mut Netlink) -> Vec<KeeperEvent> {
        let mut news = Vec::new();
        if std::mem::take(&mut self.is_stale) {
            for bridge in &mut self.bridges {
                match read(netlink, bridge.index) {
                    Ok(reading) => bridge.take_ports(reading),
                    // What was known stands.
                    Err(_) => self.is_stale = true,
                }
                if bridge.uplink.unwrap_or(true) != bridge.told {
                    news.push(bridge.report());
                }
            }
        }
        self.bridges.iter_mut().for_each(|bridge| bridge.read_table(netlink));
        self.tell_inside(&mut news);
        self.tell_amiss(&mut news);
        news
    }

    /// Adds a report of each interface whose machines are others than those reported.
    fn tell_inside(&mut self, news: &mut Vec<KeeperEvent>) {
        let mut now: BTreeMap<InterfaceId, Vec<MacAddr>> =
            self.told.keys().map(|known| (*known, Vec::new())).collect();
        let bridges = self.bridges.iter().filter(|bridge| bridge.bridge.is_some());
        now.extend(bridges.map(|bridge| (bridge.interface, bridge.inside.macs().collect())));
        for (interface, macs) in &now {
            if self.told.get(interface).map_or(&[][..], Vec::as_slice) != macs {
                news.push(KeeperEvent::InsideMacs { interface: *interface, macs: macs.clone() });
            }
        }
        now.retain(|_, macs| !macs.is_empty());
        self.told = now;
    }

    /// Adds a sentence for each interface whose named uplinks are none, once.
    fn tell_amiss(&mut self, news: &mut Vec<KeeperEvent>) {
        let amiss = |bridge: &Bridge| Some((bridge.interface, bridge.amiss()?));
        let now: BTreeMap<InterfaceId, String> = self.bridges.iter().filter_map(amiss).collect();
        for (interface, text) in &now {
            if self.amiss.get(interface) != Some(text) {
                news.push(KeeperEvent::Warned { interface: *interface, text: text.clone() });
            }
        }
        self.amiss = now;
    }

    /// Reports of the interface `index` bear another number from now on, and these are the uplinks
    /// that the configuration names for it.
    pub fn reconfigure(&mut self, index: u32, interface: InterfaceId, named: &[String]) {
        for bridge in self.bridges.iter_mut().filter(|known| known.index == index) {
            bridge.interface = interface;
            if bridge.named != named {
                (bridge.by_name, bridge.uplink, bridge.unread) = (false, None, true);
                bridge.named = named.to_vec();
                self.is_stale = true;
            }
        }
    }

    /// Forgets the interface `index`, which is gone or guarded no more.
    pub fn forget(&mut self, index: u32) {
        self.bridges.retain(|known| known.index != index);
    }
}

/// Asks the kernel for the bridge of the interface `index`, and for its ports.
fn read(netlink: &mut Netlink, index: u32) -> io::Result<Reading> {
    let Some(bridge) = netlink.bridge_below(index)? else { return Ok((None, Vec::new())) };
    Ok((Some(bridge), netlink.bridge_ports(bridge)?))
}

#[cfg(test)]
mod tests;
