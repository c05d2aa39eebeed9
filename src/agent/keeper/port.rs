//! One client interface: its state, and what is done to bring it to the wanted one.
//!
//! Owns: the order of the steps, which keeps the promise that no frame claims an address while no
//! gate guards it: the gate before the addresses, and the addresses away when the gate is. Never
//! does: wait for anything but the kernel. A failed step is reported once and tried again with the
//! next look.

mod addresses;
mod gate;

use super::gateways::Gateways;
use super::plan::Plan;
use super::{Guarded, KeeperEvent, Tools};
use crate::gate::Gate;
use crate::io::netlink::{InterfaceInfo, NetlinkEvent};
use crate::types::{MonoTime, Vip};
use std::collections::{HashMap, HashSet};

/// Looks at everything between two looks at the gateways.
const GATEWAY_PERIOD: u8 = 5;

/// State of one client interface: the wanted one, and the one that the kernel has.
pub(super) struct Port {
    wanted: Guarded,
    /// All wanted addresses.
    vips: HashSet<Vip>,
    /// The interface as seen last; `None` while it does not exist.
    link: Option<InterfaceInfo>,
    gate: Option<Gate>,
    /// What is left of a gate that was lost, until another one has superseded it.
    lost_gate: Option<Gate>,
    /// Whether the present gate was seen to stop a frame.
    proven: bool,
    /// Whether `Attached` was reported for the present gate.
    attached: bool,
    /// Whether the gate does not know the present groups yet.
    groups_changed: bool,
    /// Failures in a row to learn whether the gate is there.
    unreadable: u8,
    /// No installation of the gate before this instant.
    retry_at: MonoTime,
    /// Pause after the next failed installation.
    pause: gate::Pause,
    /// Addresses still to be removed and added.
    plan: Plan,
    /// Whether some step of the present plan failed.
    step_failed: bool,
    /// Whether `AddressesReady` was reported and holds.
    ready: bool,
    /// Whether `AddressesReady` is due again, because the configuration changed since.
    report_due: bool,
    /// Addresses that the configuration gained since they were last all in place. That they are
    /// missing takes nothing from groups that serve.
    gained: HashSet<Vip>,
    /// Whether the present plan adds gained addresses only.
    adds_gained_only: bool,
    /// Plans made in this period of a second.
    rounds: u8,
    /// Addresses that went missing after they had been in place.
    lost: HashSet<Vip>,
    /// Cause of each operation's present failure, as reported.
    failures: HashMap<&'static str, String>,
    /// Whether to look at the interface: something may have changed.
    look_due: bool,
    /// Whether the only reason to look is that a second has passed.
    routine: bool,
    /// A routine look before this instant leaves the addresses out.
    addresses_due: MonoTime,
    gateways: Gateways,
    /// Looks until the next one at the gateways.
    gateway_countdown: u8,
}

