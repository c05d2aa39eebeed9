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
//! # Its place
//! The gate is the first to decide, or it is no gate: whoever is before it can let frames pass that
//! it never sees. So it goes before all others, asks the kernel at every look whether it still is,
//! and counts as lost when it is not. XDP programs run before any place that a gate can have; one
//! that redirects frames by itself bypasses the gate, and `vipair doctor` looks for them.
//!
//! | file | noun |
//! |---|---|
//! | `groups` | which groups and addresses a gate guards |
//! | `handle` | the switches, in memory shared with the kernel |
//! | `adopt` | a gate that an earlier life left |
//! | `former` | what an earlier life left beside the kernel |
//! | `object` | the programs and maps, loaded or taken over |
//! | `guard` | no claim leaves by the other interfaces |
//! | `place` | where programs are attached, and who is first there |
//! | `proof` | a frame that a gate must stop, and whether it does |
//! | `bpf`, `rtnetlink` | the kernel's two interfaces |
//! | `table` | a checked table of groups |
//! | `host` | hosts that a gate can work on |
//! | `counters`, `error` | what a gate did, what went wrong |

mod adopt;
mod bpf;
mod counters;
mod error;
mod former;
mod groups;
mod guard;
mod handle;
mod host;
mod object;
pub mod place;
mod proof;
mod rtnetlink;
mod table;
#[cfg(test)]
mod tests;

