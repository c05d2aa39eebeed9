//! A clients' segment: who is there besides peers, and whether anybody is heard.

use crate::engine::action::{Action, Actions};
use crate::types::{InterfaceId, MacAddr, MonoTime};
use std::net::IpAddr;
use std::time::Duration;

/// Neighbours remembered per interface.
const NEIGHBOURS: usize = 16;
/// Neighbours asked at a time.
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
}

impl Segment {
    pub fn new(now: MonoTime) -> Segment {
        Segment { next_refresh: now, ..Segment::default() }
    }

    /// Notes a frame of somebody who is no peer, and of the address that it names.
    pub fn note_traffic(&mut self, mac: MacAddr, address: Option<IpAddr>, now: MonoTime) {
        self.traffic = Some(now);
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
    /// could ask.
    pub fn is_alive(&self, start: MonoTime) -> bool {
        self.neighbours.is_empty() || self.traffic.is_some_and(|traffic| traffic >= start)
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

    /// Asks the gateway and the neighbours seen last whether they are there.
    pub fn ask_anchors(&self, interface: InterfaceId, out: &mut Actions) {
        let known = self.neighbours.iter().map(|known| (known.address, Some(known.mac)));
        for (address, to) in self.gateway.into_iter().chain(known).take(ANCHORS) {
            out.push(Action::Probe { interface, address, to });
        }
    }

    /// Asks the anchors once in each `pause`. While all is well, neighbours that did not answer for
    /// long are forgotten, so that they cannot hold up a takeover later. `well`: no peer is asked
    /// at present, and somebody is heard here.
    pub fn refresh(
        &mut self,
        interface: InterfaceId,
        (serviceable, well): (bool, bool),
        pause: Duration,
        now: MonoTime,
        out: &mut Actions,
    ) {
        if now < self.next_refresh {
            return;
        }
        self.next_refresh = now + pause;
        if !serviceable {
            return;
        }
        if well {
            let lately = self.traffic.is_some_and(|traffic| now.since(traffic) < ANCHOR_AGE * 2);
            let age = if lately { ANCHOR_AGE } else { ANCHOR_AGE * 4 };
            self.neighbours.retain(|known| now.since(known.seen) < age);
        }
        self.ask_anchors(interface, out);
    }
}
