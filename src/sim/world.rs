//! Two engines, their kernels and disks, and the wires between them, under a clock that moves only when told.

use super::names::{ETH, group_id, id, mac, ms, vip};
use super::net::{Net, PATHS, SEGMENT};
use super::node::{Node, Pause, Waiting};
use super::oracle::Oracle;
use super::random::Random;
use crate::config::{Profile, Timing};
use crate::engine::{
    Action, Actions, Engine, Event, GateAction, GroupSetup, GroupState, InterfaceFacts, PeerSetup, Setup,
};
use crate::mutant::Mutants;
use crate::types::{Epoch, GroupId, GroupKey, LinkId, MonoTime, NodeId, Vip};
use crate::wire::auth::KeyRing;
use crate::wire::frame::Sighting;
use crate::wire::pulse::Digests;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Lines of history that a failure shows.
const HISTORY: usize = 60;
/// Datagrams kept to be replayed.
const RECORDED: usize = 64;

mod disk;
mod wires;

pub enum Due {
    Datagram {
        to: usize,
        path: usize,
        bytes: Vec<u8>,
    },
    /// A request for an address reaches the kernel of a node; `from` is who asked, if a node did.
    Ask {
        to: usize,
        from: Option<usize>,
        address: Vip,
    },
    Sighting {
        to: usize,
        sighting: Sighting,
    },
    Written {
        to: usize,
        life: u64,
        version: u64,
        state: Vec<GroupState>,
    },
    Retry {
        to: usize,
        life: u64,
    },
    Resume {
        to: usize,
    },
}

/// What a seed decides once.
#[derive(Clone, Debug)]
pub struct Plan {
    pub profile: Profile,
    /// Per group: the preferred node and whether it preempts.
    pub groups: Vec<(NodeId, bool)>,
    pub bystander: bool,
    /// Events that wait for a stopped process; what comes later is lost.
    pub backlog: usize,
}

pub struct Sim {
    pub seed: u64,
    pub random: Random,
    pub now: MonoTime,
    pub plan: Plan,
    pub timing: Timing,
    pub nodes: [Node; 2],
    pub net: Net,
    pub oracle: Oracle,
    pub history: VecDeque<String>,
    pub recorded: Vec<(usize, usize, Vec<u8>)>,
    pub mutants: Mutants,
    due: BTreeMap<(MonoTime, u64), Due>,
    sequence: u64,
}

fn bystander() -> Sighting {
    Sighting::Claim { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254)), mac: mac(9) }
}

