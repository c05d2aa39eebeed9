//! The plan: which addresses to remove, to add and to move so that an interface has exactly the
//! wanted ones behind the server's own, and in which portions.
//!
//! Owns: nothing of the machine; pure. Never does: remove an address that is neither wanted nor
//! retired; those belong to the administrator.

use crate::io::netlink::{ADDRESS_BATCH, AddressInfo};
use crate::types::Vip;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// Time that one portion should take, so that events wait no longer.
const STEP: Duration = Duration::from_millis(10);
/// Addresses in the first portion; later sizes follow from the time that portions take.
const FIRST_SIZE: usize = 64;

/// Addresses to remove (with the length of their prefix), then to add, then to move behind others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    remove: VecDeque<(Vip, u8)>,
    add: VecDeque<Vip>,
    behind: VecDeque<Vip>,
    size: usize,
}

/// One portion of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Remove(Vec<(Vip, u8)>),
    Add(Vec<Vip>),
    /// See [`crate::io::netlink::Netlink::move_behind`].
    Behind(Vec<Vip>),
}

impl Plan {
    /// A plan with nothing to do.
    pub(super) fn empty() -> Plan {
        Plan { remove: VecDeque::new(), add: VecDeque::new(), behind: VecDeque::new(), size: FIRST_SIZE }
    }

    /// Plans the way from `found` to what shall be there: `wanted` in its order, none of `retired`,
    /// all others untouched.
    pub(super) fn new<'a>(wanted: impl Iterator<Item = &'a Vip>, retired: &[Vip], found: &[AddressInfo]) -> Plan {
        let mut plan = Plan::empty();
        let mut there: HashMap<Vip, Vec<&AddressInfo>> = HashMap::with_capacity(found.len());
        for info in found {
            there.entry(info.address).or_default().push(info);
        }
        for vip in wanted {
            let found = there.get(vip).map_or([].as_slice(), Vec::as_slice);
            // An IPv4 address may be there several times, with different prefixes.
            plan.remove.extend(found.iter().filter(|info| !info.is_ours).map(|info| (*vip, info.prefix)));
            if !found.iter().any(|info| info.is_ours) {
                plan.add.push_back(*vip);
            }
        }
        let retired: HashSet<&Vip> = retired.iter().collect();
        let leaving = found.iter().filter(|info| retired.contains(&info.address));
        plan.remove.extend(leaving.map(|info| (info.address, info.prefix)));
        plan
    }

    pub(super) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty() && self.behind.is_empty()
    }

    /// Moves these addresses, too: others are the server's own.
    pub(super) fn move_behind(&mut self, addresses: &[Vip]) {
        self.behind.extend(addresses);
    }

    /// Removes this IPv6 address first, and adds it again if `again`.
    pub(super) fn take_away(&mut self, vip: Vip, again: bool) {
        self.remove.push_back((vip, 128));
        self.add.extend(again.then_some(vip));
    }

    /// Addresses that will be added.
    pub(super) fn additions(&self) -> impl Iterator<Item = &Vip> {
        self.add.iter()
    }

    /// Whether an IPv4 address with a network around it goes: the kernel may remove others with it.
    pub(super) fn removes_network(&self) -> bool {
        self.remove.iter().any(|(vip, prefix)| vip.is_ipv4() && *prefix < 32)
    }

    /// Takes the next portion; `None` when the plan is done.
    pub(super) fn next(&mut self) -> Option<Step> {
        if !self.remove.is_empty() {
            let count = self.size.min(self.remove.len());
            return Some(Step::Remove(self.remove.drain(..count).collect()));
        }
        let count = self.size.min(self.add.len());
        if count > 0 {
            return Some(Step::Add(self.add.drain(..count).collect()));
        }
        let count = self.size.min(self.behind.len());
        (count > 0).then(|| Step::Behind(self.behind.drain(..count).collect()))
    }

    /// Adapts the size of the next portion to the time that the last one took.
    pub(super) fn adapt(&mut self, time: Duration) {
        if time > STEP * 2 {
            self.size = (self.size / 2).max(1);
        } else if time < STEP / 2 {
            self.size = (self.size * 2).min(ADDRESS_BATCH);
        }
    }
}

#[cfg(test)]
mod tests;
