//! The voter of a witness: who may hold a group, one cluster, no address. Pure: time comes with
//! what is received.
//!
//! A voter answers pulses and says nothing of its own accord. A *grant* is an answer whose row
//! names the epoch as `consent`. With it goes a *promise*: to vote for nobody else until the lease
//! that the pulse stated, stretched by what two clocks can differ, has passed on our clock since we
//! received the pulse. The holder counts its lease from when it sent the pulse, so its gate is
//! closed before we vote for another node (promise S5 of docs/promises.md).
//!
//! | file | noun |
//! |---|---|
//! | `node` | a node: its session, its table, until when what it holds is promised |
//! | `group` | a group: the promise, the epochs, the fault |
//! | `believe` | a pulse taken in |
//! | `answer` | a pulse sent |
//! | `memory` | what must survive a restart, and what is not known after one |
//! | `check` | results of service checks, counted |
//!
//! Owns: promises, and everything that follows from them. Never does: read a clock, open a socket
//! or file, start a thread, ask for randomness. The same code runs in `vipair witness`, in its
//! tests and in the simulator.
//!
//! # What happens when it fails
//! Promises are volatile. A voter that has just started *abstains* until every promise that an
//! earlier life can have made is over; for that, the longest lease it ever granted under is on its
//! disk. A *ceiling* is on the disk before any epoch below it is granted; after a start, only
//! epochs above the ceiling are granted (the *bar*). A voter whose disk has lost that votes for
//! nobody until every node of the cluster has told it everything, and abstains from then.

use crate::mutant::Mutants;
use crate::rules::Rules;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::wire::auth::{KeyRing, Rejects};
use crate::wire::table::Excerpt;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

mod answer;
mod believe;
#[cfg(any(test, feature = "proof"))]
mod canon;
mod check;
mod group;
#[cfg(any(test, feature = "proof"))]
mod inspect;
mod memory;
mod node;
#[cfg(any(test, feature = "proof"))]
pub mod talker;
#[cfg(test)]
mod tests;

pub use check::CheckSetup;
pub use memory::{Ceiling, Loaded, Memory};

use check::Check;
use group::Group;
use memory::Standing;
use node::Node;

/// Most groups of a cluster: the configuration of a node allows as many.
pub const MAX_GROUPS: usize = 1024;
/// Most nodes that a voter remembers, whoever has the key.
pub const MAX_NODES: usize = 16;

/// The parts that a voter is built from.
#[derive(Clone, Debug)]
pub struct VoterSetup {
    /// The voter's own number, one of a witness.
    pub me: NodeId,
    /// The cluster's number, from its name.
    pub cluster: u32,
    /// The keys that seal and open datagrams.
    pub keys: Arc<KeyRing>,
    /// Session of the process: random, never 0.
    pub session: u64,
    /// Bound on the error of clock rates, in parts per million: no less than the nodes' own.
    pub drift_ppm: u64,
    /// Number of nodes of the cluster.
    pub nodes: usize,
    /// The content of the disk.
    pub loaded: Loaded,
    /// Checks of services, by position in [`Voter::check`].
    pub checks: Vec<CheckSetup>,
    /// The rule that is broken on purpose; none in what ships.
    pub mutants: Mutants,
}

/// Notices, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A process of this node is believed from now on.
    Session(NodeId),
    /// The group is promised to this node with this epoch.
    Granted(GroupKey, NodeId, Epoch),
    /// The node gave the group up.
    Released(GroupKey, NodeId, Epoch),
    /// The promise ran out, for the node was not heard; it gave nothing up.
    Lapsed(GroupKey, NodeId, Epoch),
    /// The group's active has a fault, or has it no more.
    Faulty(GroupKey, bool),
    /// The voter votes from now on.
    Votes,
    /// There is no room for another group.
    Crowded,
    /// This node takes us for the witness with that number, which is not ours.
    Stray(NodeId, NodeId),
}

/// Output: what follows from an event.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// All datagrams, one after another.
    pub bytes: Vec<u8>,
    /// Range of each datagram in `bytes`; all go to where the question came from.
    pub answers: Vec<Range<usize>>,
    /// The version of [`Voter::memory`] that is to be made durable now.
    pub persist: Option<u64>,
    /// Notices, for people.
    pub notices: Vec<Notice>,
}

impl Output {
    /// Empties the output, and keeps its room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.answers.clear();
        self.persist = None;
        self.notices.clear();
    }

    /// The datagrams.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.answers.iter().map(|range| &self.bytes[range.clone()])
    }
}

/// A running promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promised {
    /// The group that is promised.
    pub group: GroupKey,
    /// The node that it is promised to.
    pub to: NodeId,
    /// The epoch that it is promised with.
    pub epoch: Epoch,
    /// End of the promise on the voter's clock, unless it is renewed.
    pub until: MonoTime,
}

