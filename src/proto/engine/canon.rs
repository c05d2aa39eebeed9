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
use super::former::Leases;
use super::group::{Group, Offer};
use super::lease::Interface;
use super::watch::{Neighbour, Segment};
use super::{Engine, InterfaceFacts};
use crate::canon::Canon;
use crate::durable::{Durable, GroupState};
use crate::timing::Timing;
use crate::types::{Epoch, GroupId, MonoTime};
use crate::wire::pulse::Row;

mod horizon;
mod peer;
mod said;
mod service;
mod vote;

use horizon::{CONSTANTS, Horizon};

impl Engine {
    /// Tells everything that can matter from `now` on.
    pub fn canon(&self, now: MonoTime, canon: &mut Canon) {
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
        canon.session(*session);
        canon.counter(*session, *counter);
        canon.counter(*session, *proof);
        canon.counter(*session, *hooked);
        canon.version(*session, *table);
        canon.version(*session, *sent_table);
        // A late wake-up counts from now, whatever it missed.
        canon.ahead(now, *next_pulse);
        canon.plain(u64::from(*next_pulse + timing.pulse <= now));
        canon.age(now, *resumed, horizon.silence);
        canon.age(now, *last, timing.pulse * 2);
        canon.flags(&[*dirty, *persist_wanted, *store_failing, *stopped]);
        canon.list(stirred, |canon, at| canon.size(*at));
        canon.ahead(now, *group_deadline);
        canon.option(stopping.as_ref(), |canon, until| canon.ahead(now, *until));
        canon.list(former, |canon, state| state.canon(canon));
        leases.canon(now, timing, canon);
        canon.list(pending, |canon, pending| pending.canon(now, canon));
        canon.list(interfaces, |canon, interface| interface.canon(now, &horizon, canon));
        canon.list(segments, |canon, segment| segment.canon(now, &horizon, canon));
        let adoptable = interfaces.iter().any(|interface| interface.generation == 0);
        canon.list(groups, |canon, group| group.canon(now, self, (&horizon, adoptable, *persist_version), canon));
        canon.list(peers, |canon, peer| peer.canon(now, self, &horizon, canon));
        if setup.votes.is_some() {
            poll.canon(now, self, canon);
        }
    }

    /// True if a datagram of the session with this counter would be dropped as a copy.
    pub fn has_seen(&self, session: u64, counter: u64) -> bool {
        self.peers.iter().any(|peer| peer.sessions.has_seen(session, counter))
    }

    /// The highest epoch that peers have told of a group. That a witness has met an epoch of our own tells of our claim
    /// alone; what we have opened with we know ourselves.
    pub fn told(&self, group: GroupId) -> Epoch {
        let witnesses = self.witness_peers();
        let told = |(peer, row): (usize, &Row)| {
            let ours = row.epoch.node() == self.setup.me && witnesses.contains(&peer);
            (!ours).then_some(row.epoch)
        };
        let rows = self.peers.iter().enumerate().filter_map(|(at, peer)| Some((at, peer.row(group)?)));
        rows.filter_map(told).max().unwrap_or(Epoch::NONE)
    }

    /// True if this engine thinks that it answers.
    pub fn is_open(&self, group: GroupId) -> bool {
        self.groups[usize::from(group.0)].is_open()
    }

    /// True if the present life of another engine has proven itself to this one.
    pub fn believes(&self, other: &Engine) -> bool {
        self.peers.iter().any(|peer| peer.sessions.verified() == Some(other.session))
    }

    /// Some words for people.
    pub fn gist(&self, group: GroupId, now: MonoTime) -> String {
        let state = &self.groups[usize::from(group.0)];
        let peers: Vec<String> =
            (0..self.peers.len()).map(|peer| format!("{:?}", self.presence(peer, now))).collect();
        let deaf = if self.peers.iter().any(|peer| peer.deaf) { " peer deaf" } else { "" };
        let Group { role, seen, reserve, claim, consent, epoch, .. } = state;
        let peers = peers.join(" ");
        format!("{role:?} {epoch} seen {seen} reserve {reserve} claim {claim} consent {consent}, peer {peers}{deaf}")
    }

    /// How many writes ago a version was sent to the disk.
    pub fn canon_version(&self, version: u64, canon: &mut Canon) {
        canon.plain(self.persist_version.saturating_sub(version));
    }
}

impl Leases {
    fn canon(&self, now: MonoTime, timing: &Timing, canon: &mut Canon) {
        let Leases { blind, blind_until, former, former_until, durable, sent, stated, written } = *self;
        canon.flags(&[blind]);
        canon.ahead(now, if blind { blind_until } else { now });
        // Only a longer one than that of the file makes a difference.
        let longer = former > timing.lease && now < former_until;
        canon.ahead(now, if longer { former_until } else { now });
        canon.span(if longer { former } else { timing.lease });
        canon.span(durable.min(timing.lease));
        canon.span(sent.min(timing.lease));
        // No more than ours is always known.
        canon.span(stated.max(timing.lease));
        canon.span(written.max(timing.lease));
    }
}

