//! The addresses of an interface: put in place, put back, kept behind the server's own, taken away.
//!
//! Owns: the rhythm of that work, in small steps. Never does: add an address without a gate that
//! guards it, or take one away whose group is open. An address that cannot be put back is missing
//! from its group alone, and is tried again with the next look.

use super::super::KeeperEvent;
use super::super::Tools;
use super::super::plan::{Plan, Step};
use super::super::precedence::{Precedence, is_link_local};
use super::{Port, own};
use crate::gate::Gate;
use crate::io::clock;
use crate::io::netlink::{self, AddressInfo, InterfaceInfo};
use crate::types::Vip;
use std::time::Duration;

/// Times per second that missing addresses are put back without a pause. When they go missing more
/// often, another program is removing them.
const ROUNDS: u8 = 8;
/// Divisor of a processor's time that routine listing of addresses may cost. Events report changes;
/// in case one was lost, addresses are listed every second or more rarely, at this share: listing
/// fifty thousand takes some ten milliseconds.
const SHARE: u32 = 1_000;
/// How long the server may be without an address of its own before that is told, and before a
/// link-local group address does not wait for one any more: duplicate detection takes two seconds.
const OWN_PATIENCE: Duration = Duration::from_secs(5);

impl Port {
    /// Takes all wanted and retired addresses off the interface, for `limit` at most; true if none
    /// is left.
    pub(super) fn remove_addresses(&mut self, tools: &mut Tools, index: u32, limit: Option<Duration>) -> bool {
        let start = clock::now();
        let found = match tools.netlink.addresses(index) {
            Ok(found) => found,
            Err(cause) if cause.raw_os_error() == Some(libc::ENODEV) => return true,
            Err(cause) => {
                self.fail(tools, "list addresses", cause.to_string());
                return false;
            }
        };
        let retired: Vec<Vip> = self.gate.as_ref().or(self.lost_gate.as_ref()).map(Gate::retired).unwrap_or_default();
        let leaving: Vec<Vip> = self.vips.iter().copied().chain(retired).collect();
        let mut plan = Plan::new(std::iter::empty(), &leaving, &found);
        let mut flawless = true;
        self.promote_secondaries(tools, &plan);
        while let Some(step) = plan.next() {
            let begin = clock::now();
            flawless &= self.carry_out(tools, index, &step);
            plan.adapt(clock::now().since(begin));
            if limit.is_some_and(|limit| clock::now().since(start) > limit) {
                return flawless && plan.is_empty();
            }
        }
        flawless
    }

    /// Sets the interface up for group addresses: IPv6 ones outlive a "down", and the kernel asks
    /// for IPv4 neighbours in the server's own name. Somebody may set that back: looked at each time.
    pub(super) fn set_up(&mut self, tools: &mut Tools, first: bool) {
        let Some(name) = self.link.as_ref().map(|link| link.name.clone()) else { return };
        let has = |v6: bool| self.vips.iter().any(|vip| vip.is_ipv6() == v6);
        let (four, six) = (has(false), first && has(true));
        if let (true, Err(cause)) = (six, netlink::hold_addresses_while_down(&name)) {
            let text = format!("keep_addr_on_down: {cause}; they will be added again after each \"down\"");
            self.fail(tools, "keep IPv6 addresses while the link is down", text);
        }
        if !four {
            return;
        }
        match netlink::ask_with_own_address(&name) {
            Ok(true) if !first => self.warn(tools, "arp_announce was set back by somebody; it is 2 again".to_owned()),
            Ok(_) => {}
            Err(cause) => {
                let text =
                    format!("arp_announce: {cause}; a standby may not find neighbours for which its service asks");
                self.fail(tools, "ask for neighbours in the server's own name", text);
            }
        }
    }

