//! What of a voter's state can matter from now on, in the words of [`crate::engine`]'s `canon`. For the model check, which
//! must know a state when it returns; every field is taken apart by name, so that a new one does not compile until it is
//! thought of.

use super::check::Check;
use super::group::{Group, Promise};
use super::memory::Standing;
use super::node::{Node, Times};
use super::{CheckSetup, Voter};
use crate::engine::{PeerConfig, Words};
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use std::time::Duration;

/// Longer than any abstention of a model.
const ABSTENTION: Duration = Duration::from_secs(1 << 20);

impl Voter {
    /// Tells everything that can matter from `now` on.
    pub(crate) fn tell(&self, now: MonoTime, words: &mut Words) {
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
            crowded: _,  // for notices
            rejects: _,  // told to people
            excerpt: _,  // scratch
            datagram: _, // scratch
        } = self;
        let session = self.setup.session;
        words.session(session);
        words.counter(session, *counter);
        words.version(session, *table);
        match *standing {
            Standing::Untold => words.plain(0),
            Standing::Abstaining { since, fresh } => {
                words.plain(1 + u64::from(fresh));
                words.age(now, since, ABSTENTION);
            }
            Standing::Voting => words.plain(3),
        }
        words.plain((*lease).into());
        words.option(lease_rising.as_ref(), |words, (lease, version)| {
            words.plain((*lease).into());
            words.plain(persist_version.saturating_sub(*version));
        });
        words.ahead(now, *next_lapse);
        let pulse = nodes.iter().map(|node| node.times.pulse_us).max().unwrap_or_default();
        words.age(now, *last, Duration::from_micros(u64::from(pulse)) * 3);
        // A promise is known to have run out no earlier than so long after that.
        let lease = nodes.iter().map(|node| node.times.lease_us).max().unwrap_or_default();
        words.age(now, *resumed, self.promised_for(lease));
        words.size(touched.len());
        words.flags(&[*persist_wanted]);
        words.list(checks, |words, check| check.tell(words));
        words.list(nodes, |words, node| node.tell(now, session, words));
        words.list(groups, |words, group| group.tell(now, (session, *persist_version), words));
    }

    /// True if a datagram of the session with this counter would be dropped as a copy.
    pub(crate) fn has_seen(&self, session: u64, counter: u64) -> bool {
        self.nodes.iter().any(|node| node.sessions.has_seen(session, counter))
    }

    /// How many writes ago a version was sent to the disk.
    pub(crate) fn tell_version(&self, version: u64, words: &mut Words) {
        words.plain(self.persist_version.saturating_sub(version));
    }

    /// Some words for people.
    pub(crate) fn gist(&self, now: MonoTime) -> String {
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
    fn tell(&self, words: &mut Words) {
        let Check { setup: CheckSetup { group: GroupKey(group), fall: _, rise: _ }, tally } = *self;
        words.plain(group);
        words.flags(&[tally.is_failing()]);
        words.plain(tally.run().into());
    }
}

impl Node {
    fn tell(&self, now: MonoTime, session: u64, words: &mut Words) {
        let Node { id: NodeId(id), sessions, copy, acked, until, waiting, lapsed, unaware, skipped, times } = self;
        words.plain((*id).into());
        sessions.tell(words);
        copy.tell(session, sessions.verified().unwrap_or(0), words);
        words.version(session, *acked);
        words.ahead(now, *until);
        words.counter(sessions.verified().unwrap_or(0), *unaware);
        words.flags(&[*waiting, *lapsed, *skipped]);
        let Times { pulse_us, silence_us, lease_us, digests } = *times;
        PeerConfig { pulse_us, silence_us, lease_us, digests }.tell(words);
    }
}

impl Group {
    fn tell(&self, now: MonoTime, (session, persisted): (u64, u64), words: &mut Words) {
        let Group { key: GroupKey(key), promise, seen, bar, ceiling, rising, lapsed, row, row_version } = self;
        words.plain(*key);
        words.epochs(&[*seen, *bar, *ceiling]);
        words.option(promise.as_ref(), |words, promise| {
            let Promise { node, epoch, ends, held, over } = *promise;
            words.size(node);
            words.epochs(&[epoch]);
            words.option(ends.as_ref(), |words, ends| words.ahead(now, *ends));
            words.flags(&[held, over]);
        });
        words.option(rising.as_ref(), |words, (epoch, version)| {
            words.epochs(&[*epoch]);
            words.plain(persisted.saturating_sub(*version));
        });
        words.flags(&[*lapsed]);
        row.tell(words);
        words.version(session, *row_version);
    }
}
