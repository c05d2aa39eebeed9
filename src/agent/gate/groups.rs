//! Groups and addresses of one gate: the table in the kernel is brought to the wanted one.
//!
//! Owns: which slot and which addresses each group has. Never does: open a slot, or stop guarding
//! an address that may still be on the interface. A change that fails half-way has opened nothing,
//! and may be made again.

use std::collections::HashMap;
use std::sync::Arc;

use super::handle::RETIRED;
use super::object::{Limits, Object};
use super::place::Site;
use super::{Gate, GateError, Update, table};
use crate::types::{GroupKey, MonoTime, Vip};

impl Gate {
    /// Makes the gate guard exactly these groups and addresses.
    ///
    /// New groups come closed. Groups that stay keep slot and state; an address that moved between
    /// groups follows the new one at once. Removed groups are closed first; addresses that belong
    /// to no group any more are retired: closed until [`Gate::forget_retired`]. The hot thread must
    /// not touch a removed group's slot any more: tell it first. Call this before new addresses are
    /// added to the interface.
    ///
    /// # Errors
    /// [`GateError::Groups`]: nothing was changed. Others: the change may be half done, in an order
    /// that has opened nothing; call again.
    pub fn update_groups(&mut self, groups: &[(GroupKey, Vec<Vip>)]) -> Result<Update, GateError> {
        let desired = table::desired(groups)?;
        self.apply(groups, &desired)
    }

    /// Brings the gate to the desired table: in place if it has room, else by a larger gate, which
    /// takes the place of this one.
    pub(super) fn apply(
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
        let site = Site { ifindex: self.ifindex, name: &self.interface };
        let mut next = Gate::around(site, self.place, object, self.note.clone(), false)?;
        for vip in retired {
            next.set_slot_of(vip, RETIRED)?;
        }
        next.change(groups, desired)?;
        // One direction is replaced before the other: what the old gate has open is closed first.
        let handle = self.handle();
        for slot in self.slots.values() {
            handle.close(*slot, MonoTime::ZERO);
        }
        next.object.replace(&self.object, self.place, site, self.note.as_ref())?;
        *self = next;
        Ok(Update::Replaced)
    }

    /// Brings the slots and addresses of this gate to the desired table. Panics if the table does
    /// not fit: the caller has checked that it does.
    pub(super) fn change(
        &mut self,
        groups: &[(GroupKey, Vec<Vip>)],
        desired: &HashMap<Vip, GroupKey>,
    ) -> Result<(), GateError> {
        let mapping = Arc::clone(&self.object.mapping);
        // Slots that were free before come first, so that a stale slot number rarely meets another
        // group.
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
            self.set_slot_of(vip, RETIRED)?;
        }
        for (vip, key) in desired {
            self.set_slot_of(*vip, self.slots[key])?;
        }
        Ok(())
    }

    /// Makes a slot decide about an address, in the kernel and in our own table.
    fn set_slot_of(&mut self, vip: Vip, slot: u16) -> Result<(), GateError> {
        if self.addresses.get(&vip) == Some(&slot) {
            return Ok(());
        }
        let result = self.object.set_address(vip, slot);
        result.map_err(|error| GateError::program("gate address", format!("{} {vip}", self.interface), &error))?;
        self.addresses.insert(vip, slot);
        Ok(())
    }

    /// Closes every group and retires every address, for an interface that is to serve no more:
    /// nothing that the hot thread writes later opens anything. The gate counts as a new one from
    /// here on.
    ///
    /// # Errors
    /// As [`Gate::update_groups`]: all slots are closed, but some addresses still follow theirs.
    pub fn retire_all(&mut self) -> Result<(), GateError> {
        self.adopted = false;
        self.update_groups(&[]).map(|_| ())
    }

    /// Addresses that this gate guards although no group has them any more: the table changed, or
    /// the configuration did between two lives. They stay closed, because they may still be on the
    /// interface.
    #[must_use]
    pub fn retired(&self) -> Vec<Vip> {
        self.addresses.iter().filter(|(_, slot)| **slot == RETIRED).map(|(vip, _)| *vip).collect()
    }

    /// Stops guarding the retired addresses. Call this when they are off the interface: from then
    /// on nothing stops this host from using them.
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
}