    /// Compares the addresses in place with the wanted ones, plans the difference and takes its
    /// first step; reports what there is when nothing is left to do.
    pub(super) fn check_addresses(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        // A gate that does not know the present groups guards the wrong addresses; one that was not
        // seen to stop a frame guards none.
        let trusted = !self.groups_changed && (self.proven || !link.up);
        let (Some(gate), true) = (&self.gate, trusted) else { return };
        let (begin, busy) = (clock::now(), clock::busy());
        let spared = self.routine && self.placement.is_whole() && begin < self.addresses_due;
        if !self.plan.is_empty() || spared {
            return;
        }
        let found = match tools.netlink.addresses(link.index) {
            Ok(found) => found,
            Err(cause) => return self.fail(tools, "list addresses", cause.to_string()),
        };
        let retired = gate.retired();
        self.addresses_due = begin + clock::busy().saturating_sub(busy) * SHARE;
        self.failures.remove("list addresses");
        let own = own::among(&found, |address| self.vips.contains(address) || retired.contains(address));
        if self.own.as_ref() != Some(&own) {
            self.own = Some(own.clone());
            tools.report(KeeperEvent::OwnAddresses { interface: self.wanted.interface, own });
        }
        let there = found.iter().filter(|info| info.is_ours && self.vips.contains(&info.address));
        self.placement.begin(there.map(|info| info.address).collect());
        let plan = self.plan_for(tools, &found, &retired);
        if plan.is_empty() {
            if let Some(Err(cause)) = self.gate.as_mut().map(Gate::forget_retired) {
                self.fail(tools, "forget former addresses", cause.to_string());
            }
            self.failures.retain(|operation, _| !matches!(*operation, "remove an address" | "keep addresses"));
            return self.settle(tools);
        }
        if !tools.guarded && plan.additions().next().is_some() {
            // The guards of other interfaces come first; then there is another look.
            return;
        }
        if self.rounds >= ROUNDS {
            // The next period tries again.
            for vip in plan.additions() {
                self.placement.note_failed(*vip, "somebody keeps removing or changing it".to_owned());
            }
            self.fail(tools, "keep addresses", "someone keeps removing or changing them".to_string());
            return self.settle(tools);
        }
        self.begin(tools, plan);
    }

    /// Keeps none of the addresses on an interface whose frames another one takes: the kernel would
    /// answer for them to whoever is behind the other's ports. Without them the gate goes, too: it
    /// would only stand between those and the node that serves.
    pub(super) fn clear(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        if !self.plan.is_empty() || self.rounds >= ROUNDS {
            return;
        }
        let found = match tools.netlink.addresses(link.index) {
            Ok(found) => found,
            Err(cause) => return self.fail(tools, "list addresses", cause.to_string()),
        };
        if found.iter().any(|info| self.vips.contains(&info.address)) {
            self.install_gate(tools, link);
        }
        let mut leaving: Vec<Vip> = self.vips.iter().copied().collect();
        if let Some(gate) = &mut self.gate {
            // The next report brings the groups back.
            self.groups_changed = true;
            let closed = gate.retire_all();
            leaving.extend(gate.retired());
            if let Err(cause) = closed {
                self.fail(tools, "close the gate", cause.to_string());
            }
        }
        let plan = Plan::new(std::iter::empty(), &leaving, &found);
        if !plan.is_empty() {
            return self.begin(tools, plan);
        }
        if let Some(Err(cause)) = self.gate.take().map(Gate::remove) {
            self.fail(tools, "remove the gate", cause.to_string());
        }
    }

    /// Takes up a plan with its first step.
    fn begin(&mut self, tools: &mut Tools, plan: Plan) {
        self.rounds += 1;
        self.promote_secondaries(tools, &plan);
        (self.plan, self.step_failed) = (plan, false);
        self.work(tools);
    }

    /// Plans the way from what was found to the wanted addresses, none of which the kernel shall
    /// prefer to the server's own; lets the gate know the server's own address.
    fn plan_for(&mut self, tools: &mut Tools, found: &[AddressInfo], retired: &[Vip]) -> Plan {
        let precedence = Precedence::of(found, |address| self.vips.contains(address) || retired.contains(address));
        if let Some(gate) = &self.gate {
            gate.set_own_address(precedence.own);
        }
        let waits = self.note_own(tools, &precedence);
        let may_add = |vip: &&Vip| !waits || !is_link_local(vip);
        let wanted = self.wanted.groups.iter().flat_map(|(_, vips)| vips);
        let mut plan = Plan::new(wanted.clone().filter(may_add), retired, found);
        plan.move_behind(&precedence.ahead);
        for vip in wanted.filter(|vip| is_link_local(vip)) {
            let present = found.iter().any(|info| info.address == *vip);
            let early = present && (waits || precedence.early.contains(vip));
            // An open group's address stays: nothing may be gone for a moment, and what leaves with
            // it passes the gate.
            if early && self.is_closed(vip) {
                self.placement.note_taken(vip);
                plan.take_away(*vip, !waits);
            }
            if waits && (!present || self.is_closed(vip)) {
                self.placement.note_failed(*vip, "it waits for the server's own link-local address".to_owned());
            }
        }
        plan
    }

