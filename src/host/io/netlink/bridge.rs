//! Bridges: which ports one has, which of them lead out of this machine, and who is behind each.
//!
//! Owns: the questions, and how ports of virtual machines are told from uplinks. Never does: change a
//! port.

use super::message;
use super::requests::Netlink;
use crate::types::MacAddr;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::io;

/// Kinds of devices that end in a virtual machine, a container or nowhere.
const LOCAL_KINDS: [&str; 7] = ["tun", "veth", "macvtap", "netkit", "dummy", "ifb", "vcan"];
/// Kinds of interfaces whose frames are those of the one below them.
const LAYERED_KINDS: [&str; 3] = ["vlan", "macvlan", "ipvlan"];
/// Most interfaces above a bridge.
const LAYERS: usize = 4;
/// Most entries of a bridge's table that are read: all of a segment that is large beyond reason.
const ENTRIES: usize = 1 << 16;

/// A port of a bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BridgePort {
    /// Number of the interface.
    pub index: u32,
    /// Name of the interface.
    pub name: String,
    /// Kind of the device, such as `veth`; empty for a physical one.
    pub kind: String,
    /// Whether the port is switched on and has a signal.
    pub carrier: bool,
}

impl BridgePort {
    /// Whether the port leads out of this machine, by the kind of its device.
    #[must_use]
    pub fn is_uplink(&self) -> bool {
        !LOCAL_KINDS.contains(&self.kind.as_str())
    }
}

/// What a bridge knows of a hardware address that is not its own: it is behind one of its ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BridgeEntry {
    /// Number of the bridge.
    pub bridge: u32,
    /// Number of the port.
    pub port: u32,
    /// The hardware address.
    pub mac: MacAddr,
}

/// Kind of an interface, and the number of the one below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Kind of the device, such as `vlan`; empty for a physical one.
    pub kind: String,
    /// Number of the interface below this one, in this namespace.
    pub below: Option<u32>,
}

impl Netlink {
    /// The ports of the bridge with the number `index`; none if that is no bridge.
    ///
    /// # Errors
    /// When the kernel could not be asked.
    pub fn bridge_ports(&mut self, index: u32) -> io::Result<Vec<BridgePort>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::Controller(index));
        self.dump(RouteNetlinkMessage::GetLink(request), |answer| {
            (answer.kind == libc::RTM_NEWLINK).then(|| message::bridge_port(answer.payload, index)).flatten()
        })
    }

    /// Who is behind the ports of the bridge with the number `index`, as far as it has learned or was
    /// told.
    ///
    /// # Errors
    /// ENODEV when the bridge is gone.
    pub fn bridge_entries(&mut self, index: u32) -> io::Result<Vec<BridgeEntry>> {
        let mut request = NeighbourMessage::default();
        request.header.family = AddressFamily::Bridge;
        request.attributes.push(NeighbourAttribute::Controller(index));
        let mut left = ENTRIES;
        self.dump(RouteNetlinkMessage::GetNeighbour(request), |answer| {
            let is_entry = answer.kind == libc::RTM_NEWNEIGH && left > 0;
            let entry = is_entry.then(|| message::bridge_entry(answer.payload)).flatten();
            let entry = entry.filter(|entry| entry.bridge == index);
            left -= usize::from(entry.is_some());
            entry
        })
    }

    /// The bridge whose frames the interface with the number `index` has: itself, or the one below it.
    ///
    /// # Errors
    /// When the kernel could not be asked.
    pub fn bridge_below(&mut self, index: u32) -> io::Result<Option<u32>> {
        let mut at = index;
        for _ in 0..LAYERS {
            let Some(layer) = self.layer(at)? else { return Ok(None) };
            match layer.below {
                _ if layer.kind == "bridge" => return Ok(Some(at)),
                Some(below) if LAYERED_KINDS.contains(&layer.kind.as_str()) => at = below,
                Some(_) | None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Kind of the interface with this number, and what is below it; `None` if it is gone.
    fn layer(&mut self, index: u32) -> io::Result<Option<Layer>> {
        let mut request = LinkMessage::default();
        request.header.index = index;
        let mut found = None;
        let result = self.ask(RouteNetlinkMessage::GetLink(request), NLM_F_ACK, |answer| {
            if answer.kind == libc::RTM_NEWLINK {
                found = message::layer(answer.payload);
            }
        });
        match result {
            Err(cause) if cause.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            result => result.map(|()| found),
        }
    }
}
