//! Whether anybody on a clients' segment can be reached: asked for when nobody was heard for a
//! while, and told as a lack of the groups there ([`Lacks::REACH`]).
//!
//! Whoever is heard there proves it: neighbours, peers, whoever answers for a peer's address. While
//! all is well a peer's pulse on the segment is heard once in [`Patience::segment`], and nothing is
//! asked. When nobody was heard for [`Patience::reach`], everybody is asked who should be there:
//! the anchors, each peer that is heard on a link (by a query on the segment), and the address that
//! such a peer serves. Silence counts only if somebody is known who should answer.
//!
//! Owns: the doubt and the lack of each interface. Never does: move a group. If both nodes hear
//! nobody, both lack the same, and nothing moves; an active waits for [`Patience::reach`] with
//! a lack of its own, so that its peer has the time to find out that it hears nobody either.
//!
//! [`Lacks::REACH`]: crate::engine::Lacks::REACH
//! [`Patience::reach`]: crate::timing::Patience::reach
//! [`Patience::segment`]: crate::timing::Patience::segment

use crate::engine::Engine;
use crate::engine::action::{Action, Actions};
use crate::engine::notice::Notice;
use crate::engine::peer::{PeerAt, Presence};
use crate::timing::Patience;
use crate::types::{InterfaceId, LinkId, LinkPath, MonoTime, Vip};
use std::time::Duration;

/// Rounds of questions that must all stay unanswered.
const ROUNDS: u32 = 5;
/// Rounds of questions in a row that must be answered before a lack is over: a loose cable lets a
/// frame through now and then.
const GOOD_ROUNDS: u32 = 2;
/// While nobody can be reached rounds are this many times further apart.
const UNREACHED: u32 = 3;
/// Rounds of questions in the time without anybody that begins a doubt.
const PACE: u32 = 6;

/// What is known of who can be reached on one segment.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Reach {
    /// Silence counts from here: when somebody was last heard, or nobody was missed.
    pub since: MonoTime,
    /// The asking, while nobody is heard.
    pub doubt: Option<Doubt>,
    /// Since when nobody can be reached.
    pub unreached: Option<MonoTime>,
}

/// Asking everybody on a segment where nobody is heard.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Doubt {
    /// When the last round of questions left; what is heard later answers it.
    pub asked: MonoTime,
    /// When the next round is due.
    pub next: MonoTime,
    /// Rounds that nobody answered; while a lack stands, rounds in a row that somebody answered.
    pub rounds: u32,
}

impl Reach {
    /// When there is something to do, on a segment that is serviceable since `start`.
    fn next(&self, start: MonoTime, reach: Duration) -> MonoTime {
        self.doubt.map_or(self.since.max(start) + reach, |doubt| doubt.next)
    }

    /// Counts the round of questions that has had its time. True if the lack begins or ends.
    fn count(&mut self, now: MonoTime) -> bool {
        let Some(doubt) = &mut self.doubt else { return false };
        let answered = self.since >= doubt.asked;
        match (self.unreached, answered) {
            (None, true) => self.doubt = None,
            (None, false) => doubt.rounds += 1,
            (Some(_), true) => doubt.rounds += 1,
            (Some(_), false) => doubt.rounds = 0,
        }
        let rounds = self.doubt.map_or(0, |doubt| doubt.rounds);
        let over = match self.unreached {
            None => rounds >= ROUNDS,
            Some(_) => rounds >= GOOD_ROUNDS,
        };
        if over {
            self.unreached = if self.unreached.is_none() { Some(now) } else { None };
            self.doubt = self.doubt.filter(|_| self.unreached.is_some()).map(|doubt| Doubt { rounds: 0, ..doubt });
        }
        over
    }
}

impl Engine {
    /// Notes that somebody was heard on a segment.
    pub(in crate::engine) fn note_reached(&mut self, interface: InterfaceId, now: MonoTime) {
        if self.setup.timing.patience.reach != Patience::UNDOUBTED {
            self.evidence.note_reached(interface, now);
        }
    }

    /// Lets silence on the segments be looked at from now on: one has become serviceable.
    pub(in crate::engine) fn begin_reach(&mut self, now: MonoTime) {
        if self.setup.timing.patience.reach != Patience::UNDOUBTED {
            self.evidence.reach_due = now;
        }
    }