    /// Notes which addresses of its own the server has, and tells once what follows where it has
    /// none. True while link-local group addresses wait for one.
    fn note_own(&mut self, tools: &mut Tools, found: &Precedence) -> bool {
        let local = self.vips.iter().any(is_link_local);
        let four = self.vips.iter().any(Vip::is_ipv4);
        let lacks = [(four && !found.has_own4), (local && found.waits)];
        let now = clock::now();
        for (since, lacks) in self.without_own.iter_mut().zip(lacks) {
            *since = if lacks { since.or(Some(now)) } else { None };
        }
        let over = self.without_own.map(|since| since.is_some_and(|since| now.since(since) >= OWN_PATIENCE));
        for (over, family) in over.into_iter().zip(["IPv4", "link-local IPv6"]) {
            let text = format!(
                "no {family} address of the server's own: what the server itself sends here has a group's address \
                 as its source, and a standby's gate drops it"
            );
            if over {
                self.warn(tools, text);
            } else {
                self.warned.remove(&text);
            }
        }
        local && found.waits && !over[1]
    }

    /// True if the gate lets nothing of the group pass that has this address.
    fn is_closed(&self, vip: &Vip) -> bool {
        let Some(gate) = &self.gate else { return true };
        let group = self.wanted.groups.iter().find(|(_, vips)| vips.contains(vip));
        let Some(slot) = group.and_then(|(key, _)| gate.slot(*key)) else { return true };
        let (handle, now) = (gate.handle(), clock::now());
        let view = handle.slot_view(slot);
        handle.lease().until <= now || (view.answer_until <= now && view.carry_until <= now)
    }

    /// Reports what is new now that everything was tried.
    fn settle(&mut self, tools: &mut Tools) {
        self.failures.remove("add an address");
        for event in self.placement.settle(self.wanted.interface, &self.wanted.groups) {
            tools.report(event);
        }
    }

    /// Takes one step of the plan. After the last one the interface is looked at again: at once if
    /// all steps succeeded, otherwise in the next period.
    pub(in super::super) fn work(&mut self, tools: &mut Tools) {
        let Some(index) = self.link.as_ref().map(|link| link.index) else { return };
        let Some(step) = self.plan.next() else { return };
        let start = clock::now();
        self.step_failed |= !self.carry_out(tools, index, &step);
        self.plan.adapt(clock::now().since(start));
        if self.plan.is_empty() {
            if self.step_failed {
                self.settle(tools);
            } else {
                self.look_soon();
            }
        }
    }

    /// Carries out one step in the kernel; true if all of it succeeded.
    fn carry_out(&mut self, tools: &mut Tools, index: u32, step: &Step) -> bool {
        let (operation, result, concerned) = match step {
            Step::Remove(addresses) => {
                let concerned: Vec<Vip> = addresses.iter().map(|(vip, _)| *vip).collect();
                ("remove an address", tools.netlink.remove_addresses(index, addresses), concerned)
            }
            Step::Add(addresses) => {
                ("add an address", tools.netlink.add_addresses(index, addresses), addresses.clone())
            }
            Step::Behind(addresses) => {
                ("move an address behind the server's own", tools.netlink.move_behind(index, addresses), Vec::new())
            }
        };
        let failed: Vec<(Vip, String)> = match result {
            Ok(failed) => failed.into_iter().map(|(vip, cause)| (vip, cause.to_string())).collect(),
            Err(cause) if concerned.is_empty() => return self.note_refused(tools, operation, cause.to_string()),
            Err(cause) => concerned.into_iter().map(|vip| (vip, cause.to_string())).collect(),
        };
        for (vip, cause) in &failed {
            match step {
                Step::Add(_) => self.placement.note_failed(*vip, cause.clone()),
                // What is moved is there, before or behind; what is not wanted is missed by nobody.
                Step::Remove(_) if self.vips.contains(vip) => self.placement.note_failed(*vip, cause.clone()),
                Step::Remove(_) | Step::Behind(_) => {
                    self.note_refused(tools, operation, format!("{vip}: {cause}"));
                }
            }
        }
        failed.is_empty()
    }

    /// Reports a step that concerns no address of a group; always false.
    fn note_refused(&mut self, tools: &mut Tools, operation: &'static str, cause: String) -> bool {
        self.fail(tools, operation, cause);
        false
    }

    /// Sets the interface to promote secondary addresses, if the plan removes one with a network.
    fn promote_secondaries(&mut self, tools: &mut Tools, plan: &Plan) {
        if !plan.removes_network() {
            return;
        }
        let Some(link) = &self.link else { return };
        if let Err(cause) = netlink::promote_secondaries(&link.name) {
            self.fail(tools, "set promote_secondaries", cause.to_string());
        }
    }
}
