//! The world of the engine's tests: two nodes with fake kernels and disks, two links, one segment,
//! and one clock that moves only when told. Owns: the carrying out of the engines' actions, and the
//! delivery of what follows from them. Every change of the world is judged ([`World::judge`]).

use crate::durable::Durable;
use crate::engine::{Action, Actions, Command, Engine, Event, Hook, InterfaceFacts, Notice, Outcome};
use crate::timing::{Profile, Timing};
use crate::types::{Epoch, GroupId, InterfaceId, LinkId, LinkPath, MacAddr, MonoTime, NodeId, Vip};
use crate::wire::fit::PLAIN;
use crate::wire::frame::Sighting;
use crate::wire::pulse::Role;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

mod ask;
mod kernel;
mod lives;
mod reload;
mod service;
mod setup;
mod witness;

pub use kernel::Kernel;
pub use reload::group_setup;

/// The only client interface of each node.
pub const ETH: InterfaceId = InterfaceId(0);
/// Time that a datagram or frame takes from one node to the other.
const LATENCY: Duration = Duration::from_micros(50);

/// A span of so many milliseconds.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The hardware address of a node; of the bystander for 9.
pub fn mac(node: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, u8::try_from(node).unwrap() + 1])
}

/// The address of one of the world's groups.
pub fn vip(group: usize) -> Vip {
    let byte = |number: usize| u8::try_from(number).unwrap();
    IpAddr::V4(Ipv4Addr::new(10, 0, byte(group / 100), 100 + byte(group % 100)))
}

/// Something that happens to a node or a witness at a time.
enum Due {
    Datagram { to: usize, link: LinkId, bytes: Vec<u8> },
    Sighting { to: usize, sighting: Sighting },
    Stored { to: usize, version: u64, state: Durable },
    Hook { to: usize, group: GroupId, hook: Hook, epoch: Epoch, ok: bool },
    ToWitness { from: usize, witness: usize, bytes: Vec<u8> },
    WitnessStored { at: usize, life: u64, version: u64, memory: crate::voter::Memory },
}

/// A node: its engine while the agent runs, its kernel, its disk.
pub struct Node {
    pub engine: Option<Engine>,
    pub kernel: Kernel,
    pub disk: Option<Durable>,
    pub disk_works: bool,
    /// No copy of its state is whole.
    pub damaged: bool,
    /// Whether the process is suspended (SIGSTOP): datagrams wait for it.
    pub stopped: bool,
    /// Datagrams that wait for a suspended process.
    backlog: Vec<(LinkId, Vec<u8>)>,
    /// Most datagrams that fit into the backlog; those that arrive later are lost.
    pub backlog_limit: usize,
    pub notices: Vec<(MonoTime, Notice)>,
    pub outcomes: Vec<(u64, Outcome)>,
    pub announced: usize,
    pub exited: bool,
    /// The hooks that it was told to run.
    pub hooks: Vec<(GroupId, Hook, Epoch)>,
    facts: InterfaceFacts,
    lives: u8,
    /// Which of the world's groups each of the engine's is.
    numbers: Vec<usize>,
    /// The lease of its engine's configuration.
    lease: Duration,
}

pub struct World {
    pub now: MonoTime,
    pub nodes: Vec<Node>,
    pub groups: usize,
    /// Number of groups that there ever were.
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
    /// Whether the nodes have addresses of their own to ask with.
    pub own: bool,
    /// Whether the switch drops questions whose asker names no address.
    pub drops_nameless: bool,
    /// Questions that each node has sent on the segment.
    pub asked: [usize; 2],
    /// What was lost on cut links: by receiver.
    pub lost: Vec<(usize, LinkId, Vec<u8>)>,
    /// Both nodes' files make them number 1, and the other one number 2.
    pub one_number: bool,
    /// Both nodes have the hardware address of node 0.
    pub one_mac: bool,
    /// Whether node 0 has the number of node 1 in its file, and the other way round.
    pub swapped: bool,
    /// Whether node 1 knows the groups by other names.
    pub renamed: bool,
    /// Both nodes have other hardware addresses than at first.
    pub other_macs: bool,
    /// Length of the longest datagram that arrives.
    pub widest: usize,
    /// Of several datagrams with rows that leave this node at once on a link, all but the first are
    /// lost.
    pub only_first: Option<usize>,
    /// Number of judgements that found both nodes answering for a group; 0 if never two answered.
    pub double_answers: usize,
    pub highest: BTreeMap<GroupId, Epoch>,
    due: BTreeMap<(MonoTime, u64), Due>,
    sequence: u64,
    /// Wake-ups by deadline.
    pub ticks: usize,
}

