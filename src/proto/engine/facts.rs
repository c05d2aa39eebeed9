//! Facts of the host: what the engine notes at once about interfaces, gates, addresses, the disk,
//! checks and hooks, and the leases that begin, are renewed or end with them.
//!
//! Never does: open or hand over a group; the next step of the group does. A lease that ran out
//! closes every group of its interface here.

use super::action::{Action, Actions, GateAction};
use super::event::{Hook, InterfaceFacts};
use super::group::Group;
use super::lacks::Lacks;
use super::lease::Adopted;
use super::notice::{Cause, Notice};
use super::peer::{PeerAt, Presence};
use super::{Engine, group};
use crate::types::{Epoch, GroupId, InterfaceId, MonoTime};
use crate::wire::pulse::Role;

impl Engine {
    /// Notes what is known of an interface now.
    pub(super) fn handle_interface(
        &mut self,
        interface: InterfaceId,
        facts: InterfaceFacts,
        now: MonoTime,
        out: &mut Actions,
    ) {
        self.groups.look_again = true;
        let before = self.leases[interface].learn(facts, now);
        if self.setup.rules().announces_mac(before.mac, facts.mac) {
            self.announce_interface(interface, now);
        }
        if facts.mac != before.mac {
            // An answer may have looked like our own until now.
            self.evidence.void_probes(interface, self.setup.rules());
        }
        if facts.gate && !self.leases[interface].has_begun() {
            self.begin_lease(interface, now, out);
        }
        if facts.is_serviceable() && !before.is_serviceable() {
            self.evidence[interface].next_refresh = now;
            self.evidence[interface].nameless = None;
            self.evidence.end_watches();
            self.begin_reach(now);
        }
    }

    /// Begins to announce what is open on an interface, whose hardware address is another one now.
    fn announce_interface(&mut self, interface: InterfaceId, now: MonoTime) {
        for group in self.groups.iter_mut().filter(|group| group.interface == interface && group.is_open()) {
            group.announcing.begin(now);
        }
    }

    /// Takes over what an earlier life of this agent left open, if its lease still runs and the
    /// epochs are ours. Everything else is closed, and where no lease runs a new one begins.
    pub(super) fn handle_adopted(
        &mut self,
        interface: InterfaceId,
        lease: Adopted,
        open: &[(GroupId, Epoch)],
        now: MonoTime,
        out: &mut Actions,
    ) {
        let adoptable = self.setup.rules().is_adoptable(lease.refused);
        let alive = lease.until > now && adoptable && lease.generation != 0;
        for &(group, epoch) in open {
            let state = &self.groups[group];
            let ours = state.epochs.may_adopt(epoch) && self.setup.rules().is_own_epoch(epoch, self.setup.me);
            if alive && ours && !state.paused {
                self.with_group(group, now, out, |group, around, requests| {
                    group.adopt(epoch, lease.until);
                    group.set_role(Role::Active, Cause::Adopted, around, requests);
                    group.announcing.begin(now);
                });
            } else {
                out.push(Action::close(group));
            }
        }
        if alive {
            self.leases[interface].generation = lease.generation;
            self.leases[interface].until = lease.until;
        } else {
            self.begin_lease(interface, now, out);
        }
        self.groups.look_again = true;
    }

    /// Begins a lease generation of full length on an interface.
    fn begin_lease(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        let span = self.leases.span(&self.setup);
        self.leases.begin(interface, span, &self.setup, now, out);
    }

    /// Ends the leases that ran out before this wake-up.
    pub(super) fn check_leases(&mut self, now: MonoTime, out: &mut Actions) {
        for interface in self.leases.ids() {
            let lease = &self.leases[interface];
            if lease.has_begun() && self.setup.rules().is_lapsed(lease.until, now) {
                self.handle_lapse(interface, now, out);
            }
        }
    }

    /// Renews the leases that no vote decides on.
    pub(super) fn renew_leases(&mut self, now: MonoTime, out: &mut Actions) {
        let setup = &self.setup;
        let until = setup.rules().renewed_until(now, self.leases.span(setup), setup.timing.pulse);
        for interface in self.leases.ids() {
            if !self.poll.is_voted_on(interface, setup) {
                self.leases[interface].renew(interface, until, out);
            }
        }
    }

    /// Ends a lease that is over: closes everything first, then begins a new generation.
    pub(super) fn handle_lapse(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        if !self.leases[interface].has_begun() {
            return;
        }
        let cause = self.poll.lapse_cause(interface, &self.setup, &self.turn, now);
        let mut any = false;
        for group in self.groups.ids() {
            let state = &self.groups[group];
            if state.interface != interface || !self.setup.rules().lapse_closes() {
                continue;
            }
            let (open, draining) = (state.is_open(), state.drain_until.is_some());
            any |= open;
            self.with_group(group, now, out, |group, around, requests| {
                if open {
                    group.close(MonoTime::ZERO, cause, around, requests);
                } else if draining {
                    group.end_drain_early(requests);
                }
            });
        }
        match cause {
            Cause::NoMajority if any => out.notice(Notice::NoMajority { interface }),
            _ if any => out.notice(Notice::LeaseLapsed { interface }),
            _ => {}
        }
        self.begin_lease(interface, now, out);
        self.groups.look_again = true;
    }

