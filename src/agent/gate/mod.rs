//! The gate: a program in the kernel that decides, for each frame of a client interface, whether this node may claim,
//! answer for or carry a group's address.
//!
//! Owns: the program and its maps on one interface, from installation to adoption by the next agent. Never does:
//! decide who is active, touch addresses, wait. When this process dies the program stays, and closes by itself at
//! the deadlines stored in it; when a call here fails, nothing has been opened by it.
//!
//! Two ends: [`Gate`] belongs to the slow side (netlink, map updates, blocking); [`GateHandle`] to the hot thread
//! (stores to shared memory only).
//!
//! # Life of a group's slot
//! `install` → closed. `begin(generation)`, `renew(deadline)` give the node a lease; `open(slot, …)` lets the group
//! answer under it; `close` ends that. A group answers iff `now < lease.until`, its generation was not refused, and
//! `now < slot.answer_until`; IP passes likewise with `carry_until`. See gate.bpf.c for the rules frame by frame.
//!
//! # What the gate does not see
//! XDP programs and tcx programs (kernel ≥ 6.6) on the same interface run before classic tc filters. One that accepts or
//! redirects frames by itself bypasses the gate; `vipair doctor` has to look for them.

mod adopt;
mod bpf;
mod counters;
mod error;
mod handle;
mod object;
mod table;
mod tc;
#[cfg(test)]
mod tests;

pub use counters::CounterReader;
pub use error::GateError;
pub use handle::{GateHandle, LeaseView, SlotView};
pub use object::{Counters, PROGRAMS};

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::types::{GroupKey, MonoTime, Vip};
use handle::RETIRED;
use object::{Limits, Object};
use tc::Direction;

/// What [`Gate::update_groups`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// The running gate was changed. Groups that stay keep their slot and their state.
    InPlace,
    /// The table had outgrown the gate, and a larger one took its place: everything is closed, all slots may have
    /// changed and older [`GateHandle`]s switch nothing any more. Take a new handle and start with a fresh grant.
    Replaced,
}

/// The gate of one interface, as its owner sees it. Dropping it leaves the gate in the kernel.
pub struct Gate {
    ifindex: u32,
    interface: String,
    object: Object,
    slots: HashMap<GroupKey, u16>,
    addresses: HashMap<Vip, u16>,
    adopted: bool,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("interface", &self.interface)
            .field("programs", &(self.object.ingress.id, self.object.egress.id))
            .field("groups", &self.slots.len())
            .field("addresses", &self.addresses.len())
            .field("adopted", &self.adopted)
            .finish()
    }
}

impl Gate {
    /// Takes over the gate that runs on the interface, or installs a fresh, closed one.
    ///
    /// A running gate of ours is adopted; if it is from another build, this build's program takes its place with the
    /// same state. Its lease stays as it is, groups that are still configured keep their slots and state; others are
    /// closed and their addresses retired (see [`Gate::retired`]). Anything else in our place is replaced, closed,
    /// without a moment in between.
    ///
    /// Works in the network namespace of the calling thread. Blocks (verifier, netlink) for some tens of milliseconds.
    /// Install before the addresses are added to the interface.
    ///
    /// # Errors
    /// [`GateError::KernelTooOld`], [`GateError::TimeNamespace`], [`GateError::NotPermitted`] and
    /// [`GateError::NotEthernet`]: give up. [`GateError::Groups`]: the table is wrong. [`GateError::System`]: the
    /// interface went away, or another filter holds our priority; try again when something changed.
    pub fn install(ifindex: u32, name: &str, groups: &[(GroupKey, Vec<Vip>)]) -> Result<Gate, GateError> {
        Gate::install_with(ifindex, name, groups, &[])
    }

    /// As [`Gate::install`], for a process without CAP_SYS_ADMIN: the kernel gives it a running gate only through
    /// descriptors. `kept` holds those that an earlier life got from [`Gate::descriptors`] and kept in systemd's
    /// descriptor store. Descriptors that do not belong here are ignored.
    ///
    /// # Errors
    /// As [`Gate::install`].
    pub fn install_with(
        ifindex: u32,
        name: &str,
        groups: &[(GroupKey, Vec<Vip>)],
        kept: &[OwnedFd],
    ) -> Result<Gate, GateError> {
        Gate::install_as(adopt::CURRENT, ifindex, name, groups, kept)
    }

    fn install_as(
        names: adopt::Names,
        ifindex: u32,
        name: &str,
        groups: &[(GroupKey, Vec<Vip>)],
        kept: &[OwnedFd],
    ) -> Result<Gate, GateError> {
        check_host()?;
        tc::check_ethernet(ifindex, name)?;
        let desired = table::desired(groups)?;
        let found = match adopt::find(ifindex, name, names, kept) {
            Ok(found) => found,
            Err(reason) => {
                tracing::info!(interface = name, reason, "no gate to adopt, installing a closed one");
                return Gate::fresh(ifindex, name, groups, &desired);
            }
        };
        let object = if found.is_current { found.object } else { adopt::modernise(&found.object, ifindex, name)? };
        let mut gate = Gate::around(ifindex, name, object, true)?;
        // A gate that cannot hold the new table is replaced, which makes it fresh.
        gate.adopted = gate.apply(groups, &desired)? == Update::InPlace;
        Ok(gate)
    }

