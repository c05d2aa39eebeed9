//! The world: engines, their kernels and disks, and the wires between them, under a clock that only
//! [`Sim::run`] moves.

use super::clock::Real;
use super::coverage::Coverage;
use super::history::{History, Want};
use super::hosts::Host;
use super::names::{interface_id, witness_id};
use super::net::Net;
use super::node::{Node, Pause, Waiting};
use super::oracle::{CORRECTED, Oracle};
use super::queue::Queue;
use super::random::Random;
use super::swarm::{Fault, Plan};
use super::witness::Witness;
use crate::engine::{Action, Actions, Event, GateAction, Notice};
use crate::mutant::Mutants;
use crate::types::{LinkId, LinkPath, MonoTime};
use crate::wire::auth::KeyRing;
use crate::wire::pulse::Role;
use std::sync::Arc;
use std::time::Duration;

mod alike;
mod disk;
mod due;
mod gates;
mod lifecycle;
mod narrow;
mod reload;
mod segment;
mod services;
mod time;
mod wires;
mod witnesses;

pub use due::{Asker, Due, Recording};

/// Number of datagrams kept to be replayed.
const RECORDED: usize = 64;
/// What distinguishes the chance of unkind faults from all other chance of a seed.
const UNKIND: u64 = 0x756e_6b69_6e64;
/// Number and bytes of the cluster's only key.
const KEYS: [(u8, [u8; 32]); 1] = [(1, [7; 32])];

/// A run: the world, the oracle that looks at it, and what was seen.
pub struct Sim {
    /// The seed of the run.
    pub seed: u64,
    /// The only source of chance of the run, but for unkind faults.
    pub random: Random,
    /// The source of chance of unkind faults: runs without them draw as if there were none.
    pub unkind: Random,
    /// The present instant.
    pub now: Real,
    /// The plan that the seed has decided.
    pub plan: Plan,
    pub nodes: Vec<Node>,
    pub witnesses: Vec<Witness>,
    pub net: Net,
    pub hosts: Vec<Host>,
    pub oracle: Oracle,
    pub coverage: Coverage,
    pub history: History,
    /// Datagrams between nodes that may be replayed.
    pub recorded: Vec<Recording>,
    /// Recorded questions: to which witness, of which node, and the bytes.
    pub asked: Vec<(usize, usize, Vec<u8>)>,
    /// The keys of nodes and witnesses, with the mutants of the run.
    pub keys: Arc<KeyRing>,
    /// The same keys without mutants, for the oracle.
    pub strict: KeyRing,
    /// The rule that is broken in this run, if any.
    pub mutants: Mutants,
    /// Whether wires or processes have changed, so that the oracle must look again who reaches
    /// whom.
    pub touched: bool,
    /// Whether files change in this run.
    pub reloads: bool,
    /// Whether faults still strike, so that starts may be slow and hooks may fail.
    pub faulty: bool,
    /// By group: whether a stranger has its address, and answers the nodes.
    pub squatted: Vec<bool>,
    /// Two nodes had one number.
    pub had_doubles: bool,
    /// Whether datagrams are recorded, because the swarm replays or forges some.
    pub records: bool,
    /// Number of events that engines and voters have handled.
    pub steps: u64,
    queue: Queue<Due>,
    /// The last serial of a gate.
    serials: u64,
    /// Scratch for an engine's actions.
    out: Actions,
    /// Scratch: datagrams' memory, to be used again.
    buffers: Vec<Vec<u8>>,
}

impl Sim {
    /// A run of a bare pair.
    pub fn new(seed: u64, mutants: Mutants, want: Want) -> Sim {
        Sim::planned(seed, mutants, want, Plan::draw)
    }

