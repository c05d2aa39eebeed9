//! Two nodes, two links, one segment, one clock that moves only when told.

use crate::durable::Durable;
use crate::engine::{Action, Actions, Command, Engine, Event, Hook, InterfaceFacts, Notice, Outcome};
use crate::timing::{Profile, Timing};
use crate::types::{Epoch, GroupId, InterfaceId, LinkId, LinkPath, MacAddr, MonoTime, NodeId, Vip};
use crate::wire::frame::Sighting;
use crate::wire::pulse::Role;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

mod ask;
mod kernel;
mod reload;
mod service;
mod setup;
mod witness;

pub use kernel::Kernel;
pub use reload::group_setup;

pub const ETH: InterfaceId = InterfaceId(0);
/// One way through a wire.
const LATENCY: Duration = Duration::from_micros(50);

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn mac(node: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, u8::try_from(node).unwrap() + 1])
}

pub fn vip(group: usize) -> Vip {
    let byte = |number: usize| u8::try_from(number).unwrap();
    IpAddr::V4(Ipv4Addr::new(10, 0, byte(group / 100), 100 + byte(group % 100)))
}

enum Due {
    Datagram { to: usize, link: LinkId, bytes: Vec<u8> },
    Sighting { to: usize, sighting: Sighting },
    Stored { to: usize, version: u64, state: Durable },
    Hook { to: usize, group: GroupId, hook: Hook, epoch: Epoch, ok: bool },
    ToWitness { from: usize, witness: usize, bytes: Vec<u8> },
    WitnessStored { at: usize, life: u64, version: u64, memory: crate::voter::Memory },
}

pub struct Node {
    pub engine: Option<Engine>,
    pub kernel: Kernel,
    pub disk: Option<Durable>,
    pub disk_works: bool,
    /// No copy of its state is whole.
    pub damaged: bool,
    /// A stopped process: events wait.
    pub stopped: bool,
    /// What waits for a stopped process, and how much fits.
    backlog: Vec<(LinkId, Vec<u8>)>,
    pub room: usize,
    pub notices: Vec<(MonoTime, Notice)>,
    pub outcomes: Vec<(u64, Outcome)>,
    pub announced: usize,
    pub exited: bool,
    /// What hooks it was told to run.
    pub hooks: Vec<(GroupId, Hook, Epoch)>,
    facts: InterfaceFacts,
    lives: u8,
    /// Which of the world's groups each of the engine's is.
    numbers: Vec<usize>,
    /// With which it runs.
    lease: Duration,
}

pub struct World {
    pub now: MonoTime,
    pub nodes: Vec<Node>,
    pub groups: usize,
    /// Groups that there ever were.
    known: usize,
    pub timing: Timing,
    pub keys: Vec<(u8, [u8; 32])>,
    pub floor: u64,
    pub preempt: bool,
    pub witnesses: witness::Witnesses,
    pub service: service::Service,
    /// Which directions of which links are cut: (from, path).
    pub cut: Vec<(usize, LinkPath)>,
    /// Nodes that are off the segment.
    pub off_segment: [bool; 2],
    /// A bystander on the segment who answers for 10.0.0.254.
    pub bystander: bool,
    /// What was lost on cut links: by receiver.
    pub lost: Vec<(usize, LinkId, Vec<u8>)>,
    /// Of several datagrams that leave this node at once on a link, all but the first are lost.
    pub only_first: Option<usize>,
    /// Instants at which both answered.
    pub both: usize,
    pub highest: BTreeMap<GroupId, Epoch>,
    due: BTreeMap<(MonoTime, u64), Due>,
    sequence: u64,
    /// Wake-ups by deadline.
    pub ticks: usize,
}

impl World {
    pub fn new(profile: Profile, groups: usize) -> World {
        let node = || Node {
            engine: None,
            kernel: Kernel::default(),
            disk: None,
            disk_works: true,
            damaged: false,
            stopped: false,
            backlog: Vec::new(),
            room: usize::MAX,
            notices: Vec::new(),
            outcomes: Vec::new(),
            announced: 0,
            exited: false,
            hooks: Vec::new(),
            facts: InterfaceFacts::default(),
            lives: 0,
            numbers: Vec::new(),
            lease: Duration::ZERO,
        };
        World {
            now: MonoTime(1_000_000_000),
            nodes: vec![node(), node()],
            groups,
            known: groups,
            timing: Timing::of(profile),
            keys: vec![(1, [7; 32])],
            floor: 1,
            preempt: false,
            witnesses: witness::Witnesses::default(),
            service: service::Service::default(),
            cut: Vec::new(),
            off_segment: [false; 2],
            bystander: true,
            lost: Vec::new(),
            only_first: None,
            both: 0,
            highest: BTreeMap::new(),
            due: BTreeMap::new(),
            sequence: 0,
            ticks: 0,
        }
    }

