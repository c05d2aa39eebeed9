//! The voters of two clusters in the process of one witness, under everything that can come to them
//! from three nodes in each.
//!
//! Nodes have the key and say anything, right or wrong; their datagrams are lost, held back,
//! doubled and sent to the other cluster; strangers send noise, forgeries and recordings; disks are
//! slow, torn, damaged and put back; the process is started anew at any moment. What must hold:
//! - a grant leaves only when every other grant of the group is over at its holder, or was given up
//!   (S5), restarts included, and it is promised for as long as its holder may count on it;
//! - no epoch that was never granted is granted below one that another node was granted (S2), as
//!   long as the disk is honest;
//! - what does not carry the cluster's seal is not answered, changes nothing but counters, and
//!   costs no memory (S6);
//! - a datagram is answered with no more than a few, all of them for its sender and of its cluster.

mod attack;
mod disk;
mod oracle;
mod seeds;

use super::Taken;
use super::input::Input;
use super::pulse::draw;
use crate::mutant::Mutants;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::voter::talker::{Home, Talker};
use crate::voter::{CheckSetup, MAX_GROUPS, Output, Voter, VoterSetup};
use crate::wire::auth::{KeyRing, MAX_DATAGRAM};
use crate::wire::pulse::{Role, Row, decode, encode, peek_cluster};
use disk::{Disk, Fault};
use oracle::Oracle;
pub(super) use seeds::seeds;
use std::sync::Arc;
use std::time::Duration;

/// Most steps of one input.
const STEPS: usize = 160;
const GROUPS: [GroupKey; 2] = [GroupKey(5), GroupKey(6)];
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// Lease that nodes tell, in microseconds.
const LEASE_US: u32 = 170_000;
const DRIFT_PPM: u64 = 500;
/// Bound on the answers to one datagram: four that tell rows, and one more.
const ANSWERS: usize = 5;
/// Bound on the datagrams that are held back.
const HELD: usize = 8;

/// One cluster: its voter, its nodes, and the oracle that looks at them.
struct Cluster {
    home: Home,
    voter: Voter,
    disk: Disk,
    /// Whether the disk writes at once.
    ready: bool,
    /// Number of restarts of the voter.
    lives: u64,
    nodes: Vec<Talker>,
    oracle: Oracle,
    /// Datagrams of nodes that reached the voter.
    recorded: Vec<Vec<u8>>,
    /// Datagrams that are held back, each with the place of its node in `nodes`.
    held: Vec<(usize, Vec<u8>)>,
}

/// Both clusters in one process; functions name a cluster by its `place` in `clusters`, and a node
/// by its place in the cluster's `nodes`.
struct Scene {
    now: MonoTime,
    clusters: Vec<Cluster>,
    mutants: Mutants,
    /// Whether leases never change in this input. Only then the disk may lose what it had.
    steady: bool,
    out: Output,
}

/// Checks one input: the first byte says how the voters and their disks begin, the rest are steps.
/// Accepted: anything was granted.
pub(super) fn run(bytes: &[u8]) -> Taken {
    Taken::of(vote(bytes, Mutants::NONE))
}

/// Plays an input with voters that break the rules of `mutants`, and panics when a promise is
/// broken; true if anything was granted.
pub(super) fn vote(bytes: &[u8], mutants: Mutants) -> bool {
    let mut input = Input::new(bytes);
    let first = input.byte();
    let now = MonoTime(100_000_000_000);
    let home = |name: &str, cluster: u32, key: u8| Home {
        cluster,
        keys: Arc::new(KeyRing::new(name, &[(1, [key; 32])]).mutated(mutants)),
    };
    let homes = [home("web", 7, 0x33), home("db", 8, 0x44)];
    let clusters = homes.into_iter().map(|home| Cluster::open(home, first, now, mutants));
    let mut scene =
        Scene { now, clusters: clusters.collect(), mutants, steady: first & 1 == 0, out: Output::default() };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        scene.now = scene.now + Duration::from_millis(u64::from(input.byte()));
        scene.step(&mut input);
    }
    scene.clusters.iter().any(|cluster| cluster.oracle.has_seen_grants())
}

