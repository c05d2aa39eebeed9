//! What must survive a restart, and how a voter stands until it knows what an earlier life of it can have promised.

use super::{Notice, Output, Voter};
use crate::mutant::Mutant;
use crate::rules::vote::abstention;
use crate::timing::LEASE_MS;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::wire::pulse::Reason;

/// A ceiling is this far above the epoch that made it necessary …
const AHEAD: u64 = 64;
/// … and is raised when an epoch comes as near as this.
const NEAR: u64 = 16;
/// Part of every ceiling: above every node's.
const ANY_NODE: NodeId = NodeId(u8::MAX);

/// Nothing above this was granted for a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ceiling {
    /// Which group.
    pub group: GroupKey,
    /// The ceiling.
    pub epoch: Epoch,
}

/// The durable part of a voter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// The longest lease, in µs, that it ever answered for.
    pub lease_us: u32,
    /// One for each group; the order means nothing.
    pub ceilings: Vec<Ceiling>,
}

/// What the disk had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// There never was anything, or somebody removed it.
    Fresh,
    /// What an earlier life left.
    Memory(Memory),
    /// There is something, and it is not whole.
    Damaged,
}

/// How a voter stands with what it can know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Its memory is lost. It votes for nobody until every node has told it everything.
    Untold,
    /// It votes for nobody until what it can have promised before is over.
    Abstaining {
        since: MonoTime,
        /// It has no memory, so it knows nothing of leases until every node has told.
        fresh: bool,
    },
    Voting,
}

impl Standing {
    pub fn new(loaded: &Loaded, now: MonoTime) -> Standing {
        match loaded {
            Loaded::Fresh => Standing::Abstaining { since: now, fresh: true },
            Loaded::Memory(_) => Standing::Abstaining { since: now, fresh: false },
            Loaded::Damaged => Standing::Untold,
        }
    }
}

impl Voter {
    /// What must be durable now.
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

    pub(super) fn recall(&mut self, loaded: Loaded) {
        let Loaded::Memory(memory) = loaded else { return };
        self.lease = memory.lease_us;
        let forgets = self.is_mutant(Mutant::CeilingForgotten);
        for ceiling in memory.ceilings {
            if let Some(place) = self.place(ceiling.group, &mut Output::default()) {
                let group = &mut self.groups[place];
                group.ceiling = ceiling.epoch;
                group.bar = if forgets { Epoch::NONE } else { ceiling.epoch };
            }
        }
        self.publish(&mut Output::default());
    }

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

    /// An epoch that may have to be granted soon.
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

    /// A lease of this length may have to be answered for.
    pub(super) fn note_lease(&mut self, lease_us: u32) {
        let wanted = self.lease_rising.map_or(self.lease, |(lease, _)| lease);
        if lease_us > wanted {
            self.lease_rising = Some((lease_us, self.persist_version + 1));
            self.persist_wanted = true;
        }
    }

    /// True while a node's lease is longer than the disk knows.
    pub(super) fn is_blocked(&self, node: usize) -> bool {
        self.nodes[node].times.lease_us > self.lease
    }

    pub(super) fn is_voting(&self) -> bool {
        self.standing == Standing::Voting
    }

    pub(super) fn reason(&self) -> Reason {
        match self.standing {
            Standing::Untold => Reason::StateDamaged,
            Standing::Abstaining { .. } => Reason::Listening,
            Standing::Voting => Reason::None,
        }
    }

    /// Every node of the cluster has told its whole table.
    fn is_told(&self) -> bool {
        self.nodes.len() >= self.setup.nodes && self.nodes.iter().all(|node| node.copy.is_complete())
    }

    /// A voter without memory knows enough once everybody has told it everything: no epoch above the highest of those was
    /// in use.
    pub(super) fn note_told(&mut self, now: MonoTime, out: &mut Output) {
        let trusting = self.is_mutant(Mutant::DamagedMemoryGrants);
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

    /// Ends the abstention when it is time.
    pub(super) fn note_standing(&mut self, now: MonoTime, out: &mut Output) {
        let Standing::Abstaining { since, fresh } = self.standing else { return };
        let stated = self.nodes.iter().map(|node| node.times.lease_us).max().unwrap_or_default();
        let longest = if fresh && !self.is_told() {
            u32::try_from(LEASE_MS.end() * 1_000).unwrap_or(u32::MAX)
        } else {
            self.lease.max(stated)
        };
        let eager = self.is_mutant(Mutant::WitnessNotAbstaining);
        if now >= since + abstention(longest, self.setup.drift_ppm) || eager {
            self.stand(Standing::Voting);
            out.notices.push(Notice::Votes);
        }
    }

    fn stand(&mut self, standing: Standing) {
        self.standing = standing;
        self.touched.extend(0..self.groups.len());
        self.nodes.iter_mut().for_each(|node| node.waiting = true);
    }
}
