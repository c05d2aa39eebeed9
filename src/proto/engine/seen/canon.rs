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

use crate::canon::Canon;
use crate::durable::{Durable, GroupState};
use crate::engine::commands::{Commands, Pending};
use crate::engine::evidence::{Evidence, Neighbour, Segment};
use crate::engine::group::{Addresses, Announcing, Candidate, Claim, Epochs, Group, Groups, Offer};
use crate::engine::lease::{Former, Lease, Leases};
use crate::engine::peer::Outbox;
use crate::engine::store::Persistence;
use crate::engine::turn::Turn;
use crate::engine::{Engine, InterfaceFacts};
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
            index: _, // follows from the setup
            turn: Turn { last, resumed, fresh_from, hooked_from, next_pulse },
            peers,
            evidence,
            leases,
            groups,
            openable: _, // counted anew by every look at the groups
            poll,
            outbox,
            store: Persistence { former, version, wanted, failing },
            commands: Commands { pending, stopping, stopped },
            rejects: _, // told to people
        } = self;
        let timing = &setup.timing;
        let horizon = Horizon::of(timing);
        outbox.canon(canon);
        canon.counter(outbox.session, *fresh_from);
        canon.counter(outbox.session, *hooked_from);
        // A late wake-up counts from now, whatever it missed.
        canon.ahead(now, *next_pulse);
        canon.plain(u64::from(*next_pulse + timing.pulse <= now));
        canon.age(now, *resumed, horizon.silence);
        canon.age(now, *last, timing.pulse * 2);
        canon.flags(&[groups.look_again, *wanted, *failing, *stopped]);
        canon.list(&groups.alone, |canon, group| canon.size(usize::from(group.0)));
        canon.ahead(now, groups.deadline);
        canon.option(stopping.as_ref(), |canon, until| canon.ahead(now, *until));
        canon.list(former, |canon, state| state.canon(canon));
        canon.list(pending, |canon, pending| pending.canon(now, canon));
        leases.canon(now, timing, &horizon, canon);
        evidence.canon(now, self, &horizon, canon);
        groups.canon(now, self, (&horizon, *version), canon);
        for peer in peers.iter() {
            peer.canon(now, self, &horizon, canon);
        }
        if setup.votes.is_some() {
            outbox.canon_sent(now, canon);
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
        let told = |(witness, row): (bool, &Row)| {
            let ours = row.epoch.node() == self.setup.me && witness;
            (!ours).then_some(row.epoch)
        };
        let rows = self.peers.iter().filter_map(|peer| Some((peer.id.is_witness(), peer.row(group)?)));
        rows.filter_map(told).max().unwrap_or(Epoch::NONE)
    }

    /// True if this engine thinks that it answers.
    pub fn is_open(&self, group: GroupId) -> bool {
        self.groups[group].is_open()
    }

    /// True if the present life of another engine has proven itself to this one.
    pub fn believes(&self, other: &Engine) -> bool {
        self.peers.iter().any(|peer| peer.sessions.verified() == Some(other.outbox.session))
    }

    /// Some words for people.
    pub fn gist(&self, group: GroupId, now: MonoTime) -> String {
        let Group { role, claim, consent, epochs: Epochs { own, seen, reserve, .. }, .. } = &self.groups[group];
        let around = self.around(now);
        let peers: Vec<String> = self.peers.all().map(|peer| format!("{:?}", around.presence(peer))).collect();
        let deaf = if self.peers.iter().any(|peer| peer.deaf) { " peer deaf" } else { "" };
        let (claim, peers) = (claim.epoch, peers.join(" "));
        format!("{role:?} {own} seen {seen} reserve {reserve} claim {claim} consent {consent}, peer {peers}{deaf}")
    }

    /// How many writes ago a version was sent to the disk.
    pub fn canon_version(&self, version: u64, canon: &mut Canon) {
        canon.plain(self.store.version.saturating_sub(version));
    }
}

impl Outbox {
    fn canon(&self, canon: &mut Canon) {
        canon.session(self.session);
        canon.counter(self.session, self.counter);
        canon.version(self.session, self.table);
        canon.version(self.session, self.sent_table);
    }
}

impl Leases {
    fn canon(&self, now: MonoTime, timing: &Timing, horizon: &Horizon, canon: &mut Canon) {
        let Former { blind, blind_until, longest, until, durable, sent, stated, written } = self.former;
        canon.flags(&[blind]);
        canon.ahead(now, if blind { blind_until } else { now });
        // Only a longer one than that of the file makes a difference.
        let longer = longest > timing.lease && now < until;
        canon.ahead(now, if longer { until } else { now });
        canon.span(if longer { longest } else { timing.lease });
        canon.span(durable.min(timing.lease));
        canon.span(sent.min(timing.lease));
        // No more than ours is always known.
        canon.span(stated.max(timing.lease));
        canon.span(written.max(timing.lease));
        for lease in self.iter() {
            lease.canon(now, horizon, canon);
        }
    }
}

