//! How machines and processes begin, stop and end.

use super::{Due, Sim};
use crate::engine::{Engine, Event, GroupSetup, PeerSetup, Setup};
use crate::sim::clock::{Clock, Real};
use crate::sim::kernel::Kernel;
use crate::sim::names::{id, interface_id, key, ms, second_vip, udp, vip, witness_id};
use crate::sim::node::{Config, GroupConfig, Pause, Waiting};
use crate::sim::oracle::Oracle;
use crate::sim::swarm::Plan;
use crate::types::{LinkId, LinkPath, MonoTime};
use crate::wire::pulse::Digests;
use std::sync::Arc;
use std::time::Duration;

impl Sim {
    /// What a seed decides of each node beside the plan: its clock, and how its file differs.
    pub(super) fn draw_nodes(&mut self) {
        for at in 0..self.nodes.len() {
            self.nodes[at].clock = self.draw_clock();
            if self.plan.skewed {
                self.skew(at);
            }
        }
        for at in 0..self.witnesses.len() {
            self.witnesses[at].clock = self.draw_clock();
        }
        self.oracle.set_bounds(&self.nodes, &self.plan);
    }

    /// A clock of a machine that has just booted.
    pub fn draw_clock(&mut self) -> Clock {
        let uptime = ms(500) + self.random.span(Duration::from_secs(20));
        let ppm = self.draw_ppm();
        Clock::new(self.now, MonoTime::ZERO + uptime, ppm)
    }

    pub fn draw_ppm(&mut self) -> i64 {
        let most = self.plan.ppm;
        let width = usize::try_from(most * 2 + 1).unwrap_or(1);
        i64::try_from(self.random.below(width)).unwrap_or(0) - most
    }

    pub(super) fn group_setups(config: &Config, plan: &Plan) -> Vec<GroupSetup> {
        let setup = |group: &GroupConfig| GroupSetup {
            key: key(group.group),
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
            addresses_digest: 1 + u32::from(group.second),
            policy_digest: u32::from(id(group.prefer).0) * 2 + u32::from(group.preempt),
        };
        config.groups.iter().map(setup).collect()
    }

    /// The digest of the set of groups in a file.
    pub(super) fn digests(config: &Config) -> Digests {
        let set =
            config.groups.iter().fold(0_u32, |set, group| set | 1_u32.rotate_left(u32::from(id(group.group).0)));
        Digests { nodes: 0, groups: set }
    }