impl Cluster {
    /// A cluster whose voter has just started. Bit 1 of `how`: the voter has a memory, and votes
    /// when that is old enough; otherwise this is its first start. Bit 2: its disk writes at once.
    fn open(home: Home, how: u8, now: MonoTime, mutants: Mutants) -> Cluster {
        let node = |id: &NodeId| {
            let mut talker = Talker::new(&home, *id, u64::from(id.0) << 32, GROUPS[0], LEASE_US);
            talker.add(GROUPS[1]);
            talker
        };
        let disk = if how & 2 != 0 { Disk::with_lease(LEASE_US) } else { Disk::default() };
        let nodes = NODES.iter().map(node).collect();
        let voter = Voter::new(setup(&home, &disk, 0, mutants), now);
        let (oracle, recorded, held) = (Oracle::default(), Vec::new(), Vec::new());
        Cluster { home, voter, disk, ready: how & 4 != 0, lives: 0, nodes, oracle, recorded, held }
    }
}

/// The setup of a voter that starts with what `disk` has, after `life` restarts.
fn setup(home: &Home, disk: &Disk, life: u64, mutants: Mutants) -> VoterSetup {
    VoterSetup {
        me: NodeId::FIRST_WITNESS,
        cluster: home.cluster,
        keys: Arc::clone(&home.keys),
        session: 1_000 + life,
        drift_ppm: DRIFT_PPM,
        nodes: 2,
        loaded: disk.loaded(),
        checks: vec![CheckSetup { group: GROUPS[0], fall: 2, rise: 2 }],
        mutants,
    }
}

impl Scene {
    /// Does the next step of the input. The first byte of a step chooses its kind, the second its
    /// cluster and node.
    fn step(&mut self, input: &mut Input<'_>) {
        let (kind, who) = (input.byte(), input.byte());
        let (place, node) = (usize::from(who & 1), usize::from(who >> 1) % NODES.len());
        match kind % 16 {
            // A node changes what it says, and says it.
            0..=5 => {
                self.change(place, node, input.byte());
                self.pulse(place, node, kind);
            }
            6 => self.pulse(place, node, kind),
            7 => self.begin_node(place, node, kind),
            8 => self.deliver_held(place, kind),
            9 => self.lie(place, node, input),
            10 | 11 => self.attack(place, node, input),
            12 => self.now = self.now + Duration::from_millis(u64::from(who) * 256),
            13 => self.clusters[place].write(),
            14 => self.begin_voter(place, kind, input),
            _ => {
                self.out.clear();
                let cluster = &mut self.clusters[place];
                cluster.voter.check(0, who & 2 != 0, &mut self.out);
                cluster.follow(&self.out);
            }
        }
    }

    /// Changes what a node says of a group, right or wrong, and tells the oracle. Epochs are mostly
    /// the node's own. `how` is the group (1 bit), the change (3 bits) and the counter (4 bits).
    fn change(&mut self, place: usize, node: usize, how: u8) {
        let (steady, now) = (self.steady, self.now);
        let cluster = &mut self.clusters[place];
        let talker = &mut cluster.nodes[node];
        let group = GROUPS[usize::from(how >> 7)];
        let (number, id) = (how & 0x0f, talker.id);
        let own = |counter: u8| Epoch::new(u64::from(counter), id);
        let before = talker.rows.clone();
        let next = own(number + 1);
        let change: &dyn Fn(&mut Row) = match (how >> 4) & 7 {
            0 => &|row| (row.role, row.reserve, row.claim) = (Role::Standby, own(number), own(number)),
            1 => &|row| {
                // The node opens with what it claims, if it claims anything.
                let epoch = if row.claim == Epoch::NONE { own(number) } else { row.claim };
                (row.role, row.epoch, row.reserve, row.claim) = (Role::Active, epoch, next, Epoch::NONE);
            },
            2 => &|row| (row.role, row.claim) = (Role::Standby, Epoch::NONE),
            3 => &|row| (row.role, row.claim, row.reserve) = (Role::Fault, Epoch::NONE, next),
            4 => &|row| (row.role, row.claim) = (Role::Handover, Epoch::new(9, NODES[usize::from(number) % 3])),
            5 => &|row| row.reserve = own(number),
            6 => &|row| row.epoch = Epoch::new(u64::from(number), NODES[usize::from(number) % 3]),
            _ => &|row| (row.role, row.claim) = (Role::Paused, Epoch::new(u64::from(number), NODES[0])),
        };
        talker.change(group, change);
        if !steady && number == 15 {
            talker.lease_us = [19_000, 35_000, LEASE_US, 3_500_000][usize::from(how >> 4) % 4];
        }
        let after = talker.rows.clone();
        for ((_, before), (_, after)) in before.iter().zip(&after) {
            cluster.oracle.note_change(id, before, after, now);
        }
    }