impl World {
    /// A world at rest, without agents and witnesses, at the times of a profile.
    pub fn new(profile: Profile, groups: usize) -> World {
        let node = || Node {
            engine: None,
            kernel: Kernel::default(),
            disk: None,
            disk_works: true,
            damaged: false,
            stopped: false,
            backlog: Vec::new(),
            backlog_limit: usize::MAX,
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
            own: true,
            drops_nameless: false,
            asked: [0; 2],
            lost: Vec::new(),
            one_number: false,
            one_mac: false,
            swapped: false,
            renamed: false,
            other_macs: false,
            widest: usize::MAX,
            only_first: None,
            double_answers: 0,
            highest: BTreeMap::new(),
            due: BTreeMap::new(),
            sequence: 0,
            ticks: 0,
        }
    }

    /// Tells an engine that its interface is whole, with or without carrier.
    pub fn set_carrier(&mut self, at: usize, carrier: bool) {
        let facts = InterfaceFacts { exists: true, enslaved: false, carrier, mac: self.mac(at), gate: true };
        self.nodes[at].facts = facts;
        self.handle(at, Event::Interface { interface: ETH, facts });
        self.place_addresses(at);
    }

    /// Tells an engine that the addresses of all its groups are in place.
    pub fn place_addresses(&mut self, at: usize) {
        let count = self.nodes[at].engine.as_ref().map_or(0, |engine| engine.setup().groups.len());
        for group in (0..).map(GroupId).take(count) {
            self.handle(at, Event::Addresses { group, there: true });
        }
    }

    /// Gives a node's engine an operator's command; `number` comes back with its outcome.
    pub fn command(&mut self, at: usize, number: u64, command: Command) {
        self.handle(at, Event::Command { id: number, command });
    }

    /// Gives an event to a node's engine, if it runs, and carries its actions out.
    pub fn handle(&mut self, at: usize, event: Event<'_>) {
        let now = self.now;
        let Some(engine) = self.nodes[at].engine.as_mut() else { return };
        let mut out = Actions::default();
        engine.handle(now, event, &mut out);
        let mut used = Vec::new();
        for action in &out.list {
            match action {
                Action::Send { bytes, .. } if bytes.len() <= PLAIN => {}
                Action::Send { link, .. } if self.only_first == Some(at) && used.contains(link) => continue,
                Action::Send { link, .. } => used.push(*link),
                _ => {}
            }
            self.carry_out(at, action, &out.bytes);
        }
        self.judge();
    }

