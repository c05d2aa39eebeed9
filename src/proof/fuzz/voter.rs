//! The voter of a witness under everything that can come to it: two clusters in one process, three nodes in each.
//!
//! Nodes have the key and say anything, right or wrong; their datagrams are lost, held back, doubled and sent to the other
//! cluster; strangers send noise, forgeries and recordings; disks are slow, torn, damaged and put back; the process is
//! started anew at any moment. What must hold:
//! - a grant leaves only when every other grant of the group is over at its holder, or was given up (S5), restarts
//!   included, and it is promised for as long as its holder may count on it;
//! - no epoch that was never granted is granted below one that another node was granted (S2), as long as the disk is honest;
//! - what does not carry the cluster's seal is not answered, changes nothing but counters, and costs no memory (S6);
//! - a datagram is answered with no more than a few, all of them for its sender and of its cluster.

mod disk;
mod judge;
mod seeds;

use super::Verdict;
use super::input::Input;
use super::pulse::draw;
use crate::mutant::Mutants;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::voter::talker::{Home, Talker};
use crate::voter::{CheckSetup, MAX_GROUPS, Output, Voter, VoterSetup};
use crate::wire::auth::{KeyRing, MAGIC};
use crate::wire::pulse::{MAX_DATAGRAM, Role, Row, VERSION, decode, encode, peek_cluster};
use disk::{Disk, Fault};
use judge::Judge;
pub(super) use seeds::seeds;
use std::sync::Arc;
use std::time::Duration;
use vipair_host::testing::{Usage, measured};

const STEPS: usize = 160;
const GROUPS: [GroupKey; 2] = [GroupKey(5), GroupKey(6)];
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const LEASE_US: u32 = 170_000;
const DRIFT_PPM: u64 = 500;
/// Answers to one datagram: four that tell rows, and one more.
const ANSWERS: usize = 5;
/// Datagrams on their way.
const HELD: usize = 8;

/// One cluster: its voter, its nodes, and who looks at them.
struct Court {
    home: Home,
    voter: Voter,
    disk: Disk,
    /// The disk is always ready.
    ready: bool,
    lives: u64,
    nodes: Vec<Talker>,
    judge: Judge,
    /// Datagrams that arrived, and others that have not yet: who sent them, and what.
    recorded: Vec<Vec<u8>>,
    held: Vec<(usize, Vec<u8>)>,
}

struct Scene {
    now: MonoTime,
    courts: Vec<Court>,
    mutants: Mutants,
    /// Leases never change, so that a disk that lies does no harm.
    steady: bool,
    out: Output,
}

pub(super) fn run(bytes: &[u8]) -> Verdict {
    Verdict::of(vote(bytes, Mutants::NONE))
}

/// Plays an input; true if anything was granted.
pub(super) fn vote(bytes: &[u8], mutants: Mutants) -> bool {
    let mut input = Input::new(bytes);
    let first = input.byte();
    let now = MonoTime(100_000_000_000);
    let home = |name: &str, cluster: u32, key: u8| Home {
        cluster,
        keys: Arc::new(KeyRing::new(name, &[(1, [key; 32])]).mutated(mutants)),
    };
    let homes = [home("web", 7, 0x33), home("db", 8, 0x44)];
    let courts = homes.into_iter().map(|home| Court::open(home, first, now, mutants));
    let mut scene = Scene { now, courts: courts.collect(), mutants, steady: first & 1 == 0, out: Output::default() };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        scene.now = scene.now + Duration::from_millis(u64::from(input.byte()));
        scene.step(&mut input);
    }
    scene.courts.iter().any(|court| court.judge.has_seen_grants())
}

