//! A clients' segment: who is there besides peers, and whether anybody is heard.

use super::allowance::Allowance;
use crate::engine::OwnAddress;
use crate::engine::action::{Action, Actions};
use crate::types::{InterfaceId, MacAddr, MonoTime, Vip};
use std::net::IpAddr;
use std::time::Duration;

/// Neighbours remembered per interface.
const NEIGHBOURS: usize = 16;
/// Neighbours asked at a time, or one after another before the first is asked again.
const ANCHORS: usize = 3;
/// A neighbour that was not seen for this long, while all was well, is forgotten.
const ANCHOR_AGE: Duration = Duration::from_secs(16);

/// Someone on the clients' segment who is no peer.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Neighbour {
    pub mac: MacAddr,
    pub address: IpAddr,
    pub seen: MonoTime,
    /// When it was first seen.
    pub since: MonoTime,
}

/// What is known of one clients' segment.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Segment {
    pub neighbours: Vec<Neighbour>,
    pub gateway: Option<(IpAddr, Option<MacAddr>)>,
    /// Machines inside this server, in order: neither life nor anybody to ask.
    pub inside: Vec<MacAddr>,
    /// When somebody who is no peer was last heard.
    pub traffic: Option<MonoTime>,
    pub next_refresh: MonoTime,
    /// Whether a takeover waits because nobody is heard here.
    pub isolated: bool,
    /// When such a wait last ended because somebody was heard again. What is asked can be answered from
    /// then on.
    pub heard_again: Option<MonoTime>,
    /// Our own addresses here.
    pub own: Vec<OwnAddress>,
    /// When a question that names no sender was last seen to be answered; `None` once that is long
    /// ago.
    pub nameless: Option<MonoTime>,
    /// How much may be sent here.
    pub allowance: Allowance,
    /// When an anchor was last asked.
    pub asked: MonoTime,
    /// Since when anchors are asked again and again, and nobody was heard.
    pub unheard: Option<MonoTime>,
    /// The anchor whose turn is next while none answers.
    pub turn: u8,
}

impl Segment {
    pub fn new(now: MonoTime) -> Segment {
        Segment { next_refresh: now, ..Segment::default() }
    }

    /// Notes a frame of somebody who is no peer, and of the address that it names.
    pub fn note_traffic(&mut self, mac: MacAddr, address: Option<IpAddr>, now: MonoTime) {
        self.traffic = Some(now);
        (self.unheard, self.turn) = (None, 0);
        let Some(address) = address else { return };
        // A host with many addresses is one neighbour, of either family.
        let same = |known: &&mut Neighbour| known.mac == mac && known.address.is_ipv4() == address.is_ipv4();
        if let Some(known) = self.neighbours.iter_mut().find(same) {
            *known = Neighbour { mac, address, seen: now, since: known.since };
            return;
        }
        if self.neighbours.len() == NEIGHBOURS {
            let oldest = (0..NEIGHBOURS).min_by_key(|&place| self.neighbours[place].seen).unwrap_or(0);
            self.neighbours.swap_remove(oldest);
        }
        self.neighbours.push(Neighbour { mac, address, seen: now, since: now });
    }

    /// Forgets a hardware address that turned out to be a peer's: its silence must not look like
    /// that of the segment.
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

    /// Alive: somebody outside this server was heard since `start`, or nobody is known there whom one
    /// could ask in a way that is known to be answered.
    pub fn is_alive(&self, start: MonoTime) -> bool {
        !self.is_anybody_askable() || self.traffic.is_some_and(|traffic| traffic >= start)
    }

    /// Notes whether a takeover waits because nobody is heard here.
    pub fn note_isolation(&mut self, isolated: bool, now: MonoTime) {
        if std::mem::replace(&mut self.isolated, isolated) && !isolated {
            self.heard_again = Some(now);
        }
    }

    /// Since when an answer could have been heard, as far as being isolated goes.
    pub fn hears_since(&self, now: MonoTime) -> MonoTime {
        if self.isolated { now } else { self.heard_again.unwrap_or_default() }
    }

    pub fn note_own(&mut self, own: &[OwnAddress]) {
        self.own = own.to_vec();
    }

    /// The own address with which an ordinary host would ask for `address`; `None` if it would not
    /// ask here, because it is not on its network.
    pub fn sender(&self, address: Vip) -> Option<Vip> {
        self.own.iter().find(|own| own.asks_for(address)).map(|own| own.address)
    }

