//! What the silence of a peer allows: the conditions of a takeover on evidence.

use crate::engine::around::Around;
use crate::engine::peer::PeerAt;
use crate::types::{InterfaceId, MonoTime};
use std::time::Duration;

/// What the silence of a peer allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Evident {
    /// Not yet.
    Wait,
    /// Not yet: a series of questions that nothing was claimed on before is under way.
    Asking,
    /// The address is still answered.
    Vetoed,
    /// What was found out is not of now: it has to be asked again.
    Stale,
    /// Nobody is heard on our segment.
    Isolated,
    /// Our claim may go out: we are about to open.
    Claim,
    /// The peer is gone as far as anyone can tell.
    Gone,
}

impl Around<'_> {
    /// How long a peer has been silent, as far as evidence on an interface goes.
    pub fn unheard(self, peer: PeerAt, interface: InterfaceId) -> Duration {
        self.now.since(self.peers[peer].last_heard(self.turn).max(self.leases[interface].serviceable))
    }

    /// The silence of a peer that is a sign, and the one from which answers hold nothing back.
    fn bounds(self, peer: PeerAt) -> (Duration, Duration) {
        let (timing, rules) = (self.timing(), self.rules);
        let (bound, veto) = match self.peers[peer].heard {
            Some(_) => (timing.silence, timing.veto),
            None => (rules.listening(timing.listen), timing.patience.first_veto),
        };
        (bound, rules.veto(veto))
    }

    /// Whether a peer has been silent for so long that answers hold an opening back no more (S6).
    pub fn outlasts_answers(self, peer: PeerAt, interface: InterfaceId) -> bool {
        self.unheard(peer, interface) >= self.bounds(peer).1
    }

    /// What the silence of `peer` allows for groups on `interface`. `claimed`: since when our claim
    /// is out. `openable`: how many groups the peer may have opened there since it was last heard.
    pub fn evident(self, peer: PeerAt, interface: InterfaceId, claimed: Option<MonoTime>, openable: u32) -> Evident {
        let (timing, rules, now) = (self.timing(), self.rules, self.now);
        let known = &self.peers[peer];
        let segment = &self.evidence[interface];
        let Some(watch) = self.evidence.watch(peer) else { return Evident::Wait };
        let start = known.last_heard(self.turn).max(self.leases[interface].serviceable);
        let silence = now.since(start);
        let (bound, veto) = self.bounds(peer);
        let isolation = rules.isolation(timing.patience.isolation);
        if silence + timing.probe < bound {
            return Evident::Wait;
        }
        let probes = watch.on(interface);
        let mature = probes.mature(now, timing.probe);
        let enough = (rules.probes_needed() + openable).max(probes.series);
        let whole = mature + 1 >= enough;
        // What was heard before the asking began may have been heard before the cable was pulled.
        let alive = watch.hears(segment, start, watch.window(), now) || !rules.needs_living_segment();
        let vetoed = !whole && !probes.confirmed && probes.last_answer.is_some();
        if vetoed && silence < veto && (alive || !segment.isolated) {
            return Evident::Vetoed;
        }
        if !alive && silence < isolation {
            // Nobody answers who was not asked.
            let asked = segment.is_unheard(watch.interval * 2, watch.window(), now);
            return if asked { Evident::Isolated } else { Evident::Stale };
        }
        // Nobody could answer while we were isolated. Without this, whoever is back after a long time
        // would take over from the active at the first frame of anybody, before it hears the answer.
        let audible = if silence < isolation { segment.hears_since(now) } else { start };
        let unanswered = now.since(start.max(audible));
        if unanswered < veto && !whole {
            let unknown = if probes.confirmed { Evident::Stale } else { Evident::Asking };
            return if vetoed { Evident::Vetoed } else { unknown };
        }
        // A loose cable lets a frame through now and then: somebody must be heard while the probes
        // stay unanswered.
        let voids = rules.needs_living_segment() && rules.unheard_probes_are_void();
        if unanswered < veto && voids && !probes.is_fresh(watch.interval, now) {
            return Evident::Stale;
        }
        // Neighbours are asked where nobody was heard since the last question, so in that time
        // somebody answers.
        let lately = probes.first_sent.max(now.back(watch.interval * 5 / 2));
        if unanswered < veto && silence < isolation && voids && !segment.is_alive(lately) {
            return Evident::Wait;
        }
        let claimed = claimed.is_some_and(|claimed| claimed + timing.probe <= now);
        let silent = silence >= bound && (mature >= enough || unanswered >= veto);
        match (silent, rules.claims_before_opening()) {
            (true, true) if claimed => Evident::Gone,
            (_, true) => Evident::Claim,
            (true, false) => Evident::Gone,
            (false, false) => Evident::Wait,
        }
    }
}