    fn setup(&self, at: usize) -> Setup {
        let node = &self.nodes[at];
        let mut seed = [id(at).0; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        seed[8..16].copy_from_slice(&node.life.to_be_bytes());
        let links: Vec<LinkPath> = (0..self.net.wires).map(|wire| self.path(wire)).collect();
        let nodes = self.others(at).map(|other| PeerSetup { id: id(other), links: links.clone() });
        let witnesses = 0..self.witnesses.len();
        let witnesses = witnesses.map(|at| PeerSetup { id: witness_id(at), links: vec![udp(0)] });
        Setup {
            me: id(at),
            cluster: 7,
            timing: node.config.timing,
            keys: Arc::clone(&self.keys),
            seed,
            epoch_floor: self.oracle.floor(),
            loaded: node.disk.content.clone(),
            digests: Sim::digests(&node.config),
            peers: nodes.chain(witnesses).collect(),
            votes: self.plan.votes(),
            interfaces: interface_id(self.plan.interfaces).0,
            groups: Sim::group_setups(&node.config, &self.plan),
            mutants: self.mutants,
        }
    }

    pub(super) fn number_groups(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.table = node.config.groups.iter().map(|group| group.group).collect();
        node.places.fill(None);
        for (place, group) in node.table.iter().enumerate() {
            node.places[*group] = Some(place);
        }
    }

    /// Starts the agent of a node, and the machine first if it has no power.
    pub fn start(&mut self, at: usize) {
        let left = self.begin_process(at);
        // As it may be: links first and the gate found later, or all at once.
        // A lease that is longer than the listening time of the present file may be found after it.
        let late = left.saturating_sub(self.nodes[at].config.timing.listen);
        let slow = self.faulty && (late > Duration::ZERO || self.random.chance(30));
        if slow {
            self.open_links(at);
        }
        for interface in 0..self.plan.interfaces {
            if slow {
                let listen = self.nodes[at].config.timing.listen;
                let longest = if self.random.chance(20) { listen * 2 } else { ms(60) };
                let delay =
                    if late > Duration::ZERO { listen + self.random.span(late) } else { self.random.span(longest) };
                self.slow(at, Waiting::Attach(interface), delay);
            } else {
                self.offer(at, Waiting::Attach(interface));
            }
        }
        if !slow {
            self.open_links(at);
        }
        if let Some(host) = (0..self.hosts.len()).find(|_| self.random.chance(30)) {
            let interface = interface_id(self.hosts[host].plan.interface);
            let (address, mac) = (crate::sim::names::host_address(host), crate::sim::names::host_mac(host));
            self.take(at, Event::Anchor { interface, address, mac: Some(mac) });
        }
        self.set_wake(at);
    }

    /// The same, and the gates are found after `delay`.
    pub fn start_blind(&mut self, at: usize, delay: Duration) {
        self.begin_process(at);
        self.open_links(at);
        for interface in 0..self.plan.interfaces {
            self.slow(at, Waiting::Attach(interface), delay);
        }
        self.set_wake(at);
    }

    /// The process is there and knows what its disk says. What is left of the leases that its former life had.
    fn begin_process(&mut self, at: usize) -> Duration {
        if !self.nodes[at].powered {
            self.nodes[at].powered = true;
            self.nodes[at].clock = self.draw_clock();
        }
        self.nodes[at].life += 1;
        if self.reloads && self.faulty && self.random.chance(10) {
            self.skew(at);
            self.oracle.set_bounds(&self.nodes, &self.plan);
        }
        self.number_groups(at);
        let setup = self.setup(at);
        let local = self.local(at);
        let node = &mut self.nodes[at];
        node.engine = Some(Box::new(Engine::new(setup, local)));
        node.exited = false;
        node.pause = None;
        node.trap = None;
        node.disk.wanted = None;
        node.disk.writing = None;
        node.interfaces.iter_mut().for_each(|eth| eth.attached = None);
        self.touched = true;
        self.oracle.begin_life(at, local, self.nodes[at].config.timing);
        self.oracle.disturb(at, self.now);
        Oracle::begin_beliefs(self, at);
        self.tell_services(at);
        self.note(|sim| format!("node {at}: agent starts with {:?}", sim.nodes[at].disk.content));
        self.nodes[at].kernel.gates.iter().map(|gate| gate.until.since(local)).max().unwrap_or_default()
    }

    fn open_links(&mut self, at: usize) {
        for other in self.others(at) {
            for wire in 0..self.net.wires {
                let link = LinkId { peer: id(other), path: self.path(wire) };
                self.take(at, Event::Link { link, open: true });
            }
        }
        for witness in 0..self.witnesses.len() {
            let link = LinkId { peer: witness_id(witness), path: udp(0) };
            self.take(at, Event::Link { link, open: true });
        }
        debug_assert_eq!(self.path(0), udp(0), "invariant: the first wire is a link");
    }

    pub fn kill(&mut self, at: usize) {
        self.note(|_| format!("node {at}: agent killed"));
        self.end(at);
    }

    fn end(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.engine = None;
        node.pause = None;
        node.wake = Real::NEVER;
        self.touched = true;
        self.oracle.forget(at, &node.disk.content);
        self.oracle.disturb(at, self.now);
    }

    /// The power goes, and with it everything but the disk. What was being written has arrived or not.
    pub fn lose_power(&mut self, at: usize, torn: bool) {
        self.note(|_| format!("node {at}: power lost"));
        if let Some(state) = self.nodes[at].disk.writing.take()
            && torn
        {
            self.note(|_| format!("node {at}: what was being written had arrived"));
            self.put(at, state);
        }
        self.end(at);
        self.oracle.votes.lose_power(at);
        let node = &mut self.nodes[at];
        node.disk.wanted = None;
        node.kernel = Kernel::new(self.plan.interfaces, self.plan.groups.len());
        node.powered = false;
        node.asleep = false;
    }

    /// Stops a process now; it goes on after `span`.
    pub fn hang(&mut self, at: usize, span: Duration) {
        if self.nodes[at].is_running() {
            self.note(|_| format!("node {at}: process stops for {span:?}"));
            let decided = self.local(at);
            self.nodes[at].pause = Some(Pause { decided, ..Pause::default() });
            self.nodes[at].wake = Real::NEVER;
            self.touched = true;
            self.oracle.disturb(at, self.now);
            self.later(Due::Resume { to: at }, span);
        }
    }

    /// Stops a whole machine; its clock goes on, or stands still.
    pub fn sleep(&mut self, at: usize, span: Duration, clock_stops: bool) {
        if !self.nodes[at].is_running() {
            return;
        }
        self.note(|_| format!("node {at}: the machine sleeps, its clock too: {clock_stops}"));
        self.hang(at, span);
        self.nodes[at].asleep = true;
        if clock_stops {
            let now = self.now;
            self.nodes[at].clock.freeze(now);
            self.oracle.votes.freeze(at);
        }
    }

    pub fn resume(&mut self, at: usize) {
        if std::mem::take(&mut self.nodes[at].asleep) {
            let now = self.now;
            Oracle::note_thaw(self, at);
            self.nodes[at].clock.thaw(now);
            self.oracle.begin_latch_anew(now);
        }
        let Some(pause) = self.nodes[at].pause.take() else { return };
        let local = self.local(at);
        self.touched = true;
        self.oracle.disturb(at, self.now);
        if local.since(pause.decided) >= self.nodes[at].config.timing.pulse * 2 {
            self.oracle.note_stall(at, local);
        }
        let (held, waiting) = (pause.held.len(), pause.backlog.len());
        self.note(|_| format!("node {at}: goes on with {held} held, {waiting} waiting"));
        self.carry_out(at, &pause.held, &pause.bytes, pause.decided);
        for waiting in pause.backlog {
            self.offer(at, waiting);
        }
        self.offer(at, Waiting::Tick);
        self.set_wake(at);
    }
}