    /// Sends a pulse of a node. The upper bits of `kind` say whether it is held back as well, is
    /// lost, arrives twice, or arrives and is answered in vain.
    fn pulse(&mut self, place: usize, node: usize, kind: u8) {
        let cluster = &mut self.clusters[place];
        let pulse = cluster.nodes[node].pulse(self.now);
        if kind & 0x80 != 0 && cluster.held.len() < HELD {
            cluster.held.push((node, pulse.clone()));
        }
        match kind >> 4 & 7 {
            0 => {}
            1 => {
                self.deliver(place, node, &pulse, true);
                self.deliver(place, node, &pulse, true);
            }
            lost => self.deliver(place, node, &pulse, lost != 2),
        }
    }

    /// Delivers one of the datagrams that are held back, if there are any.
    fn deliver_held(&mut self, place: usize, kind: u8) {
        let held = &mut self.clusters[place].held;
        if !held.is_empty() {
            let (node, pulse) = held.remove(usize::from(kind >> 4) % held.len());
            self.deliver(place, node, &pulse, true);
        }
    }

    /// Delivers a node's datagram to the voter, and lets the oracle check what its answers grant.
    /// With `back` the node hears the answers and answers in turn; without it they are lost.
    fn deliver(&mut self, place: usize, node: usize, pulse: &[u8], back: bool) {
        let mut waiting = vec![pulse.to_vec()];
        // A session is proven in two round trips; then nothing is answered any more.
        for _ in 0..4 {
            let Some(pulse) = waiting.pop() else { return };
            self.give(place, &pulse);
            let (now, cluster) = (self.now, &mut self.clusters[place]);
            cluster.recorded.push(pulse);
            let answers: Vec<Vec<u8>> = self.out.datagrams().map(<[u8]>::to_vec).collect();
            // A copy of the node hears every answer, also those that are lost on the way to the
            // node: a grant counts from when it leaves.
            let mut ear = cluster.nodes[node].clone();
            for answer in &answers {
                let heard = ear.heard;
                ear.hear(now, answer);
                if ear.heard == heard {
                    // The node does not believe the answer, so grants are as before.
                    continue;
                }
                cluster.oracle.note_grants(&ear, &GROUPS, now, &cluster.voter, cluster.disk.is_honest());
            }
            if back {
                let talker = &mut cluster.nodes[node];
                waiting.extend(answers.iter().filter_map(|answer| talker.hear(now, answer)));
            }
        }
    }

