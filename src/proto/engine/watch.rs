//! Suspicion: asking a silent peer on every link, probing the address, and asking neighbours whether the segment
//! is alive.
//!
//! A watch runs per silent peer. Its evidence is kept per interface, because all groups of a peer on one interface
//! share one lease there: one answered probe vetoes them all, three in a row without an answer speak for all.

use super::action::{Action, Actions};
use super::notice::Notice;
use super::{Engine, Presence};
use crate::mutant::Mutant;
use crate::types::{InterfaceId, MacAddr, MonoTime, Vip};
use std::net::IpAddr;
use std::time::Duration;

/// Neighbours remembered per interface.
const NEIGHBOURS: usize = 16;
/// Neighbours asked at a time.
const ANCHORS: usize = 3;
/// A neighbour that was not seen for this long, while all was well, is forgotten.
const ANCHOR_AGE: Duration = Duration::from_secs(16);
/// Somebody on the segment must have been heard within this many questions: six rounds of asking.
const FRESH: u32 = 12;
/// Probes in a row that must stay unanswered.
pub(super) const PROBES: u32 = 3;
/// Anchors are asked at every n-th question.
const ANCHOR_EVERY: u32 = 2;

/// Probes of one interface.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Evidence {
    /// Probes sent since the last answer.
    pub unanswered: u32,
    pub last_sent: MonoTime,
    /// When the first of them was sent.
    pub(super) first_sent: MonoTime,
    pub last_answer: Option<MonoTime>,
    pub veto_told: bool,
    pub(super) cursor: usize,
    /// The group whose address was answered last: it is asked again until it falls silent.
    pub(super) answered: Option<usize>,
}

impl Evidence {
    /// Probes in a row that had their time and got no answer.
    pub fn mature(&self, now: MonoTime, wait: Duration) -> u32 {
        if self.last_sent + wait <= now { self.unanswered } else { self.unanswered.saturating_sub(1) }
    }
}

/// The asking itself.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Watch {
    pub since: MonoTime,
    pub next: MonoTime,
    /// Time between two questions at present.
    pub interval: Duration,
    pub evidence: Vec<Evidence>,
    pub(super) round: u32,
}

impl Watch {
    /// Who was heard on a segment since then was heard while we asked, and lately.
    pub fn asked_since(&self, now: MonoTime) -> MonoTime {
        self.since.max(now.back(self.interval * FRESH))
    }
}

/// Someone on the clients' segment who is no peer.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Neighbour {
    pub mac: MacAddr,
    pub address: IpAddr,
    pub seen: MonoTime,
}

/// What is known of one clients' segment.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Segment {
    pub neighbours: Vec<Neighbour>,
    pub gateway: Option<(IpAddr, Option<MacAddr>)>,
    /// When somebody who is no peer was last heard.
    pub traffic: Option<MonoTime>,
    pub next_refresh: MonoTime,
    pub isolated: bool,
}

impl Segment {
    pub fn new(now: MonoTime) -> Segment {
        Segment { next_refresh: now, ..Segment::default() }
    }

    pub fn note_traffic(&mut self, mac: MacAddr, address: Option<IpAddr>, now: MonoTime) {
        self.traffic = Some(now);
        let Some(address) = address else { return };
        // A host with many addresses is one neighbour, of either family.
        let same = |known: &&mut Neighbour| known.mac == mac && known.address.is_ipv4() == address.is_ipv4();
        if let Some(known) = self.neighbours.iter_mut().find(same) {
            *known = Neighbour { mac, address, seen: now };
            return;
        }
        if self.neighbours.len() == NEIGHBOURS {
            let oldest = (0..NEIGHBOURS).min_by_key(|&at| self.neighbours[at].seen).unwrap_or(0);
            self.neighbours.swap_remove(oldest);
        }
        self.neighbours.push(Neighbour { mac, address, seen: now });
    }

    /// A hardware address turned out to be a peer's: its silence must not look like that of the segment.
    pub fn forget(&mut self, mac: MacAddr) {
        self.neighbours.retain(|known| known.mac != mac);
    }

