//! Which question goes out on a segment, and when: to a silent peer, and now and then to others
//! while all is well.
//!
//! A takeover needs a handful of frames: a series of three questions for the address, and a
//! neighbour's answer beside them. They are asked just before the silence is long enough, and again
//! when a lease may be over; what can wait has a budget, and becomes rarer. Owns: the plan of
//! questions. Never does: judge what is not answered (see `evident`).

use super::watch::Urgency;
use super::{Evidence, Probes};
use crate::engine::Engine;
use crate::engine::action::{Action, Actions};
use crate::engine::group::Group;
use crate::engine::peer::PeerAt;
use crate::timing::stretch;
use crate::types::{GroupId, InterfaceId, MonoTime, Vip};
use crate::wire::pulse::Role;
use std::time::Duration;

/// Most groups that count which a peer may serve.
const OPENABLE: usize = 32;

/// How many marks a watch has: see [`Engine::marks`].
const MARKS: usize = 4;

impl Engine {
    /// Asks on a segment for an address that a silent peer may serve, and whether anybody is there,
    /// if it is time to. `anew`: whether a group waits for another series.
    pub(in crate::engine) fn ask_silent(
        &mut self,
        peer: PeerAt,
        interface: InterfaceId,
        anew: bool,
        now: MonoTime,
        out: &mut Actions,
    ) {
        let Some(group) = self.group_to_be_asked(peer, interface) else {
            // There is no group to be asked for here. Older evidence must not count when there is
            // one again.
            return self.evidence.forget_probes(peer, interface);
        };
        let (timing, rules) = (self.setup.timing, self.setup.rules());
        let each = timing.patience.frame;
        let start = self.silent_since(peer, interface);
        let enough = self.series(peer, interface);
        let marks = self.marks(peer, interface);
        self.evidence.wake_at(peer, &marks, now);
        let Some(watch) = self.evidence.watch(peer) else { return };
        let (segment, interval, window) = (&self.evidence[interface], watch.interval, watch.window());
        let alive = watch.hears(segment, start, window, now);
        let isolated = segment.isolated && !alive && rules.unheard_probes_are_void();
        let urgency = watch.on(interface).urgency(&marks, enough, (interval, anew), now);
        let urgency = match urgency {
            _ if !rules.asks_little() => Urgency::Needed,
            Urgency::Nothing => return,
            Urgency::CanWait | Urgency::Needed if isolated => Urgency::CanWait,
            urgency @ (Urgency::CanWait | Urgency::Needed) => urgency,
        };
        let has_room = now >= watch.on(interface).next && segment.allowance.has_room(each, now);
        if urgency == Urgency::CanWait && !has_room {
            return;
        }
        let (voted, decides) = (self.around(now).votes_decide(), !self.around(now).outlasts_answers(peer, interface));
        let Some(probes) = self.evidence.probes(peer, interface) else { return };
        let first = probes.unanswered == 0;
        if urgency == Urgency::Needed && first {
            probes.pace = Duration::ZERO;
        }
        if urgency == Urgency::CanWait || first {
            probes.slow_down(timing.pulse, timing.patience.slowest, now);
        }
        // Votes take the place of an answer.
        if isolated || (voted && urgency == Urgency::CanWait) {
            return self.evidence[interface].ask_anchor(interface, (window, each), now, out);
        }
        probes.series = enough;
        probes.begin_series(enough, interval, now);
        let first = probes.unanswered == 0;
        self.probe(peer, interface, group, now, out);
        // Where it was answered before, it is probably answered again: that alone tells enough while
        // an answer decides.
        let likely = first && urgency == Urgency::CanWait && decides;
        let heard = alive && (first || self.evidence[interface].is_alive(now.back(interval)));
        if !likely && !heard {
            self.evidence[interface].ask_anchor(interface, (window, each), now, out);
        }
    }

    /// Probes the address of a group on an interface, which a silent peer may serve.
    fn probe(&mut self, peer: PeerAt, interface: InterfaceId, group: GroupId, now: MonoTime, out: &mut Actions) {
        let mac = self.peers[peer].row(group).map(|row| row.mac).filter(|mac| !mac.is_zero());
        let Some(probes) = self.evidence.probes(peer, interface) else { return };
        let to = probes.send(group, mac, now);
        let address = self.groups[group].addresses.probe;
        let segment = &mut self.evidence[interface];
        segment.allowance.enter(1, self.setup.timing.patience.frame, now);
        out.push(Action::Probe { interface, address, to, sender: segment.sender(address) });
    }

    /// The group whose address is to be probed next on an interface, where we might take one over
    /// from a silent peer.
    fn group_to_be_asked(&self, peer: PeerAt, interface: InterfaceId) -> Option<GroupId> {
        let turn = self.evidence.watch(peer)?.on(interface).turn();
        let tells = |address: Vip| self.evidence[interface].tells(address);
        let group = self.groups.to_be_probed(interface, &self.peers[peer], &turn, tells, self.setup.rules())?;
        Some(group.id)
    }

