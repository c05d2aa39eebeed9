//! What of an engine's state can matter from now on, in words that do not depend on when and how often: two engines
//! whose words are equal do the same from here on. For the model check, which must know a state when it returns.
//!
//! Owns: the list of every field, each taken apart by name, so that a new one does not compile until it is thought of.
//! Never does: change anything; it is no part of what ships.
//!
//! - An instant becomes its distance from now. Beyond the longest wait that looks at it, all distances are equal.
//! - An epoch is told from the lowest one around; only order and distance count.
//! - Counters and table versions only ever get compared, and a new one is above all others: their order is enough.
//! - Sessions and lease generations are only ever compared for equality: they are numbered as they appear.
//!
//! Left out: what only people are told (counts, causes, notices), scratch memory, what the setup says.

use super::command::Pending;
use super::durable::{Durable, GroupState};
use super::former::Leases;
use super::group::{Group, Offer};
use super::lease::Interface;
use super::watch::{Neighbour, Segment};
use super::{Engine, InterfaceFacts};
use crate::config::Timing;
use crate::types::{Epoch, GroupId, MonoTime};
use crate::wire::pulse::Row;

mod horizon;
mod peer;
mod said;
mod service;
mod vote;
mod words;

pub(crate) use horizon::NEVER;
use horizon::{CONSTANTS, Horizon};
pub(crate) use words::Words;

impl Engine {
    /// Tells everything that can matter from `now` on.
    pub(crate) fn tell(&self, now: MonoTime, words: &mut Words) {
        let Engine {
            setup,
            peers,
            interfaces,
            segments,
            groups,
            former,
            leases,
            index: _,    // follows from the setup
            openable: _, // counted anew by every look at the groups
            pending,
            session,
            counter,
            table,
            sent_table,
            next_pulse,
            resumed,
            last,
            proof,
            hooked,
            dirty,
            stirred,
            group_deadline,
            persist_version,
            persist_wanted,
            store_failing,
            stopping,
            stopped,
            poll,
            excerpt: _,  // scratch
            datagram: _, // scratch
            rejects: _,  // told to people
        } = self;
        let timing = &setup.timing;
        let horizon = Horizon::of(timing);
        words.session(*session);
        words.counter(*session, *counter);
        words.counter(*session, *proof);
        words.counter(*session, *hooked);
        words.version(*session, *table);
        words.version(*session, *sent_table);
        // A late wake-up counts from now, whatever it missed.
        words.ahead(now, *next_pulse);
        words.plain(u64::from(*next_pulse + timing.pulse <= now));
        words.age(now, *resumed, horizon.silence);
        words.age(now, *last, timing.pulse * 2);
        words.flags(&[*dirty, *persist_wanted, *store_failing, *stopped]);
        words.list(stirred, |words, at| words.size(*at));
        words.ahead(now, *group_deadline);
        words.option(stopping.as_ref(), |words, until| words.ahead(now, *until));
        words.list(former, |words, state| state.tell(words));
        leases.tell(now, timing, words);
        words.list(pending, |words, pending| pending.tell(now, words));
        words.list(interfaces, |words, interface| interface.tell(now, &horizon, words));
        words.list(segments, |words, segment| segment.tell(now, &horizon, words));
        let adoptable = interfaces.iter().any(|interface| interface.generation == 0);
        words.list(groups, |words, group| group.tell(now, self, (&horizon, adoptable, *persist_version), words));
        words.list(peers, |words, peer| peer.tell(now, self, &horizon, words));
        if setup.votes.is_some() {
            poll.tell(now, self, words);
        }
    }

    /// True if a datagram of the session with this counter would be dropped as a copy.
    pub(crate) fn has_seen(&self, session: u64, counter: u64) -> bool {
        self.peers.iter().any(|peer| peer.sessions.has_seen(session, counter))
    }

