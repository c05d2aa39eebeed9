//! The poll: how long votes last on each interface, and when they are asked for.
//!
//! Owns: groups sorted by who grants them, and the asking. Never does: look at a group.

use super::alone::Alone;
use super::ballot::Grants;
use crate::engine::lease::Leases;
use crate::engine::notice::Cause;
use crate::engine::peer::{PeerSet, Peers};
use crate::engine::setup::Setup;
use crate::engine::turn::Turn;
use crate::types::{InterfaceId, MonoTime};
use std::time::Duration;

/// What the node knows of votes beside its groups.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Poll {
    /// The open groups, sorted by who grants them.
    pub grants: Vec<Grants>,
    /// A group that was looked at waits for a witness's word.
    pub wanted: bool,
    /// Since when votes are asked for; `None` when nothing is.
    pub asking: Option<MonoTime>,
    /// When they are asked for again.
    pub next_ask: MonoTime,
    pub alone: Alone,
}

impl Poll {
    /// True while votes decide what may be open.
    pub fn decides(&self, setup: &Setup) -> bool {
        setup.votes.is_some() && !self.alone.on
    }

    /// The earliest and the latest deadline of the open groups of an interface; `None` if there are
    /// none.
    pub(super) fn deadlines_on(
        &self,
        interface: InterfaceId,
        setup: &Setup,
        peers: &Peers,
    ) -> Option<(MonoTime, MonoTime)> {
        let here = self.grants.iter().filter(|grants| grants.interface == interface);
        let ends = here.map(|grants| grants.floor.max(granted_until(grants.granted, setup, peers)));
        ends.fold(None, |all, end| match all {
            None => Some((end, end)),
            Some((first, last)) => Some((end.min(first), end.max(last))),
        })
    }

    /// True if votes decide how long the interface's lease is.
    pub fn is_voted_on(&self, interface: InterfaceId, setup: &Setup) -> bool {
        self.decides(setup) && self.grants.iter().any(|grants| grants.interface == interface)
    }

    /// Why a lease has run out: a process that ran did not get the votes.
    pub fn lapse_cause(&self, interface: InterfaceId, setup: &Setup, turn: &Turn, now: MonoTime) -> Cause {
        if self.is_voted_on(interface, setup) && turn.resumed != now { Cause::NoMajority } else { Cause::Lapsed }
    }

    /// True if some group has to be closed, so that its interface's lease can be renewed for the
    /// others.
    pub fn is_any_lagging(&self, setup: &Setup, peers: &Peers, leases: &Leases, now: MonoTime) -> bool {
        let lags = |interface| {
            let ends = self.deadlines_on(interface, setup, peers);
            ends.is_some_and(|(first, last)| first < last && first.back(margin(setup)) <= now)
        };
        self.decides(setup) && leases.ids().any(lags)
    }

    /// When a lease ends, or a group must be closed before it does, or votes are asked for again.
    pub fn next_deadline(&self, setup: &Setup, peers: &Peers, leases: &Leases) -> MonoTime {
        if !self.decides(setup) {
            return MonoTime::FOREVER;
        }
        let asking = self.asking.map_or(MonoTime::FOREVER, |_| self.next_ask);
        leases.ids().fold(asking, |next, interface| match self.deadlines_on(interface, setup, peers) {
            None => next,
            Some((first, last)) if first < last => next.min(first.back(margin(setup))).min(leases[interface].until),
            Some(_) => next.min(leases[interface].until),
        })
    }

    /// True if claims that wait for votes are to be repeated now as questions, as often as a silent
    /// peer is asked.
    pub fn take_question(&mut self, setup: &Setup, now: MonoTime) -> bool {
        let due = self.decides(setup) && now >= self.next_ask;
        let Some(since) = self.asking.filter(|_| due) else { return false };
        let eager = now.since(since) < setup.timing.patience.asking;
        self.next_ask = now + if eager { setup.timing.probe } else { setup.timing.pulse };
        true
    }
}

/// How long all of these peers' grants last, as far as they make a majority.
pub(super) fn granted_until(granted: PeerSet, setup: &Setup, peers: &Peers) -> MonoTime {
    let needed = setup.rules().votes_of_others(peers.electorate());
    let voters = || peers.all().filter(|peer| granted.contains(*peer));
    let enough = |end: &MonoTime| voters().filter(|peer| peers[*peer].granted >= *end).count() >= needed;
    voters().map(|peer| peers[peer].granted).filter(enough).max().unwrap_or(MonoTime::ZERO)
}

/// How long before its deadline a group closes whose votes lag behind those of its neighbours.
pub(super) fn margin(setup: &Setup) -> Duration {
    setup.timing.probe * 2
}