    /// Loads, fills and only then attaches: no frame meets a half-filled gate.
    fn fresh(
        ifindex: u32,
        name: &str,
        groups: &[(GroupKey, Vec<Vip>)],
        desired: &HashMap<Vip, GroupKey>,
    ) -> Result<Gate, GateError> {
        let (four, six) = table::count(desired.keys());
        let object = Object::load(Limits::roomy(groups.len(), four, six)?, name)?;
        let mut gate = Gate::around(ifindex, name, object, false)?;
        gate.change(groups, desired)?;
        gate.object.attach(ifindex, name)?;
        Ok(gate)
    }

    /// Reads back what an object gates.
    fn around(ifindex: u32, name: &str, object: Object, adopted: bool) -> Result<Gate, GateError> {
        let slots = (1..object.mapping.count()).filter_map(|slot| Some((object.mapping.key(slot)?, slot))).collect();
        let known = object.addresses().map_err(|error| GateError::program("read gate addresses", name, &error))?;
        let addresses = known.into_iter().map(|(vip, slot)| (vip, u16::try_from(slot).unwrap_or(RETIRED))).collect();
        Ok(Gate { ifindex, interface: name.to_owned(), object, slots, addresses, adopted })
    }

    /// True if the gate was running before this process, so that a lease may still be open in it.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// The hot thread's end.
    #[must_use]
    pub fn handle(&self) -> GateHandle {
        GateHandle(Arc::clone(&self.object.mapping))
    }

    /// The slot of a group; `None` if it is not gated here. Stable until the group is removed or the gate replaced.
    #[must_use]
    pub fn slot(&self, key: GroupKey) -> Option<u16> {
        self.slots.get(&key).copied()
    }

    /// True if both programs are still in their places on the interface. If not, nothing guards the addresses: remove
    /// them at once, install again, add them again.
    ///
    /// # Errors
    /// [`GateError::System`] if the kernel does not say; treat it as "no" if it persists.
    pub fn is_attached(&self) -> Result<bool, GateError> {
        let here = |direction, id| {
            Ok::<_, GateError>(tc::attached_program(self.ifindex, &self.interface, direction)? == Some(id))
        };
        Ok(here(Direction::Ingress, self.object.ingress.id)? && here(Direction::Egress, self.object.egress.id)?)
    }

    /// Makes the gate guard exactly these groups and addresses.
    ///
    /// New groups come closed. Groups that stay keep slot and state; an address that moved between groups follows the
    /// new one at once. Removed groups are closed first; addresses that belong to no group any more are retired:
    /// closed for good until [`Gate::forget_retired`]. The hot thread must not touch a removed group's slot any more:
    /// tell it first. Call this before new addresses are added to the interface.
    ///
    /// # Errors
    /// [`GateError::Groups`]: nothing was changed. Others: the change may be half done, in an order that has opened
    /// nothing; call again.
    pub fn update_groups(&mut self, groups: &[(GroupKey, Vec<Vip>)]) -> Result<Update, GateError> {
        let desired = table::desired(groups)?;
        self.apply(groups, &desired)
    }

    fn apply(
        &mut self,
        groups: &[(GroupKey, Vec<Vip>)],
        desired: &HashMap<Vip, GroupKey>,
    ) -> Result<Update, GateError> {
        let (four, six) = table::count(self.addresses.keys().chain(desired.keys()));
        if self.object.limits.hold(groups.len(), four, six) {
            self.change(groups, desired)?;
            return Ok(Update::InPlace);
        }
        let retired: Vec<Vip> = self.addresses.keys().filter(|vip| !desired.contains_key(*vip)).copied().collect();
        let object = Object::load(Limits::roomy(groups.len(), four, six)?, &self.interface)?;
        let mut next = Gate::around(self.ifindex, &self.interface, object, false)?;
        for vip in retired {
            next.set(vip, RETIRED)?;
        }
        next.change(groups, desired)?;
        // One direction is replaced before the other: what the old one has open is closed first.
        let handle = self.handle();
        for slot in self.slots.values() {
            handle.close(*slot, MonoTime::ZERO);
        }
        next.object.attach(self.ifindex, &self.interface)?;
        *self = next;
        Ok(Update::Replaced)
    }

