//! The node's lease on each interface: one deadline that every open group of the interface depends on.
//!
//! In a bare pair the node renews its own lease while its loop runs; with witnesses votes do (see `vote`), and the node
//! itself only where nothing is open. A lease that ran out is never renewed: every
//! group on the interface closes, a new generation begins, and the groups must be won again. The gate refuses an
//! old generation by itself once it has turned a frame away (see `gate`), so a process that was stopped between
//! its decision and its store cannot reopen what a standby has already found closed.

use super::action::{Action, Actions, GateAction};
use super::event::InterfaceFacts;
use super::notice::{Cause, Notice};
use super::watch::interface_id;
use super::{Engine, group_id};
use crate::mutant::Mutant;
use crate::types::{Epoch, GroupId, InterfaceId, MonoTime};
use crate::wire::pulse::Role;
use std::time::Duration;

/// A client interface and the lease on it.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Interface {
    pub facts: InterfaceFacts,
    /// Since when it has been serviceable without a break.
    pub serviceable: MonoTime,
    /// The deadline last written; ZERO when no lease runs.
    pub until: MonoTime,
    /// The generation last begun; 0 when none.
    pub generation: u64,
}

/// A lease found running.
pub(super) struct Adopted {
    pub until: MonoTime,
    pub generation: u64,
    pub refused: bool,
}

impl Engine {
    pub(super) fn handle_interface(
        &mut self,
        interface: InterfaceId,
        facts: InterfaceFacts,
        now: MonoTime,
        out: &mut Actions,
    ) {
        let state = &mut self.interfaces[usize::from(interface.0)];
        let before = std::mem::replace(&mut state.facts, facts);
        self.dirty = true;
        if !facts.gate && before.gate {
            state.until = MonoTime::ZERO;
            state.generation = 0;
        }
        if facts.gate && state.generation == 0 {
            self.begin_lease(interface, now, out);
        }
        if facts.is_serviceable() && !before.is_serviceable() {
            self.interfaces[usize::from(interface.0)].serviceable = now;
            self.segments[usize::from(interface.0)].next_refresh = now;
            for peer in &mut self.peers {
                peer.watch = None;
            }
        }
    }

    /// Takes over what an earlier life of this agent left open, if its lease still runs and the epochs are ours.
    pub(super) fn handle_adopted(
        &mut self,
        interface: InterfaceId,
        lease: Adopted,
        open: &[(GroupId, Epoch)],
        now: MonoTime,
        out: &mut Actions,
    ) {
        let refused = lease.refused && !self.is_mutant(Mutant::RefusedLeaseAdopted);
        let alive = lease.until > now && !refused && lease.generation != 0;
        for &(group, epoch) in open {
            let state = &mut self.groups[usize::from(group.0)];
            if alive && state.may_adopt(epoch) && epoch.node() == self.setup.me && !state.paused {
                state.adopt(epoch, lease.until);
                self.set_role(usize::from(group.0), Role::Active, Cause::Adopted, now, out);
                self.schedule_announcements(usize::from(group.0), now);
            } else {
                out.push(Action::Gate(GateAction::Close { group, carry_until: MonoTime::ZERO }));
            }
        }
        if alive {
            let state = &mut self.interfaces[usize::from(interface.0)];
            state.generation = lease.generation;
            state.until = lease.until;
        } else {
            self.begin_lease(interface, now, out);
        }
        self.dirty = true;
    }

    pub(super) fn begin_lease(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        self.begin_lease_of(interface, self.lease(), now, out);
    }

    pub(super) fn begin_lease_of(
        &mut self,
        interface: InterfaceId,
        lease: Duration,
        now: MonoTime,
        out: &mut Actions,
    ) {
        let lease = lease.min(self.lease());
        let counts = self.is_mutant(Mutant::GenerationReused);
        let state = &mut self.interfaces[usize::from(interface.0)];
        // The time of its beginning is a number that this interface has never seen: time does not return.
        state.generation = if counts { state.generation + 1 } else { now.0.max(state.generation + 1) };
        state.until = now + lease;
        out.push(Action::Gate(GateAction::Begin { interface, generation: state.generation }));
        out.push(Action::Gate(GateAction::Renew { interface, until: state.until }));
    }

    pub(super) fn renew_leases(&mut self, now: MonoTime, out: &mut Actions) {
        let late = self.is_mutant(Mutant::LeaseFromNextPulse);
        let lease = self.lease() + if late { self.setup.timing.pulse } else { Duration::ZERO };
        for at in 0..self.interfaces.len() {
            if self.is_voted_on(interface_id(at)) {
                continue;
            }
            let state = &mut self.interfaces[at];
            if state.facts.gate && state.generation != 0 {
                // S4: counted from the time of the wake-up that decided it, not from the time of the store.
                state.until = now + lease;
                out.push(Action::Gate(GateAction::Renew { interface: interface_id(at), until: state.until }));
            }
        }
    }

    /// Finds leases that ran out before this wake-up.
    pub(super) fn check_leases(&mut self, now: MonoTime, out: &mut Actions) {
        for at in 0..self.interfaces.len() {
            let state = &self.interfaces[at];
            let unnoticed = self.is_mutant(Mutant::LapsedLeaseRenewed);
            if state.generation != 0 && now >= state.until && !unnoticed {
                self.handle_lapse(interface_id(at), now, out);
            }
        }
    }

    /// The lease is over: close everything first, then begin a new generation.
    pub(super) fn handle_lapse(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        if self.interfaces[usize::from(interface.0)].generation == 0 {
            return;
        }
        let mut any = false;
        let cause = self.lapse_cause(interface, now);
        for at in 0..self.groups.len() {
            if self.groups[at].interface != interface || self.is_mutant(Mutant::LapseClosesNothing) {
                continue;
            }
            if self.groups[at].is_open() {
                any = true;
                self.close(at, MonoTime::ZERO, cause, now, out);
            } else if self.groups[at].drain_until.is_some() {
                self.groups[at].drain_until = None;
                let group = group_id(at);
                out.push(Action::Gate(GateAction::Close { group, carry_until: MonoTime::ZERO }));
            }
        }
        match cause {
            Cause::NoMajority if any => out.notice(Notice::NoMajority { interface }),
            _ if any => out.notice(Notice::LeaseLapsed { interface }),
            _ => {}
        }
        self.begin_lease(interface, now, out);
        self.dirty = true;
    }
}
