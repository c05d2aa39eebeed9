//! Reduces an engine to what can still influence it, with absolute times and counts removed. Two
//! engines with the same reduction behave alike from now on. The model check needs this to
//! recognise a state that it has seen before.
//!
//! Owns: the list of every field. Each type is taken apart by field name, so a new field does not
//! compile until somebody has decided how it is reduced. Never does: change the engine. This file
//! is not part of what ships.
//!
//! - An instant becomes its distance from now. Beyond the longest wait that looks at the instant,
//!   all distances are equal.
//! - An epoch becomes its distance from the lowest epoch of the state.
//! - A counter or a table version becomes its rank: the engine only compares them, and a new one is
//!   above all others.
//! - A session or a lease generation becomes the number of its first appearance: the engine only
//!   asks whether two are equal.
//!
//! Left out: what only people are told (counts, causes, notices), scratch memory, the setup.

use crate::canon::Canon;
use crate::durable::{Durable, GroupState};
use crate::engine::commands::{Commands, Pending};
use crate::engine::evidence::{Doubt, Evidence, Neighbour, Reach, Segment};
use crate::engine::group::{Addresses, Announcing, Candidate, Claim, Contest, Epochs, Group, Groups, Offer};
use crate::engine::lease::{Former, Lease, Leases};
use crate::engine::peer::Outbox;
use crate::engine::store::Persistence;
use crate::engine::turn::Turn;
use crate::engine::{Engine, InterfaceFacts};
use crate::timing::Timing;
use crate::types::{Epoch, GroupId, MonoTime};
use crate::wire::pulse::Row;
use std::time::Duration;

mod horizon;
mod peer;
mod said;
mod service;
mod vote;

use horizon::{CONSTANTS, Horizon};

impl Engine {
    /// Adds everything that can matter from `now` on to `canon`.
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
            double,
            turned_away: _, // told to people
        } = self;
        let timing = &setup.timing;
        let horizon = Horizon::of(timing);
        outbox.canon(canon);
        canon.counter(outbox.session, *fresh_from);
        canon.counter(outbox.session, *hooked_from);
        // A pulse that is due is told apart from one that was missed by a whole interval: after a
        // missed one the next interval counts from now.
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
        double.canon(now, timing, canon);
        if setup.votes.is_some() {
            outbox.canon_sent(now, canon);
            poll.canon(now, self, canon);
        }
    }

    /// True if a datagram of the session with this counter would be dropped as a copy.
    pub fn has_seen(&self, session: u64, counter: u64) -> bool {
        self.peers.iter().any(|peer| peer.sessions.has_seen(session, counter))
    }

    /// The highest epoch that peers have told of a group. A witness's word about an epoch of our
    /// own is left out: it repeats our claim, and what we have opened with we know ourselves.
    pub fn told(&self, group: GroupId) -> Epoch {
        let told = |(witness, row): (bool, &Row)| {
            let ours = row.epoch.node() == self.setup.me && witness;
            (!ours).then_some(row.epoch)
        };
        let rows = self.peers.iter().filter_map(|peer| Some((peer.id.is_witness(), peer.row(group)?)));
        rows.filter_map(told).max().unwrap_or(Epoch::NONE)
    }

    /// True if this engine takes the group's gate on its node for open.
    pub fn is_open(&self, group: GroupId) -> bool {
        self.groups[group].is_open()
    }

    /// True if the present life of another engine has proven itself to this one.
    pub fn believes(&self, other: &Engine) -> bool {
        self.peers.iter().any(|peer| peer.sessions.verified() == Some(other.outbox.session))
    }

    /// A line for people about one group: role, epochs, claim, consent, and how each peer stands.
    pub fn gist(&self, group: GroupId, now: MonoTime) -> String {
        let Group { role, claim, consent, epochs: Epochs { own, seen, reserve, .. }, .. } = &self.groups[group];
        let around = self.around(now);
        let peers: Vec<String> = self.peers.all().map(|peer| format!("{:?}", around.presence(peer))).collect();
        let deaf = if self.peers.iter().any(|peer| peer.deaf) { " peer deaf" } else { "" };
        let (claim, peers) = (claim.epoch, peers.join(" "));
        format!("{role:?} {own} seen {seen} reserve {reserve} claim {claim} consent {consent}, peer {peers}{deaf}")
    }

    /// Adds how many writes ago `version` of the state was sent to the disk.
    pub fn canon_version(&self, version: u64, canon: &mut Canon) {
        canon.plain(self.store.version.saturating_sub(version));
    }
}

