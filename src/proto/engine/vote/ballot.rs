//! Votes of one group, the promise that this node has given, and when datagrams left that asked for
//! votes.

use crate::engine::peer::{PeerAt, PeerSet, Peers};
use crate::rules::vote::ask;
use crate::types::{Epoch, InterfaceId, MonoTime, NodeId};
use crate::wire::pulse::Row;
use std::collections::VecDeque;
use std::time::Duration;

/// Instants of sending that are remembered, far more than fall into one lease. A datagram from
/// before them grants nothing.
pub(super) const INSTANTS: usize = 512;

/// Datagrams that left at one instant.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Sent {
    /// Counter of the first of them.
    pub first: u64,
    pub when: MonoTime,
    /// The lease that they stated.
    pub lease: Duration,
}

/// When each of our last datagrams left.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct SentTimes(pub VecDeque<Sent>);

impl SentTimes {
    /// Notes that the datagram with this counter leaves now, and the lease that it states.
    pub fn note(&mut self, counter: u64, now: MonoTime, lease: Duration) {
        if self.0.back().is_some_and(|last| last.when == now && last.lease == lease) {
            return;
        }
        if self.0.len() == INSTANTS {
            self.0.pop_front();
        }
        self.0.push_back(Sent { first: counter, when: now, lease });
    }

    /// The end of the lease that the datagram with this counter asked for; `None` if it left too
    /// long ago.
    pub fn deadline(&self, counter: u64) -> Option<MonoTime> {
        let after = self.0.partition_point(|sent| sent.first <= counter);
        let sent = self.0.get(after.checked_sub(1)?)?;
        Some(sent.when + sent.lease)
    }
}

/// A promise of this node's vote to a peer, running or over.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Promise {
    pub peer: PeerAt,
    pub epoch: Epoch,
    /// When it ends, once it is renewed no more. `None` while the peer goes on asking: then it ends
    /// with [`Peer::promised`](crate::engine::peer::Peer).
    pub ends: Option<MonoTime>,
}

impl Promise {
    /// Ends the renewal: the promise is over at `until`, or when it was to end already.
    pub fn freeze(&mut self, until: MonoTime) {
        self.ends.get_or_insert(until);
    }

    /// When the promise is over.
    pub fn end(&self, peers: &Peers) -> MonoTime {
        self.ends.unwrap_or(peers[self.peer].promised)
    }
}

/// The votes of one group: those it has, and the one that this node gives.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Ballot {
    /// The epoch that our row asks votes for.
    pub asks: Epoch,
    /// The peers that have acknowledged a row of ours that asks for `asks`.
    pub known: PeerSet,
    /// The peers that grant `asks`.
    pub granted: PeerSet,
    /// End of what is granted by votes counted before, whoever grants it now.
    pub floor: MonoTime,
    /// What this node has promised to another.
    pub promise: Option<Promise>,
    /// End of abstention: an earlier life of this node may have promised.
    pub from: MonoTime,
    /// Witnesses grant nothing up to this epoch. Never falls, so what is below it is never claimed
    /// again.
    pub bar: Epoch,
    /// No claim before this instant: a witness has granted a higher claim than ours.
    pub yields: MonoTime,
}

impl Ballot {
    /// Notes what our row asks for, now that it is published.
    pub fn note_asked(&mut self, me: NodeId, row: &Row) {
        let asks = ask(me, row).map_or(Epoch::NONE, |asked| asked.epoch());
        if self.asks != asks {
            self.asks = asks;
            (self.known, self.granted, self.floor) = (PeerSet::default(), PeerSet::default(), MonoTime::ZERO);
        }
    }

    /// True while what was promised for `epoch` is renewed by every pulse of the peer that asks.
    pub fn is_live(&self, epoch: Epoch) -> bool {
        self.promise.is_some_and(|promise| promise.epoch == epoch && promise.ends.is_none())
    }

    /// When what is promised to others is over; ZERO if nothing is.
    pub fn bound_until(&self, peers: &Peers) -> MonoTime {
        self.promise.map_or(MonoTime::ZERO, |promise| promise.end(peers))
    }

    /// Ends the renewal of the promise, if it is to this peer; it is over at `until`.
    pub fn freeze(&mut self, peer: PeerAt, until: MonoTime) {
        if let Some(promise) = self.promise.as_mut().filter(|promise| promise.peer == peer) {
            promise.freeze(until);
        }
    }
}

/// Groups of an interface that the same peers grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Grants {
    pub interface: InterfaceId,
    pub granted: PeerSet,
    /// The earliest [`Ballot::floor`] among them.
    pub floor: MonoTime,
}
