//! The canon of a voter: reduces it to what of its state can matter from now on. Two voters with
//! the same reduction behave alike; the model check recognises by it a state that it has seen
//! before. Each type is taken apart by field name, so a new field does not compile until somebody
//! has decided how it is reduced. Not part of what ships.

use super::check::Check;
use super::group::{Group, Promise};
use super::memory::Standing;
use super::node::{Node, Times};
use super::{Ceiling, CheckSetup, Memory, Voter};
use crate::canon::Canon;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::wire::pulse::PeerConfig;
use std::time::Duration;

/// Limit of the age of an abstention: longer than any abstention of a model.
const ABSTENTION: Duration = Duration::from_secs(1 << 20);

impl Voter {
    /// Adds everything that can matter from `now` on.
    pub fn canon(&self, now: MonoTime, canon: &mut Canon) {
        let Voter {
            setup: _, // the same in all states of a search, but for the session
            nodes,
            groups,
            places: _, // follows from the groups
            checks,
            standing,
            lease,
            lease_rising,
            counter,
            table,
            next_lapse,
            last,
            resumed,
            touched,
            persist_version,
            persist_wanted,
            crowded: _,    // for notices
            rejects: _,    // told to people
            stray: _,      // never of a node that is believed
            stray_told: _, // for notices
            excerpt: _,    // scratch
            datagram: _,   // scratch
        } = self;
        let session = self.setup.session;
        canon.session(session);
        canon.counter(session, *counter);
        canon.version(session, *table);
        match *standing {
            Standing::Untold => canon.plain(0),
            Standing::Abstaining { since, fresh } => {
                canon.plain(1 + u64::from(fresh));
                canon.age(now, since, ABSTENTION);
            }
            Standing::Voting => canon.plain(3),
        }
        canon.plain((*lease).into());
        canon.option(lease_rising.as_ref(), |canon, (lease, version)| {
            canon.plain((*lease).into());
            canon.plain(persist_version.saturating_sub(*version));
        });
        canon.ahead(now, *next_lapse);
        let pulse = nodes.iter().map(|node| node.times.pulse_us).max().unwrap_or_default();
        canon.age(now, *last, Duration::from_micros(u64::from(pulse)) * 3);
        // A promise is known to have run out no earlier than this span after `resumed`.
        let lease = nodes.iter().map(|node| node.times.lease_us).max().unwrap_or_default();
        canon.age(now, *resumed, self.promised_for(lease));
        canon.size(touched.len());
        canon.flags(&[*persist_wanted]);
        canon.list(checks, |canon, check| check.canon(canon));
        canon.list(nodes, |canon, node| node.canon(now, session, canon));
        canon.list(groups, |canon, group| group.canon(now, (session, *persist_version), canon));
    }

    /// Whether a datagram of the session with this counter would be dropped as a copy.
    pub fn has_seen(&self, session: u64, counter: u64) -> bool {
        self.nodes.iter().any(|node| node.sessions.has_seen(session, counter))
    }

    /// Adds the number of writes since a version was sent to the disk.
    pub fn canon_version(&self, version: u64, canon: &mut Canon) {
        canon.plain(self.persist_version.saturating_sub(version));
    }

    /// A line for people: whether the voter votes, its first promise, and the first group's epochs.
    pub fn gist(&self, now: MonoTime) -> String {
        let promise = self.promises(now).next();
        let promise = promise.map_or("nothing promised".to_owned(), |promise| {
            let left = promise.until.since(now).as_secs_f64() / 10.0;
            format!("promised {} for {left:.1}", promise.epoch)
        });
        let (seen, bar) = self.groups.first().map_or((Epoch::NONE, Epoch::NONE), |group| (group.seen, group.bar));
        format!("{:?}, {promise}, seen {seen} bar {bar}", self.reason())
    }
}

impl Check {
    /// Adds the verdict of a check, and the results in a row that speak against it.
    fn canon(&self, canon: &mut Canon) {
        let Check { setup: CheckSetup { group: GroupKey(group), fall: _, rise: _ }, tally } = *self;
        canon.plain(group);
        canon.flags(&[tally.is_failing()]);
        canon.plain(tally.run().into());
    }
}

impl Node {
    /// Adds a node: its session, its table, and what it was promised. `session`: the voter's own.
    fn canon(&self, now: MonoTime, session: u64, canon: &mut Canon) {
        let Node { id: NodeId(id), sessions, copy, acked, until, waiting, lapsed, unaware, skipped, times, fit } =
            self;
        canon.size(fit.rows(now));
        canon.plain((*id).into());
        sessions.canon(canon);
        copy.canon(session, sessions.verified().unwrap_or(0), canon);
        canon.version(session, *acked);
        canon.ahead(now, *until);
        canon.counter(sessions.verified().unwrap_or(0), *unaware);
        canon.flags(&[*waiting, *lapsed, *skipped]);
        let Times { pulse_us, silence_us, lease_us, digests } = *times;
        PeerConfig { pulse_us, silence_us, lease_us, digests }.canon(canon);
    }
}

impl Group {
    /// Adds a group: its promise, its epochs, its row. `session`: the voter's own; `persisted`: the
    /// version of the memory that was last sent to the disk.
    fn canon(&self, now: MonoTime, (session, persisted): (u64, u64), canon: &mut Canon) {
        let Group { key: GroupKey(key), promise, seen, bar, ceiling, rising, lapsed, row, row_version } = self;
        canon.plain(*key);
        canon.epochs(&[*seen, *bar, *ceiling]);
        canon.option(promise.as_ref(), |canon, promise| {
            let Promise { node, epoch, ends, held, over } = *promise;
            canon.size(node);
            canon.epochs(&[epoch]);
            canon.option(ends.as_ref(), |canon, ends| canon.ahead(now, *ends));
            canon.flags(&[held, over]);
        });
        canon.option(rising.as_ref(), |canon, (epoch, version)| {
            canon.epochs(&[*epoch]);
            canon.plain(persisted.saturating_sub(*version));
        });
        canon.flags(&[*lapsed]);
        row.canon(canon);
        canon.version(session, *row_version);
    }
}

impl Memory {
    /// Adds what a later life of the voter finds on the disk.
    pub fn canon(&self, canon: &mut Canon) {
        let Memory { lease_us, ceilings } = self;
        canon.plain((*lease_us).into());
        canon.list(ceilings, |canon, ceiling| {
            let Ceiling { group: GroupKey(group), epoch } = *ceiling;
            canon.plain(group);
            canon.epochs(&[epoch]);
        });
    }
}