    /// Since when the silence of a peer counts on an interface.
    fn silent_since(&self, peer: PeerAt, interface: InterfaceId) -> MonoTime {
        self.peers[peer].last_heard(&self.turn).max(self.leases[interface].serviceable)
    }

    /// How many probes make a series: one more for each group that the peer may have opened behind
    /// our back, for each that it was about to hand over, and may have closed before others, and for
    /// each group at all where it is not known that the peer serves any.
    fn series(&self, peer: PeerAt, interface: InterfaceId) -> u32 {
        let known = &self.peers[peer];
        let here = || self.groups.iter().filter(|group| group.interface == interface && !group.is_open());
        let serves = here().any(|group| known.is_active(group.id) || group.may_be_opened_by(known.id));
        let given = self.groups.given(&self.peers).filter(|given| *given == (peer, interface));
        let offers = |group: &&Group| known.row(group.id).is_some_and(|row| row.role == Role::Handover);
        let more = if serves {
            given.take(OPENABLE).count() + here().filter(offers).take(OPENABLE).count()
        } else {
            here().take(OPENABLE).count()
        };
        self.setup.rules().probes_needed() + u32::try_from(more).unwrap_or_default()
    }

    /// Instants from which on the answers to a series may tell something new: just before the
    /// silence is long enough, when a lease that the peer had when it was last heard is over, when
    /// one that it may have begun then is over, and when answers hold nothing up any more.
    fn marks(&self, peer: PeerAt, interface: InterfaceId) -> [MonoTime; MARKS] {
        let (timing, rules, known) = (&self.setup.timing, self.setup.rules(), &self.peers[peer]);
        let ahead = timing.probe * self.series(peer, interface);
        let start = self.silent_since(peer, interface);
        let (bound, veto) = match known.heard {
            Some(_) => (timing.silence, timing.veto),
            None => (rules.listening(timing.listen), timing.patience.first_veto),
        };
        // Votes can be had as soon as every promise is over.
        let bound = if self.setup.votes.is_some() { bound.min(timing.promise) } else { bound };
        let first = start + bound.saturating_sub(ahead);
        let lease = stretch(known.lease(), timing.drift_ppm);
        let answered = self.evidence.watch(peer).is_some_and(|watch| watch.on(interface).last_answer.is_some());
        let over = if answered { known.last_heard(&self.turn) + lease } else { MonoTime::ZERO };
        let begun = known.last_heard(&self.turn) + known.unheard_lease(timing).saturating_sub(ahead);
        let audible = self.evidence[interface].heard_again.unwrap_or_default();
        let veto = start.max(audible) + rules.veto(veto).saturating_sub(ahead);
        [first, over.max(first), begun.max(first), veto.max(first)]
    }

    /// Asks known neighbours where it is time to; where a group's address is asked for without
    /// naming a sender, a peer that serves it as well, to see that such questions are answered.
    pub(in crate::engine) fn refresh_anchors(&mut self, now: MonoTime, out: &mut Actions) {
        let (calm, patience) = (!self.evidence.is_watching(), self.setup.timing.patience);
        for interface in self.leases.ids() {
            let serviceable = self.leases[interface].facts.is_serviceable();
            // Neighbours that are silent because nobody can be reached are those to be missed later.
            let reached = self.evidence.reach(interface).unreached.is_none();
            if !self.evidence[interface].begin_refresh(serviceable, (calm, reached), patience.anchors, now) {
                continue;
            }
            self.evidence[interface].ask_anchors(interface, patience.frame, now, out);
            let segment = &self.evidence[interface];
            let unnamed = |address: &Vip| address.is_ipv4() && segment.sender(*address).is_none();
            let served = self.peers.nodes().filter_map(|peer| self.served_by(peer, interface));
            if let Some(address) = served.filter(|_| calm && reached).find(unnamed) {
                self.evidence[interface].allowance.enter(1, patience.frame, now);
                out.push(Action::Probe { interface, address, to: None, sender: None });
            }
        }
    }
}

impl Evidence {
    /// Forgets what was asked of a peer on an interface.
    fn forget_probes(&mut self, peer: PeerAt, interface: InterfaceId) {
        if let Some(probes) = self.probes(peer, interface) {
            *probes = Probes::default();
        }
    }

    /// Lets the watch on a peer have its next turn at the next of `marks`, if one comes first.
    fn wake_at(&mut self, peer: PeerAt, marks: &[MonoTime], now: MonoTime) {
        let next = marks.iter().copied().filter(|mark| *mark > now).min();
        if let (Some(watch), Some(next)) = (self.watches[peer.number()].as_mut(), next) {
            watch.next = watch.next.min(next);
        }
    }
}
