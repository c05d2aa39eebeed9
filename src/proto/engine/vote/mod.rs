//! Votes: how long a majority has granted that a gate stays open. Only with witnesses; a bare pair has no votes.
//!
//! A voter grants an epoch by a pulse whose row names it as `consent`, once the voter has our row that asks for it. It
//! promises to vote for nobody else for longer than our lease, counted from when it received what it echoes. We count
//! from when we *sent* that (S4), so a gate is closed before any of its voters is free again (S1). Our own vote never expires:
//! it is given only while nothing is promised to another node (see `consent`).
//!
//! Owns: who grants what, the deadlines that follow, and when votes are asked for. Never does: decide who may claim (`elect`).
//! When votes stay away nothing is renewed: the kernel closes by itself, and the engine follows.
//!
//! | file | noun |
//! |---|---|
//! | `ballot` | the votes of one group; promises; when datagrams left |
//! | `count` | what a pulse grants, and renewals of leases |
//! | `consent` | what this node agrees to, and promises |
//! | `elect` | claims while votes decide |
//! | `alone` | `strict = false`: the pair without its witnesses |
//!
//! # What it costs
//! A voter's grants are one instant for all groups: that of the newest pulse with which its whole table is known. Which
//! groups that instant is true for changes only with rows. Groups of an interface that the same voters grant form one
//! [`Grants`], and there are few of them however many groups there are; a renewal looks at those only.

use super::group::Groups;
use super::lease::Leases;
use super::notice::Cause;
use super::peer::{PeerSet, Peers};
use super::setup::Setup;
use super::turn::Turn;
use crate::types::{Epoch, InterfaceId, MonoTime};
use std::time::Duration;

mod alone;
mod ballot;
mod consent;
mod count;
mod elect;
#[cfg(test)]
mod tests;

pub(super) use alone::Alone;
#[cfg(any(test, feature = "proof"))]
pub(super) use alone::patience as alone_patience;
#[cfg(any(test, feature = "proof"))]
pub(super) use ballot::Sent;
pub(super) use ballot::{Ballot, Grants, Promise, SentTimes};

/// What the node knows of votes beside its groups.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Poll {
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

    /// Sorts the open groups by who grants them.
    pub fn sort(&mut self, groups: &Groups) {
        self.grants.clear();
        for group in groups.iter().filter(|group| group.is_open()) {
            let ballot = &group.ballot;
            let alike =
                |grants: &&mut Grants| grants.interface == group.interface && grants.granted == ballot.granted;
            match self.grants.iter_mut().find(alike) {
                Some(grants) => grants.floor = grants.floor.min(ballot.floor),
                None => {
                    let (interface, granted, floor) = (group.interface, ballot.granted, ballot.floor);
                    self.grants.push(Grants { interface, granted, floor });
                }
            }
        }
    }

    /// The earliest and the latest deadline of the open groups of an interface; `None` if there are none.
    fn deadlines_on(&self, interface: InterfaceId, setup: &Setup, peers: &Peers) -> Option<(MonoTime, MonoTime)> {
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

    /// True if some group has to be closed, so that its interface's lease can be renewed for the others.
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

    /// Notes, after groups were looked at, whether there are claims that wait for votes.
    pub fn note_asking(&mut self, groups: &Groups, setup: &Setup, now: MonoTime) {
        if setup.votes.is_none() {
            return;
        }
        let claims = groups.iter().any(|group| group.claim.epoch != Epoch::NONE);
        let wanted = std::mem::take(&mut self.wanted) || claims;
        let before = self.asking;
        self.asking = wanted.then(|| before.unwrap_or(now));
        if wanted && before.is_none() {
            // The rows that claim go out at once; the first question follows them.
            self.next_ask = now + setup.timing.probe;
        }
    }

    /// True if claims that wait for votes are to be repeated now as questions, as often as a silent peer is asked.
    pub fn take_question(&mut self, setup: &Setup, now: MonoTime) -> bool {
        let due = self.decides(setup) && now >= self.next_ask;
        let Some(since) = self.asking.filter(|_| due) else { return false };
        let eager = now.since(since) < setup.timing.patience.asking;
        self.next_ask = now + if eager { setup.timing.probe } else { setup.timing.pulse };
        true
    }
}

/// How long all of these peers' grants last, as far as they make a majority.
fn granted_until(granted: PeerSet, setup: &Setup, peers: &Peers) -> MonoTime {
    let needed = setup.rules().votes_of_others(peers.electorate());
    let voters = || peers.all().filter(|peer| granted.contains(*peer));
    let enough = |end: &MonoTime| voters().filter(|peer| peers[*peer].granted >= *end).count() >= needed;
    voters().map(|peer| peers[peer].granted).filter(enough).max().unwrap_or(MonoTime::ZERO)
}

/// How long before its deadline a group closes whose votes lag behind those of its neighbours.
fn margin(setup: &Setup) -> Duration {
    setup.timing.probe * 2
}