    /// How many neighbours are known.
    #[cfg(any(test, feature = "proof"))]
    pub fn known(&self) -> usize {
        self.neighbours.len()
    }

    pub fn note_gateway(&mut self, address: IpAddr, mac: Option<MacAddr>) {
        self.gateway = Some((address, mac));
    }

    /// Who can be asked: the gateway and the neighbours seen last.
    fn anchors(&self) -> impl Iterator<Item = (IpAddr, Option<MacAddr>)> {
        let known = self.neighbours.iter().map(|known| (known.address, Some(known.mac)));
        self.gateway.into_iter().chain(known).take(ANCHORS)
    }

    /// Alive: somebody was heard since `start`, or nobody is known here whom one could ask.
    pub(super) fn is_alive(&self, start: MonoTime) -> bool {
        self.neighbours.is_empty() || self.traffic.is_some_and(|traffic| traffic >= start)
    }
}

/// What the silence of a peer allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Evident {
    /// Not yet.
    Wait,
    /// The address is still answered.
    Vetoed,
    /// Nobody is heard on our segment.
    Isolated,
    /// Say that we are about to open.
    Claim,
    /// The peer is gone as far as anyone can tell.
    Gone,
}

impl Engine {
    /// Starts and ends watches, and asks when it is time.
    pub(super) fn run_watches(&mut self, now: MonoTime, out: &mut Actions) {
        for peer in self.node_peers() {
            let presence = self.presence(peer, now);
            match presence {
                Presence::Heard => self.peers[peer].watch = None,
                Presence::Left if self.has_left_lately(peer, now) => self.peers[peer].watch = None,
                Presence::Left | Presence::Unknown | Presence::Suspicious | Presence::Silent => {
                    self.run_watch(peer, now, out);
                }
            }
            if presence == Presence::Silent && !self.peers[peer].silent_told {
                self.peers[peer].silent_told = true;
                let silence = self.peers[peer].silence(self.resumed, now);
                out.notice(Notice::PeerSilent { peer: self.peers[peer].id, silence });
            }
        }
        self.refresh_anchors(now, out);
    }

    fn run_watch(&mut self, peer: usize, now: MonoTime, out: &mut Actions) {
        let interfaces = self.interfaces.len();
        let probe = self.setup.timing.probe;
        let lease = self.peers[peer].lease();
        let watch = self.peers[peer].watch.get_or_insert_with(|| {
            let evidence = vec![Evidence::default(); interfaces];
            Watch { since: now, next: now, interval: probe, evidence, round: 0 }
        });
        if now < watch.next {
            return;
        }
        let can_open = |group: &super::group::Group| {
            !group.is_open() && self.interfaces[usize::from(group.interface.0)].facts.is_serviceable()
        };
        let needed = self.groups.iter().any(can_open);
        // Its kernel answers for as long as its own file says.
        let asking = self.setup.timing.patience.asking.max(lease * 2);
        let anew = |group: &super::group::Group| group.service.hook.is_some_and(|running| running.asks_anew());
        let eager = needed && (now.since(watch.since) < asking || self.groups.iter().any(anew));
        watch.interval = if eager { self.setup.timing.probe } else { self.setup.timing.pulse };
        watch.next = now + watch.interval;
        let round = watch.round;
        watch.round = round.wrapping_add(1);
        self.dirty = true;
        if !needed && now.since(watch.since) > self.setup.timing.silence * 10 {
            // Everything is ours already: the pulses themselves ask often enough.
            return;
        }
        self.send_pulse(peer, true, now, out);
        for interface in 0..interfaces {
            self.probe(peer, interface, now, out);
            if round.is_multiple_of(ANCHOR_EVERY) && self.interfaces[interface].facts.is_serviceable() {
                ask_anchors(&self.segments[interface], interface, out);
            }
        }
    }