    /// Notes whether any address of a group is there. A group that had none before can be served
    /// from now on; addresses that were added to an active group are made known.
    pub(super) fn handle_addresses(&mut self, group: GroupId, there: bool, now: MonoTime) {
        let group = &mut self.groups[group];
        let before = group.addresses.there.replace(there);
        if there && before != Some(true) && group.role == Role::Starting {
            // Listening counts from here, as it does when an interface appears.
            group.since = now;
        }
        if there && std::mem::take(&mut group.addresses.added) | (before == Some(false)) && group.is_open() {
            group.announcing.begin(now);
        }
        self.groups.look_again = true;
    }

    /// Notes that the gate was replaced by a larger, closed one. What is open goes on if no peer
    /// can have taken it meanwhile; otherwise this is a lease that ran out.
    pub(super) fn handle_gate_replaced(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        if !self.leases[interface].has_begun() {
            return;
        }
        let around = self.around(now);
        let knows = |peer: PeerAt| match around.presence(peer) {
            // What was read after a stall may have been said before it.
            Presence::Heard => !around.peers[peer].deaf && around.is_proven(peer),
            Presence::Left => around.has_left_lately(peer),
            Presence::Unknown | Presence::Suspicious | Presence::Silent => false,
        };
        // Votes that were given hold until their end, so no peer can have opened meanwhile.
        let voted = self.poll.is_voted_on(interface, &self.setup);
        if !voted && !self.peers.nodes().all(knows) {
            return self.handle_lapse(interface, now, out);
        }
        // The new gate is closed, so probes find nobody and do not latch it. If this process is
        // stopped before it has opened the groups again, a standby may take them: the lease must be
        // over before that. The next pulse, which comes at once, renews it as usual.
        let (timing, until) = (&self.setup.timing, self.leases[interface].until);
        let (first, next) = ((timing.silence.saturating_sub(timing.pulse) / 2).max(timing.probe * 2), timing.probe);
        let first = if voted { first.min(until.since(now)) } else { first };
        self.leases.begin(interface, first, &self.setup, now, out);
        self.turn.next_pulse = now + next;
        for group in self.groups.iter().filter(|group| group.interface == interface) {
            let id = group.id;
            if group.is_open() {
                out.push(Action::Gate(GateAction::Open { group: id, epoch: group.epochs.own }));
            } else if let Some(carry_until) = group.drain_until {
                out.push(Action::Gate(GateAction::Close { group: id, carry_until }));
            }
        }
        self.groups.look_again = true;
    }

    /// Notes that all states up to this version are durable: reservations in them can be used.
    pub(super) fn handle_stored(&mut self, version: u64, out: &mut Actions) {
        if version >= self.store.version && self.store.version > 0 {
            self.leases.former.note_durable();
        }
        self.groups.iter_mut().for_each(|group| group.epochs.note_stored(version));
        if std::mem::take(&mut self.store.failing) {
            out.notice(Notice::StoreMended);
        }
        self.store.wanted |= self.groups.reserve_all(&self.setup);
        self.groups.look_again = true;
    }

    /// Notes that a state could not be made durable.
    pub(super) fn handle_store_failed(&mut self, out: &mut Actions) {
        if !std::mem::replace(&mut self.store.failing, true) {
            out.notice(Notice::StoreFailed);
        }
        if self.setup.rules().failed_write_counts() {
            self.handle_stored(self.store.version, out);
        }
    }

    /// Notes how a group's service does here. Acted upon with the next event.
    pub(super) fn handle_health(&mut self, group: GroupId, health: u8) {
        let service = &mut self.groups[group].service;
        (service.health, service.known) = (health, true);
        self.groups.step_alone(group);
    }

    /// Notes what this node lacks for a group. Acted upon with the next event.
    pub(super) fn handle_lacks(&mut self, group: GroupId, lacks: Lacks) {
        self.groups[group].service.lacks = lacks;
        self.groups.step_alone(group);
    }

    /// Notes the end of a hook. Acted upon with the next event.
    pub(super) fn handle_hook(&mut self, group: GroupId, ended: (Hook, Epoch), ok: bool, now: MonoTime) {
        let fresh_from = self.outbox.next();
        let state: &mut Group = &mut self.groups[group];
        let unanswered = self.evidence.unanswered(state.interface, &self.peers);
        let end = group::End { ok, when: now, fresh_from, unanswered };
        if state.note_hook_end(ended, end, self.setup.rules()) {
            self.turn.hooked_from = fresh_from;
            self.groups.step_alone(group);
        }
    }
}
