//! One client interface: its state, and what is done to bring it to the wanted one.
//!
//! Owns: the order of the steps, which keeps the promise that no frame claims an address while no
//! gate guards it: the gate before the addresses, and the addresses away when the gate is. Never
//! does: wait for anything but the kernel. A failed step is reported once and tried again with the
//! next look.

mod addresses;
mod gate;
mod own;

use super::gateways::Gateways;
use super::placement::Placement;
use super::plan::Plan;
use super::stray::Stray;
use super::{Guarded, KeeperEvent, Tools};
use crate::engine::OwnAddress;
use crate::gate::Gate;
use crate::io::netlink::{InterfaceInfo, NetlinkEvent};
use crate::types::{GroupKey, InterfaceId, MonoTime, Vip};
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
    /// What the name means by the look that has just begun.
    found: Option<InterfaceInfo>,
    /// Whether the interface left this namespace since it was looked at, even if it is back.
    vanished: bool,
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
    /// How much of each group is in place, and what was reported of it.
    placement: Placement,
    /// Since when the server has had no IPv4 address, and no link-local one, of its own here.
    without_own: [Option<MonoTime>; 2],
    /// Warnings that hold, as reported.
    warned: HashSet<String>,
    /// Plans made in this period of a second.
    rounds: u8,
    /// Cause of each operation's present failure, as reported.
    failures: HashMap<&'static str, String>,
    /// Whether to look at the interface: something may have changed.
    look_due: bool,
    /// Whether the only reason to look is that a second has passed.
    routine: bool,
    /// A routine look before this instant leaves the addresses out.
    addresses_due: MonoTime,
    gateways: Gateways,
    /// Own addresses to ask with, as reported last.
    own: Option<Box<[OwnAddress]>>,
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
            found: None,
            vanished: false,
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
            placement: Placement::default(),
            without_own: [None; 2],
            warned: HashSet::new(),
            rounds: 0,
            failures: HashMap::new(),
            look_due: true,
            routine: false,
            addresses_due: MonoTime::ZERO,
            gateways: Gateways::default(),
            own: None,
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

    /// Number of the interface in reports.
    pub(super) fn interface(&self) -> InterfaceId {
        self.wanted.interface
    }

    /// All wanted addresses.
    pub(super) fn vips(&self) -> impl Iterator<Item = Vip> {
        self.vips.iter().copied()
    }

    /// The gate, if there is one.
    pub(super) fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// Takes another configuration of the same interface; the next look carries it out.
    pub(super) fn reconfigure(&mut self, wanted: Guarded) {
        self.groups_changed |= self.wanted.groups != wanted.groups;
        self.vips = vips_of(&wanted);
        self.placement.reconfigure(&self.vips);
        self.wanted = wanted;
        self.plan = Plan::empty();
        self.rounds = 0;
        self.look_soon();
        // Everything is reported again, under the new number of the interface.
        self.gateways = Gateways::default();
        self.own = None;
        self.failures.clear();
        self.warned.clear();
    }

    /// Begins another second: everything is looked at, and what failed is tried again.
    pub(super) fn begin_period(&mut self) {
        self.routine = !self.look_due;
        self.look_due = true;
        self.rounds = 0;
        self.gateway_countdown = self.gateway_countdown.saturating_sub(1);
    }

    /// Asks for a look at everything, for a reason.
    pub(super) fn look_soon(&mut self) {
        (self.look_due, self.routine) = (true, false);
    }

    /// Takes the kernel's event as a hint to look. Only a lost carrier is reported from the event
    /// itself, at once. The interface is known by its number; its name is for finding another one.
    pub(super) fn handle_event(&mut self, tools: &mut Tools, event: &NetlinkEvent) {
        let index = self.link.as_ref().map(|link| link.index);
        let concerns = match event {
            NetlinkEvent::Link(link) if Some(link.index) == index || link.name == self.wanted.name => {
                if Some(link.index) == index && !link.carrier {
                    self.note_link(tools, link.clone());
                }
                true
            }
            NetlinkEvent::LinkGone { index: gone, .. } => {
                self.vanished |= Some(*gone) == index;
                Some(*gone) == index
            }
            // Also one of the server's own, which may have come or gone.
            NetlinkEvent::AddressAdded { index: on, .. }
            | NetlinkEvent::AddressRemoved { index: on, .. }
            | NetlinkEvent::FilterChanged { index: on } => Some(*on) == index,
            NetlinkEvent::Overrun => true,
            NetlinkEvent::Link(_) | NetlinkEvent::Learned(_) => false,
        };
        if concerns {
            self.look_soon();
        }
    }

    /// Finds out what the name means, if there is a reason to look. An interface that the name does
    /// not mean any more is let go of, closed: it is returned if it still exists.
    pub(super) fn look_up(&mut self, tools: &mut Tools) -> Option<Stray> {
        if !self.look_due {
            return None;
        }
        match tools.netlink.interface(&self.wanted.name) {
            Ok(found) => self.found = found,
            Err(cause) => {
                (self.look_due, self.found) = (false, None);
                self.fail(tools, "look at the interface", cause.to_string());
                return None;
            }
        }
        self.failures.remove("look at the interface");
        let known = self.index()?;
        let same = self.found_index() == Some(known);
        if same && !self.vanished { None } else { self.let_go(tools) }
    }

    /// Number of the interface that this port guards; `None` while it has none.
    pub(super) fn index(&self) -> Option<u32> {
        self.link.as_ref().map(|link| link.index)
    }

    /// Whether the name means an interface by the look that has just begun which it did not mean
    /// before.
    pub(super) fn has_news(&self) -> bool {
        self.found.is_some() && self.found_index() != self.index()
    }

    /// The groups that are wanted, with their addresses.
    pub(super) fn groups(&self) -> &[(GroupKey, Vec<Vip>)] {
        &self.wanted.groups
    }

    /// Number of the interface that the name means by the look that has just begun.
    pub(super) fn found_index(&self) -> Option<u32> {
        self.found.as_ref().map(|found| found.index)
    }

    /// Looks at the interface, if there is a reason to, and sets right what is wrong: gate first,
    /// addresses after it. `stray` is what another name has let go of, if that is this interface;
    /// `taken` the name of the port that guards it already.
    pub(super) fn attend(&mut self, tools: &mut Tools, stray: Option<Stray>, taken: Option<&str>) {
        if !std::mem::take(&mut self.look_due) {
            return;
        }
        let Some(link) = self.found.take() else { return };
        if let Some(other) = taken {
            let text = format!("it is the interface that is guarded as {other}");
            return self.fail(tools, "take the interface", text);
        }
        self.failures.remove("take the interface");
        if let Some(gate) = stray.and_then(|stray| stray.into_gate(tools)) {
            (self.gate, self.groups_changed) = (Some(gate), true);
        }
        self.note_link(tools, link.clone());
        if link.port_of.is_some() {
            return self.clear(tools, &link);
        }
        self.check_gate(tools, &link);
        self.install_gate(tools, &link);
        self.prove_gate(tools, &link);
        self.report_gate(tools, &link);
        if self.attached {
            self.set_up(tools, false);
        }
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
        let port_of = link.port_of.map(|master| name_of(tools, master));
        if port_of.is_some() {
            // The report takes gate and addresses back: both are about to go.
            self.placement = Placement::default();
            (self.attached, self.plan) = (false, Plan::empty());
        }
        let state = KeeperEvent::State {
            interface: self.wanted.interface,
            up: link.up,
            carrier: link.carrier,
            mac: link.mac,
            port_of,
        };
        tools.report_state(state, link.index, &self.wanted.uplinks);
        if link.carrier {
            self.gateway_countdown = 0;
        }
        self.rounds = 0;
        // A change of the interface is worth another installation at once.
        (self.retry_at, self.pause) = (MonoTime::ZERO, gate::Pause::default());
        self.link = Some(link);
    }

    /// Starts over without the interface. If it still exists, under another name, its gate is closed
    /// before anybody hears of it, and it is returned: its addresses are to go.
    fn let_go(&mut self, tools: &mut Tools) -> Option<Stray> {
        let link = self.link.take()?;
        // An interface that went away took its addresses along, also if it is back.
        let stray = (!self.vanished).then(|| Stray::new(link.index, &self.wanted, self.gate.take()));
        let renamed = stray.as_ref().and_then(|_| tools.netlink.interface_at(link.index).ok().flatten());
        let renamed = renamed.map(|link| link.name);
        tools.uplinks.forget(link.index);
        tools.report(KeeperEvent::Gone { interface: self.wanted.interface, renamed });
        *self = Port { found: self.found.take(), ..Port::new(self.wanted.clone()) };
        stray
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
    /// What counts is the interface that was guarded, whatever it is called by now.
    pub(super) fn release(&mut self, tools: &mut Tools) {
        let found = match self.index() {
            Some(index) => tools.netlink.interface_at(index),
            None => tools.netlink.interface(&self.wanted.name),
        };
        let link = match found {
            Ok(Some(link)) => link,
            Ok(None) => return,
            Err(cause) => return self.fail(tools, "look at the interface", cause.to_string()),
        };
        self.link = Some(link.clone());
        // A gate of an earlier life knows which addresses to take away.
        self.install_gate(tools, &link);
        if !self.remove_addresses(tools, link.index, None) {
            return;
        }
        if let Some(Err(cause)) = self.gate.take().map(Gate::remove) {
            self.fail(tools, "remove the gate", cause.to_string());
        }
    }

    /// Reports a sentence for people, unless it was reported and holds.
    fn warn(&mut self, tools: &mut Tools, text: String) {
        if self.warned.insert(text.clone()) {
            tools.report(KeeperEvent::Warned { interface: self.wanted.interface, text });
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

/// Name of the interface with this number, or the number.
fn name_of(tools: &mut Tools, index: u32) -> String {
    let found = tools.netlink.interface_at(index).ok().flatten();
    found.map_or_else(|| format!("interface {index}"), |link| link.name)
}

/// All addresses of all groups on an interface.
fn vips_of(wanted: &Guarded) -> HashSet<Vip> {
    wanted.groups.iter().flat_map(|(_, vips)| vips).copied().collect()
}