    /// Brings slots and addresses to the desired table; there is room.
    fn change(&mut self, groups: &[(GroupKey, Vec<Vip>)], desired: &HashMap<Vip, GroupKey>) -> Result<(), GateError> {
        let mapping = Arc::clone(&self.object.mapping);
        // Slots that were free before come first, so that a stale slot number rarely meets another group.
        let mut free: Vec<u16> = (1..mapping.count()).filter(|slot| mapping.key(*slot).is_none()).collect();
        let gone: Vec<GroupKey> =
            self.slots.keys().filter(|key| groups.iter().all(|(group, _)| group != *key)).copied().collect();
        for key in gone {
            if let Some(slot) = self.slots.remove(&key) {
                mapping.assign(slot, None);
                free.push(slot);
            }
        }
        let mut free = free.into_iter();
        for (key, _) in groups {
            if !self.slots.contains_key(key) {
                let slot = free.next().expect("gate invariant: the table was checked to fit");
                mapping.assign(slot, Some(*key));
                self.slots.insert(*key, slot);
                let reset = self.object.reset_counters(slot);
                reset.map_err(|error| GateError::program("reset gate counters", &self.interface, &error))?;
            }
        }
        let stale: Vec<Vip> = self.addresses.keys().filter(|vip| !desired.contains_key(*vip)).copied().collect();
        for vip in stale {
            self.set(vip, RETIRED)?;
        }
        for (vip, key) in desired {
            self.set(*vip, self.slots[key])?;
        }
        Ok(())
    }

    fn set(&mut self, vip: Vip, slot: u16) -> Result<(), GateError> {
        if self.addresses.get(&vip) == Some(&slot) {
            return Ok(());
        }
        let result = self.object.set_address(vip, slot);
        result.map_err(|error| GateError::program("gate address", format!("{} {vip}", self.interface), &error))?;
        self.addresses.insert(vip, slot);
        Ok(())
    }

    /// Addresses that this gate guards although no group has them any more: from before a change of the table or
    /// of the configuration between two lives. They stay closed, for they may still be on the interface.
    #[must_use]
    pub fn retired(&self) -> Vec<Vip> {
        self.addresses.iter().filter(|(_, slot)| **slot == RETIRED).map(|(vip, _)| *vip).collect()
    }

    /// Stops guarding the retired addresses. Call it when they are off the interface: from then on nothing stops
    /// this host from using them.
    ///
    /// # Errors
    /// [`GateError::Program`]: some are still guarded; call again.
    pub fn forget_retired(&mut self) -> Result<(), GateError> {
        for vip in self.retired() {
            let result = self.object.remove_address(vip);
            let object = || format!("{} {vip}", self.interface);
            result.map_err(|error| GateError::program("forget gate address", object(), &error))?;
            self.addresses.remove(&vip);
        }
        Ok(())
    }

    /// What the gate did for a group since it got its slot.
    ///
    /// # Errors
    /// [`GateError::Program`] if the slot does not exist.
    pub fn counters(&self, slot: u16) -> Result<Counters, GateError> {
        let object = || format!("{} slot {slot}", self.interface);
        self.object.counters(slot).map_err(|error| GateError::program("read gate counters", object(), &error))
    }

    /// A reader of all counters for another thread. [`Update::Replaced`] makes it outdated.
    ///
    /// # Errors
    /// [`GateError::System`] when the process is out of descriptors.
    pub fn counter_reader(&self) -> Result<CounterReader, GateError> {
        let fd = self.object.counters_fd();
        let fd = fd.map_err(|error| GateError::system("open gate counters", &self.interface, error))?;
        CounterReader::new(fd, &self.interface)
    }

    /// The descriptors that a later life needs to adopt this gate without CAP_SYS_ADMIN, for systemd's descriptor
    /// store (seven per interface). They change when [`Gate::update_groups`] says [`Update::Replaced`].
    #[must_use]
    pub fn descriptors(&self) -> [(&'static str, BorrowedFd<'_>); 7] {
        self.object.descriptors()
    }

    /// Takes the gate off the interface. Only when no group address is on it any more; the qdisc stays, for others may
    /// use it.
    ///
    /// # Errors
    /// [`GateError::System`]: it may still be there, closed.
    pub fn remove(self) -> Result<(), GateError> {
        for slot in 1..self.object.mapping.count() {
            self.object.mapping.assign(slot, None);
        }
        tc::detach(self.ifindex, &self.interface, Direction::Ingress)?;
        tc::detach(self.ifindex, &self.interface, Direction::Egress)
    }
}

/// Refuses hosts on which a deadline of ours would mean something else, or nothing.
fn check_host() -> Result<(), GateError> {
    let release = nix::sys::utsname::uname()
        .map_err(|errno| GateError::system("ask for the kernel's version", "uname", errno.into()))?;
    let release = release.release().to_string_lossy().into_owned();
    if kernel_version(&release) < (5, 8) {
        return Err(GateError::KernelTooOld { found: release });
    }
    // Without the file there are no time namespaces.
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    if is_shifted(&offsets) { Err(GateError::TimeNamespace) } else { Ok(()) }
}

/// Major and minor number of a release such as "6.1.0-18-amd64"; zero for what cannot be read.
fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Reads time_namespaces(7)'s offsets: lines of clock, seconds, nanoseconds.
fn is_shifted(offsets: &str) -> bool {
    let boottime = offsets.lines().filter_map(|line| line.trim_start().strip_prefix("boottime"));
    boottime.into_iter().any(|rest| rest.split_whitespace().any(|number| number != "0"))
}