    /// A run whose plan is drawn by `draw`.
    pub fn planned(seed: u64, mutants: Mutants, want: Want, draw: impl Fn(&mut Random) -> Plan) -> Sim {
        let mut random = Random::new(seed);
        let mut plan = draw(&mut random);
        let mut unkind = Random::new(seed ^ UNKIND);
        plan.draw_unkind(&mut unkind);
        let now = Real(0);
        let net = Net::quiet(plan.nodes, plan.witnesses, plan.udp, plan.interfaces, plan.hosts.len());
        let mut sim = Sim {
            seed,
            now,
            nodes: (0..plan.nodes).map(|node| Node::new(&plan, node, now)).collect(),
            witnesses: (0..plan.witnesses).map(|_| Witness::new(now)).collect(),
            net,
            hosts: plan.hosts.iter().map(|host| Host::new(*host, plan.groups.len())).collect(),
            oracle: Oracle::new(&plan),
            coverage: Coverage::default(),
            history: History::new(want),
            recorded: Vec::new(),
            asked: Vec::new(),
            keys: Arc::new(KeyRing::new("simulated", &KEYS).mutated(mutants)),
            strict: KeyRing::new("simulated", &KEYS),
            mutants,
            touched: true,
            faulty: true,
            squatted: vec![false; plan.groups.len()],
            had_doubles: false,
            reloads: plan.has(&[Fault::Reconfigure]),
            records: plan.has(&[Fault::Replay, Fault::Forge, Fault::WitnessReplay]),
            steps: 0,
            queue: Queue::new(),
            serials: 0,
            out: Actions::default(),
            buffers: Vec::new(),
            random,
            unkind,
            plan,
        };
        sim.draw_nodes();
        sim.note(|sim| format!("seed {seed}: {:?}", sim.plan));
        sim
    }

    /// Adds a line to the history, if lines are wanted.
    pub fn note(&mut self, line: impl FnOnce(&Sim) -> String) {
        let now = self.now;
        let mut history = std::mem::replace(&mut self.history, History::new(Want::Nothing));
        history.note(now, || line(self));
        self.history = history;
    }

    /// Whether a promise was broken.
    pub fn has_failed(&self) -> bool {
        self.oracle.violation.is_some()
    }

    /// The time that a node's clock shows now.
    pub fn local(&self, node: usize) -> MonoTime {
        self.nodes[node].clock.read(self.now)
    }

