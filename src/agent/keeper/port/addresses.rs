//! The addresses of an interface: put in place, put back, taken away.
//!
//! Owns: the rhythm of that work, in small steps. Never does: add an address without a gate that
//! guards it. An address that cannot be put back makes the interface not ready, and is tried again
//! with the next look.

use super::super::plan::{Plan, Step};
use super::super::{KeeperEvent, Tools};
use super::Port;
use crate::gate::Gate;
use crate::io::clock;
use crate::io::netlink::{self, InterfaceInfo};
use crate::types::Vip;
use std::time::Duration;

/// Times per second that missing addresses are put back without a pause. When they go missing more
/// often, another program is removing them.
const ROUNDS: u8 = 8;
/// Divisor of a processor's time that routine listing of addresses may cost. Events report changes;
/// in case one was lost, addresses are listed every second or more rarely, at this share: listing
/// fifty thousand takes some ten milliseconds.
const SHARE: u32 = 1_000;

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
        let retired: Vec<Vip> = self.gate.as_ref().map(Gate::retired).unwrap_or_default();
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

    /// Sets the interface to keep IPv6 addresses when it goes down, if a group has one.
    pub(super) fn hold_addresses_while_down(&mut self, tools: &mut Tools) {
        if !self.vips.iter().any(Vip::is_ipv6) {
            return;
        }
        if let Err(cause) = netlink::hold_addresses_while_down(&self.wanted.name) {
            let text = format!("keep_addr_on_down: {cause}; they will be added again after each \"down\"");
            self.fail(tools, "keep IPv6 addresses while the link is down", text);
        }
    }

    /// Compares the addresses in place with the wanted ones, plans the difference and takes its
    /// first step; reports readiness when there is none.
    pub(super) fn check_addresses(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        // A gate that does not know the present groups guards the wrong addresses; one that was not
        // seen to stop a frame guards none.
        let trusted = !self.groups_changed && (self.proven || !link.up);
        let (Some(gate), true) = (&mut self.gate, trusted) else { return };
        let (begin, busy) = (clock::now(), clock::busy());
        let spared = self.routine && self.ready && !self.report_due && begin < self.addresses_due;
        if !self.plan.is_empty() || spared {
            return;
        }
        let found = match tools.netlink.addresses(link.index) {
            Ok(found) => found,
            Err(cause) => return self.fail(tools, "list addresses", cause.to_string()),
        };
        self.addresses_due = begin + clock::busy().saturating_sub(busy) * SHARE;
        self.failures.remove("list addresses");
        let wanted = self.wanted.groups.iter().flat_map(|(_, vips)| vips);
        let plan = Plan::new(wanted, &gate.retired(), &found);
        if plan.is_empty() {
            let forgotten = gate.forget_retired();
            if let Err(cause) = forgotten {
                self.fail(tools, "forget former addresses", cause.to_string());
            }
            return self.report_ready(tools);
        }
        if self.ready {
            self.lost.extend(plan.additions().filter(|vip| !self.gained.contains(vip)));
        }
        self.adds_gained_only = plan.additions().all(|vip| self.gained.contains(vip));
        if self.rounds >= ROUNDS {
            // The next period tries again.
            self.report_missing(tools);
            return self.fail(tools, "keep addresses", "someone keeps removing or changing them".to_string());
        }
        self.rounds += 1;
        self.promote_secondaries(tools, &plan);
        (self.plan, self.step_failed) = (plan, false);
        self.work(tools);
    }

    /// Reports what is new now that all addresses are in place: restored ones, and readiness.
    fn report_ready(&mut self, tools: &mut Tools) {
        let interface = self.wanted.interface;
        self.failures
            .retain(|operation, _| !matches!(*operation, "add an address" | "remove an address" | "keep addresses"));
        for address in std::mem::take(&mut self.lost) {
            tools.report(KeeperEvent::AddressRestored { interface, address });
        }
        self.gained.clear();
        let report_due = std::mem::take(&mut self.report_due);
        if !std::mem::replace(&mut self.ready, true) || report_due {
            tools.report(KeeperEvent::AddressesReady { interface });
        }
    }

    /// Reports that addresses are missing, unless only gained ones are.
    fn report_missing(&mut self, tools: &mut Tools) {
        if self.adds_gained_only {
            return;
        }
        if std::mem::take(&mut self.ready) {
            tools.report(KeeperEvent::AddressesMissing { interface: self.wanted.interface });
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
                self.report_missing(tools);
            } else {
                self.look_soon();
            }
        }
    }

    /// Removes or adds the addresses of one step in the kernel; true if all succeeded.
    fn carry_out(&mut self, tools: &mut Tools, index: u32, step: &Step) -> bool {
        let (operation, result) = match step {
            Step::Remove(addresses) => ("remove an address", tools.netlink.remove_addresses(index, addresses)),
            Step::Add(addresses) => ("add an address", tools.netlink.add_addresses(index, addresses)),
        };
        let text = match result {
            Ok(failed) if failed.is_empty() => return true,
            Ok(failed) => match failed.as_slice() {
                [(vip, cause)] => format!("{vip}: {cause}"),
                [(vip, cause), ..] => format!("{vip}: {cause}, and {} more", failed.len() - 1),
                [] => return true,
            },
            Err(cause) => cause.to_string(),
        };
        self.fail(tools, operation, text);
        false
    }

    /// Sets the interface to promote secondary addresses, if the plan removes one with a network.
    /// Otherwise removing the first IPv4 address of a network removes the others of that network
    /// (kernel, ip-sysctl, promote_secondaries).
    fn promote_secondaries(&mut self, tools: &mut Tools, plan: &Plan) {
        if !plan.removes_network() {
            return;
        }
        let path = format!("/proc/sys/net/ipv4/conf/{}/promote_secondaries", self.wanted.name);
        if let Err(cause) = std::fs::write(path, "1") {
            self.fail(tools, "set promote_secondaries", cause.to_string());
        }
    }
}