    /// One probe on one interface, for the next of the groups that we might take over there.
    fn probe(&mut self, peer: usize, interface: usize, now: MonoTime, out: &mut Actions) {
        if !self.interfaces[interface].facts.is_serviceable() {
            return;
        }
        let id = self.peers[peer].id;
        let Some(watch) = self.peers[peer].watch.as_mut() else { return };
        let mut evidence = std::mem::take(&mut watch.evidence[interface]);
        let count = self.groups.len();
        let here = |at: &usize| usize::from(self.groups[*at].interface.0) == interface && !self.groups[*at].is_open();
        let rows = self.peers[peer].copy.rows();
        let active = |at: &usize| rows[*at].is_some_and(|row| row.role.is_open());
        let likely = |at: &usize| active(at) || self.groups[*at].may_be_opened_by(id);
        let turn = || (0..count).map(|step| (evidence.cursor + step) % count).filter(here);
        // Only an address that the peer may answer for can tell anything: the silence of others means nothing.
        let again = evidence.answered.filter(|at| *at < count && evidence.unanswered < PROBES && here(at));
        let known = again.or_else(|| turn().find(likely)).filter(|_| !self.is_mutant(Mutant::AnyAddressProbed));
        let Some(at) = known.or_else(|| turn().next()) else { return };
        evidence.cursor = at + 1;
        if evidence.unanswered == 0 {
            evidence.first_sent = now;
        }
        evidence.unanswered = evidence.unanswered.saturating_add(1);
        evidence.last_sent = now;
        let address = self.groups[at].probe_address;
        let odd = evidence.unanswered % 2 == 1;
        if let Some(watch) = self.peers[peer].watch.as_mut() {
            watch.evidence[interface] = evidence;
        }
        let mac = self.peers[peer].copy.row(at).map(|row| row.mac).filter(|mac| !mac.is_zero());
        // Unicast reaches the peer whatever its switch thinks of broadcasts; every second one goes to all, in
        // case its hardware address has changed.
        let to = if odd { mac } else { None };
        out.push(Action::Probe { interface: interface_id(interface), address, to });
    }

    /// An answer for one of our groups' addresses was seen: it counts against every watch it can concern.
    pub(super) fn note_answer(
        &mut self,
        group: usize,
        interface: InterfaceId,
        mac: MacAddr,
        now: MonoTime,
        out: &mut Actions,
    ) {
        if self.is_mutant(Mutant::VetoIgnored) {
            return;
        }
        for peer in &mut self.peers {
            // Before the peer has told us its hardware address here, anybody may be it. To be heard is not enough: the
            // answer to a restarted node carries no rows.
            let named = peer
                .copy
                .rows()
                .iter()
                .zip(&self.groups)
                .any(|(row, group)| group.interface == interface && row.is_some_and(|row| !row.mac.is_zero()));
            if named && !peer.has_mac(mac) {
                continue;
            }
            let Some(watch) = peer.watch.as_mut() else { continue };
            let evidence = &mut watch.evidence[usize::from(interface.0)];
            evidence.unanswered = 0;
            evidence.last_answer = Some(now);
            evidence.answered = Some(group);
            if !evidence.veto_told && now.since(watch.since) >= self.setup.timing.silence {
                evidence.veto_told = true;
                out.notice(Notice::Veto { interface, mac });
            }
        }
    }