    /// All nodes but one.
    pub fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.nodes.len()).filter(move |other| *other != node)
    }

    /// Puts something into the queue, due after `delay`.
    pub fn schedule(&mut self, due: Due, delay: Duration) {
        self.queue.push(self.now + delay, due);
    }

    /// A copy of `bytes` in memory that is used again.
    pub fn buffer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Sets when a node is woken, by its engine's next deadline.
    pub fn set_wake(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.wake = match &machine.engine {
            Some(engine) if machine.pause.is_none() && !machine.exited => machine.clock.when(engine.next_deadline()),
            Some(_) | None => Real::NEVER,
        };
    }

    /// Hands an event to a node's process now, or keeps it for when the process runs again. A dead
    /// process takes none.
    pub fn offer(&mut self, node: usize, waiting: Waiting) {
        let limit = self.plan.backlog;
        if let Some(pause) = &mut self.nodes[node].pause {
            let datagram = matches!(waiting, Waiting::Datagram(..));
            if pause.backlog.len() < limit || !datagram {
                pause.backlog.push(waiting);
            }
            return;
        }
        if !self.nodes[node].is_running() {
            return;
        }
        if !self.report_refusals(node) {
            // The process may have stopped while it handled a refusal: this event waits then.
            if let Some(pause) = &mut self.nodes[node].pause {
                pause.backlog.push(waiting);
            }
            return;
        }
        match waiting {
            Waiting::Datagram(link, bytes) => {
                self.handle(node, Event::Datagram { link, bytes: &bytes });
                self.buffers.push(bytes);
            }
            Waiting::Refused(link) => self.handle(node, Event::Refused { link }),
            Waiting::Seen(interface, sighting) => {
                self.handle(node, Event::Seen { interface: interface_id(interface), sighting });
            }
            Waiting::Facts(interface) => self.handle_facts(node, interface),
            Waiting::OwnMacs => self.handle_own_macs(node),
            Waiting::Socket(wire) => self.handle_socket(node, wire),
            Waiting::TooLarge(link, bytes) => self.handle(node, Event::TooLarge { link, bytes }),
            Waiting::Attach(interface) => self.attach(node, interface),
            Waiting::Own(interface) => self.handle_own(node, interface),
            Waiting::Replaced(interface) => self.handle_replaced(node, interface),
            Waiting::Look(interface) => self.look_at_gate(node, interface),
            Waiting::Addresses(group) => self.handle_addresses(node, group),
            Waiting::Stored(version) => self.handle(node, Event::Stored { version }),
            Waiting::StoreFailed => self.handle(node, Event::StoreFailed),
            Waiting::Command(command) => self.handle(node, Event::Command { id: 1, command }),
            Waiting::Health(group) => self.handle_health(node, group),
            Waiting::Lacks(group) => self.handle_lacks(node, group),
            Waiting::Hook(group, hook, epoch, ok) => self.handle_hook(node, group, (hook, epoch, ok)),
            Waiting::Tick => self.handle(node, Event::Tick),
        }
    }

    /// Reports refused leases to a process, as the agent does before any other event; false if the
    /// process stopped or ended while it handled the report.
    fn report_refusals(&mut self, node: usize) -> bool {
        for interface in 0..self.plan.interfaces {
            // A process that stops while it handles the first refusal does not hear of the next.
            let hears = self.nodes[node].is_running() && self.nodes[node].is_attached(interface);
            if hears && self.nodes[node].kernel.gates[interface].is_refused() {
                let generation = self.nodes[node].kernel.gates[interface].generation;
                self.oracle.note_refusal_told(node, interface, generation);
                self.handle(node, Event::LeaseRefused { interface: interface_id(interface) });
            }
        }
        self.nodes[node].is_running()
    }

    /// Lets the engine of a node handle an event now, carries out its actions, and lets the oracle
    /// look.
    pub fn handle(&mut self, node: usize, event: Event<'_>) {
        let local = self.local(node);
        let mut out = std::mem::take(&mut self.out);
        let Some(engine) = self.nodes[node].engine.as_mut() else { return };
        let before = engine.view_believed();
        engine.handle(local, event, &mut out);
        Oracle::check_beliefs(self, node, &event, before);
        self.steps += 1;
        self.carry_out_or_stop(node, out, local);
        Oracle::after_event(self, node);
        self.set_wake(node);
    }

    /// Carries out what an engine decided at `decided`, by the node's clock. If a trap is set, the
    /// process is stopped in the middle and holds the rest.
    pub fn carry_out_or_stop(&mut self, node: usize, mut out: Actions, decided: MonoTime) {
        // The state to be persisted is that of this moment.
        self.persist(node, &out.list);
        let trap = self.nodes[node].trap.filter(|_| out.list.iter().any(|action| matches!(action, Action::Gate(_))));
        if let Some(span) = trap {
            self.nodes[node].trap = None;
            let held = out.list.split_off(self.random.below(out.list.len()));
            self.note(|_| format!("node {node}: stops in mid-list for {span:?}, holding {}", held.len()));
            let pause = Pause { held, bytes: out.bytes.clone(), decided, backlog: Vec::new() };
            self.nodes[node].pause = Some(pause);
            self.touched = true;
            self.schedule(Due::Resume { to: node }, span);
        }
        self.carry_out(node, &out.list, &out.bytes, decided);
        out.clear();
        self.out = out;
    }

    /// Carries out the actions of a node's engine in their order, with the oracle's checks.
    /// `decided`: when the engine wanted them, by the node's clock.
    pub fn carry_out(&mut self, node: usize, list: &[Action], bytes: &[u8], decided: MonoTime) {
        for action in list {
            self.coverage.count_action(action);
            match action {
                Action::Send { link, to, bytes: range } => {
                    Oracle::note_said(self, node, &bytes[range.clone()]);
                    self.send_datagram(node, *link, *to, &bytes[range.clone()]);
                }
                Action::Gate(gate) => {
                    if !matches!(gate, GateAction::Renew { .. }) {
                        self.note(|_| format!("node {node}: {gate:?}"));
                    }
                    if let GateAction::Open { group, epoch } = gate {
                        self.check_prepared(node, self.nodes[node].table[usize::from(group.0)], *epoch);
                    }
                    Oracle::change_gate(self, node, *gate, decided);
                }
                Action::Probe { interface, address, to, sender } => {
                    self.send_probe(node, usize::from(interface.0), *address, (*to, sender.is_some()));
                }
                Action::Announce { group, address } => {
                    let group = self.nodes[node].table[usize::from(group.0)];
                    Oracle::check_announcement(self, node, group, decided);
                    if address.is_none_or(|address| super::names::group_of(address).is_some()) {
                        self.send_announcement(node, group);
                    }
                }
                Action::Persist { .. } => {}
                Action::Reply { outcome, .. } => {
                    self.note(|_| format!("node {node}: the operator is told {outcome:?}"))
                }
                Action::Hook { group, hook, epoch, .. } => {
                    self.run_hook(node, self.nodes[node].table[usize::from(group.0)], *hook, *epoch);
                }
                Action::Notice(notice) => self.note_notice(node, notice),
                Action::Stopped => {
                    self.note(|_| format!("node {node}: agent ends in order"));
                    self.nodes[node].exited = true;
                    self.touched = true;
                }
            }
        }
    }

    /// Notes a notice in the history; counts and checks a change of role.
    fn note_notice(&mut self, node: usize, notice: &Notice) {
        self.note(|_| format!("node {node}: {notice:?}"));
        if let Notice::Role { group, from, to, cause, .. } = notice {
            if !super::transitions::is_legal(*from, *to, *cause) {
                self.oracle.violated(|| format!("the role table has no {from:?} → {to:?} by {cause:?}"));
            }
            if *to == Role::Active && *from != Role::Handover {
                let group = self.nodes[node].table[usize::from(group.0)];
                let change = self.oracle.note_active(group, node, *cause);
                self.coverage.count_change(change);
                let opening = self.oracle.openings[group];
                self.schedule(Due::Correct { group, node, opening }, CORRECTED);
            }
        }
    }

    /// The link on which the node `to` hears the end `from` over a wire.
    pub fn link(&self, to: usize, from: usize, wire: usize) -> LinkId {
        if from >= self.nodes.len() {
            return LinkId { peer: witness_id(from - self.nodes.len()), path: super::names::udp(0) };
        }
        LinkId { peer: self.number(to, from), path: self.path(wire) }
    }

    /// The path of a wire between nodes.
    pub fn path(&self, wire: usize) -> LinkPath {
        if wire < self.net.udp {
            super::names::udp(wire)
        } else {
            LinkPath::Segment(interface_id(wire - self.net.udp))
        }
    }

    /// The other end of a link of a node, and its wire.
    pub fn way(&self, node: usize, link: LinkId) -> (usize, usize) {
        let wire = match link.path {
            LinkPath::Udp(number) => usize::from(number),
            LinkPath::Segment(interface) => self.net.segment_wire(usize::from(interface.0)),
        };
        (self.known_as(node, link.peer), wire)
    }

    /// A serial for another gate.
    pub fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    /// Whether the kernel of a node answers for a group now.
    pub fn answers(&self, node: usize, group: usize) -> bool {
        let machine = &self.nodes[node];
        let gate = &machine.kernel.gates[self.plan.groups[group].interface];
        machine.kernel.is_open(group) && gate.is_live(machine.clock.read(self.now)) && !machine.asleep
    }

    /// The nodes that answer for a group now.
    pub fn answering(&self, group: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&node| self.answers(node, group)).collect()
    }
}
