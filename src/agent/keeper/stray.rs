//! A stray: an interface that was guarded under a name which means another interface now, or none.
//! What answers in the kernel goes by the interface's number, and so does this: the gate is closed
//! for good, and stays until the addresses are off the interface.
//!
//! Owns: the gate of such an interface. Never does: open it, or give the interface up while it has
//! a group's address. After that the closed gate stays as long as the configuration has the name
//! that the interface lost, because the addresses may be on another interface of this machine by
//! then, and the kernel answers for them on all. A failed step is logged once and tried again with
//! the next look.

use super::plan::{Plan, Step};
use super::{Guarded, Tools};
use crate::gate::Gate;
use crate::gate::place::Standing;
use crate::io::clock;
use crate::io::netlink::{self, InterfaceInfo, NetlinkEvent};
use crate::types::{GroupKey, Vip};
use std::fmt;

/// An interface that is not what its name says any more.
pub(super) struct Stray {
    index: u32,
    /// The name by which it was guarded.
    name: String,
    /// The groups whose addresses it may have.
    groups: Vec<(GroupKey, Vec<Vip>)>,
    gate: Option<Gate>,
    /// Addresses still to be removed.
    plan: Plan,
    /// Whether to look at the interface: something may have changed.
    look_due: bool,
    /// Whether the addresses have all been taken away once.
    stripped: bool,
    /// Whether the configuration does not have the lost name any more: the gate is to go as well.
    released: bool,
    /// Cause of the present failure, as logged.
    failure: Option<String>,
}

impl Stray {
    /// Takes over the interface `index`, which was guarded as `guarded` says, and closes its gate:
    /// when this returns nothing answers there any more.
    pub(super) fn new(index: u32, guarded: &Guarded, mut gate: Option<Gate>) -> Stray {
        let closed = gate.as_mut().map(Gate::retire_all);
        let mut stray = Stray {
            index,
            name: guarded.name.clone(),
            groups: guarded.groups.clone(),
            gate,
            plan: Plan::empty(),
            look_due: true,
            stripped: false,
            released: false,
            failure: None,
        };
        if let Some(Err(cause)) = closed {
            stray.fail("close the gate", &cause);
        }
        stray
    }

    /// Number of the interface.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Name by which it was guarded.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The gate, for a name that means this interface again, or by now. The addresses that may be
    /// left are retired in it; without a gate they are taken away first.
    pub(super) fn into_gate(mut self, tools: &mut Tools) -> Option<Gate> {
        if self.gate.is_none() {
            self.make_plan(tools);
            while !self.plan.is_empty() {
                self.work(tools);
            }
        }
        self.gate.take()
    }

    /// Lets the gate go as well, once the addresses are gone.
    pub(super) fn release(&mut self) {
        (self.released, self.look_due) = (true, true);
    }

    /// Begins another second: everything is looked at.
    pub(super) fn begin_period(&mut self) {
        self.look_due = true;
    }

    /// Whether a step of the plan is left to do.
    pub(super) fn has_work(&self) -> bool {
        !self.plan.is_empty()
    }

    /// Takes the kernel's event as a hint to look. An address that somebody adds after all were
    /// gone is found within a second: nobody can keep us busy by adding it.
    pub(super) fn handle_event(&mut self, event: &NetlinkEvent) {
        self.look_due |= match event {
            NetlinkEvent::Link(link) => link.index == self.index,
            NetlinkEvent::LinkGone { index, .. } | NetlinkEvent::FilterChanged { index } => *index == self.index,
            NetlinkEvent::AddressAdded { .. } | NetlinkEvent::AddressRemoved { .. } | NetlinkEvent::Learned(_) => {
                false
            }
            NetlinkEvent::Overrun => true,
        };
    }

    /// Looks at the interface, if there is a reason to: guards it and takes its addresses away.
    /// False when nothing is left to do here for ever.
    pub(super) fn attend(&mut self, tools: &mut Tools) -> bool {
        if !std::mem::take(&mut self.look_due) {
            return true;
        }
        let link = match tools.netlink.interface_at(self.index) {
            Ok(Some(link)) => link,
            Ok(None) => return false,
            Err(cause) => {
                self.fail("look at the interface", &cause);
                return true;
            }
        };
        self.guard(tools, &link);
        if self.plan.is_empty() && self.make_plan(tools) && self.plan.is_empty() {
            return self.finish(&link);
        }
        if self.plan.removes_network()
            && let Err(cause) = netlink::promote_secondaries(&link.name)
        {
            self.fail("set promote_secondaries", &cause);
        }
        self.work(tools);
        true
    }

    /// Installs another closed gate if there is none any more that decides first.
    fn guard(&mut self, tools: &Tools, link: &InterfaceInfo) {
        let installed = match self.gate.as_ref().map(|gate| (gate, gate.standing())) {
            Some((_, Ok(Standing::First))) => return,
            Some((_, Err(cause))) => return self.fail("look at the gate", &cause),
            Some((gate, Ok(Standing::Absent | Standing::Behind(_)))) => gate.supersede(&self.groups),
            None => Gate::install_in(tools.place, self.index, &link.name, &self.groups, &tools.former),
        };
        match installed.and_then(|mut gate| gate.retire_all().map(|()| gate)) {
            Ok(gate) => self.gate = Some(gate),
            Err(cause) => self.fail("guard the interface", &cause),
        }
    }

    /// Lists the addresses that are to go; false if the kernel does not say.
    fn make_plan(&mut self, tools: &mut Tools) -> bool {
        let leaving: Vec<Vip> = self.groups.iter().flat_map(|(_, vips)| vips).copied().collect();
        match tools.netlink.addresses(self.index) {
            Ok(found) => {
                self.plan = Plan::new(std::iter::empty(), &leaving, &found);
                true
            }
            Err(cause) => {
                self.fail("list addresses", &cause);
                false
            }
        }
    }

    /// Takes one step of the plan. After the last one the interface is looked at again: at once if
    /// that step succeeded, otherwise with the next look.
    pub(super) fn work(&mut self, tools: &mut Tools) {
        let addresses = match self.plan.next() {
            Some(Step::Remove(addresses)) => addresses,
            // Nothing is wanted here, so nothing is added.
            Some(Step::Add(_) | Step::Behind(_)) | None => return,
        };
        let start = clock::now();
        match tools.netlink.remove_addresses(self.index, &addresses) {
            Ok(failed) => match failed.first() {
                Some((vip, cause)) => self.fail("remove an address", &format!("{vip}: {cause}")),
                None => self.look_due |= self.plan.is_empty(),
            },
            Err(cause) => self.fail("remove an address", &cause),
        }
        self.plan.adapt(clock::now().since(start));
    }

    /// Says once that all addresses are gone; removes the gate of a released interface. True as long
    /// as the interface is to be guarded.
    fn finish(&mut self, link: &InterfaceInfo) -> bool {
        self.failure = None;
        if !std::mem::replace(&mut self.stripped, true) {
            tracing::info!(interface = link.name, was = self.name, "no group's address is left on it");
        }
        if !self.released {
            return true;
        }
        if let Some(Err(cause)) = self.gate.take().map(Gate::remove) {
            tracing::error!(interface = link.name, %cause, "cannot remove the gate, which stays closed");
        }
        false
    }

    /// Logs a failed operation, unless it is the one logged before.
    fn fail(&mut self, operation: &str, cause: &dyn fmt::Display) {
        let text = format!("{operation}: {cause}");
        if self.failure.as_ref() == Some(&text) {
            return;
        }
        tracing::error!(was = self.name, index = self.index, "an interface that lost its name: {text}");
        self.failure = Some(text);
    }
}