    /// The highest epoch that peers have told of a group. That a witness has met an epoch of our own tells of our claim
    /// alone; what we have opened with we know ourselves.
    pub(crate) fn told(&self, group: GroupId) -> Epoch {
        let witnesses = self.witness_peers();
        let told = |(peer, row): (usize, &Row)| {
            let ours = row.epoch.node() == self.setup.me && witnesses.contains(&peer);
            (!ours).then_some(row.epoch)
        };
        let rows = self.peers.iter().enumerate().filter_map(|(at, peer)| Some((at, peer.row(group)?)));
        rows.filter_map(told).max().unwrap_or(Epoch::NONE)
    }

    /// True if this engine thinks that it answers.
    pub(crate) fn is_open(&self, group: GroupId) -> bool {
        self.groups[usize::from(group.0)].is_open()
    }

    /// True if the present life of another engine has proven itself to this one.
    pub(crate) fn believes(&self, other: &Engine) -> bool {
        self.peers.iter().any(|peer| peer.sessions.verified() == Some(other.session))
    }

    /// Some words for people.
    pub(crate) fn gist(&self, group: GroupId, now: MonoTime) -> String {
        let state = &self.groups[usize::from(group.0)];
        let peers: Vec<String> =
            (0..self.peers.len()).map(|peer| format!("{:?}", self.presence(peer, now))).collect();
        let deaf = if self.peers.iter().any(|peer| peer.deaf) { " peer deaf" } else { "" };
        let Group { role, seen, reserve, claim, consent, epoch, .. } = state;
        let peers = peers.join(" ");
        format!("{role:?} {epoch} seen {seen} reserve {reserve} claim {claim} consent {consent}, peer {peers}{deaf}")
    }

    /// How many writes ago a version was sent to the disk.
    pub(crate) fn tell_version(&self, version: u64, words: &mut Words) {
        words.plain(self.persist_version.saturating_sub(version));
    }
}

impl Leases {
    fn tell(&self, now: MonoTime, timing: &Timing, words: &mut Words) {
        let Leases { blind, blind_until, former, former_until, durable, sent, stated, written } = *self;
        words.flags(&[blind]);
        words.ahead(now, if blind { blind_until } else { now });
        // Only a longer one than that of the file makes a difference.
        let longer = former > timing.lease && now < former_until;
        words.ahead(now, if longer { former_until } else { now });
        words.span(if longer { former } else { timing.lease });
        words.span(durable.min(timing.lease));
        words.span(sent.min(timing.lease));
        // No more than ours is always known.
        words.span(stated.max(timing.lease));
        words.span(written.max(timing.lease));
    }
}

impl Durable {
    pub(crate) fn tell(&self, words: &mut Words) {
        let Durable { lease, groups } = self;
        words.option(lease.as_ref(), |words, lease| words.span(*lease));
        words.list(groups, |words, state| state.tell(words));
    }
}

impl GroupState {
    fn tell(&self, words: &mut Words) {
        let GroupState { key, seen, reserve, held, paused } = *self;
        words.plain(key.0);
        words.epochs(&[seen, reserve, held]);
        words.flags(&[paused]);
    }
}

impl Pending {
    fn tell(&self, now: MonoTime, words: &mut Words) {
        let Pending { id, kind, group, until } = *self;
        words.plain(id);
        words.plain(kind as u64);
        words.size(group);
        words.ahead(now, until);
    }
}

impl Interface {
    fn tell(&self, now: MonoTime, horizon: &Horizon, words: &mut Words) {
        let Interface { facts, serviceable, until, generation } = *self;
        let InterfaceFacts { exists, carrier, mac, gate, addresses } = facts;
        words.flags(&[exists, carrier, gate, addresses, serviceable == MonoTime::ZERO]);
        words.mac(mac);
        words.age(now, serviceable, horizon.silence);
        words.ahead(now, until);
        words.generation(generation);
    }
}

