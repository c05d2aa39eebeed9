//! Votes counted: how long a majority has granted that a gate stays open. Only with witnesses; a bare pair has no votes.
//!
//! A voter grants an epoch by a pulse whose row names it as `consent`, once the voter has our row that asks for it. It
//! promises to vote for nobody else for longer than our lease, counted from when it received what it echoes. We count
//! from when we *sent* that (S4), so a gate is closed before any of its voters is free again (S1). Our own vote is always
//! now: it is given while nothing is promised to another (see `consent`).
//!
//! Owns: when datagrams left, who grants what, and the deadlines that follow. Never does: decide who may claim (`elect`).
//! When votes stay away nothing is renewed: the kernel closes by itself, and the engine follows.
//!
//! # What it costs
//! A voter's grants are one instant for all groups: that of the newest pulse with which its whole table is known. Which
//! groups that instant is true for changes only with rows. Groups of an interface that the same voters grant form one
//! [`Tally`], and there are few of them however many groups there are; a renewal looks at tallies only.

use super::action::{Action, Actions, GateAction};
use super::notice::Cause;
use super::watch::interface_id;
use super::{Engine, alone::Alone, consent::Promise};
use crate::mutant::Mutant;
use crate::rules::vote::{ask, promise};
use crate::types::{Epoch, InterfaceId, MonoTime};
use crate::wire::pulse::Header;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// Instants of sending that are remembered, far more than fall into one lease. A datagram from before them grants nothing.
const INSTANTS: usize = 512;

/// Datagrams that left at one instant.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Sent {
    /// The counter of the first of them.
    pub first: u64,
    pub at: MonoTime,
    /// The lease that they stated.
    pub lease: Duration,
}

/// When each of our last datagrams left.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct SentTimes(pub(super) VecDeque<Sent>);

impl SentTimes {
    pub fn note(&mut self, counter: u64, at: MonoTime, lease: Duration) {
        if self.0.back().is_some_and(|last| last.at == at && last.lease == lease) {
            return;
        }
        if self.0.len() == INSTANTS {
            self.0.pop_front();
        }
        self.0.push_back(Sent { first: counter, at, lease });
    }

    /// The end of the lease that the datagram with this counter asked for; `None` if it left too long ago.
    pub fn deadline(&self, counter: u64) -> Option<MonoTime> {
        let after = self.0.partition_point(|sent| sent.first <= counter);
        let sent = self.0.get(after.checked_sub(1)?)?;
        Some(sent.at + sent.lease)
    }
}

/// The votes of one group: those it has, and the one that this node gives.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Ballot {
    /// The epoch that our row asks for.
    pub asks: Epoch,
    /// The peers that have acknowledged a row of ours which does, one bit each.
    pub known: u32,
    /// The peers that grant it, one bit each.
    pub granted: u32,
    /// It is granted until then by votes counted before, whoever grants it now.
    pub floor: MonoTime,
    /// What this node has promised to another.
    pub promise: Option<Promise>,
    /// Before this the node abstains: an earlier life of it may have promised.
    pub from: MonoTime,
    /// Witnesses grant nothing up to this. Never falls, so what is below it is never claimed again.
    pub bar: Epoch,
    /// Not before this the node claims anything: a witness has granted a higher claim than its own.
    pub yields: MonoTime,
}

/// Groups of an interface that the same peers grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Tally {
    pub interface: InterfaceId,
    pub granted: u32,
    /// The earliest [`Ballot::floor`] among them.
    pub floor: MonoTime,
}

/// What the node knows of votes beside its groups.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Poll {
    pub sent: SentTimes,
    pub tallies: Vec<Tally>,
    /// A group that was looked at waits for a witness's word.
    pub wanted: bool,
    /// Since when votes are asked for; `None` when nothing is.
    pub asking: Option<MonoTime>,
    /// When they are asked for again.
    pub next_ask: MonoTime,
    pub alone: Alone,
}

