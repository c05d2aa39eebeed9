//! Epochs on disk ahead of need: a promotion never waits for a disk.
//!
//! Each group keeps one epoch that is durably reserved and above everything this node has seen. When it is used, or
//! something higher is seen, the next one is sent to the store; until that is durable the node is not ready.

use super::Engine;
use super::action::Actions;
use super::notice::Notice;
use crate::mutant::Mutant;
use crate::types::Epoch;

impl Engine {
    /// Sees to it that every group has a usable reservation or one on its way.
    pub(super) fn reserve_all(&mut self) {
        for at in 0..self.groups.len() {
            self.reserve(at);
        }
    }

    pub(super) fn reserve(&mut self, at: usize) {
        let me = self.setup.me;
        let early = self.is_mutant(Mutant::ReserveBeforeDisk);
        let group = &mut self.groups[at];
        let promised = group.unusable();
        let coming = group.reserving.is_some_and(|(epoch, _)| epoch > promised);
        if group.state_damaged || group.has_reserve() || coming {
            return;
        }
        // Without an epoch above all that is known the group stays without a reservation, and therefore closed.
        let Some(next) = promised.max(group.reserve).max(group.held).next_for(me) else { return };
        let next = next.max(Epoch::new(group.floor, me));
        group.reserving = Some((next, None));
        if early {
            group.reserve = next;
        }
        self.persist_wanted = true;
    }

    /// Notes which persist version carries the reservations under way.
    pub(super) fn note_persist(&mut self) {
        let version = self.persist_version;
        for group in &mut self.groups {
            if let Some((_, carried @ None)) = &mut group.reserving {
                *carried = Some(version);
            }
        }
    }

    pub(super) fn handle_stored(&mut self, version: u64, out: &mut Actions) {
        self.note_lease_durable(version);
        for group in &mut self.groups {
            if let Some((epoch, Some(carried))) = group.reserving
                && carried <= version
            {
                group.reserve = epoch;
                group.reserving = None;
            }
        }
        if std::mem::take(&mut self.store_failing) {
            out.notice(Notice::StoreMended);
        }
        self.reserve_all();
        self.dirty = true;
    }

    pub(super) fn handle_store_failed(&mut self, out: &mut Actions) {
        if !std::mem::replace(&mut self.store_failing, true) {
            out.notice(Notice::StoreFailed);
        }
        if self.is_mutant(Mutant::FailedWriteTrusted) {
            self.handle_stored(self.persist_version, out);
        }
    }
}