pub use counters::CounterReader;
pub use error::GateError;
pub use former::Former;
pub use guard::{Guard, Held, Owner};
pub use handle::{GateHandle, LeaseView, SlotView};
pub use object::{Counters, PROGRAMS};

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::types::{GroupKey, Vip};
use former::Note;
use handle::RETIRED;
use object::{Limits, Object};
use place::{Place, Site, Standing};

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
    place: Place,
    note: Option<Note>,
    slots: HashMap<GroupKey, u16>,
    addresses: HashMap<Vip, u16>,
    adopted: bool,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("interface", &self.interface)
            .field("place", &self.place)
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
        Gate::install_with(ifindex, name, groups, &Former::default())
    }

    /// Installs as [`Gate::install`] does, in a process without CAP_SYS_ADMIN, which reaches a
    /// running gate only through what an earlier life left: descriptors that it got from
    /// [`Gate::descriptors`], and a note. What does not belong to this gate is ignored.
    ///
    /// # Errors
    /// As [`Gate::install`].
    pub fn install_with(
        ifindex: u32,
        name: &str,
        groups: &[(GroupKey, Vec<Vip>)],
        former: &Former,
    ) -> Result<Gate, GateError> {
        Gate::install_in(None, ifindex, name, groups, former)
    }

    /// Whether a gate of this or another life sits on an interface, in whichever place.
    ///
    /// # Errors
    /// [`GateError::System`] if the kernel does not say.
    pub fn is_on(ifindex: u32, name: &str, former: &Former) -> Result<bool, GateError> {
        adopt::is_on(Site { ifindex, name }, former)
    }

    /// Installs as [`Gate::install_with`] does, in this place; `None` is the best one of this
    /// kernel. Another one is for tests.
    ///
    /// # Errors
    /// As [`Gate::install`].
    pub(crate) fn install_in(
        place: Option<Place>,
        ifindex: u32,
        name: &str,
        groups: &[(GroupKey, Vec<Vip>)],
        former: &Former,
    ) -> Result<Gate, GateError> {
        Gate::install_as(adopt::CURRENT, place, Site { ifindex, name }, groups, former)
    }

    /// Installs a fresh, closed gate before everything on the interface of this one, which was lost:
    /// taken away, or no longer the first to decide. What is left of it stays until the new one is
    /// in place, and is taken away then.
    ///
    /// # Errors
    /// As [`Gate::install`]; what is left of this gate is still there.
    pub fn supersede(&self, groups: &[(GroupKey, Vec<Vip>)]) -> Result<Gate, GateError> {
        let desired = table::desired(groups)?;
        let gate = Gate::fresh(self.site(), self.place, self.note.clone(), groups, &desired)?;
        self.object.detach(self.place, self.site())?;
        adopt::sweep(&gate.object, gate.place, gate.site(), adopt::CURRENT, &Former::default())?;
        gate.expect_first()
    }

    /// Installs with programs of these names, in this place or else the best one of this kernel;
    /// tests pass another build's names, and the place of older kernels.
    fn install_as(
        names: adopt::Names,
        place: Option<Place>,
        site: Site<'_>,
        groups: &[(GroupKey, Vec<Vip>)],
        former: &Former,
    ) -> Result<Gate, GateError> {
        host::check()?;
        rtnetlink::check_ethernet(site.ifindex, site.name)?;
        let desired = table::desired(groups)?;
        let place = place.map_or_else(|| Place::best(site), Ok)?;
        let note = former.note();
        let gate = match adopt::find_gate(site, names, former) {
            Ok(found) => {
                let (object, replaced) = adopt::take_over(found, place, site, note.as_ref())?;
                adopt::sweep(&object, place, site, names, former)?;
                if let Some(replaced) = replaced {
                    // A question that the old program refused while we copied must not be forgotten.
                    object.mapping.copy_refusal(&replaced.mapping);
                }
                let mut gate = Gate::around(site, place, object, note, true)?;
                // A gate that cannot hold the new table is replaced, which makes it fresh.
                gate.adopted = gate.apply(groups, &desired)? == Update::InPlace;
                gate
            }
            Err(reason) => {
                tracing::info!(interface = site.name, reason, "no gate to adopt, installing a closed one");
                let gate = Gate::fresh(site, place, note, groups, &desired)?;
                adopt::sweep(&gate.object, place, site, names, former)?;
                gate
            }
        };
        gate.expect_first()
    }

    /// This gate, if it is the first to decide.
    fn expect_first(self) -> Result<Gate, GateError> {
        let cause = match self.standing()? {
            Standing::First => return Ok(self),
            Standing::Behind(cause) => cause,
            Standing::Absent => "somebody took it away at once".to_owned(),
        };
        Err(GateError::Place { interface: self.interface, cause })
    }

    /// Loads a gate, fills it and only then attaches it: no frame meets a half-filled gate.
    fn fresh(
        site: Site<'_>,
        place: Place,
        note: Option<Note>,
        groups: &[(GroupKey, Vec<Vip>)],
        desired: &HashMap<Vip, GroupKey>,
    ) -> Result<Gate, GateError> {
        let (four, six) = table::count(desired.keys());
        let object = Object::load(Limits::roomy(groups.len(), four, six)?, site.name)?;
        let mut gate = Gate::around(site, place, object, note, false)?;
        gate.change(groups, desired)?;
        if let Err(cause) = gate.object.attach(place, site, gate.note.as_ref()) {
            // Half a gate, closed for ever, would be in the way of the next one.
            if let Err(other) = gate.object.detach(place, site) {
                tracing::warn!(interface = site.name, %other, "half a gate stays");
            }
            return Err(cause);
        }
        Ok(gate)
    }

    /// A gate around an object, with the groups and addresses that its maps have.
    fn around(
        site: Site<'_>,
        place: Place,
        object: Object,
        note: Option<Note>,
        adopted: bool,
    ) -> Result<Gate, GateError> {
        let slots = (1..object.mapping.count()).filter_map(|slot| Some((object.mapping.key(slot)?, slot))).collect();
        let known =
            object.addresses().map_err(|error| GateError::program("read gate addresses", site.name, &error))?;
        let addresses = known.into_iter().map(|(vip, slot)| (vip, u16::try_from(slot).unwrap_or(RETIRED))).collect();
        let interface = site.name.to_owned();
        Ok(Gate { ifindex: site.ifindex, interface, object, place, note, slots, addresses, adopted })
    }

    /// The interface that the gate is on.
    fn site(&self) -> Site<'_> {
        Site { ifindex: self.ifindex, name: &self.interface }
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

    /// Where both programs stand, in the kernel's own words. Unless they are first, nothing guards
    /// the addresses: remove them at once, install again, add them again.
    ///
    /// # Errors
    /// [`GateError::System`] if the kernel does not say; treat an error that persists as "lost".
    pub fn standing(&self) -> Result<Standing, GateError> {
        self.object.standing(self.place, self.site())
    }

    /// Number of the program on the way out, after which a guard of ours has its place.
    #[must_use]
    pub fn egress(&self) -> u32 {
        self.object.egress.id
    }

    /// All addresses that the gate knows, also those that belong to no group any more.
    pub fn addresses(&self) -> impl Iterator<Item = Vip> {
        self.addresses.keys().copied()
    }

    /// Where on the interface the gate is attached.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
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

    /// Takes the gate off the interface, from which all group addresses must be gone. A qdisc
    /// stays, because others may use it.
    ///
    /// # Errors
    /// [`GateError::System`]: the gate may still be there, closed.
    pub fn remove(self) -> Result<(), GateError> {
        for slot in 1..self.object.mapping.count() {
            self.object.mapping.assign(slot, None);
        }
        self.object.detach(self.place, self.site())
    }
}
