//! The kernel's own account of interfaces, addresses, neighbours and routes: questions, orders, and what it tells unasked.
//!
//! Two sockets: [`Netlink`] asks and orders, [`NetlinkEvents`] listens. rtnetlink works inside the sending call, so a
//! request needs no waiting: its answer is there when `send` returns. A request may still take its time in the kernel
//! (it holds the kernel's one lock for such changes), which is why none of this belongs on the pulse thread.
//! Messages are read leniently: what a newer kernel adds is passed over. Both sockets belong to the network namespace
//! of the thread that opened them.

mod addresses;
pub mod events;
pub mod message;
mod requests;

pub use addresses::{ADDRESS_BATCH, AddressInfo};
pub use events::{NetlinkEvent, NetlinkEvents};
pub use requests::{Netlink, hold_addresses_while_down};

use crate::types::MacAddr;
use std::net::IpAddr;

/// An interface as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceInfo {
    /// Its number: a re-created interface has another one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address; ZERO if it has none of six bytes.
    pub mac: MacAddr,
    /// It is switched on (IFF_UP).
    pub up: bool,
    /// It is switched on and has a signal (IFF_LOWER_UP).
    pub carrier: bool,
    /// It carries Ethernet frames and is no loopback: a gate can guard it.
    pub is_ethernet: bool,
}

/// An entry of the neighbour table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, if one is known.
    pub mac: Option<MacAddr>,
    /// What the kernel thinks of it.
    pub state: NeighbourState,
}

/// NUD_ states, <linux/neighbour.h>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeighbourState {
    /// Asked for, no answer yet.
    Incomplete,
    /// Confirmed within the last seconds.
    Reachable,
    /// Known, not confirmed lately.
    Stale,
    /// In use and about to be asked.
    Delay,
    /// Being asked.
    Probe,
    /// Did not answer.
    Failed,
    /// Needs no asking.
    NoArp,
    /// Set by the administrator.
    Permanent,
    /// None of these.
    None,
}

#[cfg(test)]
mod tests;