    /// Asks the segments where nobody is heard, and notes what follows.
    pub(in crate::engine) fn run_reach(&mut self, now: MonoTime, out: &mut Actions) {
        let reach = self.setup.timing.patience.reach;
        if now < self.evidence.reach_due {
            return;
        }
        for interface in self.leases.ids() {
            let start = self.reach_start(interface);
            if self.leases[interface].facts.is_serviceable()
                && now >= self.evidence.reach(interface).next(start, reach)
            {
                self.run_reach_on(interface, now, out);
            }
        }
        self.plan_reach();
    }

    /// Sets when a segment is to be looked at again.
    fn plan_reach(&mut self) {
        let reach = self.setup.timing.patience.reach;
        let next = |interface: InterfaceId| {
            let serviceable = self.leases[interface].facts.is_serviceable();
            let next = self.evidence.reach(interface).next(self.reach_start(interface), reach);
            if serviceable { next } else { MonoTime::FOREVER }
        };
        self.evidence.reach_due = self.leases.ids().map(next).min().unwrap_or(MonoTime::FOREVER);
    }

    /// Since when silence on a segment counts.
    fn reach_start(&self, interface: InterfaceId) -> MonoTime {
        self.leases[interface].serviceable.max(self.turn.resumed)
    }

    /// Counts the last round on a segment, and asks again if somebody is there to be asked.
    fn run_reach_on(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        let timing = &self.setup.timing;
        let pace = (timing.patience.reach / PACE).max(timing.probe);
        // A round that was asked before this process stood still says nothing.
        let stalled = self.evidence.reach(interface).doubt.is_some_and(|doubt| doubt.asked < self.turn.resumed);
        if !stalled && self.evidence.reach_mut(interface).count(now) {
            let reached = self.evidence.reach(interface).unreached.is_none();
            self.groups.look_again = true;
            out.notice(Notice::Reach { interface, reached });
        }
        let state = self.evidence.reach(interface);
        let begun = state.doubt.is_some() || state.next(self.reach_start(interface), timing.patience.reach) <= now;
        if !begun {
            return;
        }
        if state.unreached.is_none() && !self.is_anybody_due(interface, now) {
            let reach = self.evidence.reach_mut(interface);
            (reach.doubt, reach.since) = (None, now);
            return;
        }
        let rounds = state.doubt.filter(|_| !stalled).map_or(0, |doubt| doubt.rounds);
        let pace = if state.unreached.is_some() { pace * UNREACHED } else { pace };
        self.evidence.reach_mut(interface).doubt = Some(Doubt { asked: now, next: now + pace, rounds });
        self.ask_segment(interface, now, out);
    }

    /// True if a peer is heard on some link.
    fn is_heard(&self, peer: PeerAt, now: MonoTime) -> bool {
        self.around(now).presence(peer) == Presence::Heard
    }

    /// True if somebody is known who should be heard on a segment: a neighbour, or a peer that is
    /// heard on some link, and was heard there or serves an address there.
    fn is_anybody_due(&self, interface: InterfaceId, now: MonoTime) -> bool {
        let heard = |peer: &PeerAt| {
            let here = |path: LinkPath| path == LinkPath::Segment(interface);
            self.peers[*peer].links.iter().any(|link| here(link.id.path) && link.heard.is_some())
        };
        let due = |peer: PeerAt| heard(&peer) || self.served_by(peer, interface).is_some();
        self.evidence[interface].is_anybody_askable()
            || self.peers.nodes().any(|peer| self.is_heard(peer, now) && due(peer))
    }

    /// An address that a peer serves on an interface.
    pub(super) fn served_by(&self, peer: PeerAt, interface: InterfaceId) -> Option<Vip> {
        let peer = &self.peers[peer];
        let served = |group: &&crate::engine::group::Group| group.interface == interface && peer.is_active(group.id);
        self.groups.iter().find(served).map(|group| group.addresses.probe)
    }

    /// Asks everybody who should be heard on a segment.
    fn ask_segment(&mut self, interface: InterfaceId, now: MonoTime, out: &mut Actions) {
        let each = self.setup.timing.patience.frame;
        self.evidence[interface].ask_anchors(interface, each, now, out);
        for peer in self.peers.nodes() {
            if !self.is_heard(peer, now) {
                continue;
            }
            if let Some(address) = self.served_by(peer, interface) {
                let segment = &mut self.evidence[interface];
                segment.allowance.enter(1, each, now);
                out.push(Action::Probe { interface, address, to: None, sender: segment.sender(address) });
            }
            let link = LinkId { peer: self.peers[peer].id, path: LinkPath::Segment(interface) };
            if self.peers[peer].link_mut(link).is_some_and(|link| link.open) && self.setup.rules().uses_segment() {
                self.post(now).send_on(peer, link, true, out);
            }
        }
    }
}
