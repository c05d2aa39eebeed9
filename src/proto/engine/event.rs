//! What can happen to the engine. Every event carries facts; the time of receipt goes with it in
//! [`Engine::handle`](super::Engine::handle).

use super::lacks::Lacks;
use crate::types::{Epoch, GroupId, InterfaceId, LinkId, MacAddr, MonoTime};
use crate::wire::frame::Sighting;
use std::net::IpAddr;

/// An address of this server's own on an interface, with the length of its network's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct OwnAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix, in bits.
    pub prefix: u8,
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The deadline that [`Engine::next_deadline`](super::Engine::next_deadline) named has come.
    /// Harmless at any other time, too.
    Tick,
    /// A datagram arrived on a link. Not authenticated yet.
    Datagram {
        /// The link it came in on.
        link: LinkId,
        /// The whole datagram.
        bytes: &'a [u8],
    },
    /// The peer's kernel says that no process listens there (ECONNREFUSED). A hint, never a proof.
    Refused {
        /// The link whose datagram was refused.
        link: LinkId,
    },
    /// A link's socket was opened, or could not be.
    Link {
        /// The link.
        link: LinkId,
        /// Whether datagrams can be sent on it.
        open: bool,
    },
    /// The kernel refused a datagram because the link takes none that are so long (EMSGSIZE).
    TooLarge {
        /// The link.
        link: LinkId,
        /// Length of the datagram, in bytes.
        bytes: u16,
    },
    /// A frame on the clients' segment. Unauthenticated.
    Seen {
        /// The interface.
        interface: InterfaceId,
        /// The meaning of the frame.
        sighting: Sighting,
    },
    /// The state of a client interface.
    Interface {
        /// The interface.
        interface: InterfaceId,
        /// All that is known of it.
        facts: InterfaceFacts,
    },
    /// A gate from an earlier life of this agent was found running. Comes before the first
    /// [`Event::Interface`] that says the gate is ready.
    Adopted {
        /// The interface.
        interface: InterfaceId,
        /// The deadline of the running lease.
        until: MonoTime,
        /// Its generation.
        generation: u64,
        /// Whether the gate has refused a frame under this generation (it never opens again then).
        refused: bool,
        /// The groups whose slot is open, with the epoch they were opened with.
        open: &'a [(GroupId, Epoch)],
    },
    /// The gate refused a frame for an open group: the lease had run out before it was renewed.
    LeaseRefused {
        /// The interface.
        interface: InterfaceId,
    },
    /// The host has done what it can to put a group's addresses in place, those of the newest
    /// configuration included. Told again when that changes; that some are missing is
    /// [`Lacks::ADDRESS`].
    Addresses {
        /// The group.
        group: GroupId,
        /// Whether any address is in place and guarded.
        there: bool,
    },
    /// The gate was replaced by another, closed one, because it had become too small. Its slots are
    /// known.
    GateReplaced {
        /// The interface.
        interface: InterfaceId,
    },
    /// The gateway of an interface, or a neighbour that the kernel knows there: someone to ask
    /// whether the segment is alive.
    Anchor {
        /// The interface.
        interface: InterfaceId,
        /// Its address.
        address: IpAddr,
        /// Its hardware address, if known.
        mac: Option<MacAddr>,
    },
    /// The hardware addresses of this server's interfaces have changed: what is seen from one of
    /// them is said by ourselves, wherever it is seen.
    OwnMacs {
        /// All of them, in order.
        macs: &'a [MacAddr],
    },
    /// The machines inside this server that share the interface's segment have changed: virtual
    /// machines on ports of its bridge. They are heard whatever has become of the cable.
    InsideMacs {
        /// The interface.
        interface: InterfaceId,
        /// Their hardware addresses, all of them, in order.
        macs: &'a [MacAddr],
    },
    /// The addresses of our own on an interface, none of which is a group's: with these others are
    /// asked there. Told again when they change.
    OwnAddresses {
        /// The interface.
        interface: InterfaceId,
        /// All of them, in the kernel's order.
        own: &'a [OwnAddress],
    },
    /// All states up to this version are durable.
    Stored {
        /// The version named by [`Action::Persist`](super::Action::Persist).
        version: u64,
    },
    /// The state could not be made durable; the store goes on trying.
    StoreFailed,
    /// An operator asks for something.
    Command {
        /// The number of the command, which the answer repeats.
        id: u64,
        /// The command.
        command: Command,
    },
    /// How badly a group's service does here now. First told when every check has come to a
    /// verdict; before that an active group is not moved for its health. After another
    /// configuration the last value counts until the next one is told.
    ///
    /// Acted upon with the next event, which
    /// [`Engine::next_deadline`](super::Engine::next_deadline) asks for at once, so that a thousand
    /// that come together cost as much as one.
    Health {
        /// The group.
        group: GroupId,
        /// As in [`Row::health`](crate::wire::pulse::Row).
        health: u8,
    },
    /// What this node lacks for a group now, as far as the host can tell. Acted upon like
    /// [`Event::Health`].
    Lacks {
        /// The group.
        group: GroupId,
        /// All that is lacking.
        lacks: Lacks,
    },
    /// What [`Action::Hook`](super::Action::Hook) asked for has ended. Acted upon like
    /// [`Event::Health`].
    Hook {
        /// The group.
        group: GroupId,
        /// The hook.
        hook: Hook,
        /// The epoch that the action named.
        epoch: Epoch,
        /// Whether it ended well, or is to be taken as if it had.
        ok: bool,
    },
}

/// When the engine waits for hooks. What is run after an opening or a closing does not concern it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Hook {
    /// Everything permits the opening; the gate is still closed.
    BeforeOpen,
    /// The peer is ready to take the group over; the gate is still open.
    BeforeClose,
}

/// What is known of a client interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct InterfaceFacts {
    /// The interface exists.
    pub exists: bool,
    /// It is a port of another interface, which takes its frames: of a bridge, bond or the like.
    pub enslaved: bool,
    /// It is up and has carrier.
    pub carrier: bool,
    /// Its hardware address, ZERO if unknown.
    pub mac: MacAddr,
    /// The gate is installed on both directions and its maps are at hand.
    pub gate: bool,
}

impl InterfaceFacts {
    /// True when a group on this interface can be answered for, if its addresses are there.
    #[must_use]
    pub fn is_serviceable(&self) -> bool {
        self.exists && !self.enslaved && self.carrier && self.gate
    }
}

/// What an operator can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Command {
    /// Give the group to the other node, or fetch it from there.
    Switch(GroupId),
    /// Stand aside for this group.
    Pause(GroupId),
    /// End a pause.
    Resume(GroupId),
    /// Hand everything over and stop.
    Stop,
    /// Whoever gave the command with this number waits no longer: what has not been done is not done.
    Abandon,
}
