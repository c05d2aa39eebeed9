//! The addresses of an interface: put there, put back, taken away. Only behind a gate, and in small steps.

use super::super::plan::{Plan, Step};
use super::super::{KeeperEvent, Tools};
use super::Port;
use crate::gate::Gate;
use crate::io::clock;
use crate::io::netlink::{InterfaceInfo, hold_addresses_while_down};
use crate::types::Vip;
use std::time::Duration;

/// Times per second that missing addresses are put back without a pause. Someone who removes them faster is at work.
const ROUNDS: u8 = 8;
/// What changes is told by events. In case one was lost the addresses are listed all the same, each second or more rarely,
/// so that it costs at most one part in so many of a processor: fifty thousand are some ten milliseconds of work.
const SHARE: u32 = 1_000;

impl Port {
    /// Takes our addresses off the interface, for `limit` at most; true if none is left.
    pub(super) fn strip(&mut self, tools: &mut Tools, index: u32, limit: Option<Duration>) -> bool {
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
        self.protect_networks(tools, &plan);
        while let Some(step) = plan.next() {
            let begin = clock::now();
            flawless &= self.take_step(tools, index, &step);
            plan.took(clock::now().since(begin));
            if limit.is_some_and(|limit| clock::now().since(start) > limit) {
                return flawless && plan.is_empty();
            }
        }
        flawless
    }

    pub(super) fn hold_addresses(&mut self, tools: &mut Tools) {
        if !self.vips.iter().any(Vip::is_ipv6) {
            return;
        }
        if let Err(cause) = hold_addresses_while_down(&self.wanted.name) {
            let text = format!("keep_addr_on_down: {cause}; they will be added again after each \"down\"");
            self.fail(tools, "keep IPv6 addresses while the link is down", text);
        }
    }

    /// Compares what is there with what shall be there, and plans what is to do.
    pub(super) fn check_addresses(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        // A gate that does not know the present groups guards the wrong addresses.
        let (Some(gate), false) = (&mut self.gate, self.regroup) else { return };
        let (begin, busy) = (clock::now(), clock::busy());
        let spared = self.casual && self.ready && !self.changed && begin < self.addresses_due;
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
            return self.rejoice(tools);
        }
        if self.ready {
            self.lost.extend(plan.additions().filter(|vip| !self.novel.contains(vip)));
        }
        self.harmless = plan.additions().all(|vip| self.novel.contains(vip));
        if self.rounds >= ROUNDS {
            // The next period tries again.
            self.miss(tools);
            return self.fail(tools, "keep addresses", "someone keeps removing or changing them".to_string());
        }
        self.rounds += 1;
        (self.plan, self.flawed) = (plan, false);
        self.protect_networks_of_plan(tools);
        self.work(tools);
    }

    /// All addresses are as they shall be.
    fn rejoice(&mut self, tools: &mut Tools) {
        let interface = self.wanted.interface;
        self.failures
            .retain(|operation, _| !matches!(*operation, "add an address" | "remove an address" | "keep addresses"));
        for address in std::mem::take(&mut self.lost) {
            tools.tell(KeeperEvent::AddressRestored { interface, address });
        }
        self.novel.clear();
        let changed = std::mem::take(&mut self.changed);
        if !std::mem::replace(&mut self.ready, true) || changed {
            tools.tell(KeeperEvent::AddressesReady { interface });
        }
    }

    fn miss(&mut self, tools: &mut Tools) {
        if self.harmless {
            return;
        }
        if std::mem::take(&mut self.ready) {
            tools.tell(KeeperEvent::AddressesMissing { interface: self.wanted.interface });
        }
    }

    /// Does one step of the plan. After the last one everything is looked at again, at once if all went well.
    pub(in super::super) fn work(&mut self, tools: &mut Tools) {
        let Some(index) = self.link.as_ref().map(|link| link.index) else { return };
        let Some(step) = self.plan.next() else { return };
        let start = clock::now();
        self.flawed |= !self.take_step(tools, index, &step);
        self.plan.took(clock::now().since(start));
        if self.plan.is_empty() {
            if self.flawed {
                self.miss(tools);
            } else {
                self.stir();
            }
        }
    }

    /// True if nothing failed.
    fn take_step(&mut self, tools: &mut Tools, index: u32, step: &Step) -> bool {
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

    fn protect_networks_of_plan(&mut self, tools: &mut Tools) {
        let plan = std::mem::replace(&mut self.plan, Plan::empty());
        self.protect_networks(tools, &plan);
        self.plan = plan;
    }

    /// Removing the first IPv4 address of a network removes the others of that network, unless they are promoted:
    /// ip-sysctl, promote_secondaries.
    fn protect_networks(&mut self, tools: &mut Tools, plan: &Plan) {
        if !plan.removes_network() {
            return;
        }
        let path = format!("/proc/sys/net/ipv4/conf/{}/promote_secondaries", self.wanted.name);
        if let Err(cause) = std::fs::write(path, "1") {
            self.fail(tools, "set promote_secondaries", cause.to_string());
        }
    }
}