impl Durable {
    pub fn canon(&self, canon: &mut Canon) {
        let Durable { lease, groups } = self;
        canon.option(lease.as_ref(), |canon, lease| canon.span(*lease));
        canon.list(groups, |canon, state| state.canon(canon));
    }
}

impl GroupState {
    fn canon(&self, canon: &mut Canon) {
        let GroupState { key, seen, reserve, held, paused } = *self;
        canon.plain(key.0);
        canon.epochs(&[seen, reserve, held]);
        canon.flags(&[paused]);
    }
}

impl Pending {
    fn canon(&self, now: MonoTime, canon: &mut Canon) {
        let Pending { id, kind, group, until } = *self;
        canon.plain(id);
        canon.plain(kind as u64);
        canon.size(group);
        canon.ahead(now, until);
    }
}

impl Interface {
    fn canon(&self, now: MonoTime, horizon: &Horizon, canon: &mut Canon) {
        let Interface { facts, serviceable, until, generation } = *self;
        let InterfaceFacts { exists, carrier, mac, gate, addresses } = facts;
        canon.flags(&[exists, carrier, gate, addresses, serviceable == MonoTime::ZERO]);
        canon.mac(mac);
        canon.age(now, serviceable, horizon.silence);
        canon.ahead(now, until);
        canon.generation(generation);
    }
}

impl Segment {
    fn canon(&self, now: MonoTime, horizon: &Horizon, canon: &mut Canon) {
        let Segment { neighbours, gateway, traffic, next_refresh, isolated } = self;
        canon.list(neighbours, |canon, neighbour| {
            let Neighbour { mac, address, seen } = *neighbour;
            canon.mac(mac);
            canon.address(address);
            canon.age(now, seen, horizon.segment);
        });
        canon.option(gateway.as_ref(), |canon, (address, mac)| {
            canon.address(*address);
            canon.option(mac.as_ref(), |canon, mac| canon.mac(*mac));
        });
        canon.option(traffic.as_ref(), |canon, at| canon.age(now, *at, horizon.segment));
        canon.ahead(now, *next_refresh);
        canon.flags(&[*isolated]);
    }
}

impl Group {
    fn canon(
        &self,
        now: MonoTime,
        engine: &Engine,
        (horizon, adoptable, persisted): (&Horizon, bool, u64),
        canon: &mut Canon,
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
        canon.plain(*role as u64);
        canon.age(now, *since, horizon.role);
        canon.epochs(&[*epoch, *seen, *reserve, *held, *claim, *consent]);
        let highest = *seen.max(reserve).max(held).max(consent);
        canon_floor(*floor, highest, canon);
        // A gate is adopted once, before the first lease of this life.
        canon.epochs(&if adoptable { *found } else { [Epoch::NONE; 2] });
        canon.option(reserving.as_ref(), |canon, coming| canon_reserving(*coming, persisted, canon));
        canon.flags(&[*paused, *wants, *state_damaged, *installed, *grown]);
        service.canon(now, (engine, *interface), canon);
        canon.option(claimed.as_ref(), |canon, at| canon.age(now, *at, timing.probe));
        canon.ahead(now, *hold);
        canon.option(offer.as_ref(), |canon, offer| offer.canon(now, canon));
        canon.option(drain_until.as_ref(), |canon, until| canon.ahead(now, *until));
        canon.option(free.as_ref(), |canon, at| canon.age(now, *at, timing.election));
        let delay = engine.setup.groups.iter().map(|group| group.preempt_delay).max().unwrap_or_default();
        canon.option(ready.as_ref(), |canon, at| canon.age(now, *at, delay));
        canon.size((*announce_step).min(8));
        canon.ahead(now, *announce_at);
        canon.option(defended.as_ref(), |canon, at| canon.age(now, *at, CONSTANTS));
        let contest = timing.silence * 2 + timing.pulse * 4;
        canon.option(contested.as_ref(), |canon, at| canon.age(now, *at, contest));
        row.canon(canon);
        canon.version(engine.session, *row_version);
        ballot.canon(now, engine, canon);
    }
}

/// A floor counts until something has passed it.
fn canon_floor(floor: u64, highest: Epoch, canon: &mut Canon) {
    canon.epochs(&[if highest.counter() >= floor { Epoch::NONE } else { Epoch(floor << 8) }]);
}

fn canon_reserving((epoch, version): (Epoch, Option<u64>), persisted: u64, canon: &mut Canon) {
    canon.epochs(&[epoch]);
    canon.option(version.as_ref(), |canon, version| canon.plain(persisted - version));
}

impl Offer {
    fn canon(&self, now: MonoTime, canon: &mut Canon) {
        let Offer { peer, epoch, until } = *self;
        canon.size(peer);
        canon.epochs(&[epoch]);
        canon.ahead(now, until);
    }
}