    /// Carries one action of an engine out. What takes time is scheduled.
    fn carry_out(&mut self, at: usize, action: &Action, bytes: &[u8]) {
        match action {
            Action::Send { link, bytes: range, .. } if link.peer.is_witness() => {
                self.say_to_witness(at, link.peer, bytes[range.clone()].to_vec());
            }
            Action::Send { link, to, bytes: range } => {
                let segment = matches!(link.path, LinkPath::Segment(_));
                let cut =
                    self.cut.contains(&(at, link.path)) || (segment && (self.off_segment[0] || self.off_segment[1]));
                let link = LinkId { peer: self.other(1 - at), path: link.path };
                let bytes = bytes[range.clone()].to_vec();
                // What goes to the sender's own address comes from where a switch would send it.
                let away = segment && !to.is_multicast() && (*to != self.mac(1 - at) || *to == self.mac(at));
                if cut || away || bytes.len() > self.widest {
                    self.lost.push((1 - at, link, bytes));
                } else {
                    self.schedule(Due::Datagram { to: 1 - at, link, bytes }, LATENCY);
                }
            }
            Action::Gate(gate) => self.change_gate(at, *gate),
            Action::Probe { address, sender, .. } => {
                self.asked[at] += 1;
                self.probe(at, *address, sender.is_some());
            }
            Action::Announce { .. } => self.nodes[at].announced += 1,
            Action::Persist { version, state } => {
                self.schedule(Due::Stored { to: at, version: *version, state: state.clone() }, ms(3));
            }
            Action::Notice(notice) => self.nodes[at].notices.push((self.now, *notice)),
            Action::Reply { id, outcome } => self.nodes[at].outcomes.push((*id, *outcome)),
            Action::Hook { group, hook, epoch, .. } => self.run_hook(at, *group, *hook, *epoch),
            Action::Stopped => self.nodes[at].exited = true,
        }
    }

    /// Lets somebody on the segment ask for an address: both nodes learn that the bystander is
    /// there.
    pub fn traffic(&mut self) {
        for at in 0..2 {
            if !self.off_segment[at] {
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
                self.handle(
                    at,
                    Event::Seen {
                        interface: ETH,
                        sighting: Sighting::Claim { address, mac: mac(9), nameless: None },
                    },
                );
            }
        }
    }

    /// Lets something happen after `delay`.
    fn schedule(&mut self, due: Due, delay: Duration) {
        self.sequence += 1;
        self.due.insert((self.now + delay, self.sequence), due);
    }

    /// The next instant at which something happens, or an engine wants to be called.
    fn next_wake(&self) -> MonoTime {
        let wake = |node: &Node| match (&node.engine, node.stopped || node.exited) {
            (Some(engine), false) => engine.next_deadline(),
            _ => MonoTime::FOREVER,
        };
        let due = self.due.keys().next().map_or(MonoTime::FOREVER, |(at, _)| *at);
        self.nodes.iter().map(wake).min().unwrap().min(due)
    }

    /// Lets `span` pass: everything that is due happens, and engines are called at their deadlines.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut spins = 0;
        while self.next_wake() <= end {
            let next = self.next_wake();
            spins = if next <= self.now { spins + 1 } else { 0 };
            assert!(spins < 1000, "an engine asks for a deadline that has passed, again and again");
            self.now = self.now.max(next);
            self.deliver_due();
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
        self.judge();
    }

    /// Lets everything happen that is due by now.
    fn deliver_due(&mut self) {
        while let Some((&(at, sequence), _)) = self.due.iter().next() {
            if at > self.now {
                return;
            }
            match self.due.remove(&(at, sequence)).unwrap() {
                Due::Datagram { to, link, bytes } if self.nodes[to].stopped => {
                    let node = &mut self.nodes[to];
                    if node.backlog.len() < node.backlog_limit {
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

    /// Counts groups that both nodes answer for now (`double_answers`), and asserts S1 for groups
    /// that are open.
    fn judge(&mut self) {
        for group in 0..self.known {
            let group = GroupId(u16::try_from(group).unwrap());
            let answering = self.nodes.iter().filter(|node| node.kernel.answers(group, self.now)).count();
            self.double_answers += usize::from(answering > 1);
        }
        self.judge_votes();
    }
}

/// The number of a node, by its position.
fn id(at: usize) -> NodeId {
    NodeId(u8::try_from(at).unwrap() + 1)
}

/// A world without witnesses in which both nodes have started, node 0 (the preferred one) is active
/// and everything has settled.
pub fn settled(profile: Profile) -> World {
    let mut world = World::new(profile, 1);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [0], "{:#?}", (world.changes(0), world.changes(1)));
    assert_eq!((world.role(0), world.role(1)), (Role::Active, Role::Standby));
    assert_eq!(world.double_answers, 0);
    world
}