impl Sim {
    pub fn new(seed: u64, random: Random, plan: Plan) -> Sim {
        let timing = Timing::of(plan.profile);
        Sim {
            seed,
            random,
            now: MonoTime(1_000_000_000),
            timing,
            nodes: [Node::new(), Node::new()],
            net: Net::quiet(),
            oracle: Oracle::new(plan.groups.len()),
            plan,
            history: VecDeque::new(),
            recorded: Vec::new(),
            mutants: Mutants::NONE,
            due: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub fn note(&mut self, line: String) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(format!("{:>12.3} ms  {line}", (self.now.0 - 1_000_000_000) as f64 / 1e6));
    }

    fn setup(&self, at: usize) -> Setup {
        let group = |(group, &(prefer, preempt)): (usize, &(NodeId, bool))| GroupSetup {
            key: GroupKey(group as u64 + 1),
            interface: ETH,
            addresses: Arc::from([vip(group)]),
            prefer,
            preempt,
            preempt_delay: ms(300),
            drain: ms(100),
            addresses_digest: 1,
            policy_digest: 1,
        };
        let mut seed = [id(at).0; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        seed[8..16].copy_from_slice(&self.nodes[at].life.to_be_bytes());
        Setup {
            me: id(at),
            timing: self.timing,
            keys: Arc::new(KeyRing::new("simulated", &[(1, [7; 32])]).mutated(self.mutants)),
            seed,
            epoch_floor: self.oracle.floor(),
            loaded: self.nodes[at].disk.content.clone(),
            digests: Digests::default(),
            peers: vec![PeerSetup { id: id(1 - at), links: PATHS.to_vec() }],
            interfaces: 1,
            groups: self.plan.groups.iter().enumerate().map(group).collect(),
            mutants: self.mutants,
        }
    }

    /// Starts the agent of a node, which adopts what its kernel holds.
    pub fn start(&mut self, at: usize) {
        self.note(format!("node {at}: agent starts"));
        self.nodes[at].life += 1;
        let setup = self.setup(at);
        let node = &mut self.nodes[at];
        node.engine = Some(Engine::new(setup, self.now));
        node.exited = false;
        self.oracle.neighbour[at] = false;
        node.pause = None;
        node.trap = None;
        node.disk.wanted = None;
        node.disk.writing = false;
        let kernel = node.kernel.clone();
        if kernel.generation != 0 {
            self.oracle.note_adoption(self.now);
            let mut open: Vec<(GroupId, Epoch)> = kernel.open.iter().map(|(group, epoch)| (*group, *epoch)).collect();
            open.sort_unstable();
            let refused = kernel.refused == kernel.generation;
            let (until, generation) = (kernel.until, kernel.generation);
            self.feed(at, Event::Adopted { interface: ETH, until, generation, refused, open: &open });
        }
        for path in PATHS {
            let link = LinkId { peer: id(1 - at), path };
            self.feed(at, Event::Link { link, open: true });
        }
        self.facts(at);
    }

    /// Tells the agent how its interface is.
    pub fn facts(&mut self, at: usize) {
        let carrier = self.nodes[at].carrier;
        let facts = InterfaceFacts { exists: true, carrier, mac: mac(at), gate: true, addresses: true };
        self.offer(at, Waiting::Facts(facts));
    }

    pub fn kill(&mut self, at: usize) {
        self.note(format!("node {at}: agent killed"));
        let node = &mut self.nodes[at];
        node.engine = None;
        node.pause = None;
        self.oracle.forget(at, &node.disk.content);
    }

    pub fn crash(&mut self, at: usize) {
        self.note(format!("node {at}: power lost"));
        self.kill(at);
        self.nodes[at].kernel = Default::default();
    }

    /// Stops a process now; it goes on after `span`.
    pub fn stop(&mut self, at: usize, span: Duration) {
        if self.nodes[at].is_running() {
            self.note(format!("node {at}: stopped for {span:?}"));
            self.nodes[at].pause = Some(Pause { decided: self.now, ..Pause::default() });
            self.later(Due::Resume { to: at }, span);
        }
    }

    pub fn resume(&mut self, at: usize) {
        let Some(pause) = self.nodes[at].pause.take() else { return };
        if self.now.since(pause.decided) >= self.timing.pulse * 2 {
            self.oracle.resumed[at] = self.now;
        }
        self.note(format!("node {at}: goes on with {} held, {} waiting", pause.held.len(), pause.backlog.len()));
        self.carry_out(at, pause.held, &pause.bytes, pause.decided);
        for waiting in pause.backlog {
            self.offer(at, waiting);
        }
        self.offer(at, Waiting::Tick);
    }

    /// An event for a process: taken now, or when it runs again.
    pub fn offer(&mut self, at: usize, waiting: Waiting) {
        let limit = self.plan.backlog;
        if let Some(pause) = &mut self.nodes[at].pause {
            let datagram = matches!(waiting, Waiting::Datagram(..));
            if pause.backlog.len() < limit || !datagram {
                pause.backlog.push(waiting);
            }
            return;
        }
        self.feed(at, waiting.event(ETH));
    }

    fn feed(&mut self, at: usize, event: Event<'_>) {
        if !self.nodes[at].is_running() {
            return;
        }
        let kernel = &self.nodes[at].kernel;
        if kernel.generation != 0 && kernel.refused == kernel.generation && !matches!(event, Event::Adopted { .. }) {
            self.take(at, Event::LeaseRefused { interface: ETH });
            if !self.nodes[at].is_running() {
                return;
            }
        }
        self.take(at, event);
    }

    fn take(&mut self, at: usize, event: Event<'_>) {
        let now = self.now;
        let Some(engine) = self.nodes[at].engine.as_mut() else { return };
        let mut out = Actions::default();
        engine.handle(now, event, &mut out);
        let gate = out.list.iter().any(|action| matches!(action, Action::Gate(_)));
        let mut list = out.list;
        // Persist names the state of this moment.
        self.persist(at, &list);
        if let Some(span) = self.nodes[at].trap.filter(|_| gate) {
            self.nodes[at].trap = None;
            let held = list.split_off(self.random.below(list.len()));
            self.note(format!("node {at}: stopped in mid-list for {span:?}, holding {}", held.len()));
            self.nodes[at].pause = Some(Pause { held, bytes: out.bytes.clone(), decided: now, backlog: Vec::new() });
            self.later(Due::Resume { to: at }, span);
        }
        self.carry_out(at, list, &out.bytes, now);
        self.oracle_after(at);
    }

    fn oracle_after(&mut self, at: usize) {
        Oracle::after_event(self, at);
        Oracle::check(self);
    }

    fn carry_out(&mut self, at: usize, list: Vec<Action>, bytes: &[u8], decided: MonoTime) {
        for action in list {
            match action {
                Action::Send { link, bytes: range, .. } => {
                    let path =
                        PATHS.iter().position(|path| *path == link.path).expect("invariant: a link of the setup");
                    self.send(at, path, &bytes[range]);
                }
                Action::Gate(gate) => {
                    if !matches!(gate, GateAction::Renew { .. }) {
                        self.note(format!("node {at}: {gate:?}"));
                    }
                    Oracle::change_gate(self, at, gate, decided);
                }
                Action::Probe { address, .. } => self.ask(at, address),
                Action::Announce { group, .. } => {
                    let address = vip(usize::from(group.0));
                    if self.nodes[at].kernel.answers(group, self.now) {
                        self.show(at, 1 - at, Sighting::Claim { address, mac: mac(at) });
                    }
                }
                Action::Persist { .. } | Action::Reply { .. } => {}
                Action::Notice(notice) => self.note(format!("node {at}: {notice:?}")),
                Action::Stopped => self.nodes[at].exited = true,
            }
        }
    }

    pub fn later(&mut self, due: Due, delay: Duration) {
        self.sequence += 1;
        self.due.insert((self.now + delay, self.sequence), due);
    }

    fn wake(&self, at: usize) -> MonoTime {
        match &self.nodes[at].engine {
            Some(engine) if self.nodes[at].is_running() => engine.next_deadline(),
            Some(_) | None => MonoTime::FOREVER,
        }
    }

    /// Lets `span` pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = self.due.keys().next().map_or(MonoTime::FOREVER, |(at, _)| *at);
            // A gate that closes by itself is an instant of its own: nothing else happens then.
            let next = due.min(self.wake(0)).min(self.wake(1)).max(self.now);
            if next > end {
                break;
            }
            if next > self.now {
                self.nodes.iter_mut().for_each(|node| node.spins = 0);
            }
            self.now = next;
            if due <= next {
                let Some((_, due)) = self.due.pop_first() else { break };
                self.happen(due);
                Oracle::check(self);
                continue;
            }
            for at in 0..2 {
                if self.wake(at) <= self.now {
                    self.nodes[at].spins += 1;
                    assert!(
                        self.nodes[at].spins < 50,
                        "node {at} asks again and again for a deadline that has passed"
                    );
                    self.feed(at, Event::Tick);
                }
            }
        }
        self.now = end;
        Oracle::check(self);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Datagram { to, path, bytes } => {
                let link = LinkId { peer: id(1 - to), path: PATHS[path] };
                self.offer(to, Waiting::Datagram(link, bytes));
            }
            Due::Ask { to, from, address } => self.asked(to, from, address),
            Due::Sighting { to, sighting } => {
                self.oracle.neighbour[to] |= sighting == bystander() && self.nodes[to].is_running();
                self.offer(to, Waiting::Seen(sighting));
            }
            Due::Written { to, life, version, state } => self.written(to, life, version, state),
            Due::Retry { to, life } if self.nodes[to].life == life => self.write(to),
            Due::Retry { .. } => {}
            Due::Resume { to } => self.resume(to),
        }
    }

    /// Who answers for a group now.
    pub fn answering(&self, group: usize) -> Vec<usize> {
        (0..2).filter(|&at| self.nodes[at].kernel.answers(group_id(group), self.now)).collect()
    }
}
