//! The memory of a voter: what must survive a restart, and how a voter stands until it knows what
//! an earlier life can have promised.

use super::{Notice, Output, Voter};
use crate::rules::vote::abstention;
use crate::timing::LEASE_MS;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::wire::pulse::Reason;

/// Distance of a new ceiling above the epoch that made it necessary, in counters.
const AHEAD: u64 = 64;
/// Distance of an epoch below the ceiling at which the ceiling is raised, in counters.
const NEAR: u64 = 16;
/// The node's number in every ceiling: above that of every node.
const ANY_NODE: NodeId = NodeId(u8::MAX);

/// The ceiling of a group: no epoch above it was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ceiling {
    /// The group.
    pub group: GroupKey,
    /// The highest epoch that may have been granted.
    pub epoch: Epoch,
}

/// The durable part of a voter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// The longest lease under which anything may have been granted, in µs.
    pub lease_us: u32,
    /// One ceiling for each group; the order means nothing.
    pub ceilings: Vec<Ceiling>,
}

/// The memory as the disk had it at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// No memory was ever written, or somebody removed it.
    Fresh,
    /// The memory that an earlier life left.
    Memory(Memory),
    /// A memory is there, and it is not whole.
    Damaged,
}

/// The standing of a voter: whether it may vote, by what it knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// The memory is lost: no votes until every node has told everything.
    Untold,
    /// No votes until every promise of an earlier life is over.
    Abstaining {
        since: MonoTime,
        /// Whether there never was a memory, so that the longest lease is unknown until every node
        /// has told its own.
        fresh: bool,
    },
    /// Votes are given.
    Voting,
}

impl Standing {
    /// The standing at start, by what the disk had.
    pub fn new(loaded: &Loaded, now: MonoTime) -> Standing {
        match loaded {
            Loaded::Fresh => Standing::Abstaining { since: now, fresh: true },
            Loaded::Memory(_) => Standing::Abstaining { since: now, fresh: false },
            Loaded::Damaged => Standing::Untold,
        }
    }
}

impl Voter {
    /// The memory that must be durable now.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let ceiling = |group: &super::Group| Ceiling {
            group: group.key,
            epoch: group.rising.map_or(group.ceiling, |(epoch, _)| epoch),
        };
        Memory {
            lease_us: self.lease_rising.map_or(self.lease, |(lease, _)| lease),
            ceilings: self.groups.iter().map(ceiling).collect(),
        }
    }

    /// Takes over what an earlier life left on the disk.
    pub(super) fn recall(&mut self, loaded: Loaded) {
        let Loaded::Memory(memory) = loaded else { return };
        self.lease = memory.lease_us;
        let forgets = !self.rules().remembers_ceiling();
        for ceiling in memory.ceilings {
            if let Some(place) = self.place(ceiling.group, &mut Output::default()) {
                let group = &mut self.groups[place];
                group.ceiling = ceiling.epoch;
                group.bar = if forgets { Epoch::NONE } else { ceiling.epoch };
            }
        }
        self.publish(&mut Output::default());
    }

    /// Notes that a version is durable: leases and ceilings that it carries count from now on.
    pub(super) fn note_stored(&mut self, version: u64) {
        if let Some((lease, _)) = self.lease_rising.filter(|(_, carried)| *carried <= version) {
            (self.lease, self.lease_rising) = (lease, None);
        }
        for group in &mut self.groups {
            if let Some((epoch, _)) = group.rising.filter(|(_, carried)| *carried <= version) {
                (group.ceiling, group.rising) = (epoch, None);
            }
        }
    }

    /// Raises the ceiling of a group if an epoch that may soon be granted comes near it.
    pub(super) fn expect(&mut self, place: usize, epoch: Epoch) {
        let group = &mut self.groups[place];
        let wanted = group.rising.map_or(group.ceiling, |(epoch, _)| epoch);
        if epoch == Epoch::NONE || epoch.counter() + NEAR <= wanted.counter() {
            return;
        }
        let ceiling = Epoch::new((epoch.counter() + AHEAD).min(u64::MAX >> 8), ANY_NODE);
        if ceiling > wanted {
            group.rising = Some((ceiling, self.persist_version + 1));
            self.persist_wanted = true;
        }
    }

    /// Notes the lease that a node stated. If it is longer than the one that the disk knows, asks
    /// for a write: nothing is granted under it before.
    pub(super) fn note_lease(&mut self, lease_us: u32) {
        let wanted = self.lease_rising.map_or(self.lease, |(lease, _)| lease);
        if lease_us > wanted {
            self.lease_rising = Some((lease_us, self.persist_version + 1));
            self.persist_wanted = true;
        }
    }

    /// Whether a node's lease is longer than the disk knows.
    pub(super) fn is_blocked(&self, node: usize) -> bool {
        self.nodes[node].times.lease_us > self.lease
    }

    /// Whether the voter gives votes.
    pub(super) fn is_voting(&self) -> bool {
        self.standing == Standing::Voting
    }

    /// The reason in every row: why the voter does not vote, if it does not.
    pub(super) fn reason(&self) -> Reason {
        match self.standing {
            Standing::Untold => Reason::StateDamaged,
            Standing::Abstaining { .. } => Reason::Listening,
            Standing::Voting => Reason::None,
        }
    }

    /// Whether every node of the cluster has told its whole table.
    fn is_told(&self) -> bool {
        self.nodes.len() >= self.setup.nodes && self.nodes.iter().all(|node| node.copy.is_complete())
    }

    /// Lets a voter that has lost its memory begin to abstain once every node has told it
    /// everything: no epoch above the highest of those was in use.
    pub(super) fn note_told(&mut self, now: MonoTime, out: &mut Output) {
        let trusting = !self.rules().damaged_memory_waits();
        if self.standing == Standing::Untold && (self.is_told() || trusting) {
            for place in 0..self.groups.len() {
                let rows = self.nodes.iter().filter_map(|node| node.copy.row(place));
                let highest = rows.map(|row| row.epoch.max(row.consent).max(row.claim).max(row.reserve)).max();
                let group = &mut self.groups[place];
                group.bar = group.bar.max(highest.unwrap_or_default());
                self.expect(place, highest.unwrap_or_default());
            }
            self.stand(Standing::Abstaining { since: now, fresh: false });
        }
        self.note_standing(now, out);
    }

    /// Ends the abstention when its time is over.
    pub(super) fn note_standing(&mut self, now: MonoTime, out: &mut Output) {
        let Standing::Abstaining { since, fresh } = self.standing else { return };
        let stated = self.nodes.iter().map(|node| node.times.lease_us).max().unwrap_or_default();
        let longest = if fresh && !self.is_told() {
            u32::try_from(LEASE_MS.end() * 1_000).unwrap_or(u32::MAX)
        } else {
            self.lease.max(stated)
        };
        let eager = !self.rules().witness_abstains();
        if now >= since + abstention(longest, self.setup.drift_ppm) || eager {
            self.stand(Standing::Voting);
            out.notices.push(Notice::Votes);
        }
    }

    /// Changes the standing, and with it the reason in every row.
    fn stand(&mut self, standing: Standing) {
        self.standing = standing;
        self.touched.extend(0..self.groups.len());
        self.nodes.iter_mut().for_each(|node| node.waiting = true);
    }
}