impl Engine {
    /// The positions of the other nodes: whoever may be active.
    pub(super) fn node_peers(&self) -> Range<usize> {
        0..self.peers.len() - self.witness_peers().len()
    }

    /// The positions of the witnesses.
    pub(super) fn witness_peers(&self) -> Range<usize> {
        let witnesses = self.setup.votes.map_or(0, |votes| usize::from(votes.witnesses)).min(self.peers.len());
        self.peers.len() - witnesses..self.peers.len()
    }

    /// True while votes decide what may be open.
    pub(super) fn votes_decide(&self) -> bool {
        self.setup.votes.is_some() && !self.poll.alone.on
    }

    /// More than half of the witnesses. As many votes of others make a majority together with our own.
    pub(super) fn quorum(&self) -> usize {
        self.witness_peers().len().div_ceil(2)
    }

    /// Notes that the datagram with our present counter leaves now.
    pub(super) fn note_sent(&mut self, now: MonoTime) {
        if self.setup.votes.is_some() {
            let stated = super::send::micros(self.setup.timing.lease);
            self.poll.sent.note(self.counter, now, Duration::from_micros(u64::from(stated)));
        }
    }

    /// Notes what our row asks for, now that it is published.
    pub(super) fn note_asked(&mut self, at: usize) {
        let me = self.setup.me;
        let group = &mut self.groups[at];
        let asks = ask(me, &group.row).map_or(Epoch::NONE, |asked| asked.epoch());
        let ballot = &mut group.ballot;
        if ballot.asks != asks {
            ballot.asks = asks;
            (ballot.known, ballot.granted, ballot.floor) = (0, 0, MonoTime::ZERO);
        }
    }

    /// A voter has to be told anew what our rows ask for.
    pub(super) fn forget_known(&mut self, peer: usize) {
        self.groups.iter_mut().for_each(|group| group.ballot.known &= !(1 << peer));
    }

    /// Counts what a pulse grants, once its rows are taken. `newest`: it was not overtaken on the way.
    pub(super) fn count_votes(&mut self, peer: usize, header: &Header, newest: bool, now: MonoTime) {
        if self.setup.votes.is_none() {
            return;
        }
        let known = &self.peers[peer];
        let is_whole = known.copy.is_complete() || self.is_mutant(Mutant::GrantFromPart);
        let is_whole = newest && is_whole && header.echo_counter <= self.counter;
        let until = if is_whole { self.poll.sent.deadline(header.echo_counter) } else { None };
        let late = self.is_mutant(Mutant::LeaseFromReceipt);
        let until = until.map(|until| if late { now + self.setup.timing.lease } else { until });
        let counted = (known.copy.have(), known.acked);
        let changed = known.counted != counted;
        if changed || until.is_some_and(|until| until < known.granted) {
            self.keep_deadlines();
        }
        if changed {
            self.recount(peer, until.is_some());
        }
        if let Some(until) = until {
            self.peers[peer].granted = until;
            self.peers[peer].counted = counted;
        }
        self.renew_promises(peer, header, newest, now);
    }

    /// What was promised to a peer that asks for it is promised anew from now on.
    fn renew_promises(&mut self, peer: usize, header: &Header, newest: bool, now: MonoTime) {
        let drift = self.setup.timing.drift_ppm;
        let known = &mut self.peers[peer];
        // An overtaken pulse's lease must be promised, too, and that of the newest, which our next pulse will echo.
        let stated = known.config.filter(|_| !newest).map_or(0, |config| config.lease_us).max(header.lease_us);
        let lease = Duration::from_micros(u64::from(stated));
        if !known.id.is_witness() && !self.note_stated(lease) {
            // Nothing may be granted for longer than a later life of this node abstains.
            self.freeze_promises(peer);
        }
        let known = &mut self.peers[peer];
        let mutants = self.setup.mutants;
        let own = mutants.is_on(Mutant::OwnLeasePromised);
        let stated = if own { super::send::micros(self.setup.timing.lease) } else { stated };
        let short = mutants.is_on(Mutant::NodePromiseNotStretched);
        let span = if short { Duration::from_micros(u64::from(stated)) } else { promise(stated, drift) };
        known.promised = known.promised.max(now + span);
    }