    /// Gives the process a datagram, which goes to the cluster that the datagram names. Checks the
    /// answers: a few, sealed, and from the cluster at `place` alone.
    fn give(&mut self, place: usize, bytes: &[u8]) {
        self.out.clear();
        let addressed = peek_cluster(bytes).and_then(|number| {
            let mut clusters = self.clusters.iter_mut().enumerate();
            clusters.find(|(_, cluster)| cluster.home.cluster == number)
        });
        let Some((named, cluster)) = addressed else { return };
        cluster.voter.handle(self.now, bytes, &mut self.out);
        cluster.follow(&self.out);
        assert!(self.out.answers.len() <= ANSWERS, "{} answers to one datagram", self.out.answers.len());
        assert!(cluster.voter.memory().ceilings.len() <= MAX_GROUPS);
        for answer in self.out.datagrams() {
            assert!(answer.len() <= MAX_DATAGRAM);
            let body = cluster.home.keys.open(answer).expect("sealed with the key of its cluster");
            let (header, _) = decode(body).expect("a pulse");
            assert_eq!((header.sender, header.cluster), (NodeId::FIRST_WITNESS, cluster.home.cluster));
            assert_eq!(named, place, "a cluster answers for another");
        }
    }

    /// Restarts the agent of a node, whose gate stays as it was, and sends its first pulse.
    fn begin_node(&mut self, place: usize, node: usize, kind: u8) {
        let talker = &mut self.clusters[place].nodes[node];
        let session = talker.session + 1 + u64::from(kind >> 6);
        talker.restart(session);
        self.pulse(place, node, kind | 0x30);
    }

    /// Sends a sealed pulse such as no node sends, in the name of a node. What that node was
    /// granted counts no longer: it is free to break any promise.
    fn lie(&mut self, place: usize, node: usize, input: &mut Input<'_>) {
        let cluster = &mut self.clusters[place];
        let honest = cluster.nodes[node].pulse(self.now);
        let body = cluster.home.keys.open(&honest).expect("its own key");
        let (told, _) = decode(body).expect("a pulse");
        cluster.oracle.distrust(told.sender);
        let how = input.byte();
        let (mut header, mut rows) = draw(input);
        (header.receiver, header.cluster) = (told.receiver, told.cluster);
        if how & 1 == 0 {
            (header.sender, header.session, header.counter) = (told.sender, told.session, told.counter);
            (header.echo_session, header.echo_counter) = (told.echo_session, told.echo_counter);
        } else {
            cluster.oracle.distrust(header.sender);
        }
        if self.steady {
            header.lease_us = told.lease_us;
        }
        if how & 2 == 0 {
            (header.table_version, header.base_version) = (told.table_version, told.base_version);
            (header.upto_version, header.ack_version) = (told.upto_version, told.ack_version);
        }
        for (row, group) in rows.iter_mut().zip(GROUPS.iter().cycle()).filter(|_| how & 4 == 0) {
            row.group = *group;
        }
        let mut datagram = Vec::new();
        encode(&cluster.home.keys, &header, rows.into_iter(), &mut datagram);
        self.give(place, &datagram);
    }

    /// Restarts the voter of a cluster with what its disk has by then, after a fault of the disk
    /// that `kind` chooses.
    fn begin_voter(&mut self, place: usize, kind: u8, input: &mut Input<'_>) {
        let fault = match kind >> 4 {
            0..=3 => Fault::None,
            4..=7 => Fault::Torn(input.short()),
            8 if self.steady => Fault::Damaged(input.short()),
            9 if self.steady => Fault::BothDamaged(input.short()),
            10 if self.steady => Fault::Gone,
            11 if self.steady => Fault::PutBack,
            _ => Fault::None,
        };
        let mutants = self.mutants;
        let cluster = &mut self.clusters[place];
        cluster.disk.restart(fault);
        cluster.lives += 1;
        cluster.voter = Voter::new(setup(&cluster.home, &cluster.disk, cluster.lives, mutants), self.now);
    }
}

impl Cluster {
    /// Gives the disk what the voter wants durable after its last event.
    fn follow(&mut self, output: &Output) {
        if let Some(version) = output.persist {
            self.disk.take(version, &self.voter.memory());
            if self.ready {
                self.write();
            }
        }
    }

    /// Lets the disk do its write, and tells the voter.
    fn write(&mut self) {
        if let Some(version) = self.disk.write() {
            self.voter.stored(version);
        }
    }
}
