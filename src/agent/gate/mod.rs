//! The gate: a program in the kernel that decides, for each frame of a client interface, whether
//! this node may claim, answer for or carry a group's address.
//!
//! Owns: the program and its maps on one interface, from installation to adoption by the next
//! agent. Never does: decide who is active, touch addresses, wait. When this process dies the
//! program stays, and closes by itself at the deadlines stored in it; a call that fails has opened
//! nothing.
//!
//! Two ends: [`Gate`] belongs to the slow side (netlink, map updates, blocking); [`GateHandle`] to
//! the hot thread (stores to shared memory only).
//!
//! # Life of a group's slot
//! `install` → closed. `begin(generation)`, `renew(deadline)` give the node a lease; `open(slot,
//! …)` lets the group answer under it; `close` ends that. A group answers iff `now < lease.until`,
//! its generation was not refused, and `now < slot.answer_until`; IP passes likewise with
//! `carry_until`. See gate.bpf.c for the rules frame by frame.
//!
//! # What the gate does not see
//! XDP programs and tcx programs (kernel ≥ 6.6) on the same interface run before classic tc
//! filters. A program that accepts or redirects frames by itself bypasses the gate; `vipair doctor`
//! has to look for them.
//!
//! | file | noun |
//! |---|---|
//! | `groups` | which groups and addresses a gate guards |
//! | `handle` | the switches, in memory shared with the kernel |
//! | `adopt` | a gate that an earlier life left |
//! | `object` | the programs and maps, loaded or taken over |
//! | `tc`, `bpf` | the kernel's two interfaces |
//! | `table` | a checked table of groups |
//! | `host` | hosts that a gate can work on |
//! | `counters`, `error` | what a gate did, what went wrong |

mod adopt;
mod bpf;
mod counters;
mod error;
mod groups;
mod handle;
mod host;
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
use std::net::Ipv6Addr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::types::{GroupKey, Vip};
use handle::RETIRED;
use object::{Limits, Object};
use tc::Direction;

