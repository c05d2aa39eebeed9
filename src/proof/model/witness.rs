//! The witness of a model: its voter is the one that ships; clock, disk and process around it are
//! modelled.
//!
//! The account of grants is here, too, by which S5 is checked. Its facts are what the voters'
//! datagrams say, and when the nodes' datagrams left.

use super::act::Act;
use super::rules;
use super::shape::{Shape, id, instant};
use super::state::{Flight, Freight, Node, State};
use crate::canon::Canon;
use crate::engine::GateAction;
use crate::rules::vote::{ask, gives_up};
use crate::types::{Epoch, MonoTime, NodeId};
use crate::voter::{Loaded, Output, Voter, VoterSetup};
use crate::wire::pulse::{Header, Row};
use std::sync::Arc;
use std::time::Duration;

/// The witness: clock, process and disk, and what the rules remember of it.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Ticks since the beginning, as this machine counts them.
    pub clock: u64,
    /// The voter of the process; `None` if no process runs.
    pub voter: Option<Voter>,
    /// What a process that starts now reads.
    pub disk: Loaded,
    /// Flights that wait for a stopped process; `None` while it runs.
    pub pause: Option<Vec<Arc<Flight>>>,
    /// Number of the process's starts.
    pub life: u8,
    /// The grants that the witness's datagrams have told.
    pub said: Said,
}

/// By node: the epoch that a voter has told the node as granted, and the session of the node's life
/// that was told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said([(Epoch, u64); 2]);

impl Said {
    /// Whether nothing was granted to any node.
    #[cfg(test)]
    pub fn is_nothing(self) -> bool {
        self.0.iter().all(|(epoch, _)| *epoch == Epoch::NONE)
    }

    /// Adds the told grants to a state's canon.
    pub fn canon(&self, canon: &mut Canon) {
        for (epoch, session) in self.0 {
            canon.epochs(&[epoch]);
            canon.session(if epoch == Epoch::NONE { 0 } else { session });
        }
    }
}

/// A grant of a voter: its holder may count on it until `until`, by the holder's clock.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    voter: usize,
    to: usize,
    epoch: Epoch,
    until: MonoTime,
    /// Whether the grant has stood still with a frozen guest: it opens nothing any more, and what
    /// is open under it is the exception to S1.
    stale: bool,
}

impl Witness {
    /// A machine that has just booted for the first time: no process, an empty disk.
    pub fn new() -> Witness {
        let disk = Loaded::Fresh;
        Witness { clock: 0, voter: None, disk, pause: None, life: 0, said: Said::default() }
    }

    /// The instant that the witness's clock shows.
    pub fn now(&self) -> MonoTime {
        instant(self.clock)
    }

    /// Whether the process takes datagrams.
    pub fn is_running(&self) -> bool {
        self.voter.is_some() && self.pause.is_none()
    }

    /// Adds the witness to a state's canon: everything that can matter later, and instants as
    /// distances from now.
    pub fn canon(&self, canon: &mut Canon) {
        let Witness { clock: _, voter, disk, pause, life: _, said } = self;
        said.canon(canon);
        match disk {
            Loaded::Fresh => canon.plain(0),
            Loaded::Memory(memory) => memory.canon(canon),
            Loaded::Damaged => canon.plain(u64::MAX),
        }
        canon.option(voter.as_ref(), |canon, voter| voter.canon(self.now(), canon));
        canon.option(pause.as_ref(), |canon, backlog| {
            canon.list(backlog, |canon, flight| flight.canon(super::state::Receiver::Witness(self), canon));
        });
    }
}

impl State {
    /// Adds the grants that still count to the canon.
    pub(super) fn canon_grants(&self, canon: &mut Canon) {
        let running = |grant: &&Grant| self.nodes[grant.to].now() < grant.until;
        canon.size(self.grants.iter().filter(running).count());
        for grant in self.grants.iter().filter(running) {
            let Grant { voter, to, epoch, until, stale } = *grant;
            canon.size(usize::from(stale) << 16 | voter << 8 | to);
            canon.epochs(&[epoch]);
            canon.ahead(self.nodes[to].now(), until);
        }
    }
}

impl Shape {
    /// The number of the witness among the ends of ways.
    pub fn witness_end(&self) -> usize {
        self.nodes
    }

    /// Does what an act says to the witness; `None` if the act concerns a node.
    pub fn step_witness(&self, state: &mut State, act: Act) -> Option<()> {
        let (Act::Stop { node }
        | Act::Resume { node }
        | Act::Kill { node, .. }
        | Act::Crash { node, .. }
        | Act::Start { node }) = act
        else {
            return None;
        };
        if node != self.witness_end() {
            return None;
        }
        match act {
            Act::Stop { .. } => witness(state).pause = Some(Vec::new()),
            Act::Resume { .. } => {
                for flight in witness(state).pause.take().unwrap_or_default() {
                    self.ask_voter(state, &flight);
                }
            }
            Act::Start { .. } => self.start_witness(state),
            _ => {
                let written = matches!(act, Act::Kill { written: true, .. } | Act::Crash { written: true, .. });
                let ours = |flight: &Arc<Flight>| flight.to == node && flight.is_stored();
                let first = state.air.iter().find(|flight| ours(flight)).cloned();
                if let (true, Some(flight)) = (written, first)
                    && let Freight::Remembered { memory, .. } = &flight.freight
                {
                    witness(state).disk = Loaded::Memory(memory.clone());
                }
                state.air.retain(|flight| !ours(flight));
                let machine = witness(state);
                (machine.voter, machine.pause) = (None, None);
            }
        }
        Some(())
    }