impl Court {
    /// Bit 1 of `how`: it has a memory, and votes when that is old enough; otherwise this is its first start. Bit 2: its disk
    /// is always ready.
    fn open(home: Home, how: u8, now: MonoTime, mutants: Mutants) -> Court {
        let node = |id: &NodeId| {
            let mut talker = Talker::new(&home, *id, u64::from(id.0) << 32, GROUPS[0], LEASE_US);
            talker.add(GROUPS[1]);
            talker
        };
        let disk = if how & 2 != 0 { Disk::with_lease(LEASE_US) } else { Disk::default() };
        let nodes = NODES.iter().map(node).collect();
        let voter = Voter::new(setup(&home, &disk, 0, mutants), now);
        let (judge, recorded, held) = (Judge::default(), Vec::new(), Vec::new());
        Court { home, voter, disk, ready: how & 4 != 0, lives: 0, nodes, judge, recorded, held }
    }
}

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
    fn step(&mut self, input: &mut Input<'_>) {
        let (kind, who) = (input.byte(), input.byte());
        let (at, node) = (usize::from(who & 1), usize::from(who >> 1) % NODES.len());
        match kind % 16 {
            // A node changes what it says, and says it.
            0..=5 => {
                self.change(at, node, input.byte());
                self.pulse(at, node, kind);
            }
            6 => self.pulse(at, node, kind),
            7 => self.begin_node(at, node, kind),
            8 => self.deliver_held(at, kind),
            9 => self.lie(at, node, input),
            10 | 11 => self.attack(at, node, input),
            12 => self.now = self.now + Duration::from_millis(u64::from(who) * 256),
            13 => self.courts[at].write(),
            14 => self.begin_voter(at, kind, input),
            _ => {
                self.out.clear();
                let court = &mut self.courts[at];
                court.voter.check(0, who & 2 != 0, &mut self.out);
                court.follow(&self.out);
            }
        }
    }

    /// What nodes say of their groups, right or wrong. Epochs are of their own for the most part.
    fn change(&mut self, at: usize, node: usize, how: u8) {
        let (steady, now) = (self.steady, self.now);
        let court = &mut self.courts[at];
        let talker = &mut court.nodes[node];
        let group = GROUPS[usize::from(how >> 7)];
        let (number, id) = (how & 0x0f, talker.id);
        let own = |counter: u8| Epoch::new(u64::from(counter), id);
        let before = talker.rows.clone();
        let next = own(number + 1);
        let change: &dyn Fn(&mut Row) = match (how >> 4) & 7 {
            0 => &|row| (row.role, row.reserve, row.claim) = (Role::Standby, own(number), own(number)),
            1 => &|row| {
                // It opens with what it claims, if it claims anything.
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
            court.judge.note_change(id, before, after, now);
        }
    }

    /// A node says what is so. It may be lost, held back, or arrive twice.
    fn pulse(&mut self, at: usize, node: usize, kind: u8) {
        let court = &mut self.courts[at];
        let pulse = court.nodes[node].pulse(self.now);
        if kind & 0x80 != 0 && court.held.len() < HELD {
            court.held.push((node, pulse.clone()));
        }
        match kind >> 4 & 7 {
            0 => {}
            1 => {
                self.deliver(at, node, &pulse, true);
                self.deliver(at, node, &pulse, true);
            }
            lost => self.deliver(at, node, &pulse, lost != 2),
        }
    }

    fn deliver_held(&mut self, at: usize, kind: u8) {
        let held = &mut self.courts[at].held;
        if !held.is_empty() {
            let (node, pulse) = held.remove(usize::from(kind >> 4) % held.len());
            self.deliver(at, node, &pulse, true);
        }
    }

    /// A node's datagram arrives, and with `back` so do the answers. Whatever is answered to those follows.
    fn deliver(&mut self, at: usize, node: usize, pulse: &[u8], back: bool) {
        let mut waiting = vec![pulse.to_vec()];
        // A session is proven in two round trips; then nothing is answered any more.
        for _ in 0..4 {
            let Some(pulse) = waiting.pop() else { return };
            self.give(at, &pulse);
            let (now, court) = (self.now, &mut self.courts[at]);
            court.recorded.push(pulse);
            let answers: Vec<Vec<u8>> = self.out.datagrams().map(<[u8]>::to_vec).collect();
            let mut ear = court.nodes[node].clone();
            for answer in &answers {
                let heard = ear.heard;
                ear.hear(now, answer);
                if ear.heard == heard {
                    // It is not believed: what was granted before is as it was.
                    continue;
                }
                court.judge.note_grants(&ear, &GROUPS, now, &court.voter, court.disk.is_honest());
            }
            if back {
                let talker = &mut court.nodes[node];
                waiting.extend(answers.iter().filter_map(|answer| talker.hear(now, answer)));
            }
        }
    }

    /// One datagram to the socket: the cluster it names takes it, as in `witness::courts`.
    fn give(&mut self, at: usize, bytes: &[u8]) {
        self.out.clear();
        let court = peek_cluster(bytes).and_then(|cluster| {
            let mut courts = self.courts.iter_mut().enumerate();
            courts.find(|(_, court)| court.home.cluster == cluster)
        });
        let Some((named, court)) = court else { return };
        court.voter.handle(self.now, bytes, &mut self.out);
        court.follow(&self.out);
        assert!(self.out.answers.len() <= ANSWERS, "{} answers to one datagram", self.out.answers.len());
        assert!(court.voter.memory().ceilings.len() <= MAX_GROUPS);
        for answer in self.out.datagrams() {
            assert!(answer.len() <= MAX_DATAGRAM);
            let body = court.home.keys.open(answer).expect("sealed with the key of its cluster");
            let (header, _) = decode(body).expect("a pulse");
            assert_eq!((header.sender, header.cluster), (NodeId::FIRST_WITNESS, court.home.cluster));
            assert_eq!(named, at, "a cluster answers for another");
        }
    }

    /// Another process of a node: its kernel's gate stays as it was.
    fn begin_node(&mut self, at: usize, node: usize, kind: u8) {
        let talker = &mut self.courts[at].nodes[node];
        let session = talker.session + 1 + u64::from(kind >> 6);
        talker.restart(session);
        self.pulse(at, node, kind | 0x30);
    }

    /// A node says something that no node would: whatever it holds is not judged any more.
    fn lie(&mut self, at: usize, node: usize, input: &mut Input<'_>) {
        let court = &mut self.courts[at];
        let honest = court.nodes[node].pulse(self.now);
        let body = court.home.keys.open(&honest).expect("its own key");
        let (told, _) = decode(body).expect("a pulse");
        court.judge.distrust(told.sender);
        let how = input.byte();
        let (mut header, mut rows) = draw(input);
        (header.receiver, header.cluster) = (told.receiver, told.cluster);
        if how & 1 == 0 {
            (header.sender, header.session, header.counter) = (told.sender, told.session, told.counter);
            (header.echo_session, header.echo_counter) = (told.echo_session, told.echo_counter);
        } else {
            court.judge.distrust(header.sender);
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
        encode(&court.home.keys, &header, rows.into_iter(), &mut datagram);
        self.give(at, &datagram);
    }

    /// Somebody without the key.
    fn attack(&mut self, at: usize, node: usize, input: &mut Input<'_>) {
        let (how, number) = (input.byte(), input.below(MAX_DATAGRAM + 100));
        let court = &mut self.courts[at];
        let recording = court.recorded.get(number % court.recorded.len().max(1)).cloned().unwrap_or_default();
        let other = self.courts[1 - at].home.clone();
        let court = &mut self.courts[at];
        let mut hostile = match how % 6 {
            0 => input.take(number).to_vec(),
            1 => [&[MAGIC[0], MAGIC[1], VERSION, 1], input.take(number)].concat(),
            2 => recording.clone(),
            3 => damaged(recording, number * 256 + usize::from(input.byte())),
            // What the other cluster's key seals for this one.
            4 => Talker::new(&Home { cluster: court.home.cluster, ..other }, NODES[node], 77, GROUPS[0], LEASE_US)
                .pulse(self.now),
            // What this one's seals, for the other.
            _ => recording,
        };
        if how % 6 == 5 && hostile.len() > 12 {
            hostile[8..12].copy_from_slice(&other_number(court.home.cluster));
        }
        let whole = court.recorded.contains(&hostile);
        self.besiege(at, &hostile, whole);
    }

    /// What nobody sealed changes nothing. A recording may be answered once, as a node that was not heard is; it moves nothing.
    fn besiege(&mut self, at: usize, hostile: &[u8], whole: bool) {
        let now = self.now;
        // Whatever was due by now has been taken note of.
        for court in &mut self.courts {
            self.out.clear();
            court.voter.handle(now, &[], &mut self.out);
            court.follow(&self.out);
        }
        let known = |court: &Court| (court.voter.promises(now).collect::<Vec<_>>(), court.voter.memory());
        let before: Vec<_> = self.courts.iter().map(known).collect();
        if whole {
            self.give(at, hostile);
        } else {
            let states: Vec<String> = self.courts.iter().map(|court| court.voter.view_state()).collect();
            for (court, state) in self.courts.iter_mut().zip(states) {
                self.out.clear();
                let ((), usage) = measured(|| court.voter.handle(now, hostile, &mut self.out));
                assert_eq!(usage, Usage::default(), "what nobody sealed costs no memory");
                assert!(self.out.answers.is_empty(), "what nobody sealed is answered");
                assert!(self.out.persist.is_none() && self.out.notices.is_empty());
                assert!(court.voter.view_state() == state, "only counters have changed");
            }
        }
        let after: Vec<_> = self.courts.iter().map(known).collect();
        assert_eq!(before, after, "promises and memory are as before");
    }

    /// Another process of the witness, with what the disk has by then.
    fn begin_voter(&mut self, at: usize, kind: u8, input: &mut Input<'_>) {
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
        let court = &mut self.courts[at];
        court.disk.restart(fault);
        court.lives += 1;
        court.voter = Voter::new(setup(&court.home, &court.disk, court.lives, mutants), self.now);
    }
}

impl Court {
    fn follow(&mut self, output: &Output) {
        if let Some(version) = output.persist {
            self.disk.take(version, &self.voter.memory());
            if self.ready {
                self.write();
            }
        }
    }

    fn write(&mut self) {
        if let Some(version) = self.disk.write() {
            self.voter.stored(version);
        }
    }
}

/// With one bit flipped.
fn damaged(mut bytes: Vec<u8>, bit: usize) -> Vec<u8> {
    if !bytes.is_empty() {
        let at = bit % (bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
    }
    bytes
}

fn other_number(cluster: u32) -> [u8; 4] {
    (15 - cluster).to_be_bytes()
}