/// The voter of one cluster.
#[derive(Clone, Debug)]
pub struct Voter {
    setup: Arc<VoterSetup>,
    nodes: Vec<Node>,
    groups: Vec<Group>,
    /// Position of each group in `groups`.
    places: HashMap<GroupKey, usize>,
    checks: Vec<Check>,
    standing: Standing,
    /// The longest lease under which the voter may grant, in µs: the disk knows it.
    lease: u32,
    /// A longer lease on its way to the disk, with the version that carries it.
    lease_rising: Option<(u32, u64)>,
    /// Counter of the last datagram sent.
    counter: u64,
    /// Version of the table of rows.
    table: u64,
    /// Instant before which no promise has to be looked at for having run out.
    next_lapse: MonoTime,
    /// Time of the last event.
    last: MonoTime,
    /// Since when the voter has received datagrams without a gap.
    resumed: MonoTime,
    /// Groups whose row may have changed.
    touched: Vec<usize>,
    /// Version of the memory that was last asked to be durable.
    persist_version: u64,
    persist_wanted: bool,
    /// Whether people were told that there is no room for another group.
    crowded: bool,
    rejects: Rejects,
    /// Session and counter of the last datagram for another witness.
    stray: (u64, u64),
    /// When people were last told of one.
    stray_told: Option<MonoTime>,
    /// Scratch.
    excerpt: Excerpt,
    datagram: Vec<u8>,
}

impl Voter {
    /// A voter that has just started.
    #[must_use]
    pub fn new(mut setup: VoterSetup, now: MonoTime) -> Voter {
        let loaded = std::mem::replace(&mut setup.loaded, Loaded::Damaged);
        let mut voter = Voter {
            nodes: Vec::new(),
            groups: Vec::new(),
            places: HashMap::new(),
            checks: setup.checks.iter().map(Check::new).collect(),
            standing: Standing::new(&loaded, now),
            lease: 0,
            lease_rising: None,
            counter: 0,
            table: 1,
            next_lapse: MonoTime::FOREVER,
            last: now,
            resumed: now,
            touched: Vec::new(),
            persist_version: 0,
            persist_wanted: false,
            crowded: false,
            rejects: Rejects::default(),
            stray: (0, 0),
            stray_told: None,
            excerpt: Excerpt::default(),
            datagram: Vec::new(),
            setup: Arc::new(setup),
        };
        voter.recall(loaded);
        voter
    }

    /// Handles one datagram. `now` is the time of its receipt.
    pub fn handle(&mut self, now: MonoTime, bytes: &[u8], out: &mut Output) {
        let now = now.max(self.last);
        self.note_gap(now);
        self.last = now;
        self.note_lapses(now, out);
        self.note_standing(now, out);
        match self.read(bytes) {
            Ok((header, rows)) => self.take(&header, rows, now, out),
            Err((reject, header)) => {
                self.rejects.count(reject);
                if let Some(header) = header {
                    self.answer_stray(&header, now, out);
                }
            }
        }
        self.finish(out);
    }

    /// Counts the result of a check, by its position in [`VoterSetup::checks`].
    pub fn check(&mut self, number: usize, healthy: bool, out: &mut Output) {
        if let Some(group) = self.checks.get_mut(number).and_then(|check| check.count(healthy))
            && let Some(place) = self.places.get(&group)
        {
            self.touched.push(*place);
            self.publish(out);
        }
    }

    /// Sets other keys from now on.
    pub fn set_keys(&mut self, keys: Arc<KeyRing>) {
        Arc::make_mut(&mut self.setup).keys = keys;
    }

    /// Sets other checks from now on. None of them has failed yet; promises stay.
    pub fn set_checks(&mut self, checks: &[CheckSetup], out: &mut Output) {
        self.checks = checks.iter().map(Check::new).collect();
        self.touched.extend(0..self.groups.len());
        self.publish(out);
    }

    /// Notes that this version of the memory is durable, and with it every earlier one.
    pub fn stored(&mut self, version: u64) {
        self.note_stored(version);
    }

    /// The promises that run at `now`.
    pub fn promises(&self, now: MonoTime) -> impl Iterator<Item = Promised> {
        let running = self.groups.iter().filter_map(|group| Some((group, group.promise.as_ref()?)));
        running
            .map(|(group, promise)| Promised {
                group: group.key,
                to: self.nodes[promise.node].id,
                epoch: promise.epoch,
                until: promise.end(&self.nodes),
            })
            .filter(move |promise| promise.until > now)
    }

    /// Number of datagrams turned away, by reason.
    #[must_use]
    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// The voter's own number.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.setup.me
    }

    /// The rules that this voter keeps to.
    fn rules(&self) -> Rules {
        Rules::of(self.setup.mutants)
    }

    /// Updates rows that have changed, and asks for a write if the memory has changed.
    fn finish(&mut self, out: &mut Output) {
        self.publish(out);
        if std::mem::take(&mut self.persist_wanted) {
            self.persist_version += 1;
            out.persist = Some(self.persist_version);
        }
    }
}
