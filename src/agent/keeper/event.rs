//! What a keeper is asked to guard, and what it reports.
//!
//! Owns: the nouns that the slow side shares with the keeper. Never does: anything.

use crate::engine::OwnAddress;
use crate::gate::{CounterReader, GateHandle, Held};
use crate::io::segment::PacketSocket;
use crate::types::{GroupKey, InterfaceId, MacAddr, Vip};
use std::net::IpAddr;

/// Client interface, and the groups to be guarded on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guarded {
    /// Number of the interface in reported events.
    pub interface: InterfaceId,
    /// Name of the interface in the system, such as `eth0`.
    pub name: String,
    /// Groups and their addresses.
    pub groups: Vec<(GroupKey, Vec<Vip>)>,
    /// Ports of the bridge that lead out of this server; empty: those whose kind says so.
    pub uplinks: Vec<String>,
}

/// How much of a group's addresses is in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// Nothing of it.
    Nothing,
    /// Some addresses, but not all.
    Part,
    /// Every address.
    Whole,
}

/// How much of each group of an interface is in place.
pub type PlacedGroups = Vec<(GroupKey, Placed)>;

/// Reports of the keeper, in the order in which things happened.
#[derive(Debug)]
pub enum KeeperEvent {
    /// The gate is in place and a packet socket is open. Both replace earlier ones of the same
    /// interface. The addresses follow.
    Attached {
        /// Interface that the gate guards.
        interface: InterfaceId,
        /// Number of the interface in the kernel.
        ifindex: u32,
        /// Hardware address of the interface.
        mac: MacAddr,
        /// The hot thread's end of the gate.
        gate: GateHandle,
        /// Slot of each group in the gate.
        slots: Vec<(GroupKey, u16)>,
        /// Reader of the gate's counters, for people; `None` when they cannot be read.
        counters: Option<CounterReader>,
        /// Whether the gate was running before this process, so that a lease may be open in it.
        adopted: bool,
        /// Socket for probes, announcements and segment pulses.
        socket: PacketSocket,
    },
    /// A change of the configuration has reached the gate. Any slot may have changed.
    Regrouped {
        /// Interface that the gate guards.
        interface: InterfaceId,
        /// The hot thread's end of the gate.
        gate: GateHandle,
        /// Slot of each group in the gate.
        slots: Vec<(GroupKey, u16)>,
        /// Reader of the gate's counters, for people; `None` when they cannot be read.
        counters: Option<CounterReader>,
        /// Whether the gate is a new, closed one: earlier handles then switch nothing any more.
        replaced: bool,
    },
    /// State of an interface that exists; reported whenever it changes.
    State {
        /// Interface whose state this is.
        interface: InterfaceId,
        /// Whether the interface is switched on.
        up: bool,
        /// Whether the interface is switched on and has a signal.
        carrier: bool,
        /// Hardware address of the interface.
        mac: MacAddr,
        /// Name of the bridge, bond or the like that takes the interface's frames because it is a
        /// port of it. Then gate and addresses go, until a [`KeeperEvent::Attached`] follows.
        port_of: Option<String>,
    },
    /// What could be done for the addresses has been done. Reported when the answer changes, and
    /// once after every new gate and every [`KeeperEvent::Reconfigured`].
    Addresses {
        /// Interface that the addresses belong to.
        interface: InterfaceId,
        /// How much of each group is in place and guarded.
        groups: PlacedGroups,
        /// Every address that is missing, and why.
        missing: Vec<(Vip, String)>,
    },
    /// The gate was taken away, or is not the first to decide any more. The addresses are being
    /// removed; a new, closed gate follows as [`KeeperEvent::Attached`].
    GateLost {
        /// Interface that lost its gate.
        interface: InterfaceId,
        /// What has happened to it.
        cause: String,
    },
    /// The name does not mean the interface any more that it meant. The interface's gate is closed,
    /// if it is still there, and its socket of no use. Its addresses are being removed.
    Gone {
        /// Interface that went away.
        interface: InterfaceId,
        /// What it is called now; `None` if it does not exist any more, or in another namespace.
        renamed: Option<String>,
    },
    /// An address that another program had removed is back.
    AddressRestored {
        /// Interface that has the address again.
        interface: InterfaceId,
        /// Address that is back.
        address: Vip,
    },
    /// Hardware addresses of this server's interfaces, in order; reported whenever they change.
    OwnMacs {
        /// The addresses, each once.
        macs: Vec<MacAddr>,
    },
    /// Hardware addresses of machines inside this server that share an interface's segment, in order;
    /// reported whenever they change.
    InsideMacs {
        /// Interface whose segment they share.
        interface: InterfaceId,
        /// The addresses, each once.
        macs: Vec<MacAddr>,
    },
    /// The addresses of the server's own on an interface, with which others on the segment can be
    /// asked; reported when they change.
    OwnAddresses {
        /// Interface that has the addresses.
        interface: InterfaceId,
        /// The addresses, none of which is a group's.
        own: Box<[OwnAddress]>,
    },
    /// News of the guards of other interfaces.
    Guard(GuardNews),
    /// Gateway of a default route; reported when the gateway or its hardware address changes.
    Gateway {
        /// Interface that the route leaves by.
        interface: InterfaceId,
        /// Address of the gateway.
        ip: IpAddr,
        /// Hardware address of the gateway, if the kernel knows it.
        mac: Option<MacAddr>,
    },
    /// An operation failed; the keeper tries it again. Reported once per cause.
    Failed {
        /// Interface that the operation was for.
        interface: InterfaceId,
        /// Name of the operation, such as `install the gate`.
        operation: &'static str,
        /// Cause of the failure, in the kernel's words.
        cause: String,
    },
    /// Something that people should know of an interface and that the keeper cannot mend, or has
    /// mended. Reported once per cause.
    Warned {
        /// Interface that the sentence is about.
        interface: InterfaceId,
        /// Sentence for people, without the interface's name.
        text: String,
    },
    /// From here on interfaces are numbered as in the newest [`super::KeeperHandle::reconfigure`].
    Reconfigured,
}

/// News of the guards of interfaces that are no group's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GuardNews {
    /// A guard was not in its place, and is there again.
    Restored {
        /// Name of the interface.
        name: String,
        /// What had happened to it.
        cause: String,
    },
    /// Guards have held claims back; reported once an hour at most.
    Held(Held),
    /// An interface has no guard: it may claim a group's address. The keeper tries again; reported
    /// once per cause.
    Missing {
        /// Name of the interface.
        name: String,
        /// Cause of the failure, in the kernel's words.
        cause: String,
    },
}