    /// Starts the witness's process with what its disk has.
    pub fn start_witness(&self, state: &mut State) {
        let machine = witness(state);
        machine.life += 1;
        let setup = VoterSetup {
            me: NodeId::FIRST_WITNESS,
            cluster: 7,
            keys: self.keys(),
            session: 0x3000 | u64::from(machine.life),
            drift_ppm: self.timing.drift_ppm,
            nodes: self.nodes,
            loaded: machine.disk.clone(),
            checks: Vec::new(),
            mutants: self.mutants,
        };
        machine.voter = Some(Voter::new(setup, machine.now()));
        machine.said = Said::default();
    }

    /// Delivers a flight to the witness: the voter takes a datagram, and hears of the end of a
    /// write. A stopped process takes datagrams later, as many as its buffer holds.
    pub fn reach_witness(&self, state: &mut State, flight: &Arc<Flight>) {
        let machine = witness(state);
        match (&flight.freight, &mut machine.pause) {
            (Freight::Remembered { life, version, memory }, _) if machine.life == *life => {
                // A stopped process may hear of the write at once, too: the voter does nothing
                // until the next datagram comes.
                machine.disk = Loaded::Memory(memory.clone());
                if let Some(voter) = machine.voter.as_mut() {
                    voter.stored(*version);
                }
            }
            (Freight::Remembered { .. } | Freight::Stored { .. }, _) => {}
            (Freight::Ended { .. } | Freight::Seen(_), _) => {}
            (Freight::Pulse { .. }, Some(backlog)) => {
                if backlog.len() < self.backlog {
                    backlog.push(Arc::clone(flight));
                }
            }
            (Freight::Pulse { .. }, None) => self.ask_voter(state, flight),
        }
    }

    /// Lets the voter handle a datagram, and launches its answers and the write that it wants.
    fn ask_voter(&self, state: &mut State, flight: &Arc<Flight>) {
        let Freight::Pulse { path, bytes, .. } = &flight.freight else { return };
        let machine = witness(state);
        let (now, life) = (machine.now(), machine.life);
        let mut out = Output::default();
        let Some(voter) = machine.voter.as_mut() else { return };
        voter.handle(now, bytes, &mut out);
        let end = self.witness_end();
        if let Some(version) = out.persist {
            let freight = Freight::Remembered { life, version, memory: voter.memory() };
            state.launch(end, end, freight);
        }
        for answer in out.datagrams() {
            let (header, rows) = super::carry::read(answer);
            self.note_said(state, end, &header, &rows);
            let to = flight.from;
            if self.is_way(state, end, to, *path) && state.nodes[to].engine.is_some() {
                let freight = Freight::Pulse { path: *path, bytes: answer.to_vec(), header, rows };
                state.launch(end, to, freight);
            }
        }
    }

    /// Notes in the account what a datagram of a voter, a node or the witness, gives up and grants,
    /// and notes S5 as broken if the voter may not grant that.
    pub fn note_said(&self, state: &mut State, voter: usize, header: &Header, rows: &[Row]) {
        if !self.witness {
            return;
        }
        if voter < self.nodes {
            self.note_asked(state, voter, header, rows);
        }
        let Some(to) = (0..self.nodes).find(|to| id(*to) == header.receiver) else { return };
        if let Some(row) = rows.first() {
            let said = (row.consent, header.echo_session);
            match voter.checked_sub(self.nodes) {
                None => Arc::make_mut(&mut state.nodes[voter]).said.0[to] = said,
                Some(_) => witness(state).said.0[to] = said,
            }
        }
        let said = match (state.nodes.get(voter), &state.witness) {
            (Some(node), _) => node.said,
            (None, Some(machine)) => machine.said,
            (None, None) => return,
        };
        let (said, session) = said.0[to];
        if said.node() != id(to) || session != header.echo_session || said <= state.nodes[to].given_up {
            // A grant is of no use to another life of the node, which was not told it, nor to a
            // node that has given the epoch up.
            return;
        }
        let sent =
            state.nodes[to].sent.iter().find(|sent| (sent.0, sent.1) == (header.echo_session, header.echo_counter));
        let Some(until) =
            sent.map(|(_, _, instant)| *instant + self.timing.lease).filter(|until| *until > state.nodes[to].now())
        else {
            return;
        };
        if self.is_promised(state, voter, to) {
            state.broken = state.broken.or(Some(rules::S5_VOTER));
        }
        let same = |grant: &&mut Grant| (grant.voter, grant.to, grant.epoch) == (voter, to, said);
        match state.grants.iter_mut().find(same) {
            Some(grant) => (grant.until, grant.stale) = (grant.until.max(until), false),
            None => state.grants.push(Grant { voter, to, epoch: said, until, stale: false }),
        }
        state.grants.sort_by_key(|grant| (grant.voter, grant.to, grant.epoch));
    }

