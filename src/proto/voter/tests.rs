//! Tests of a witness's voter. This file: a scene with one voter and two nodes. `grants`,
//! `promises` and `abstention` test rules one by one; `world` plays random histories against
//! oracles.

use super::talker::{Home, Talker};
use super::*;
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

mod abstention;
mod grants;
mod promises;
mod world;

const GROUP: GroupKey = GroupKey(5);
const ALPHA: NodeId = NodeId(1);
const BETA: NodeId = NodeId(2);
const LEASE_US: u32 = 170_000;
const CLUSTER: u32 = 7;

/// The key ring that nodes and voter share.
fn ring() -> Arc<KeyRing> {
    Arc::new(KeyRing::new("web", &[(1, [0x33; 32])]))
}

/// A voter of one cluster with two nodes and one checked group. `life` makes its session unique.
fn setup(loaded: Loaded, life: u64) -> VoterSetup {
    VoterSetup {
        me: NodeId::FIRST_WITNESS,
        cluster: CLUSTER,
        keys: ring(),
        session: 1_000 + life,
        drift_ppm: 500,
        nodes: 2,
        loaded,
        checks: vec![CheckSetup { group: GROUP, fall: 3, rise: 2 }],
        mutants: Mutants::NONE,
    }
}

/// A node with the group [`GROUP`], standing by.
fn talker(id: NodeId, session: u64) -> Talker {
    Talker::new(&Home { cluster: CLUSTER, keys: ring() }, id, session, GROUP, LEASE_US)
}

/// The instant `ms` milliseconds after the beginning of a scene.
fn instant(ms: u64) -> MonoTime {
    MonoTime(1_000_000_000) + Duration::from_millis(ms)
}

/// The epoch of this counter and node.
fn epoch(counter: u64, node: NodeId) -> Epoch {
    Epoch::new(counter, node)
}

/// A voter and two nodes whose datagrams arrive at once, and a disk that writes at once.
struct Scene {
    voter: Voter,
    out: Output,
    alpha: Talker,
    beta: Talker,
    notices: Vec<Notice>,
    /// Whether the disk answers a write at once; if not, the test does (`voter.stored`).
    disk: bool,
}

impl Scene {
    /// A voter that starts with this memory at 0 ms, and two nodes that have said nothing yet.
    fn begin(loaded: Loaded) -> Scene {
        Scene {
            voter: Voter::new(setup(loaded, 0), instant(0)),
            out: Output::default(),
            alpha: talker(ALPHA, 11),
            beta: talker(BETA, 22),
            notices: Vec::new(),
            disk: true,
        }
    }

    /// A scene at 400 ms whose voter votes: it has a memory, and its abstention is over.
    fn voting() -> Scene {
        let mut scene = Scene::begin(Loaded::Memory(Memory { lease_us: LEASE_US, ceilings: Vec::new() }));
        scene.alpha.change(GROUP, |row| row.reserve = epoch(1, ALPHA));
        scene.beta.change(GROUP, |row| row.reserve = epoch(1, BETA));
        scene.both(0);
        scene.both(400);
        assert_eq!(scene.alpha.witness(GROUP).reason, Reason::None);
        scene
    }

    /// The node with this number, whose datagrams the test makes.
    fn talker(&mut self, node: NodeId) -> &mut Talker {
        if node == ALPHA { &mut self.alpha } else { &mut self.beta }
    }

    /// Sends a pulse of a node at `ms`; true as [`Scene::deliver`] says.
    fn pulse(&mut self, node: NodeId, ms: u64) -> bool {
        let pulse = self.talker(node).pulse(instant(ms));
        self.deliver(node, &pulse, ms)
    }

    /// Delivers a datagram of a node to the voter, the answers to the node, and so on until neither
    /// has more to say. True if the node then holds a grant for the group: the epoch that it asks
    /// for is granted by the newest answer. `out` keeps what the voter did with this datagram.
    fn deliver(&mut self, node: NodeId, pulse: &[u8], ms: u64) -> bool {
        self.out.clear();
        self.voter.handle(instant(ms), pulse, &mut self.out);
        self.take_output();
        let out = std::mem::take(&mut self.out);
        let back: Vec<Vec<u8>> =
            out.datagrams().filter_map(|answer| self.talker(node).hear(instant(ms), answer)).collect();
        self.out = out;
        for pulse in &back {
            self.deliver(node, pulse, ms);
        }
        self.talker(node).grant(GROUP).is_some()
    }

    /// Collects the voter's notices, and answers its write if the disk works.
    fn take_output(&mut self) {
        self.notices.append(&mut self.out.notices);
        if let Some(version) = self.out.persist.filter(|_| self.disk) {
            self.voter.stored(version);
        }
    }

    /// Sends three pulses of each node at `ms`: enough for both to prove themselves and to tell
    /// their tables.
    fn both(&mut self, ms: u64) {
        for _ in 0..3 {
            self.pulse(ALPHA, ms);
            self.pulse(BETA, ms);
        }
    }

    /// Reports a result of the group's service check to the voter.
    fn check(&mut self, healthy: bool) {
        self.out.clear();
        self.voter.check(0, healthy, &mut self.out);
        self.take_output();
    }

    /// Puts a claim into a node's row; the voter learns of it with the node's next pulse.
    fn claim(&mut self, node: NodeId, epoch: Epoch) {
        self.talker(node).change(GROUP, |row| (row.role, row.reserve, row.claim) = (Role::Standby, epoch, epoch));
    }

    /// Makes a node active in its row, with the next epoch as its reserve; told with its next
    /// pulse.
    fn open(&mut self, node: NodeId, epoch: Epoch) {
        let next = Epoch::new(epoch.counter() + 1, node);
        self.talker(node).change(GROUP, |row| {
            (row.role, row.epoch, row.reserve, row.claim) = (Role::Active, epoch, next, Epoch::NONE);
        });
    }

    /// Makes a node a standby without a claim in its row; told with its next pulse.
    fn close(&mut self, node: NodeId) {
        self.talker(node).change(GROUP, |row| (row.role, row.claim) = (Role::Standby, Epoch::NONE));
    }

    /// The node that the voter's first promise at `ms` is for, and its epoch.
    fn promised(&self, ms: u64) -> Option<(NodeId, Epoch)> {
        self.voter.promises(instant(ms)).next().map(|promised| (promised.to, promised.epoch))
    }

    /// The voter's own row of the group, told or not.
    fn row(&self) -> Row {
        self.voter.groups[self.voter.places[&GROUP]].row
    }
}