impl Durable {
    /// Tells what a later life finds on the disk.
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
        canon.size(usize::from(group.0));
        canon.ahead(now, until);
    }
}

impl Lease {
    fn canon(&self, now: MonoTime, horizon: &Horizon, canon: &mut Canon) {
        let Lease { facts, serviceable, until, generation } = *self;
        let InterfaceFacts { exists, carrier, mac, gate, addresses } = facts;
        canon.flags(&[exists, carrier, gate, addresses, serviceable == MonoTime::ZERO]);
        canon.mac(mac);
        canon.age(now, serviceable, horizon.silence);
        canon.ahead(now, until);
        canon.generation(generation);
    }
}

impl Evidence {
    fn canon(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, canon: &mut Canon) {
        canon.list(self.segments(), |canon, segment| segment.canon(now, horizon, canon));
        // Every second round asks neighbours, if there are any.
        let anyone = |segment: &Segment| !segment.neighbours.is_empty() || segment.gateway.is_some();
        let anyone = self.segments().iter().any(anyone);
        for peer in engine.peers.all() {
            canon.option(self.watch(peer), |canon, watch| watch.canon(now, (engine, anyone), horizon, canon));
        }
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
        canon.option(traffic.as_ref(), |canon, when| canon.age(now, *when, horizon.segment));
        canon.ahead(now, *next_refresh);
        canon.flags(&[*isolated]);
    }
}

impl Groups {
    fn canon(&self, now: MonoTime, engine: &Engine, (horizon, persisted): (&Horizon, u64), canon: &mut Canon) {
        // A gate is adopted once, before the first lease of this life.
        let adoptable = engine.leases.iter().any(|lease| !lease.has_begun());
        for group in self.iter() {
            group.canon(now, engine, horizon, canon);
            group.epochs.canon((adoptable, persisted, group.consent, group.claim.epoch), canon);
        }
    }
}

impl Epochs {
    fn canon(&self, (adoptable, persisted, consent, claim): (bool, u64, Epoch, Epoch), canon: &mut Canon) {
        let Epochs { own, seen, reserve, reserving, held, found, floor, damaged } = *self;
        canon.epochs(&[own, seen, reserve, held, claim, consent]);
        canon_floor(floor, seen.max(reserve).max(held).max(consent), canon);
        canon.epochs(&if adoptable { found } else { [Epoch::NONE; 2] });
        canon.option(reserving.as_ref(), |canon, coming| canon_reserving(*coming, persisted, canon));
        canon.flags(&[damaged]);
    }
}

impl Group {
    fn canon(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, canon: &mut Canon) {
        let Group {
            id: _,  // the position
            key: _, // the setup
            interface,
            addresses: Addresses { probe: _, installed, added }, // `probe` is the setup: no reconfiguration happens
            role,
            cause: _, // told to people
            since,
            epochs: _, // told by the table
            claim: Claim { epoch: _, since: claimed },
            consent: _, // with the epochs
            paused,
            candidate: Candidate { wants, hold, free, ready },
            offer,
            drain_until,
            announcing: Announcing { step, next },
            defended,
            contested,
            ballot,
            service,
            row,
            row_version,
            timers: _, // made anew by each step; the earliest of all is the engine's
        } = self;
        let timing = &engine.setup.timing;
        canon.plain(*role as u64);
        canon.age(now, *since, horizon.role);
        canon.flags(&[*paused, *wants, *installed, *added]);
        service.canon(now, (engine, *interface), canon);
        canon.option(claimed.as_ref(), |canon, when| canon.age(now, *when, timing.probe));
        canon.ahead(now, *hold);
        canon.option(offer.as_ref(), |canon, offer| offer.canon(now, canon));
        canon.option(drain_until.as_ref(), |canon, until| canon.ahead(now, *until));
        canon.option(free.as_ref(), |canon, when| canon.age(now, *when, timing.election));
        let delay = engine.setup.groups.iter().map(|group| group.preempt_delay).max().unwrap_or_default();
        canon.option(ready.as_ref(), |canon, when| canon.age(now, *when, delay));
        canon.size((*step).min(8));
        canon.ahead(now, *next);
        canon.option(defended.as_ref(), |canon, when| canon.age(now, *when, CONSTANTS));
        let contest = timing.silence * 2 + timing.pulse * 4;
        canon.option(contested.as_ref(), |canon, when| canon.age(now, *when, contest));
        row.canon(canon);
        canon.version(engine.outbox.session, *row_version);
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
        canon.size(peer.number());
        canon.epochs(&[epoch]);
        canon.ahead(now, until);
    }
}