    /// Which groups a peer grants. What is not granted any more was granted up to now; new grants count only if the
    /// pulse tells the voter's whole table.
    fn recount(&mut self, peer: usize, whole: bool) {
        let bit = 1_u32 << peer;
        let kept = self.is_mutant(Mutant::OldGrantCounts);
        let me = self.setup.me;
        let known = &self.peers[peer];
        for (at, group) in self.groups.iter_mut().enumerate() {
            let ballot = &mut group.ballot;
            let row = known.copy.row(at);
            // The row that asked first may have changed before it was told; then it never was.
            let asked = ask(me, &group.row).is_some_and(|asked| asked.epoch() == ballot.asks);
            if asked && known.acked >= group.row_version {
                ballot.known |= bit;
            }
            let grants = ballot.known & bit != 0 && row.is_some_and(|row| row.consent == ballot.asks);
            if !grants && kept {
            } else if !grants {
                ballot.granted &= !bit;
            } else if whole {
                ballot.granted |= bit;
            }
            if let Some(promise) = ballot.promise.as_mut().filter(|promise| promise.peer == peer && row.is_none()) {
                // It does not know the group any more, and closes it; we cannot know when.
                promise.freeze(known.promised);
            }
        }
        self.dirty = true;
    }

    /// What was granted until now stays granted for as long, whoever grants from now on.
    pub(super) fn keep_deadlines(&mut self) {
        for at in 0..self.groups.len() {
            if self.groups[at].ballot.asks != Epoch::NONE {
                self.groups[at].ballot.floor = self.deadline_of(at);
            }
        }
    }

    /// How long all of these peers' grants last, as far as they make a majority.
    fn granted_until(&self, granted: u32) -> MonoTime {
        let first = self.is_mutant(Mutant::FirstGrantDecides);
        let quorum = if first { 1 } else { self.quorum() };
        let until = |peer: &usize| self.peers[*peer].granted;
        let voters = || (0..self.peers.len()).filter(|peer| granted & (1 << peer) != 0);
        let enough = |end: &MonoTime| voters().filter(|peer| until(peer) >= *end).count() >= quorum;
        voters().map(|peer| until(&peer)).filter(enough).max().unwrap_or(MonoTime::ZERO)
    }

    /// How long a majority lets the group's gate be open.
    pub(super) fn deadline_of(&self, at: usize) -> MonoTime {
        let ballot = &self.groups[at].ballot;
        if self.is_mutant(Mutant::OwnVoteAlone) && ballot.asks != Epoch::NONE {
            return self.last + self.setup.timing.lease;
        }
        ballot.floor.max(self.granted_until(ballot.granted))
    }

    /// How many votes the group has, our own included.
    pub(super) fn support(&self, at: usize, now: MonoTime) -> u8 {
        let granted = self.groups[at].ballot.granted;
        let runs = |peer: &usize| granted & (1 << peer) != 0 && self.peers[*peer].granted > now;
        let others = (0..self.peers.len()).filter(runs).count();
        u8::try_from(others + usize::from(self.groups[at].ballot.asks != Epoch::NONE)).unwrap_or(u8::MAX)
    }

    /// Sorts the open groups by who grants them.
    pub(super) fn tally(&mut self) {
        if self.setup.votes.is_none() {
            return;
        }
        let tallies = &mut self.poll.tallies;
        tallies.clear();
        for group in self.groups.iter().filter(|group| group.is_open()) {
            let ballot = &group.ballot;
            let alike = |tally: &&mut Tally| tally.interface == group.interface && tally.granted == ballot.granted;
            match tallies.iter_mut().find(alike) {
                Some(tally) => tally.floor = tally.floor.min(ballot.floor),
                None => {
                    tallies.push(Tally { interface: group.interface, granted: ballot.granted, floor: ballot.floor })
                }
            }
        }
    }