    /// Starts the agent of a node, which adopts what its kernel holds.
    pub fn start(&mut self, at: usize) {
        self.begin(at);
        self.find_gate(at, true);
        self.open_links(at);
    }

    /// As it really is: the peer is heard before the gate has been found.
    pub fn start_slowly(&mut self, at: usize, pause: Duration) {
        self.start_blind(at);
        self.run(pause);
        self.find_gate(at, true);
    }

    /// Starts an agent that does not find its gate.
    pub fn start_blind(&mut self, at: usize) {
        self.begin(at);
        self.open_links(at);
    }

    fn begin(&mut self, at: usize) {
        self.nodes[at].lives += 1;
        let setup = self.setup(at);
        self.nodes[at].numbers = (0..self.groups).collect();
        self.nodes[at].lease = self.timing.lease;
        self.nodes[at].engine = Some(Engine::new(setup, self.now));
        self.nodes[at].exited = false;
    }

    fn find_gate(&mut self, at: usize, carrier: bool) {
        let kernel = self.nodes[at].kernel.clone();
        if kernel.generation != 0 {
            // Numbered as from the beginning: no test restarts an agent that was given others.
            let open: Vec<(GroupId, Epoch)> = kernel.open.iter().map(|(group, epoch)| (*group, *epoch)).collect();
            let refused = kernel.refused == kernel.generation;
            let (until, generation) = (kernel.until, kernel.generation);
            self.handle(at, Event::Adopted { interface: ETH, until, generation, refused, open: &open });
        }
        self.facts(at, carrier);
    }

