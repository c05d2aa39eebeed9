//! Interfaces, addresses, neighbours and routes as the kernel has them: requests, and the kernel's
//! events.
//!
//! Two sockets: [`Netlink`] sends requests, [`NetlinkEvents`] listens. rtnetlink works inside the
//! sending call, so a request needs no waiting: its answer is there when `send` returns. A request
//! may still take long in the kernel, which has one lock for all such changes: so none of this
//! belongs on the pulse thread. Messages are read leniently: what a newer kernel adds is skipped.
//! Both sockets belong to the network namespace of the thread that opened them.

mod addresses;
mod answer;
mod bridge;
pub mod events;
pub mod message;
mod requests;
mod routes;
mod settings;

pub use addresses::{ADDRESS_BATCH, AddressInfo};
pub use answer::{Answering, Mute, outside};
pub use bridge::{BridgeEntry, BridgePort};
pub use events::{NetlinkEvent, NetlinkEvents};
pub use requests::Netlink;
pub use routes::{RouteInfo, Verdict};
pub use settings::{ask_with_own_address, hold_addresses_while_down, promote_secondaries};

use crate::types::MacAddr;
use std::net::IpAddr;

/// An interface as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceInfo {
    /// Number of the interface: a re-created interface has another one.
    pub index: u32,
    /// Name of the interface.
    pub name: String,
    /// Hardware address; ZERO if the interface has none of six bytes.
    pub mac: MacAddr,
    /// Whether the interface is switched on (IFF_UP).
    pub up: bool,
    /// Whether the interface is switched on and has a signal (IFF_LOWER_UP).
    pub carrier: bool,
    /// Whether the interface carries Ethernet frames and is no loopback, so that a gate can guard
    /// it.
    pub is_ethernet: bool,
    /// Number of the interface that takes this one's frames because it is a port of it: of a
    /// bridge, bond, team or the like. `None` for a free interface, and for one in a VRF, which
    /// leaves frames to the interface's own addresses.
    pub port_of: Option<u32>,
    /// Number of the interface of this namespace through which this one's frames leave as they are,
    /// as a macvlan's do. `None` for a VLAN, whose frames get a tag on the way.
    pub lower: Option<u32>,
}

/// An entry of the neighbour table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// IP address of the neighbour.
    pub address: IpAddr,
    /// Hardware address of the neighbour, if one is known.
    pub mac: Option<MacAddr>,
    /// State of the entry.
    pub state: NeighbourState,
}

/// State of a neighbour's entry: the NUD_ states of <linux/neighbour.h>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeighbourState {
    /// The kernel has asked and has no answer yet.
    Incomplete,
    /// The hardware address was confirmed within the last seconds.
    Reachable,
    /// The hardware address is known and was not confirmed lately.
    Stale,
    /// The entry is in use; the kernel is about to ask.
    Delay,
    /// The kernel is asking.
    Probe,
    /// The neighbour did not answer.
    Failed,
    /// The neighbour needs no asking.
    NoArp,
    /// The administrator has set the entry.
    Permanent,
    /// Any other state.
    None,
}

#[cfg(test)]
mod tests;
