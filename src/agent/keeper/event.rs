//! What a keeper is asked to guard, and what it reports.
//!
//! Owns: the nouns that the slow side shares with the keeper. Never does: anything.

use crate::gate::{CounterReader, GateHandle};
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
}

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
    },
    /// All addresses are in place and guarded. Reported when this becomes true, and once after
    /// every [`KeeperEvent::Reconfigured`].
    AddressesReady {
        /// Interface that has the addresses.
        interface: InterfaceId,
    },
    /// Some addresses are missing and could not be put back.
    AddressesMissing {
        /// Interface that lacks addresses.
        interface: InterfaceId,
    },
    /// The gate was taken away, or is not the first to decide any more. The addresses are being
    /// removed; a new, closed gate follows as [`KeeperEvent::Attached`].
    GateLost {
        /// Interface that lost its gate.
        interface: InterfaceId,
        /// What has happened to it.
        cause: String,
    },
    /// The interface does not exist any more. Its gate and socket are of no use.
    Gone {
        /// Interface that went away.
        interface: InterfaceId,
    },
    /// An address that another program had removed is back.
    AddressRestored {
        /// Interface that has the address again.
        interface: InterfaceId,
        /// Address that is back.
        address: Vip,
    },
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
    /// From here on interfaces are numbered as in the newest [`super::KeeperHandle::reconfigure`].
    Reconfigured,
}