    /// What the silence of `peer` allows for groups on `interface`. `claimed`: since when our claim is out. `openable`: as
    /// [`Engine::openable`] has counted.
    pub(super) fn evident(
        &self,
        peer: usize,
        interface: InterfaceId,
        claimed: Option<MonoTime>,
        openable: u32,
        now: MonoTime,
    ) -> Evident {
        let timing = &self.setup.timing;
        let at = usize::from(interface.0);
        let known = &self.peers[peer];
        let Some(watch) = known.watch.as_ref() else { return Evident::Wait };
        let start = known.heard.unwrap_or(MonoTime::ZERO).max(self.resumed).max(self.interfaces[at].serviceable);
        let silence = now.since(start);
        let (bound, veto) = match known.heard {
            Some(_) => (timing.silence, timing.veto),
            None if self.is_mutant(Mutant::NoListening) => (Duration::ZERO, timing.patience.first_veto),
            None => (timing.listen, timing.patience.first_veto),
        };
        let veto = if self.is_mutant(Mutant::VetoUnlimited) { Duration::MAX } else { veto };
        let isolation =
            if self.is_mutant(Mutant::IsolationUnlimited) { Duration::MAX } else { timing.patience.isolation };
        let anywhere = self.is_mutant(Mutant::IsolatedTakesOver);
        if silence + timing.probe < bound {
            return Evident::Wait;
        }
        // What was heard before the asking began may have been heard before the cable was pulled.
        let alive = self.segments[at].is_alive(start.max(watch.asked_since(now))) || anywhere;
        if !alive && silence < isolation {
            return Evident::Isolated;
        }
        let evidence = &watch.evidence[at];
        let mature = evidence.mature(now, timing.probe);
        let probes = if self.is_mutant(Mutant::OneProbeEnough) { 1 } else { PROBES };
        let enough = probes + openable;
        if silence < veto && mature + 1 < enough {
            return if evidence.last_answer.is_some() { Evident::Vetoed } else { Evident::Wait };
        }
        // A loose cable lets a frame through now and then: somebody must be heard while the probes stay unanswered.
        let counted = anywhere || self.is_mutant(Mutant::IsolatedProbesCount);
        if silence < veto && silence < isolation && !counted && !self.segments[at].is_alive(evidence.first_sent) {
            return Evident::Wait;
        }
        let claimed = claimed.is_some_and(|claimed| claimed + timing.probe <= now);
        let silent = silence >= bound && (mature >= enough || silence >= veto);
        if self.is_mutant(Mutant::ClaimNotSent) {
            return if silent { Evident::Gone } else { Evident::Wait };
        }
        if claimed && silent { Evident::Gone } else { Evident::Claim }
    }

    /// Probes that nobody could hear prove nothing: when the segment is heard again, counting begins anew.
    pub(super) fn forget_evidence(&mut self, interface: InterfaceId) {
        if self.is_mutant(Mutant::IsolatedProbesCount) {
            return;
        }
        for watch in self.peers.iter_mut().filter_map(|peer| peer.watch.as_mut()) {
            watch.evidence[usize::from(interface.0)].unanswered = 0;
        }
    }

    /// While all is well, known neighbours are asked now and then, so that those that are gone are forgotten and
    /// cannot hold up a takeover later.
    fn refresh_anchors(&mut self, now: MonoTime, out: &mut Actions) {
        let well = self.peers.iter().all(|peer| peer.watch.is_none());
        for (at, segment) in self.segments.iter_mut().enumerate() {
            if now < segment.next_refresh {
                continue;
            }
            segment.next_refresh = now + self.setup.timing.patience.anchors;
            if !self.interfaces[at].facts.is_serviceable() {
                continue;
            }
            if well && segment.traffic.is_some_and(|traffic| now.since(traffic) < ANCHOR_AGE * 2) {
                segment.neighbours.retain(|known| now.since(known.seen) < ANCHOR_AGE);
            } else if well {
                segment.neighbours.retain(|known| now.since(known.seen) < ANCHOR_AGE * 4);
            }
            ask_anchors(segment, at, out);
        }
    }

    /// The next time a watch or the refresh of anchors has something to do.
    pub(super) fn watch_deadline(&self) -> MonoTime {
        let timing = &self.setup.timing;
        let mut next = self.segments.iter().map(|segment| segment.next_refresh).min().unwrap_or(MonoTime::FOREVER);
        for peer in &self.peers[self.node_peers()] {
            let due = match (&peer.watch, peer.left) {
                (Some(watch), _) => watch.next,
                (None, true) => peer.heard.unwrap_or(MonoTime::ZERO).max(self.resumed) + timing.silence,
                (None, false) => peer.heard.unwrap_or(MonoTime::ZERO).max(self.resumed) + timing.suspicion,
            };
            next = next.min(due);
        }
        next
    }
}

fn ask_anchors(segment: &Segment, interface: usize, out: &mut Actions) {
    for (address, to) in segment.anchors() {
        let address: Vip = address;
        out.push(Action::Probe { interface: interface_id(interface), address, to });
    }
}

/// The identifier of the interface at a position of the table, which has at most 255 entries.
pub(super) fn interface_id(at: usize) -> InterfaceId {
    InterfaceId(u8::try_from(at).unwrap_or(u8::MAX))
}
