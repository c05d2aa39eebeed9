//! Events and decisions of an engine, in the form in which they are recorded.
//!
//! Owns: that form. Never does: interpret an event. Most events are datagrams and ticks, which have
//! a form of their own (see [`super::pack`]); every other event is one [`Happened`]. Actions are
//! recorded that change something outside or are reported to people: a replay that decides
//! otherwise shows there. Datagrams, probes and renewals follow from the rest.

use crate::engine::{
    Action, Cause, Command, Event, GateAction, Hook, InterfaceFacts, Lacks, Notice, Outcome, OwnAddress,
};
use crate::types::{Epoch, GroupId, InterfaceId, LinkId, MacAddr, MonoTime, Vip};
use crate::wire::frame::Sighting;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An [`Event`] that owns what it says, without ticks and datagrams. The fields are those of the
/// event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is an event of the engine, described there")]
pub enum Happened {
    Refused { link: LinkId },
    Link { link: LinkId, open: bool },
    TooLarge { link: LinkId, bytes: u16 },
    Seen { interface: InterfaceId, sighting: Sighting },
    Interface { interface: InterfaceId, facts: InterfaceFacts },
    Adopted { interface: InterfaceId, until: MonoTime, generation: u64, refused: bool, open: Vec<(GroupId, Epoch)> },
    LeaseRefused { interface: InterfaceId },
    Addresses { group: GroupId, there: bool },
    GateReplaced { interface: InterfaceId },
    Anchor { interface: InterfaceId, address: IpAddr, mac: Option<MacAddr> },
    OwnMacs { macs: Vec<MacAddr> },
    InsideMacs { interface: InterfaceId, macs: Vec<MacAddr> },
    OwnAddresses { interface: InterfaceId, own: Vec<OwnAddress> },
    Stored { version: u64 },
    StoreFailed,
    Command { id: u64, command: Command },
    Health { group: GroupId, health: u8 },
    Lacks { group: GroupId, lacks: Lacks },
    Hook { group: GroupId, hook: Hook, epoch: Epoch, ok: bool },
}

impl Happened {
    /// Recorded form of an event; `None` for ticks and datagrams.
    #[must_use]
    pub fn of(event: Event<'_>) -> Option<Happened> {
        Some(match event {
            Event::Tick | Event::Datagram { .. } => return None,
            Event::Refused { link } => Happened::Refused { link },
            Event::Link { link, open } => Happened::Link { link, open },
            Event::TooLarge { link, bytes } => Happened::TooLarge { link, bytes },
            Event::Seen { interface, sighting } => Happened::Seen { interface, sighting },
            Event::Interface { interface, facts } => Happened::Interface { interface, facts },
            Event::Adopted { interface, until, generation, refused, open } => {
                Happened::Adopted { interface, until, generation, refused, open: open.to_vec() }
            }
            Event::LeaseRefused { interface } => Happened::LeaseRefused { interface },
            Event::Addresses { group, there } => Happened::Addresses { group, there },
            Event::GateReplaced { interface } => Happened::GateReplaced { interface },
            Event::Anchor { interface, address, mac } => Happened::Anchor { interface, address, mac },
            Event::OwnMacs { macs } => Happened::OwnMacs { macs: macs.to_vec() },
            Event::InsideMacs { interface, macs } => Happened::InsideMacs { interface, macs: macs.to_vec() },
            Event::OwnAddresses { interface, own } => Happened::OwnAddresses { interface, own: own.to_vec() },
            Event::Stored { version } => Happened::Stored { version },
            Event::StoreFailed => Happened::StoreFailed,
            Event::Command { id, command } => Happened::Command { id, command },
            Event::Health { group, health } => Happened::Health { group, health },
            Event::Lacks { group, lacks } => Happened::Lacks { group, lacks },
            Event::Hook { group, hook, epoch, ok } => Happened::Hook { group, hook, epoch, ok },
        })
    }