impl Outbox {
    /// Adds the session, and the ranks of the counter and of the table's versions.
    fn canon(&self, canon: &mut Canon) {
        canon.session(self.session);
        canon.counter(self.session, self.counter);
        canon.version(self.session, self.table);
        canon.version(self.session, self.sent_table);
    }
}

impl Leases {
    /// Adds what is known of a former life's leases, and the lease of each interface. A length that
    /// the engine only compares with the configured lease is cut off there (`min` or `max`): two
    /// states that differ beyond it behave alike. All nodes of a model have the same lease.
    fn canon(&self, now: MonoTime, timing: &Timing, horizon: &Horizon, canon: &mut Canon) {
        let Former { blind, blind_until, longest, until, durable, sent, stated, written } = self.former;
        canon.flags(&[blind]);
        canon.ahead(now, if blind { blind_until } else { now });
        // The former life's lease has an effect only before `until`, and only if it is longer than
        // the configured one: then it is what the disk must name.
        let longer = longest > timing.lease && now < until;
        canon.ahead(now, if longer { until } else { now });
        canon.span(if longer { longest } else { timing.lease });
        // Gates are renewed with the configured lease or `durable`, whichever is shorter, and
        // `sent` becomes `durable` when the disk has answered: above the configured lease nothing
        // changes.
        canon.span(durable.min(timing.lease));
        canon.span(sent.min(timing.lease));
        // The disk is made to name the configured lease or `stated`, whichever is longer, and votes
        // for the configured lease need no `written`: below the configured lease nothing changes.
        canon.span(stated.max(timing.lease));
        canon.span(written.max(timing.lease));
        for lease in self.iter() {
            lease.canon(now, horizon, canon);
        }
    }
}

impl Durable {
    /// Adds what a later life of the node finds on the disk.
    pub fn canon(&self, canon: &mut Canon) {
        let Durable { lease, groups } = self;
        canon.option(lease.as_ref(), |canon, lease| canon.span(*lease));
        canon.list(groups, |canon, state| state.canon(canon));
    }
}

impl GroupState {
    /// Adds the durable state of one group.
    fn canon(&self, canon: &mut Canon) {
        let GroupState { key, seen, reserve, held, paused } = *self;
        canon.plain(key.0);
        canon.epochs(&[seen, reserve, held]);
        canon.flags(&[paused]);
    }
}

impl Pending {
    /// Adds an operator's command under way.
    fn canon(&self, now: MonoTime, canon: &mut Canon) {
        let Pending { id, kind, group, until } = *self;
        canon.plain(id);
        canon.plain(kind as u64);
        canon.size(usize::from(group.0));
        canon.ahead(now, until);
    }
}

impl Lease {
    /// Adds an interface's facts, the age of its serviceable time, and its lease.
    fn canon(&self, now: MonoTime, horizon: &Horizon, canon: &mut Canon) {
        let Lease { facts, serviceable, until, generation } = *self;
        let InterfaceFacts { exists, enslaved, carrier, mac, gate } = facts;
        canon.flags(&[exists, enslaved, carrier, gate, serviceable == MonoTime::ZERO]);
        canon.mac(mac);
        canon.age(now, serviceable, horizon.silence);
        canon.ahead(now, until);
        canon.generation(generation);
    }
}

impl Evidence {
    /// Adds the segments, then the watch on each peer of the engine.
    fn canon(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, canon: &mut Canon) {
        canon.list(self.segments(), |canon, segment| segment.canon(now, horizon, canon));
        for interface in engine.leases.ids() {
            self.reach(interface).canon(now, engine.setup.timing.patience.reach, canon);
        }
        for peer in engine.peers.all() {
            canon.option(self.watch(peer), |canon, watch| watch.canon(now, engine, horizon, canon));
        }
    }
}

impl Reach {
    /// Adds since when nobody was heard, the asking, and the lack. `reach`: the longest wait that
    /// counts from any of them.
    fn canon(&self, now: MonoTime, reach: Duration, canon: &mut Canon) {
        let Reach { since, doubt, unreached } = *self;
        canon.age(now, since, reach);
        canon.option(doubt.as_ref(), |canon, doubt| {
            let Doubt { asked, next, rounds } = *doubt;
            canon.age(now, asked, reach);
            canon.ahead(now, next);
            canon.plain(rounds.into());
        });
        canon.option(unreached.as_ref(), |canon, since| canon.age(now, *since, reach));
    }
}