impl Port {
    /// A port that knows nothing of its interface yet; its first look finds all.
    pub(super) fn new(wanted: Guarded) -> Port {
        let vips = vips_of(&wanted);
        Port {
            wanted,
            vips,
            link: None,
            gate: None,
            lost_gate: None,
            proven: false,
            attached: false,
            groups_changed: false,
            unreadable: 0,
            retry_at: MonoTime::ZERO,
            pause: gate::Pause::default(),
            plan: Plan::empty(),
            step_failed: false,
            ready: false,
            report_due: false,
            gained: HashSet::new(),
            adds_gained_only: false,
            rounds: 0,
            lost: HashSet::new(),
            failures: HashMap::new(),
            look_due: true,
            routine: false,
            addresses_due: MonoTime::ZERO,
            gateways: Gateways::default(),
            gateway_countdown: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.wanted.name
    }

    /// Whether a step of the plan is left to do.
    pub(super) fn has_work(&self) -> bool {
        !self.plan.is_empty()
    }

    /// Takes another configuration of the same interface; the next look carries it out.
    pub(super) fn reconfigure(&mut self, wanted: Guarded) {
        self.groups_changed |= self.wanted.groups != wanted.groups;
        let before = std::mem::replace(&mut self.vips, vips_of(&wanted));
        self.gained =
            self.vips.iter().filter(|vip| self.gained.contains(vip) || !before.contains(vip)).copied().collect();
        self.wanted = wanted;
        self.plan = Plan::empty();
        self.rounds = 0;
        self.lost.clear();
        self.look_soon();
        self.report_due = true;
        // Everything is reported again, under the new number of the interface.
        self.gateways = Gateways::default();
        self.failures.clear();
    }

    /// Begins another second: everything is looked at, and what failed is tried again.
    pub(super) fn begin_period(&mut self) {
        self.routine = !self.look_due;
        self.look_due = true;
        self.rounds = 0;
        self.gateway_countdown = self.gateway_countdown.saturating_sub(1);
    }

    /// Asks for a look at everything, for a reason.
    fn look_soon(&mut self) {
        (self.look_due, self.routine) = (true, false);
    }

    /// Takes the kernel's event as a hint to look. Only a lost carrier is reported from the event
    /// itself, at once.
    pub(super) fn handle_event(&mut self, tools: &mut Tools, event: &NetlinkEvent) {
        let index = self.link.as_ref().map(|link| link.index);
        let concerns = match event {
            NetlinkEvent::Link(link) if Some(link.index) == index || link.name == self.wanted.name => {
                if Some(link.index) == index && link.name == self.wanted.name && !link.carrier {
                    self.note_link(tools, link.clone());
                }
                true
            }
            NetlinkEvent::LinkGone { index: gone, .. } => Some(*gone) == index,
            NetlinkEvent::AddressAdded { index: on, address }
            | NetlinkEvent::AddressRemoved { index: on, address } => {
                Some(*on) == index && self.vips.contains(address)
            }
            NetlinkEvent::FilterChanged { index: on } => Some(*on) == index,
            NetlinkEvent::Overrun => true,
            NetlinkEvent::Link(_) => false,
        };
        if concerns {
            self.look_soon();
        }
    }

    /// Looks at the interface, if there is a reason to, and sets right what is wrong: gate first,
    /// addresses after it.
    pub(super) fn attend(&mut self, tools: &mut Tools) {
        if !std::mem::take(&mut self.look_due) {
            return;
        }
        let found = match tools.netlink.interface(&self.wanted.name) {
            Ok(found) => found,
            Err(cause) => return self.fail(tools, "look at the interface", cause.to_string()),
        };
        self.failures.remove("look at the interface");
        let same = |link: &InterfaceInfo| found.as_ref().is_some_and(|found| found.index == link.index);
        if self.link.as_ref().is_some_and(|link| !same(link)) {
            self.forget_interface(tools);
        }
        let Some(link) = found else { return };
        self.note_link(tools, link.clone());
        self.check_gate(tools, &link);
        self.install_gate(tools, &link);
        self.prove_gate(tools, &link);
        self.report_gate(tools, &link);
        self.check_addresses(tools, &link);
        if self.gateway_countdown == 0 {
            self.gateway_countdown = GATEWAY_PERIOD;
            self.look_for_gateways(tools, &link);
        }
    }

    /// Stores the interface as the kernel shows it, and reports it if it differs from before.
    fn note_link(&mut self, tools: &mut Tools, link: InterfaceInfo) {
        if self.link.as_ref() == Some(&link) {
            return;
        }
        tools.report(KeeperEvent::State {
            interface: self.wanted.interface,
            up: link.up,
            carrier: link.carrier,
            mac: link.mac,
        });
        if link.carrier {
            self.gateway_countdown = 0;
        }
        // A change of the interface is worth another installation at once.
        (self.retry_at, self.pause) = (MonoTime::ZERO, gate::Pause::default());
        self.link = Some(link);
    }

    /// Starts over: the interface is gone, and with it everything on it.
    fn forget_interface(&mut self, tools: &mut Tools) {
        tools.report(KeeperEvent::Gone { interface: self.wanted.interface });
        *self = Port { look_due: false, ..Port::new(self.wanted.clone()) };
    }

    /// Reports gateways that are new or have another hardware address.
    fn look_for_gateways(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        if !link.carrier {
            return;
        }
        match self.gateways.look(&mut tools.netlink, self.wanted.interface, link.index) {
            Ok(news) => {
                self.failures.remove("look for neighbours");
                news.into_iter().for_each(|event| tools.report(event));
            }
            Err(cause) => self.fail(tools, "look for neighbours", cause.to_string()),
        }
    }

    /// Takes the addresses off the interface and then the gate; the gate stays if an address does.
    pub(super) fn release(&mut self, tools: &mut Tools) {
        let found = tools.netlink.interface(&self.wanted.name);
        let Ok(Some(link)) = found else { return };
        // A gate of an earlier life knows which addresses to take away.
        self.install_gate(tools, &link);
        if !self.remove_addresses(tools, link.index, None) {
            return;
        }
        if let Some(Err(cause)) = self.gate.take().map(Gate::remove) {
            self.fail(tools, "remove the gate", cause.to_string());
        }
    }

    /// Reports a failed operation, unless its cause is the one reported before.
    fn fail(&mut self, tools: &mut Tools, operation: &'static str, cause: String) {
        if self.failures.get(operation) == Some(&cause) {
            return;
        }
        self.failures.insert(operation, cause.clone());
        tools.report(KeeperEvent::Failed { interface: self.wanted.interface, operation, cause });
    }
}

/// All addresses of all groups on an interface.
fn vips_of(wanted: &Guarded) -> HashSet<Vip> {
    wanted.groups.iter().flat_map(|(_, vips)| vips).copied().collect()
}