    /// The event that was recorded.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        match *self {
            Happened::Refused { link } => Event::Refused { link },
            Happened::Link { link, open } => Event::Link { link, open },
            Happened::TooLarge { link, bytes } => Event::TooLarge { link, bytes },
            Happened::Seen { interface, sighting } => Event::Seen { interface, sighting },
            Happened::Interface { interface, facts } => Event::Interface { interface, facts },
            Happened::Adopted { interface, until, generation, refused, ref open } => {
                Event::Adopted { interface, until, generation, refused, open }
            }
            Happened::LeaseRefused { interface } => Event::LeaseRefused { interface },
            Happened::Addresses { group, there } => Event::Addresses { group, there },
            Happened::GateReplaced { interface } => Event::GateReplaced { interface },
            Happened::Anchor { interface, address, mac } => Event::Anchor { interface, address, mac },
            Happened::OwnMacs { ref macs } => Event::OwnMacs { macs },
            Happened::InsideMacs { interface, ref macs } => Event::InsideMacs { interface, macs },
            Happened::OwnAddresses { interface, ref own } => Event::OwnAddresses { interface, own },
            Happened::Stored { version } => Event::Stored { version },
            Happened::StoreFailed => Event::StoreFailed,
            Happened::Command { id, command } => Event::Command { id, command },
            Happened::Health { group, health } => Event::Health { group, health },
            Happened::Lacks { group, lacks } => Event::Lacks { group, lacks },
            Happened::Hook { group, hook, epoch, ok } => Event::Hook { group, hook, epoch, ok },
        }
    }

    /// Whether every group and interface that the event names exists.
    pub(super) fn is_within(&self, groups: usize, interfaces: usize) -> bool {
        let has_group = |group: GroupId| usize::from(group.0) < groups;
        let has_interface = |interface: InterfaceId| usize::from(interface.0) < interfaces;
        match self {
            Happened::Refused { .. }
            | Happened::Link { .. }
            | Happened::TooLarge { .. }
            | Happened::OwnMacs { .. }
            | Happened::Stored { .. }
            | Happened::StoreFailed => true,
            Happened::Seen { interface, .. }
            | Happened::Interface { interface, .. }
            | Happened::LeaseRefused { interface }
            | Happened::GateReplaced { interface }
            | Happened::InsideMacs { interface, .. }
            | Happened::OwnAddresses { interface, .. }
            | Happened::Anchor { interface, .. } => has_interface(*interface),
            Happened::Adopted { interface, open, .. } => {
                has_interface(*interface) && open.iter().all(|(group, _)| has_group(*group))
            }
            Happened::Health { group, .. }
            | Happened::Lacks { group, .. }
            | Happened::Addresses { group, .. }
            | Happened::Hook { group, .. } => has_group(*group),
            Happened::Command { command, .. } => match command {
                Command::Switch(group) | Command::Pause(group) | Command::Resume(group) => has_group(*group),
                Command::Stop | Command::Abandon => true,
            },
        }
    }
}

/// An [`Action`] that is recorded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is an action of the engine, described there")]
pub enum Decision {
    Gate(GateAction),
    Announce { group: GroupId, address: Option<Vip> },
    Persist { version: u64 },
    Notice(Notice),
    Reply { id: u64, outcome: Outcome },
    Stopped,
    Hook { group: GroupId, hook: Hook, epoch: Epoch, cause: Cause },
}

impl Decision {
    /// Recorded form of an action; `None` for datagrams, probes and renewals of a lease.
    #[must_use]
    pub fn of(action: &Action) -> Option<Decision> {
        Some(match *action {
            Action::Send { .. } | Action::Probe { .. } | Action::Gate(GateAction::Renew { .. }) => return None,
            Action::Gate(gate) => Decision::Gate(gate),
            Action::Announce { group, address } => Decision::Announce { group, address },
            Action::Persist { version, .. } => Decision::Persist { version },
            Action::Notice(notice) => Decision::Notice(notice),
            Action::Reply { id, outcome } => Decision::Reply { id, outcome },
            Action::Hook { group, hook, epoch, cause } => Decision::Hook { group, hook, epoch, cause },
            Action::Stopped => Decision::Stopped,
        })
    }
}