/// Result of [`Gate::update_groups`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// The running gate was changed. Groups that stay keep their slot and their state.
    InPlace,
    /// The table had outgrown the gate, and a larger gate took its place: everything is closed, all
    /// slots may have changed and older [`GateHandle`]s switch nothing any more. Take a new handle
    /// and start with a fresh grant.
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
    /// A running gate of ours is adopted; if it is from another build, this build's program takes
    /// its place with the same state. The lease stays as it is, and groups that are still
    /// configured keep their slots and state; others are closed and their addresses retired (see
    /// [`Gate::retired`]). Anything else in our place is replaced, closed, without a moment in
    /// between.
    ///
    /// Works in the network namespace of the calling thread. Blocks (verifier, netlink) for some
    /// tens of milliseconds. Install before the addresses are added to the interface.
    ///
    /// # Errors
    /// [`GateError::KernelTooOld`], [`GateError::TimeNamespace`], [`GateError::NotPermitted`] and
    /// [`GateError::NotEthernet`]: give up. [`GateError::Groups`]: the table is wrong.
    /// [`GateError::System`]: the interface went away, or another filter holds our priority; try
    /// again when something changed.
    pub fn install(ifindex: u32, name: &str, groups: &[(GroupKey, Vec<Vip>)]) -> Result<Gate, GateError> {
        Gate::install_with(ifindex, name, groups, &[])
    }

    /// Installs as [`Gate::install`] does, in a process without CAP_SYS_ADMIN, which reaches a
    /// running gate only through descriptors. `kept` holds those that an earlier life got from
    /// [`Gate::descriptors`] and kept in systemd's descriptor store. Descriptors that do not belong
    /// to this gate are ignored.
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

    /// Installs with programs of these names; tests pass another build's.
    fn install_as(
        names: adopt::Names,
        ifindex: u32,
        name: &str,
        groups: &[(GroupKey, Vec<Vip>)],
        kept: &[OwnedFd],
    ) -> Result<Gate, GateError> {
        host::check()?;
        tc::check_ethernet(ifindex, name)?;
        let desired = table::desired(groups)?;
        let found = match adopt::find_gate(ifindex, name, names, kept) {
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

    /// Loads a gate, fills it and only then attaches it: no frame meets a half-filled gate.
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

    /// A gate around an object, with the groups and addresses that its maps have.
    fn around(ifindex: u32, name: &str, object: Object, adopted: bool) -> Result<Gate, GateError> {
        let slots = (1..object.mapping.count()).filter_map(|slot| Some((object.mapping.key(slot)?, slot))).collect();
        let known = object.addresses().map_err(|error| GateError::program("read gate addresses", name, &error))?;
        let addresses = known.into_iter().map(|(vip, slot)| (vip, u16::try_from(slot).unwrap_or(RETIRED))).collect();
        Ok(Gate { ifindex, interface: name.to_owned(), object, slots, addresses, adopted })
    }

    /// Whether the gate was running before this process, so that a lease may still be open in it.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// The hot thread's end.
    #[must_use]
    pub fn handle(&self) -> GateHandle {
        GateHandle(Arc::clone(&self.object.mapping))
    }

    /// Slot of a group; `None` if the group is not gated here. Stable until the group is removed or
    /// the gate replaced.
    #[must_use]
    pub fn slot(&self, key: GroupKey) -> Option<u16> {
        self.slots.get(&key).copied()
    }

    /// Tells the gate the server's own link-local address, in whose name it asks what it may not
    /// let a closed group ask; `None` if none is usable: such questions are dropped then.
    pub fn set_own_address(&self, own: Option<Ipv6Addr>) {
        self.object.mapping.set_own_address(own);
    }

    /// Whether both programs are still in their places on the interface. If not, nothing guards the
    /// addresses: remove them at once, install again, add them again.
    ///
    /// # Errors
    /// [`GateError::System`] if the kernel does not say; treat an error that persists as "no".
    pub fn is_attached(&self) -> Result<bool, GateError> {
        let here = |direction, id| {
            Ok::<_, GateError>(tc::attached_program(self.ifindex, &self.interface, direction)? == Some(id))
        };
        Ok(here(Direction::Ingress, self.object.ingress.id)? && here(Direction::Egress, self.object.egress.id)?)
    }

    /// Counters of the group in `slot`, since it got the slot.
    ///
    /// # Errors
    /// [`GateError::Program`] if the slot does not exist.
    pub fn counters(&self, slot: u16) -> Result<Counters, GateError> {
        let object = || format!("{} slot {slot}", self.interface);
        self.object.counters(slot).map_err(|error| GateError::program("read gate counters", object(), &error))
    }

    /// Reader of all counters, for another thread. [`Update::Replaced`] makes it outdated.
    ///
    /// # Errors
    /// [`GateError::System`] when the process is out of descriptors.
    pub fn counter_reader(&self) -> Result<CounterReader, GateError> {
        let fd = self.object.counters_fd();
        let fd = fd.map_err(|error| GateError::system("open gate counters", &self.interface, error))?;
        CounterReader::new(fd, &self.interface)
    }

    /// Descriptors that a later life needs to adopt this gate without CAP_SYS_ADMIN, for systemd's
    /// descriptor store (seven per interface). They change when [`Gate::update_groups`] says
    /// [`Update::Replaced`].
    #[must_use]
    pub fn descriptors(&self) -> [(&'static str, BorrowedFd<'_>); 7] {
        self.object.descriptors()
    }

    /// Takes the gate off the interface, from which all group addresses must be gone. The qdisc
    /// stays, because others may use it.
    ///
    /// # Errors
    /// [`GateError::System`]: the gate may still be there, closed.
    pub fn remove(self) -> Result<(), GateError> {
        for slot in 1..self.object.mapping.count() {
            self.object.mapping.assign(slot, None);
        }
        tc::detach(self.ifindex, &self.interface, Direction::Ingress)?;
        tc::detach(self.ifindex, &self.interface, Direction::Egress)
    }
}