    /// An anchor by its place: the neighbour seen last, the gateway, then the other neighbours.
    fn anchor(&self, place: usize) -> Option<(Vip, Option<MacAddr>)> {
        let mut order: [usize; NEIGHBOURS] = std::array::from_fn(|place| place);
        let order = &mut order[..self.neighbours.len().min(NEIGHBOURS)];
        order.sort_unstable_by_key(|&place| std::cmp::Reverse(self.neighbours[place].seen));
        let mut known =
            order.iter().map(|&place| &self.neighbours[place]).map(|known| (known.address, Some(known.mac)));
        let newest = known.next();
        let gateway = self.gateway.filter(|(address, _)| newest.is_none_or(|(newest, _)| newest != *address));
        newest.into_iter().chain(gateway).chain(known).take(ANCHORS).nth(place)
    }

    /// Asks an anchor. `each`: the time that makes up for a frame.
    fn ask(
        &mut self,
        interface: InterfaceId,
        (address, to): (Vip, Option<MacAddr>),
        (each, now): (Duration, MonoTime),
        out: &mut Actions,
    ) {
        self.allowance.enter(1, each, now);
        out.push(Action::Probe { interface, address, to, sender: self.sender(address) });
    }

    /// Asks the anchors whether they are there, those after the first as far as may be. `each`: the
    /// time that makes up for a frame.
    pub fn ask_anchors(&mut self, interface: InterfaceId, each: Duration, now: MonoTime, out: &mut Actions) {
        for place in 0..ANCHORS {
            if place > 0 && !self.allowance.has_room(each, now) {
                return;
            }
            let Some(anchor) = self.anchor(place) else { return };
            self.ask(interface, anchor, (each, now), out);
        }
    }

    /// Asks one anchor whether it is there, each time another one until somebody is heard. `window`:
    /// a pause in the asking that makes it begin anew.
    pub fn ask_anchor(
        &mut self,
        interface: InterfaceId,
        (window, each): (Duration, Duration),
        now: MonoTime,
        out: &mut Actions,
    ) {
        let turn = usize::from(self.turn) % ANCHORS;
        let anchor = self.anchor(turn).or_else(|| self.anchor(0));
        let Some(anchor) = anchor.filter(|_| self.asked < now) else { return };
        if self.unheard.is_none() || self.asked + window < now {
            self.unheard = Some(now);
        }
        (self.turn, self.asked) = (self.turn.wrapping_add(1), now);
        self.ask(interface, anchor, (each, now), out);
    }

    /// True if anchors were asked for `span`, the last one within `window`, and nobody was heard.
    pub fn is_unheard(&self, span: Duration, window: Duration, now: MonoTime) -> bool {
        self.unheard.is_some_and(|unheard| unheard + span <= now && self.asked + window >= now)
    }

    /// True if it tells something that nobody answers a question for `address`: it is asked for as
    /// an ordinary host asks, or the other way was lately seen to be answered here.
    pub fn tells(&self, address: Vip) -> bool {
        self.sender(address).is_some() || (address.is_ipv4() && self.nameless.is_some())
    }

    /// True if the silence of some neighbour would tell something.
    pub fn is_anybody_askable(&self) -> bool {
        self.neighbours.iter().any(|known| self.tells(known.address))
    }

    /// Begins the next refresh if it is due, once in each `pause`. While all is well (`calm`: no peer
    /// is asked at present, and `reached`: somebody is heard here) neighbours that did not answer for
    /// long are forgotten, so that they cannot hold up a takeover later.
    pub fn begin_refresh(
        &mut self,
        serviceable: bool,
        (calm, reached): (bool, bool),
        pause: Duration,
        now: MonoTime,
    ) -> bool {
        if now < self.next_refresh {
            return false;
        }
        self.next_refresh = now + pause;
        // Where nobody is heard nobody answers in any way.
        self.nameless = self.nameless.filter(|seen| !reached || now.since(*seen) < pause.saturating_mul(3));
        if serviceable && calm && reached {
            let lately = self.traffic.is_some_and(|traffic| now.since(traffic) < ANCHOR_AGE * 2);
            let age = if lately { ANCHOR_AGE } else { ANCHOR_AGE * 4 };
            self.neighbours.retain(|known| now.since(known.seen) < age);
        }
        serviceable
    }
}

impl OwnAddress {
    /// True if a host with this address would ask for `address` on the segment: in IPv4 it is on its
    /// network, in IPv6 every host asks with its link-local address.
    fn asks_for(&self, address: Vip) -> bool {
        match (self.address, address) {
            (Vip::V4(own), Vip::V4(other)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(self.prefix))).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (Vip::V6(own), Vip::V6(_)) => own.is_unicast_link_local(),
            (Vip::V4(_), Vip::V6(_)) | (Vip::V6(_), Vip::V4(_)) => false,
        }
    }
}
