//! What the world does with an engine's actions: the gate changes, frames leave, the disk begins to
//! write.

use super::rules;
use super::shape::{GROUP, PATHS, Plant, SEGMENT, Shape, id, mac, vip};
use super::state::{Freight, Node, State};
use crate::canon::Canon;
use crate::durable::{Durable, GroupState, Loaded};
use crate::engine::{Action, GateAction};
use crate::mutant::Mutant;
use crate::types::{Epoch, LinkId, LinkPath, MonoTime};
use crate::wire::auth::{PREFIX_SIZE, TAG_SIZE};
use crate::wire::frame::Sighting;
use crate::wire::pulse;
use std::sync::Arc;

/// Header and rows of a datagram that a party of the model has just sealed, so that the tag needs
/// no check.
pub fn read(bytes: &[u8]) -> (pulse::Header, Vec<pulse::Row>) {
    let body = &bytes[PREFIX_SIZE..bytes.len() - TAG_SIZE];
    let (header, rows) = pulse::decode(body).expect("an engine sends what can be read");
    (header, rows.collect())
}

/// Adds to the canon the actions that a stopped process holds; `bytes` are the datagrams among
/// them.
pub fn canon_held(held: &[Action], bytes: &[u8], node: &Node, canon: &mut Canon) {
    for action in held {
        match action {
            Action::Send { link, to: _, bytes: range } => {
                canon.plain(u64::from(link.peer.0));
                canon.flags(&[matches!(link.path, LinkPath::Segment(_))]);
                let (header, rows) = read(&bytes[range.clone()]);
                header.canon(canon);
                canon.list(&rows, |canon, row| row.canon(canon));
            }
            Action::Gate(GateAction::Begin { interface: _, generation }) => {
                canon.plain(101);
                canon.generation(*generation);
            }
            Action::Gate(GateAction::Renew { interface: _, until }) => {
                canon.plain(102);
                canon.ahead(node.now(), *until);
            }
            Action::Gate(GateAction::Open { group: _, epoch }) => {
                canon.plain(103);
                canon.epochs(&[*epoch]);
            }
            Action::Gate(GateAction::Close { group: _, carry_until: _ }) => canon.plain(104),
            Action::Gate(GateAction::Forward { .. }) => canon.plain(105),
            Action::Probe { .. } => canon.plain(106),
            Action::Announce { .. } => canon.plain(107),
            // The state follows from that of the engine, which nothing has changed since.
            Action::Persist { version, state: _ } => {
                canon.plain(108);
                if let Some(engine) = &node.engine {
                    engine.canon_version(*version, canon);
                }
            }
            Action::Hook { group: _, hook, epoch, cause: _ } => {
                canon.plain(110);
                canon.plain(*hook as u64);
                canon.epochs(&[*epoch]);
            }
            Action::Notice(_) | Action::Reply { .. } => {}
            Action::Stopped => canon.plain(109),
        }
    }
}

impl Shape {
    /// Carries out the actions of a node's engine in their order. `decided`: when the engine wanted
    /// them, by the node's clock.
    pub fn carry_out(&self, state: &mut State, node: usize, list: &[Action], bytes: &[u8], decided: MonoTime) {
        for action in list {
            match action {
                Action::Send { link, to: _, bytes: range } => {
                    self.send_datagram(state, node, *link, &bytes[range.clone()])
                }
                Action::Gate(gate) => self.change_gate(state, node, *gate, decided),
                Action::Probe { interface: _, address, to: _, sender: _ } => {
                    if *address == vip() {
                        self.send_probe(state, node);
                    }
                }
                Action::Announce { .. } => self.send_announcement(state, node),
                Action::Persist { version, state: content } => {
                    let machine = &state.nodes[node];
                    if machine.engine.is_some() && self.plant != Some(Plant::DiskSilent) {
                        let (life, version, content) = (machine.life, *version, content.clone());
                        state.launch(node, node, Freight::Stored { life, version, state: content });
                    }
                }
                Action::Hook { group: _, hook, epoch, cause: _ } => {
                    let freight = Freight::Ended { life: state.nodes[node].life, hook: *hook, epoch: *epoch };
                    state.launch_late(node, freight, self.hook.unwrap_or_default());
                }
                Action::Notice(_) | Action::Reply { .. } => {}
                Action::Stopped => Arc::make_mut(&mut state.nodes[node]).engine = None,
            }
        }
    }

    /// Whether frames get from one end to another on a path: no cut, and carrier on the segment.
    pub fn is_way(&self, state: &State, from: usize, to: usize, path: usize) -> bool {
        let carrier = path != SEGMENT || (state.nodes[from].carrier && state.nodes[to].carrier);
        carrier && !state.cut.is_cut(from, to, path) && self.plant != Some(Plant::SecretCut)
    }

    /// Whether a node or the witness has a process.
    fn is_alive(&self, state: &State, node: usize) -> bool {
        match state.nodes.get(node) {
            Some(machine) => machine.engine.is_some(),
            None => state.witness.as_ref().is_some_and(|witness| witness.voter.is_some()),
        }
    }