impl Segment {
    /// Adds the neighbours, the gateway, and when somebody was last heard on the segment.
    fn canon(&self, now: MonoTime, horizon: &Horizon, canon: &mut Canon) {
        let Segment {
            neighbours,
            gateway,
            inside,
            traffic,
            next_refresh,
            isolated,
            heard_again,
            own,
            nameless,
            allowance,
            asked,
            unheard,
            turn,
        } = self;
        canon.list(neighbours, |canon, neighbour| {
            let Neighbour { mac, address, seen, since } = *neighbour;
            canon.mac(mac);
            canon.address(address);
            canon.age(now, seen, horizon.segment);
            canon.age(now, since, horizon.segment);
        });
        canon.list(inside, |canon, mac| canon.mac(*mac));
        canon.option(gateway.as_ref(), |canon, (address, mac)| {
            canon.address(*address);
            canon.option(mac.as_ref(), |canon, mac| canon.mac(*mac));
        });
        canon.option(traffic.as_ref(), |canon, when| canon.age(now, *when, horizon.segment));
        canon.ahead(now, *next_refresh);
        canon.flags(&[*isolated]);
        canon.option(heard_again.as_ref(), |canon, when| canon.age(now, *when, horizon.silence));
        canon.list(own, |canon, own| {
            canon.address(own.address);
            canon.plain(own.prefix.into());
        });
        canon.option(nameless.as_ref(), |canon, when| canon.age(now, *when, horizon.segment));
        canon.ahead(now, allowance.even);
        canon.age(now, *asked, horizon.segment);
        canon.option(unheard.as_ref(), |canon, when| canon.age(now, *when, horizon.segment));
        canon.plain(u64::from(*turn));
    }
}

impl Groups {
    /// Adds every group with its epochs. `persisted`: the newest version of the state that was sent
    /// to the disk.
    fn canon(&self, now: MonoTime, engine: &Engine, (horizon, persisted): (&Horizon, u64), canon: &mut Canon) {
        // A gate of a former life can be adopted only before this life's first lease on an
        // interface; the epochs by which it is recognised do not matter later.
        let adoptable = engine.leases.iter().any(|lease| !lease.has_begun());
        for group in self.iter() {
            group.canon(now, engine, horizon, canon);
            group.epochs.canon((adoptable, persisted, group.consent, group.claim.epoch), canon);
        }
    }
}

impl Epochs {
    /// Adds a group's epochs, with its claim and its consent. `adoptable`: a gate of a former life
    /// may still be found. `persisted`: as for the groups.
    fn canon(&self, (adoptable, persisted, consent, claim): (bool, u64, Epoch, Epoch), canon: &mut Canon) {
        let Epochs { own, seen, reserve, reserving, held, pledged, found, floor, damaged } = *self;
        let pledged = if pledged > seen.max(consent) { pledged } else { Epoch::NONE };
        canon.epochs(&[own, seen, reserve, held, pledged, claim, consent]);
        canon_floor(floor, seen.max(reserve).max(held).max(consent), canon);
        canon.epochs(&if adoptable { found } else { [Epoch::NONE; 2] });
        canon.option(reserving.as_ref(), |canon, coming| canon_reserving(*coming, persisted, canon));
        canon.flags(&[damaged]);
    }
}

impl Group {
    /// Adds one group: role, candidacy, handover, announcements, hooks, row and votes.
    fn canon(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, canon: &mut Canon) {
        let Group {
            id: _,  // the position
            key: _, // the setup
            interface,
            addresses: Addresses { probe: _, there, added }, // `probe` is the setup: no reconfiguration happens
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
            // People are told of it; it decides nothing.
            claimant: _,
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
        canon.flags(&[*paused, *wants, *there == Some(true), there.is_none(), *added]);
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
        canon.option(contested.as_ref(), |canon, Contest { since, told }| {
            canon.age(now, *since, contest);
            canon.flags(&[*told]);
        });
        row.canon(canon);
        canon.version(engine.outbox.session, *row_version);
        ballot.canon(now, engine, canon);
    }
}

/// Adds the floor of a group's epochs, or no epoch once `highest` has passed the floor: it has no
/// effect from then on.
fn canon_floor(floor: u64, highest: Epoch, canon: &mut Canon) {
    canon.epochs(&[if highest.counter() >= floor { Epoch::NONE } else { Epoch(floor << 8) }]);
}

/// Adds a reservation under way: its epoch, and how many writes ago the version that carries it was
/// sent.
fn canon_reserving((epoch, version): (Epoch, Option<u64>), persisted: u64, canon: &mut Canon) {
    canon.epochs(&[epoch]);
    canon.option(version.as_ref(), |canon, version| canon.plain(persisted - version));
}

impl Offer {
    /// Adds a handover under way.
    fn canon(&self, now: MonoTime, canon: &mut Canon) {
        let Offer { peer, epoch, until } = *self;
        canon.size(peer.number());
        canon.epochs(&[epoch]);
        canon.ahead(now, until);
    }
}
