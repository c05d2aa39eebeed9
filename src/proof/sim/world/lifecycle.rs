//! Machines and processes: how they begin, stop and end.

use super::{Due, Sim};
use crate::engine::{Engine, Event, GroupSetup, PeerSetup, Setup};
use crate::sim::clock::{Clock, Real};
use crate::sim::kernel::Kernel;
use crate::sim::names::{id, interface_id, key_of, ms, second_vip, udp, vip, witness_id};
use crate::sim::node::{Config, GroupConfig, Pause, Waiting};
use crate::sim::oracle::Oracle;
use crate::sim::swarm::Plan;
use crate::types::{LinkId, LinkPath, MonoTime};
use crate::wire::pulse::Digests;
use std::sync::Arc;
use std::time::Duration;

impl Sim {
    /// Draws for each node what the plan leaves open: its clock, and how its file differs.
    pub(super) fn draw_nodes(&mut self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].clock = self.draw_clock();
            if self.plan.skewed {
                self.skew(node);
            }
        }
        for witness in 0..self.witnesses.len() {
            self.witnesses[witness].clock = self.draw_clock();
        }
        self.oracle.set_bounds(&self.nodes, &self.plan);
    }

    /// A clock of a machine that has just booted.
    pub fn draw_clock(&mut self) -> Clock {
        let uptime = ms(500) + self.random.span(Duration::from_secs(20));
        let ppm = self.draw_ppm();
        Clock::new(self.now, MonoTime::ZERO + uptime, ppm)
    }

    /// A clock error within the plan's bound, in parts per million.
    pub fn draw_ppm(&mut self) -> i64 {
        let most = self.plan.ppm;
        let width = usize::try_from(most * 2 + 1).unwrap_or(1);
        i64::try_from(self.random.below(width)).unwrap_or(0) - most
    }

    /// The groups of a file as an engine is given them.
    pub(super) fn group_setups(config: &Config, plan: &Plan) -> Vec<GroupSetup> {
        let setup = |group: &GroupConfig| GroupSetup {
            key: key_of(group.group, group.renamed),
            interface: interface_id(plan.groups[group.group].interface),
            addresses: if group.second {
                Arc::from([vip(group.group), second_vip(group.group)])
            } else {
                Arc::from([vip(group.group)])
            },
            prefer: id(group.prefer),
            preempt: group.preempt,
            preempt_delay: ms(300),
            drain: ms(100),
            promote: group.promote,
            health: plan.service.unknown(),
            before_open: plan.service.before_open,
            before_close: plan.service.before_close,
            addresses_digest: 1 + u32::from(id(group.group).0) * 2 + u32::from(group.second),
            policy_digest: u32::from(id(group.prefer).0) * 2 + u32::from(group.preempt),
        };
        config.groups.iter().map(setup).collect()
    }

    /// The digests of a file.
    pub(super) fn digests(config: &Config) -> Digests {
        let names = config.groups.iter().map(|group| key_of(group.group, group.renamed).0);
        // The same whatever their order; the golden ratio keeps sums of few numbers apart.
        let set = names.fold(0_u64, |set, name| set.wrapping_add(name.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        Digests { nodes: 0, groups: u32::try_from(set >> 32).unwrap_or_default() }
    }

    /// The parts that a node's engine is built from.
    fn setup(&self, node: usize) -> Setup {
        let machine = &self.nodes[node];
        let mut seed = [id(node).0; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        seed[8..16].copy_from_slice(&machine.life.to_be_bytes());
        let links: Vec<LinkPath> = (0..self.net.wires).map(|wire| self.path(wire)).collect();
        let nodes = self.others(node).map(|other| PeerSetup { id: self.number(node, other), links: links.clone() });
        let witnesses = 0..self.witnesses.len();
        let witnesses = witnesses.map(|witness| PeerSetup { id: witness_id(witness), links: vec![udp(0)] });
        Setup {
            me: self.number(node, node),
            cluster: 7,
            timing: machine.config.timing,
            keys: Arc::clone(&self.keys),
            seed,
            epoch_floor: self.oracle.epoch_floor(),
            loaded: machine.disk.content.clone(),
            digests: Sim::digests(&machine.config),
            peers: nodes.chain(witnesses).collect(),
            votes: self.plan.votes(),
            interfaces: interface_id(self.plan.interfaces).0,
            groups: Sim::group_setups(&machine.config, &self.plan),
            mutants: self.mutants,
        }
    }

    /// Numbers the groups of a node as its engine does: in the order of the file.
    pub(super) fn number_groups(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.table = machine.config.groups.iter().map(|group| group.group).collect();
        machine.places.fill(None);
        for (place, group) in machine.table.iter().enumerate() {
            machine.places[*group] = Some(place);
        }
    }

    /// Starts the agent of a node, and the machine first if it has no power.
    pub fn start(&mut self, node: usize) {
        let left = self.begin_process(node);
        // Either links are opened first and gates are found later, or all at once. A gate whose
        // lease is longer than the listening time of the present file may be found after it.
        let late = left.saturating_sub(self.nodes[node].config.timing.listen);
        let slow = self.faulty && (late > Duration::ZERO || self.random.chance(30));
        if slow {
            self.open_links(node);
        }
        for interface in 0..self.plan.interfaces {
            if slow {
                let listen = self.nodes[node].config.timing.listen;
                let longest = if self.random.chance(20) { listen * 2 } else { ms(60) };
                let delay =
                    if late > Duration::ZERO { listen + self.random.span(late) } else { self.random.span(longest) };
                self.offer_later(node, Waiting::Attach(interface), delay);
            } else {
                self.offer(node, Waiting::Attach(interface));
            }
        }
        if !slow {
            self.open_links(node);
        }
        self.handle_own_macs(node);
        self.tell_inside(node);
        if let Some(host) = (0..self.hosts.len()).find(|_| self.random.chance(30)) {
            let interface = interface_id(self.hosts[host].plan.interface);
            let (address, mac) = (crate::sim::names::host_address(host), crate::sim::names::host_mac(host));
            self.handle(node, Event::Anchor { interface, address, mac: Some(mac) });
        }
        self.set_wake(node);
    }

    /// Starts the agent of a node, which finds its gates after `delay`.
    pub fn start_blind(&mut self, node: usize, delay: Duration) {
        self.begin_process(node);
        self.tell_inside(node);
        self.open_links(node);
        for interface in 0..self.plan.interfaces {
            self.offer_later(node, Waiting::Attach(interface), delay);
        }
        self.set_wake(node);
    }

    /// Begins a process with what its disk says, without links and gates. Returns the longest time
    /// that a lease of its former life has left.
    fn begin_process(&mut self, node: usize) -> Duration {
        if !self.nodes[node].powered {
            self.nodes[node].powered = true;
            self.nodes[node].clock = self.draw_clock();
        }
        self.nodes[node].life += 1;
        if self.reloads && self.faulty && self.random.chance(10) {
            self.skew(node);
            self.oracle.set_bounds(&self.nodes, &self.plan);
        }
        self.number_groups(node);
        let setup = self.setup(node);
        let local = self.local(node);
        let machine = &mut self.nodes[node];
        machine.engine = Some(Box::new(Engine::new(setup, local)));
        machine.exited = false;
        machine.pause = None;
        machine.trap = None;
        machine.disk.wanted = None;
        machine.disk.writing = None;
        machine.interfaces.iter_mut().for_each(|eth| eth.attached = None);
        self.touched = true;
        self.oracle.begin_life(node, local, self.nodes[node].config.timing);
        self.oracle.note_disturbed(node, self.now);
        Oracle::begin_beliefs(self, node);
        self.schedule_verdicts(node);
        self.note(|sim| format!("node {node}: agent starts with {:?}", sim.nodes[node].disk.content));
        self.nodes[node].kernel.gates.iter().map(|gate| gate.until.since(local)).max().unwrap_or_default()
    }

    /// Tells an engine that its links to all nodes and witnesses are open.
    fn open_links(&mut self, node: usize) {
        for other in self.others(node) {
            for wire in 0..self.net.wires {
                let link = LinkId { peer: self.number(node, other), path: self.path(wire) };
                let open = !self.is_closed(node, wire);
                self.handle(node, Event::Link { link, open });
            }
        }
        for witness in 0..self.witnesses.len() {
            let link = LinkId { peer: witness_id(witness), path: udp(0) };
            self.handle(node, Event::Link { link, open: true });
        }
        debug_assert_eq!(self.path(0), udp(0), "invariant: the first wire is a link");
    }

    /// Kills the agent of a node; its kernel goes on.
    pub fn kill(&mut self, node: usize) {
        self.note(|_| format!("node {node}: agent killed"));
        self.end_process(node);
    }

    /// Ends the process of a node, whatever the reason.
    fn end_process(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.engine = None;
        machine.pause = None;
        machine.wake = Real::NEVER;
        self.touched = true;
        self.oracle.reset_to_disk(node, &machine.disk.content);
        self.oracle.note_disturbed(node, self.now);
    }

    /// Takes the power of a node away, and with it everything but the disk. A write under way has
    /// arrived if `torn`.
    pub fn lose_power(&mut self, node: usize, torn: bool) {
        self.note(|_| format!("node {node}: power lost"));
        if let Some(state) = self.nodes[node].disk.writing.take()
            && torn
        {
            self.note(|_| format!("node {node}: what was being written had arrived"));
            self.store(node, state);
        }
        self.end_process(node);
        self.oracle.votes.note_power_loss(node);
        let machine = &mut self.nodes[node];
        machine.disk.wanted = None;
        machine.kernel = Kernel::new(self.plan.interfaces, self.plan.groups.len());
        machine.prepared.iter_mut().for_each(Vec::clear);
        machine.powered = false;
        machine.asleep = false;
    }

    /// Stops a node's process for `span`.
    pub fn hang(&mut self, node: usize, span: Duration) {
        if self.nodes[node].is_running() {
            self.note(|_| format!("node {node}: process stops for {span:?}"));
            let decided = self.local(node);
            self.nodes[node].pause = Some(Pause { decided, ..Pause::default() });
            self.nodes[node].wake = Real::NEVER;
            self.touched = true;
            self.oracle.note_disturbed(node, self.now);
            self.schedule(Due::Resume { to: node }, span);
        }
    }

    /// Stops a node's whole machine for `span`; its clock goes on, or stands still.
    pub fn sleep(&mut self, node: usize, span: Duration, clock_stops: bool) {
        if !self.nodes[node].is_running() {
            return;
        }
        self.note(|_| format!("node {node}: the machine sleeps, its clock too: {clock_stops}"));
        self.hang(node, span);
        self.nodes[node].asleep = true;
        if clock_stops {
            let now = self.now;
            self.nodes[node].clock.freeze(now);
            self.oracle.votes.note_freeze(node);
        }
    }

    /// Lets a stopped process or machine go on: it carries out what it held, then takes what waits.
    pub fn resume(&mut self, node: usize) {
        if std::mem::take(&mut self.nodes[node].asleep) {
            let now = self.now;
            Oracle::note_thaw(self, node);
            self.nodes[node].clock.thaw(now);
            self.oracle.restart_segment_counts(now);
        }
        let Some(pause) = self.nodes[node].pause.take() else { return };
        let local = self.local(node);
        self.touched = true;
        self.oracle.note_disturbed(node, self.now);
        if local.since(pause.decided) >= self.nodes[node].config.timing.pulse * 2 {
            self.oracle.note_stall(node, local);
        }
        let (held, waiting) = (pause.held.len(), pause.backlog.len());
        self.note(|_| format!("node {node}: goes on with {held} held, {waiting} waiting"));
        self.carry_out(node, &pause.held, &pause.bytes, pause.decided);
        for waiting in pause.backlog {
            self.offer(node, waiting);
        }
        self.offer(node, Waiting::Tick);
        self.set_wake(node);
    }
}