    /// Notes in the account what a node's datagram asks for and gives up, and notes S5 as broken if
    /// the datagram gives up an epoch with which the gate is open.
    fn note_asked(&self, state: &mut State, node: usize, header: &Header, rows: &[Row]) {
        let machine = Arc::make_mut(&mut state.nodes[node]);
        let now = machine.now();
        machine.sent.retain(|(_, _, sent)| *sent + self.timing.lease > now);
        machine.sent.push((header.session, header.counter, now));
        for row in rows {
            let open = machine.kernel.open.filter(|_| machine.kernel.until > now);
            if open.is_some_and(|epoch| gives_up(id(node), row, epoch)) {
                state.broken = state.broken.or(Some(rules::S5));
            }
            if machine.asked != Epoch::NONE && gives_up(id(node), row, machine.asked) {
                machine.given_up = machine.asked;
            }
            machine.asked = ask(id(node), row).map_or(machine.asked, |asked| machine.asked.max(asked.epoch()));
            state.grants.retain(|grant| grant.to != node || !gives_up(id(node), row, grant.epoch));
        }
    }

    /// Whether a voter has granted anything to another node than `to` that its holder may still
    /// use. What a frozen guest holds does not count: it is the exception to S1. Drops grants that
    /// are over.
    pub fn is_promised(&self, state: &mut State, voter: usize, to: usize) -> bool {
        let nodes = &state.nodes;
        state.grants.retain(|grant| nodes[grant.to].now() < grant.until);
        let excused = |grant: &Grant| grant.stale || nodes[grant.to].is_excused();
        let rival = |grant: &Grant| grant.voter == voter && grant.to != to && !excused(grant);
        state.grants.iter().any(rival)
    }

    /// Checks a change of a node's gate that lets it answer: the node was elected (S5), its epoch
    /// is above all that answered before (S2), and a majority has granted the lease (S4). A change
    /// that a stopped process makes after its lease is over lets nothing answer.
    pub fn check_votes(&self, state: &mut State, node: usize, gate: GateAction) {
        let machine = &state.nodes[node];
        let (now, lease) = (machine.now(), machine.kernel.until);
        let granted = |until: MonoTime, epoch: Option<Epoch>| {
            let fits = |grant: &Grant| epoch.is_none_or(|epoch| grant.epoch == epoch && !grant.stale);
            let ours = |grant: &&Grant| grant.to == node && fits(grant);
            state.grants.iter().filter(ours).any(|grant| until <= grant.until)
        };
        let broken = match gate {
            GateAction::Renew { until, .. }
                if machine.kernel.open.is_some() && until > now && !granted(until, None) =>
            {
                Some(rules::S4)
            }
            GateAction::Open { epoch, .. } if lease > now => {
                let (elected, rises) = (granted(lease, Some(epoch)), epoch > state.highest);
                state.highest = state.highest.max(epoch);
                if !elected || self.is_promised(state, node, node) {
                    Some(rules::S5_VOTER)
                } else {
                    (!rises).then_some(rules::S2)
                }
            }
            GateAction::Open { .. } | GateAction::Renew { .. } => None,
            GateAction::Begin { .. } | GateAction::Close { .. } | GateAction::Forward { .. } => None,
        };
        state.broken = state.broken.or(broken);
    }
}

/// A datagram in the account of what was sent: session, counter, time of sending by the sender's
/// clock.
pub type SentPulse = (u64, u64, MonoTime);

/// The witness of a state, to be changed; panics in a state without a witness.
pub fn witness(state: &mut State) -> &mut Witness {
    Arc::make_mut(state.witness.as_mut().expect("invariant: only shapes with a witness have acts of one"))
}

/// Notes that a frozen guest goes on: it is excused for what its lease has left, and its grants are
/// stale.
pub fn thaw(state: &mut State, node: usize) {
    let machine = Arc::make_mut(&mut state.nodes[node]);
    machine.excused = lease_left(machine);
    state.grants.iter_mut().filter(|grant| grant.to == node).for_each(|grant| grant.stale = true);
}

/// Number of ticks that the lease of a frozen guest has left.
fn lease_left(node: &Node) -> u8 {
    let left = if node.kernel.open.is_some() { node.kernel.until.since(node.now()) } else { Duration::ZERO };
    u8::try_from(left.as_nanos().div_ceil(super::shape::TICK.as_nanos())).unwrap_or(u8::MAX)
}