    /// Notes a node's datagram, checks that it consents with a closed gate only, and launches it if
    /// it can arrive.
    fn send_datagram(&self, state: &mut State, node: usize, link: LinkId, bytes: &[u8]) {
        let (header, rows) = read(bytes);
        let machine = &state.nodes[node];
        let open = machine.kernel.open.filter(|_| machine.answers(self.plant == Some(Plant::GateIgnoresDeadline)));
        if rows.iter().any(|row| row.consent != Epoch::NONE && open.is_some_and(|epoch| epoch < row.consent)) {
            state.broken = state.broken.or(Some(rules::S5));
        }
        self.note_said(state, node, &header, &rows);
        let path = PATHS.iter().position(|path| *path == link.path);
        let to = if link.peer.is_witness() {
            Some(self.witness_end())
        } else {
            (0..self.nodes).find(|other| id(*other) == link.peer)
        };
        if let (Some(path), Some(to)) = (path, to)
            && self.is_way(state, node, to, path)
            && self.is_alive(state, to)
        {
            let freight = Freight::Pulse { path, bytes: bytes.to_vec(), header, rows };
            state.launch(node, to, freight);
        }
    }

    /// Changes a node's gate, and notes in the state which of S2, S4 and S7 the change breaks.
    fn change_gate(&self, state: &mut State, node: usize, gate: GateAction, decided: MonoTime) {
        let lease = self.timing.lease;
        if self.witness {
            self.check_votes(state, node, gate);
        }
        let machine = Arc::make_mut(&mut state.nodes[node]);
        let now = machine.now();
        let kernel = &mut machine.kernel;
        let mut broken = None;
        match gate {
            GateAction::Begin { interface: _, generation } => {
                if generation <= kernel.generation || kernel.open.is_some() {
                    broken = Some(rules::S7);
                }
                kernel.refused = false;
                kernel.generation = generation;
                kernel.until = MonoTime::ZERO;
            }
            GateAction::Renew { interface: _, until } => {
                let relative =
                    self.plant == Some(Plant::DeadlineFromWrite) || self.mutants.is_on(Mutant::LeaseRelative);
                let until = if relative { now + until.since(decided) } else { until };
                if until > decided + lease {
                    broken = Some(rules::S4);
                }
                kernel.until = until;
            }
            GateAction::Open { group: _, epoch } => {
                kernel.open = Some(epoch);
                if kernel.generation == 0 {
                    broken = Some(rules::S7);
                } else if epoch.node() != id(node) || epoch <= machine.used || epoch <= machine.told {
                    broken = Some(rules::S2);
                }
                machine.used = machine.used.max(epoch);
                machine.told = machine.told.max(epoch);
            }
            GateAction::Close { group: _, carry_until: _ } => {
                if self.plant != Some(Plant::GateNeverCloses) {
                    kernel.open = None;
                }
            }
            GateAction::Forward { .. } => {}
        }
        state.broken = state.broken.or(broken);
    }

    /// Sends a node's probe for the address to the other kernels: a gate that is open answers, a
    /// gate whose lease has lapsed is latched.
    fn send_probe(&self, state: &mut State, from: usize) {
        let forever = self.plant == Some(Plant::GateIgnoresDeadline);
        for to in (0..self.nodes).filter(|to| *to != from) {
            // The kernel of a frozen guest does not run.
            if !self.is_way(state, from, to, SEGMENT) || state.nodes[to].frozen {
                continue;
            }
            let node = &state.nodes[to];
            if node.answers(forever) {
                self.send_claim(state, to, from);
            } else if node.kernel.open.is_some() && node.kernel.until != MonoTime::ZERO && !node.kernel.refused {
                let off = self.plant == Some(Plant::LatchOff) || self.mutants.is_on(Mutant::LatchOff);
                Arc::make_mut(&mut state.nodes[to]).kernel.refused = !off;
            }
        }
    }

    /// Sends a node's announcement to the other nodes, if its gate answers; a closed gate drops it.
    fn send_announcement(&self, state: &mut State, from: usize) {
        if state.nodes[from].answers(self.plant == Some(Plant::GateIgnoresDeadline)) {
            for to in (0..self.nodes).filter(|to| *to != from) {
                self.send_claim(state, from, to);
            }
        }
    }

    /// Launches a frame with which a node claims the address.
    fn send_claim(&self, state: &mut State, from: usize, to: usize) {
        if self.is_way(state, from, to, SEGMENT) && state.nodes[to].engine.is_some() {
            let freight = Freight::Seen(Sighting::Claim { address: vip(), mac: mac(from), nameless: None });
            state.launch(from, to, freight);
        }
    }

    /// Writes a state to a node's disk, and checks that no durable epoch falls.
    pub fn write_disk(&self, state: &mut State, node: usize, content: &Durable) {
        let machine = Arc::make_mut(&mut state.nodes[node]);
        if let Loaded::State(before) = &machine.disk {
            let falls = |(old, new): (&GroupState, &GroupState)| {
                new.seen < old.seen || new.held < old.held || new.reserve < old.reserve
            };
            if before.groups.iter().zip(&content.groups).any(falls) {
                state.broken = state.broken.or(Some(rules::S2));
            }
        }
        machine.disk = Loaded::State(content.clone());
    }

    /// Checks S7 between two events of a process: the node's gate is as its engine thinks. Notes
    /// also the highest epoch that the engine was told.
    pub fn check_gate(&self, state: &mut State, node: usize) {
        let machine = Arc::make_mut(&mut state.nodes[node]);
        let Some(engine) = &machine.engine else { return };
        let told = engine.told(GROUP);
        let open = engine.is_open(GROUP);
        machine.told = machine.told.max(told);
        let kernel = &machine.kernel;
        let is_wrong = open != kernel.open.is_some() || (open && (machine.now() >= kernel.until || kernel.refused));
        if is_wrong {
            state.broken = state.broken.or(Some(rules::S7));
        }
    }
}