impl Segment {
    fn tell(&self, now: MonoTime, horizon: &Horizon, words: &mut Words) {
        let Segment { neighbours, gateway, traffic, next_refresh, isolated } = self;
        words.list(neighbours, |words, neighbour| {
            let Neighbour { mac, address, seen } = *neighbour;
            words.mac(mac);
            words.address(address);
            words.age(now, seen, horizon.segment);
        });
        words.option(gateway.as_ref(), |words, (address, mac)| {
            words.address(*address);
            words.option(mac.as_ref(), |words, mac| words.mac(*mac));
        });
        words.option(traffic.as_ref(), |words, at| words.age(now, *at, horizon.segment));
        words.ahead(now, *next_refresh);
        words.flags(&[*isolated]);
    }
}

impl Group {
    fn tell(
        &self,
        now: MonoTime,
        engine: &Engine,
        (horizon, adoptable, persisted): (&Horizon, bool, u64),
        words: &mut Words,
    ) {
        let Group {
            key: _, // the setup
            interface,
            probe_address: _, // the setup, and no reconfiguration happens
            role,
            cause: _, // told to people
            since,
            epoch,
            seen,
            reserve,
            reserving,
            held,
            found,
            claim,
            claimed,
            consent,
            paused,
            wants,
            hold,
            offer,
            drain_until,
            free,
            ready,
            announce_step,
            announce_at,
            defended,
            contested,
            state_damaged,
            floor,
            installed,
            grown,
            ballot,
            service,
            row,
            row_version,
            deadline: _, // made anew by each step; its sum is the engine's
        } = self;
        let timing = &engine.setup.timing;
        words.plain(*role as u64);
        words.age(now, *since, horizon.role);
        words.epochs(&[*epoch, *seen, *reserve, *held, *claim, *consent]);
        let highest = *seen.max(reserve).max(held).max(consent);
        tell_floor(*floor, highest, words);
        // A gate is adopted once, before the first lease of this life.
        words.epochs(&if adoptable { *found } else { [Epoch::NONE; 2] });
        words.option(reserving.as_ref(), |words, coming| tell_reserving(*coming, persisted, words));
        words.flags(&[*paused, *wants, *state_damaged, *installed, *grown]);
        service.tell(now, (engine, *interface), words);
        words.option(claimed.as_ref(), |words, at| words.age(now, *at, timing.probe));
        words.ahead(now, *hold);
        words.option(offer.as_ref(), |words, offer| offer.tell(now, words));
        words.option(drain_until.as_ref(), |words, until| words.ahead(now, *until));
        words.option(free.as_ref(), |words, at| words.age(now, *at, timing.election));
        let delay = engine.setup.groups.iter().map(|group| group.preempt_delay).max().unwrap_or_default();
        words.option(ready.as_ref(), |words, at| words.age(now, *at, delay));
        words.size((*announce_step).min(8));
        words.ahead(now, *announce_at);
        words.option(defended.as_ref(), |words, at| words.age(now, *at, CONSTANTS));
        let contest = timing.silence * 2 + timing.pulse * 4;
        words.option(contested.as_ref(), |words, at| words.age(now, *at, contest));
        row.tell(words);
        words.version(engine.session, *row_version);
        ballot.tell(now, engine, words);
    }
}

/// A floor counts until something has passed it.
fn tell_floor(floor: u64, highest: Epoch, words: &mut Words) {
    words.epochs(&[if highest.counter() >= floor { Epoch::NONE } else { Epoch(floor << 8) }]);
}

fn tell_reserving((epoch, version): (Epoch, Option<u64>), persisted: u64, words: &mut Words) {
    words.epochs(&[epoch]);
    words.option(version.as_ref(), |words, version| words.plain(persisted - version));
}

impl Offer {
    fn tell(&self, now: MonoTime, words: &mut Words) {
        let Offer { peer, epoch, until } = *self;
        words.size(peer);
        words.epochs(&[epoch]);
        words.ahead(now, until);
    }
}
