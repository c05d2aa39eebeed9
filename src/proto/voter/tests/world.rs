//! Random histories of one voter and two nodes, for promise S5: nodes claim, open, close, crash and
//! stall, a network loses and delays, the witness is restarted at any time, and its disk is slow,
//! damaged or put back. Every clock has its own rate.
//!
//! Two oracles that know nothing of the voter's state. One reads the answers as they leave: a grant
//! to one node must not leave before every grant to another is over at its holder, by true time, or
//! was given up. The other looks at the nodes' gates, which open on the witness's word alone here:
//! never two at once.

use super::*;
use std::collections::VecDeque;

mod oracles;

/// The next thing that is done. Time passes in steps of a millisecond; every node sends a pulse
/// each 10 ms.
#[derive(Clone, Debug)]
enum Step {
    Pass(u8),
    Claim(usize),
    Withdraw(usize),
    Close(usize),
    /// A node takes over from the other, which is cut off or crashes.
    Turn(usize, bool),
    Crash(usize),
    Stall(usize, u8),
    Cut(usize, bool),
    Delay(usize, u8),
    Lose(usize, u8),
    Lease(usize, u8),
    Restart(Disk),
    SlowDisk(u8),
}

/// The state of the witness's disk at its restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Disk {
    Whole,
    Damaged,
    Gone,
    PutBack,
}

/// A grant as it left the witness.
#[derive(Clone, Copy, Debug)]
struct Granted {
    node: usize,
    epoch: Epoch,
    /// Latest end at the holder, in ms of true time.
    over: u64,
}

/// A node: what its engine would say, and the gate of its kernel.
struct Node {
    talker: Talker,
    lives: u64,
    /// Error of the clock in parts per million.
    ppm: i64,
    /// Counter above every epoch that the node has ever used or reserved.
    counter: u64,
    /// The kernel's gate: epoch, and deadline by its own clock.
    gate: (Epoch, MonoTime),
    /// True millisecond at which a node that starts learns of its gate.
    blind_until: u64,
    stalled_until: u64,
    cut: bool,
    delay: u64,
    lose: u8,
    /// Epochs that the node never opens with again, each with the true millisecond since which that
    /// holds.
    given_up: Vec<(Epoch, u64)>,
    inbox: VecDeque<(u64, Vec<u8>)>,
}

/// The voter, the nodes and the network of a history.
struct World {
    /// True time in ms.
    now: u64,
    nodes: Vec<Node>,
    voter: Voter,
    voter_ppm: i64,
    lives: u64,
    inbox: VecDeque<(u64, usize, Vec<u8>)>,
    durable: Option<Memory>,
    before: Option<Memory>,
    writing: Option<(u64, u64, Memory)>,
    disk_delay: u64,
    granted: Vec<Granted>,
    opened: Vec<Epoch>,
    /// Whether the disk never lost anything.
    trusted: bool,
    /// Whether every lease was the same from the beginning.
    steady: bool,
    mutants: Mutants,
    dice: u64,
    violation: Option<String>,
}

/// Bound on the error of each clock's rate, in parts per million.
const PPM: u64 = 20_000;

/// The time of a clock with an error of `ppm` at a true millisecond.
fn local(ms: u64, ppm: i64) -> MonoTime {
    let nanos = i128::from(ms) * 1_000_000;
    MonoTime(u64::try_from(nanos + nanos * i128::from(ppm) / 1_000_000).expect("after the beginning"))
}

/// The true millisecond at which a clock has passed `time`.
fn true_ms(time: MonoTime, ppm: i64) -> u64 {
    let millis = i128::from(time.0) * 1_000_000 / i128::from(1_000_000 + ppm) / 1_000_000;
    u64::try_from(millis).expect("positive") + 1
}

impl World {
    /// A world at 10,000 ms, with the clock errors of the two nodes and the voter, in ppm.
    fn new(rates: [i64; 3], mutants: Mutants) -> World {
        let node = |id: NodeId, ppm: i64| Node {
            talker: talker(id, u64::from(id.0) * 1_000),
            lives: 0,
            ppm,
            counter: 1,
            gate: (Epoch::NONE, MonoTime::ZERO),
            blind_until: 0,
            stalled_until: 0,
            cut: false,
            delay: 0,
            lose: 0,
            given_up: Vec::new(),
            inbox: VecDeque::new(),
        };
        let nodes = vec![node(ALPHA, rates[0]), node(BETA, rates[1])];
        let loaded = Loaded::Memory(Memory { lease_us: LEASE_US, ceilings: Vec::new() });
        let mut world = World {
            now: 10_000,
            nodes,
            voter: Voter::new(setup(Loaded::Damaged, 0), MonoTime::ZERO),
            voter_ppm: rates[2],
            lives: 0,
            inbox: VecDeque::new(),
            durable: None,
            before: None,
            writing: None,
            disk_delay: 0,
            granted: Vec::new(),
            opened: Vec::new(),
            trusted: true,
            steady: true,
            mutants,
            dice: 0x9e37_79b9_7f4a_7c15,
            violation: None,
        };
        world.begin_voter(loaded);
        world
    }