    /// The earliest and the latest deadline of the open groups of an interface; `None` if there are none.
    fn deadlines_on(&self, interface: InterfaceId) -> Option<(MonoTime, MonoTime)> {
        let here = self.poll.tallies.iter().filter(|tally| tally.interface == interface);
        let ends = here.map(|tally| tally.floor.max(self.granted_until(tally.granted)));
        ends.fold(None, |all, end| match all {
            None => Some((end, end)),
            Some((first, last)) => Some((end.min(first), end.max(last))),
        })
    }

    /// True if votes decide how long the interface's lease is.
    pub(super) fn is_voted_on(&self, interface: InterfaceId) -> bool {
        self.votes_decide() && self.poll.tallies.iter().any(|tally| tally.interface == interface)
    }

    /// Writes later deadlines where votes allow it.
    pub(super) fn renew_by_votes(&mut self, now: MonoTime, out: &mut Actions) {
        if !self.votes_decide() {
            return;
        }
        for at in 0..self.interfaces.len() {
            let Some((first, last)) = self.deadlines_on(interface_id(at)) else { continue };
            let first = if self.is_mutant(Mutant::LatestGroupDecides) { last } else { first };
            let beyond = self.is_mutant(Mutant::RenewedBeyondVotes) && first > now;
            let first = if beyond { MonoTime::FOREVER } else { first };
            let until = first.min(now + self.lease());
            let state = &mut self.interfaces[at];
            if state.facts.gate && state.generation != 0 && until > state.until {
                state.until = until;
                out.push(Action::Gate(GateAction::Renew { interface: interface_id(at), until }));
            }
        }
    }

    /// Before a group is opened: its interface's lease must not be longer than its votes allow.
    pub(super) fn shorten_lease(&mut self, at: usize, out: &mut Actions) {
        if !self.votes_decide() {
            return;
        }
        let until = self.deadline_of(at);
        let interface = self.groups[at].interface;
        let state = &mut self.interfaces[usize::from(interface.0)];
        if until < state.until {
            state.until = until;
            out.push(Action::Gate(GateAction::Renew { interface, until }));
        }
    }

    /// How long before its deadline a group closes whose votes lag behind those of its neighbours.
    fn margin(&self) -> Duration {
        self.setup.timing.probe * 2
    }

    /// True if the group has to be closed now, so that its interface's lease can be renewed for the others.
    pub(super) fn lags(&self, at: usize, now: MonoTime) -> bool {
        let interface = self.groups[at].interface;
        let end = self.deadline_of(at);
        self.votes_decide()
            && end.back(self.margin()) <= now
            && self.deadlines_on(interface).is_some_and(|(_, last)| last > end)
    }

    /// True if some group has to be closed for that reason.
    pub(super) fn is_any_lagging(&self, now: MonoTime) -> bool {
        let lags = |at: usize| {
            let ends = self.deadlines_on(interface_id(at));
            ends.is_some_and(|(first, last)| first < last && first.back(self.margin()) <= now)
        };
        self.votes_decide() && (0..self.interfaces.len()).any(lags)
    }

    /// When a lease ends, or a group must be closed before it does, or votes are asked for again.
    pub(super) fn vote_deadline(&self) -> MonoTime {
        if !self.votes_decide() {
            return MonoTime::FOREVER;
        }
        let asking = self.poll.asking.map_or(MonoTime::FOREVER, |_| self.poll.next_ask);
        (0..self.interfaces.len()).fold(asking, |next, at| match self.deadlines_on(interface_id(at)) {
            None => next,
            Some((first, last)) if first < last => next.min(first.back(self.margin())).min(self.interfaces[at].until),
            Some(_) => next.min(self.interfaces[at].until),
        })
    }

    /// Why a lease has run out: a process that ran did not get the votes.
    pub(super) fn lapse_cause(&self, interface: InterfaceId, now: MonoTime) -> Cause {
        if self.is_voted_on(interface) && self.resumed != now { Cause::NoMajority } else { Cause::Lapsed }
    }
}

#[cfg(test)]
mod tests;