    fn open_links(&mut self, at: usize) {
        for path in [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)] {
            self.handle(at, Event::Link { link: LinkId { peer: id(1 - at), path }, open: true });
        }
        self.open_witness_links(at);
    }

    /// Starts an agent whose interface is not there yet.
    pub fn start_without_interface(&mut self, at: usize) {
        let setup = self.setup(at);
        self.nodes[at].numbers = (0..self.groups).collect();
        self.nodes[at].lease = self.timing.lease;
        self.nodes[at].engine = Some(Engine::new(setup, self.now));
    }

    pub fn facts(&mut self, at: usize, carrier: bool) {
        let facts = InterfaceFacts { exists: true, carrier, mac: mac(at), gate: true, addresses: true };
        self.nodes[at].facts = facts;
        self.handle(at, Event::Interface { interface: ETH, facts });
    }

    /// SIGKILL: the process is gone, its kernel and disk stay.
    pub fn kill(&mut self, at: usize) {
        self.nodes[at].engine = None;
    }

    /// Power loss: the kernel is gone, too.
    pub fn crash(&mut self, at: usize) {
        self.kill(at);
        self.nodes[at].kernel = Kernel::default();
    }

    pub fn stop(&mut self, at: usize) {
        self.nodes[at].stopped = true;
    }

    pub fn resume(&mut self, at: usize) {
        self.nodes[at].stopped = false;
        for (link, bytes) in std::mem::take(&mut self.nodes[at].backlog) {
            self.handle(at, Event::Datagram { link, bytes: &bytes });
        }
        self.handle(at, Event::Tick);
    }

    pub fn command(&mut self, at: usize, number: u64, command: Command) {
        self.handle(at, Event::Command { id: number, command });
    }

    pub fn handle(&mut self, at: usize, event: Event<'_>) {
        let now = self.now;
        let Some(engine) = self.nodes[at].engine.as_mut() else { return };
        let mut out = Actions::default();
        engine.handle(now, event, &mut out);
        let mut used = Vec::new();
        for action in &out.list {
            match action {
                Action::Send { link, .. } if self.only_first == Some(at) && used.contains(link) => continue,
                Action::Send { link, .. } => used.push(*link),
                _ => {}
            }
            self.carry_out(at, action, &out.bytes);
        }
        self.check();
    }

    fn carry_out(&mut self, at: usize, action: &Action, bytes: &[u8]) {
        match action {
            Action::Send { link, bytes: range, .. } if link.peer.is_witness() => {
                self.say_to_witness(at, link.peer, bytes[range.clone()].to_vec());
            }
            Action::Send { link, bytes: range, .. } => {
                let segment = matches!(link.path, LinkPath::Segment(_));
                let cut =
                    self.cut.contains(&(at, link.path)) || (segment && (self.off_segment[0] || self.off_segment[1]));
                let (link, bytes) = (LinkId { peer: id(at), path: link.path }, bytes[range.clone()].to_vec());
                if cut {
                    self.lost.push((1 - at, link, bytes));
                } else {
                    self.later(Due::Datagram { to: 1 - at, link, bytes }, LATENCY);
                }
            }
            Action::Gate(gate) => self.change_gate(at, *gate),
            Action::Probe { address, .. } => self.probe(at, *address),
            Action::Announce { .. } => self.nodes[at].announced += 1,
            Action::Persist { version, state } => {
                self.later(Due::Stored { to: at, version: *version, state: state.clone() }, ms(3));
            }
            Action::Notice(notice) => self.nodes[at].notices.push((self.now, *notice)),
            Action::Reply { id, outcome } => self.nodes[at].outcomes.push((*id, *outcome)),
            Action::Hook { group, hook, epoch, .. } => self.run_hook(at, *group, *hook, *epoch),
            Action::Stopped => self.nodes[at].exited = true,
        }
    }

    /// Somebody on the segment asks for something: both nodes learn that the bystander is there.
    pub fn traffic(&mut self) {
        for at in 0..2 {
            if !self.off_segment[at] {
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
                self.handle(at, Event::Seen { interface: ETH, sighting: Sighting::Claim { address, mac: mac(9) } });
            }
        }
    }

    fn later(&mut self, due: Due, delay: Duration) {
        self.sequence += 1;
        self.due.insert((self.now + delay, self.sequence), due);
    }

    fn next(&self) -> MonoTime {
        let wake = |node: &Node| match (&node.engine, node.stopped || node.exited) {
            (Some(engine), false) => engine.next_deadline(),
            _ => MonoTime::FOREVER,
        };
        let due = self.due.keys().next().map_or(MonoTime::FOREVER, |(at, _)| *at);
        self.nodes.iter().map(wake).min().unwrap().min(due)
    }

    /// Lets `span` pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut spins = 0;
        while self.next() <= end {
            let next = self.next();
            spins = if next <= self.now { spins + 1 } else { 0 };
            assert!(spins < 1000, "an engine asks for a deadline that has passed, again and again");
            self.now = self.now.max(next);
            self.deliver();
            for at in 0..2 {
                let node = &self.nodes[at];
                let due = node.engine.as_ref().is_some_and(|engine| engine.next_deadline() <= self.now);
                if due && !node.stopped && !node.exited {
                    self.ticks += 1;
                    self.handle(at, Event::Tick);
                }
            }
        }
        self.now = end;
        self.check();
    }

    fn deliver(&mut self) {
        while let Some((&(at, sequence), _)) = self.due.iter().next() {
            if at > self.now {
                return;
            }
            match self.due.remove(&(at, sequence)).unwrap() {
                Due::Datagram { to, link, bytes } if self.nodes[to].stopped => {
                    let node = &mut self.nodes[to];
                    if node.backlog.len() < node.room {
                        node.backlog.push((link, bytes));
                    }
                }
                Due::Datagram { to, link, bytes } => self.handle(to, Event::Datagram { link, bytes: &bytes }),
                Due::Sighting { to, sighting } if !self.nodes[to].stopped => {
                    self.handle(to, Event::Seen { interface: ETH, sighting });
                }
                Due::Sighting { .. } => {}
                Due::ToWitness { from, witness, bytes } => self.hear_at_witness(from, witness, &bytes),
                Due::Hook { to, group, hook, epoch, ok } => self.handle(to, Event::Hook { group, hook, epoch, ok }),
                Due::WitnessStored { at, life, version, memory } => self.witness_stored(at, life, version, memory),
                Due::Stored { to, version, state } => {
                    if self.nodes[to].disk_works {
                        self.nodes[to].disk = Some(state);
                        self.handle(to, Event::Stored { version });
                    } else {
                        self.handle(to, Event::StoreFailed);
                    }
                }
            }
        }
    }

    fn check(&mut self) {
        for group in 0..self.known {
            let group = GroupId(u16::try_from(group).unwrap());
            let answering = self.nodes.iter().filter(|node| node.kernel.answers(group, self.now)).count();
            self.both += usize::from(answering > 1);
        }
        self.judge_votes();
    }
}

fn id(at: usize) -> NodeId {
    NodeId(u8::try_from(at).unwrap() + 1)
}

/// Both nodes started, node 0 (the preferred one) active, everything settled.
pub fn settled(profile: Profile) -> World {
    let mut world = World::new(profile, 1);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [0], "{:#?}", (world.changes(0), world.changes(1)));
    assert_eq!((world.role(0), world.role(1)), (Role::Active, Role::Standby));
    assert_eq!(world.both, 0);
    world
}