    /// Starts the voter's next life with what it finds on its disk. Datagrams on their way to it
    /// and a write that has not ended are lost.
    fn begin_voter(&mut self, loaded: Loaded) {
        self.lives += 1;
        let setup = VoterSetup { drift_ppm: PPM, mutants: self.mutants, ..setup(loaded, self.lives) };
        self.voter = Voter::new(setup, local(self.now, self.voter_ppm));
        self.inbox.clear();
        self.writing = None;
    }

    /// The next random byte of the history.
    fn roll(&mut self) -> u8 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.dice.to_be_bytes()[0]
    }

    /// Does one step of a history.
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pass(ms) => (0..ms).for_each(|_| self.pass()),
            Step::Claim(node) => self.claim(node),
            Step::Withdraw(node) => self.nodes[node].talker.change(GROUP, |row| {
                row.claim = if row.role == Role::Standby { Epoch::NONE } else { row.claim };
            }),
            Step::Close(node) => self.close(node),
            Step::Turn(node, crash) => self.turn(node, crash),
            Step::Crash(node) => self.crash(node),
            Step::Stall(node, ms) => self.nodes[node].stalled_until = self.now + u64::from(ms),
            Step::Cut(node, cut) => self.nodes[node].cut = cut,
            Step::Delay(node, ms) => self.nodes[node].delay = u64::from(ms),
            Step::Lose(node, part) => self.nodes[node].lose = part,
            // A state that is lost with its leases is a promise that nobody can keep: then the
            // lease does not change.
            Step::Lease(node, tens) if self.trusted => {
                self.nodes[node].talker.lease_us = 50_000 + u32::from(tens) * 2_000;
                self.steady = false;
            }
            Step::Lease(..) => {}
            Step::Restart(disk) => self.restart(disk),
            Step::SlowDisk(ms) => self.disk_delay = u64::from(ms),
        }
    }

    /// Makes a standby claim, with a reserve above what the witness has told it.
    fn claim(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        let row = machine.talker.rows[0].1;
        if row.role != Role::Standby {
            return;
        }
        let told = if machine.talker.heard > 0 && machine.talker.grant(GROUP).is_none() {
            machine.talker.known(GROUP).map_or(0, |row| row.epoch.max(row.reserve).counter())
        } else {
            0
        };
        if row.reserve == Epoch::NONE || told >= row.reserve.counter() {
            machine.counter = machine.counter.max(told) + 1;
        }
        let reserve = Epoch::new(machine.counter, machine.talker.id);
        if row.reserve != reserve {
            self.give_up(node, row.reserve);
        }
        self.nodes[node].talker.change(GROUP, |row| (row.reserve, row.claim) = (reserve, reserve));
    }

    /// Makes a node take over from the other, which crashes or is cut off; takes 250 ms.
    fn turn(&mut self, node: usize, crash: bool) {
        for machine in &mut self.nodes {
            (machine.cut, machine.lose, machine.delay) = (false, 0, 0);
        }
        self.nodes[1 - node].cut = !crash;
        self.claim(node);
        if crash {
            self.crash(1 - node);
        }
        (0..5).for_each(|_| {
            self.step(&Step::Pass(50));
            self.claim(node);
        });
    }

    /// Notes that a node will not use a grant of `epoch` any more, from now on.
    fn give_up(&mut self, node: usize, epoch: Epoch) {
        let now = self.now;
        self.nodes[node].given_up.push((epoch, now));
    }

    /// Makes an active close its gate and say so, with another reserve.
    fn close(&mut self, node: usize) {
        let row = self.nodes[node].talker.rows[0].1;
        if row.role != Role::Active {
            return;
        }
        self.give_up(node, row.epoch);
        let machine = &mut self.nodes[node];
        machine.gate = (Epoch::NONE, MonoTime::ZERO);
        machine.counter += 1;
        let reserve = Epoch::new(machine.counter, machine.talker.id);
        machine
            .talker
            .change(GROUP, |row| (row.role, row.reserve, row.claim) = (Role::Standby, reserve, Epoch::NONE));
    }

    /// Kills a node's agent and starts it again at once; its gate stays as it is.
    fn crash(&mut self, node: usize) {
        let now = self.now;
        let machine = &mut self.nodes[node];
        machine.lives += 1;
        let session = u64::from(machine.talker.id.0) * 1_000 + machine.lives;
        let row = machine.talker.rows[0].1;
        machine.talker.restart(session);
        machine.blind_until = now + 60;
        machine.inbox.clear();
        if row.claim != Epoch::NONE {
            // Reserved by a former life: never used by this one.
            machine.given_up.push((row.claim, now));
        }
    }

    /// Restarts the voter on this disk. Nothing happens where the history does not allow that disk.
    fn restart(&mut self, disk: Disk) {
        let loaded = match (disk, self.durable.clone()) {
            (Disk::Whole, Some(memory)) => Loaded::Memory(memory),
            (Disk::Whole | Disk::PutBack, None) => return,
            (Disk::PutBack, Some(memory)) => Loaded::Memory(self.before.clone().unwrap_or(memory)),
            (Disk::Damaged, _) => Loaded::Damaged,
            (Disk::Gone, _) => Loaded::Fresh,
        };
        if disk != Disk::Whole && !self.steady {
            return;
        }
        self.trusted &= disk == Disk::Whole;
        self.begin_voter(loaded);
    }

    /// Lets a millisecond pass: the disk, the nodes, the voter, then the oracle of the gates.
    fn pass(&mut self) {
        self.now += 1;
        self.write();
        for node in 0..self.nodes.len() {
            self.live(node);
        }
        while let Some(next) = self.inbox.iter().position(|(due, ..)| *due <= self.now) {
            let (_, node, pulse) = self.inbox.remove(next).expect("found");
            self.answer(node, &pulse);
        }
        self.check_gates();
    }

    /// Ends the voter's write if it is due.
    fn write(&mut self) {
        if let Some((due, version, memory)) = self.writing.clone()
            && due <= self.now
        {
            self.before = self.durable.replace(memory);
            self.writing = None;
            self.voter.stored(version);
        }
    }

    /// Lets a node do what its engine does: it opens and renews on grants, closes when its lease is
    /// over, and sends.
    fn live(&mut self, node: usize) {
        let (now, roll) = (self.now, self.roll());
        let machine = &mut self.nodes[node];
        if now < machine.stalled_until {
            return;
        }
        let clock = local(now, machine.ppm);
        while let Some(next) = machine.inbox.iter().position(|(due, _)| *due <= now) {
            let (_, answer) = machine.inbox.remove(next).expect("found");
            let back = machine.talker.hear(clock, &answer);
            if let Some(back) = back.filter(|_| !machine.cut) {
                self.inbox.push_back((now + machine.delay, node, back));
            }
            let row = machine.talker.rows[0].1;
            let Some(counter) = machine.talker.grant(GROUP) else { continue };
            let (sent, lease) = machine.talker.sent(counter);
            let until = sent + Duration::from_micros(u64::from(lease));
            if row.role == Role::Active {
                // What has lapsed stays closed.
                machine.gate.1 = if machine.gate.1 > clock { machine.gate.1.max(until) } else { machine.gate.1 };
            } else if until > clock {
                machine.gate = (row.claim, until);
                machine.counter += 1;
                let reserve = Epoch::new(machine.counter, machine.talker.id);
                machine.talker.change(GROUP, |row| {
                    (row.role, row.epoch, row.reserve, row.claim) = (Role::Active, row.claim, reserve, Epoch::NONE);
                });
                self.opened.push(row.claim);
            }
        }
        let row = machine.talker.rows[0].1;
        if row.role == Role::Starting && now >= machine.blind_until {
            if machine.gate.1 > clock {
                let epoch = machine.gate.0;
                machine.talker.change(GROUP, |row| (row.role, row.epoch) = (Role::Active, epoch));
            } else {
                let epoch = machine.gate.0;
                machine.talker.change(GROUP, |row| row.role = Role::Standby);
                self.give_up(node, epoch);
            }
        } else if row.role == Role::Active && machine.gate.1 <= clock {
            self.close(node);
        }
        let machine = &mut self.nodes[node];
        if (now + node as u64 * 3).is_multiple_of(10) {
            let pulse = machine.talker.pulse(clock);
            if !machine.cut && roll >= machine.lose {
                let delay = machine.delay * u64::from(roll % 3) / 2;
                self.inbox.push_back((now + delay, node, pulse));
            }
        }
    }

    /// Delivers a pulse to the voter, and its answers, which the oracle checks, to the node.
    fn answer(&mut self, node: usize, pulse: &[u8]) {
        let mut out = Output::default();
        let clock = local(self.now, self.voter_ppm);
        self.voter.handle(clock, pulse, &mut out);
        if let Some(version) = out.persist {
            self.writing = Some((self.now + self.disk_delay, version, self.voter.memory()));
            if self.disk_delay == 0 {
                self.write();
            }
        }
        for answer in out.datagrams() {
            self.check_answer(node, answer);
            let roll = self.roll();
            let machine = &mut self.nodes[node];
            if !machine.cut && roll >= machine.lose {
                let delay = machine.delay * u64::from(roll % 5) / 4;
                machine.inbox.push_back((self.now + delay, answer.to_vec()));
            }
        }
    }
}
