//! S1, S4 and S5 where votes decide. Judged from what the voters' datagrams say and when the nodes' left, by the clocks
//! of those who hold something; never from what voters or engines remember.
//!
//! - S1: two gates never answer at the same time. Deadlines only come closer between two events, and gates open at events
//!   only, so looking after each event is looking at every instant.
//! - S4: a gate's deadline is never later than what a majority granted: the lease that each of its voters was told of,
//!   counted from when the node sent the datagram that the grant answers.
//! - S5: a grant leaves a voter only when everything that it granted to another before, in this life or an earlier one, is
//!   over by the other's clock, or was given up by a row that the other has sent. A node that opens has granted to itself.
//!
//! The one exception: a guest that was frozen with its clock goes on with what its lease had left, whatever was done
//! meanwhile. It lasts one lease from the moment in which the guest goes on, and it concerns nobody else.

use super::Oracle;
use crate::rules::vote::{Ask, ask, gives_up};
use crate::sim::clock::{Real, stretched};
use crate::sim::names::{group_of_key, id};
use crate::sim::swarm::Plan;
use crate::sim::world::Sim;
use crate::types::{Epoch, MonoTime};
use crate::wire::auth::{PREFIX_SIZE, TAG_SIZE};
use crate::wire::pulse::{self, Header, Role, Row};
use std::collections::VecDeque;
use std::time::Duration;

/// Datagrams of a node whose time of sending is remembered.
const SENT: usize = 4_096;

/// A datagram that a node has sent.
#[derive(Clone, Copy)]
struct Sent {
    session: u64,
    counter: u64,
    /// By its own clock.
    when: MonoTime,
    lease: Duration,
}

/// What a voter let somebody have: until then, by the clock of the boot of that machine.
#[derive(Clone, Copy, Debug)]
struct Grant {
    to: usize,
    epoch: Epoch,
    until: MonoTime,
    boot: u64,
}

pub struct Votes {
    /// By node.
    sent: Vec<VecDeque<Sent>>,
    boots: Vec<u64>,
    /// By node: what its lease had left when it was frozen may be used until then.
    excused: Vec<Real>,
    /// By voter, nodes first: the session that said it, and by group the epoch that it grants.
    told: Vec<(u64, Vec<Epoch>)>,
    /// By voter and group.
    grants: Vec<Vec<Vec<Grant>>>,
    /// By node and group: epochs of its own that its rows have named, and those that they have given up since.
    named: Vec<Vec<Vec<Epoch>>>,
    /// By voter and node: their sessions, and up to which version the one's table can be known to the other.
    reached: Vec<Vec<(u64, u64, u64)>>,
    given_up: Vec<Vec<Vec<Epoch>>>,
    /// By node: its session, and by group what its row asks for, and the version of its table that first did.
    asked: Vec<(u64, Vec<(Epoch, u64)>)>,
    /// By witness and group: the highest epoch that it granted to a claim, whatever it remembers.
    highest: Vec<Vec<Epoch>>,
    /// No disk has lost or undone what was on it.
    pub honest: bool,
    on: bool,
}

impl Votes {
    pub fn new(plan: &Plan) -> Votes {
        let (voters, groups) = (plan.nodes + plan.witnesses, plan.groups.len());
        Votes {
            sent: vec![VecDeque::new(); plan.nodes],
            boots: vec![0; plan.nodes],
            excused: vec![Real(0); plan.nodes],
            told: vec![(0, vec![Epoch::NONE; groups]); voters],
            grants: vec![vec![Vec::new(); groups]; voters],
            reached: vec![vec![(0, 0, 0); plan.nodes]; voters],
            named: vec![vec![Vec::new(); groups]; plan.nodes],
            given_up: vec![vec![Vec::new(); groups]; plan.nodes],
            asked: vec![(0, vec![(Epoch::NONE, 0); groups]); plan.nodes],
            highest: vec![vec![Epoch::NONE; groups]; plan.witnesses],
            honest: true,
            on: plan.witnesses > 0,
        }
    }

    /// A machine has lost what its kernel had.
    pub fn note_power_loss(&mut self, node: usize) {
        self.boots[node] += 1;
        // Nothing that is granted to what was sent before can be used any more.
        self.sent[node].clear();
        self.excused[node] = Real(0);
    }

    /// A disk was not honest: its node may use again what it has given up.
    pub fn note_disk_loss(&mut self, node: usize) {
        self.honest = false;
        self.named[node].iter_mut().for_each(Vec::clear);
        self.given_up[node].iter_mut().for_each(Vec::clear);
    }

    pub fn note_freeze(&mut self, node: usize) {
        self.excused[node] = Real::NEVER;
    }

    /// True if a datagram can make its receiver know the voter's whole table, however lucky it was before.
    fn tells_all(&mut self, voter: usize, to: usize, header: &Header) -> bool {
        if header.echo_session != self.asked[to].0 {
            // An answer to a recording of an earlier life.
            return false;
        }
        let reached = &mut self.reached[voter][to];
        if (reached.0, reached.1) != (header.session, header.echo_session) {
            *reached = (header.session, header.echo_session, 0);
        }
        if header.base_version <= reached.2 {
            reached.2 = reached.2.max(header.upto_version);
        }
        reached.2 >= header.table_version
    }

    /// A node says something about a group: what it has named before and gives up now is of no use to it any more.
    fn note_row(&mut self, node: usize, group: usize, header: &Header, row: &Row) {
        let asked = &mut self.asked[node];
        let epoch = ask(id(node), row).map_or(Epoch::NONE, Ask::epoch);
        if asked.1[group].0 != epoch {
            // The row has changed after the base, at the latest.
            asked.1[group] = (epoch, header.base_version + 1);
        }
        let named = &mut self.named[node][group];
        let gone: Vec<Epoch> = named.extract_if(.., |epoch| gives_up(id(node), row, *epoch)).collect();
        self.given_up[node][group].extend(gone);
        let holds = if matches!(row.role, Role::Active | Role::Handover) { row.epoch } else { Epoch::NONE };
        for epoch in [row.reserve, row.claim, holds] {
            if epoch.node() == id(node) && !named.contains(&epoch) {
                named.push(epoch);
            }
        }
        let (grants, given_up) = (&mut self.grants, &self.given_up[node][group]);
        let kept = |grant: &Grant| grant.to != node || !given_up.contains(&grant.epoch);
        grants.iter_mut().for_each(|groups| groups[group].retain(kept));
    }
}

/// What a datagram says; it was sealed by whoever has the key.
fn decode_sealed(bytes: &[u8]) -> Option<(Header, pulse::Rows<'_>)> {
    pulse::decode(&bytes[PREFIX_SIZE..bytes.len() - TAG_SIZE]).ok()
}

impl Oracle {
    /// A frozen guest goes on.
    pub fn note_thaw(sim: &mut Sim, node: usize) {
        if sim.oracle.votes.excused[node] == Real::NEVER {
            let lease =
                stretched(sim.nodes[node].config.timing.lease.max(sim.oracle.bounds.lease), sim.plan.drift_ppm);
            sim.oracle.votes.excused[node] = sim.now + lease;
        }
    }

    /// A node or a witness sends something.
    pub fn note_said(sim: &mut Sim, voter: usize, bytes: &[u8]) {
        if !sim.oracle.votes.on || sim.has_failed() {
            return;
        }
        let Some((header, rows)) = decode_sealed(bytes) else { return };
        if voter < sim.nodes.len() {
            let when = sim.local(voter);
            let lease = Duration::from_micros(u64::from(header.lease_us));
            let votes = &mut sim.oracle.votes;
            let sent = &mut votes.sent[voter];
            if sent.len() == SENT {
                sent.pop_front();
            }
            let asked = &mut votes.asked[voter];
            if asked.0 != header.session {
                asked.0 = header.session;
                asked.1.fill((Epoch::NONE, 0));
            }
            sent.push_back(Sent { session: header.session, counter: header.counter, when, lease });
        }
        let told = &mut sim.oracle.votes.told[voter];
        if told.0 != header.session {
            told.0 = header.session;
            told.1.fill(Epoch::NONE);
        }
        for row in rows {
            let group = group_of_key(row.group);
            sim.oracle.votes.told[voter].1[group] = row.consent;
            if voter < sim.nodes.len() {
                sim.oracle.votes.note_row(voter, group, &header, &row);
                let open = sim.nodes[voter].kernel.open[group];
                let live =
                    sim.answers(voter, group) && sim.nodes[voter].is_attached(sim.plan.groups[group].interface);
                sim.oracle.hold(!live || !gives_up(id(voter), &row, open), || {
                    format!("S5: node {voter} gives group {group} up while its gate is open with {open}")
                });
            }
        }
        let strict = voter >= sim.nodes.len() || sim.plan.strict;
        if let Some(to) = (0..sim.nodes.len()).find(|to| id(*to) == header.receiver).filter(|_| strict) {
            Oracle::note_grants(sim, voter, to, &header);
        }
    }

    /// Everything that a voter's datagram lets its receiver have.
    fn note_grants(sim: &mut Sim, voter: usize, to: usize, header: &Header) {
        if !sim.oracle.votes.tells_all(voter, to, header) {
            return;
        }
        let asked = sim.oracle.votes.sent[to].iter().rev();
        let mut asked = asked.filter(|sent| sent.session == header.echo_session);
        let Some(asked) = asked.find(|sent| sent.counter == header.echo_counter).copied() else { return };
        let (until, boot) = (asked.when + asked.lease, sim.oracle.votes.boots[to]);
        if sim.local(to) >= until {
            return;
        }
        for group in 0..sim.plan.groups.len() {
            let epoch = sim.oracle.votes.told[voter].1[group];
            let votes = &sim.oracle.votes;
            let (session, asks) = (votes.asked[to].0, votes.asked[to].1[group]);
            let known = session == header.echo_session && asks.0 == epoch && header.ack_version >= asks.1;
            // A node whose file lacks the group asks for nothing, and has closed what it had.
            let known = known && sim.nodes[to].places[group].is_some();
            if epoch == Epoch::NONE || !known || votes.given_up[to][group].contains(&epoch) {
                continue;
            }
            if let Some(other) = Oracle::rival_of(sim, voter, group, to) {
                let local = sim.local(other.to);
                sim.oracle.violated(|| {
                    format!(
                        "S5: voter {voter} grants group {group} to node {to} with {epoch}, and has granted it to node \
                         {} with {} until {:?}, where it is {local:?}",
                        other.to, other.epoch, other.until
                    )
                });
            }
            let grants = &mut sim.oracle.votes.grants[voter][group];
            match grants.iter_mut().find(|grant| (grant.to, grant.epoch, grant.boot) == (to, epoch, boot)) {
                Some(grant) => grant.until = grant.until.max(until),
                None => {
                    grants.push(Grant { to, epoch, until, boot });
                    Oracle::check_rising(sim, voter, group, to, epoch);
                    sim.note(|_| format!("voter {voter}: lets node {to} have group {group} with {epoch}"));
                }
            }
        }
    }

    /// S2: a witness grants a claim only above all that it granted before, restarts included. What is open it grants
    /// whatever it knows: nothing higher was open meanwhile.
    fn check_rising(sim: &mut Sim, voter: usize, group: usize, to: usize, epoch: Epoch) {
        let Some(witness) = voter.checked_sub(sim.nodes.len()) else { return };
        let open = sim.nodes[to].kernel.open[group] == epoch;
        let highest = &mut sim.oracle.votes.highest[witness][group];
        let before = *highest;
        *highest = before.max(epoch);
        let honest = sim.oracle.votes.honest;
        sim.oracle.hold(open || epoch >= before || !honest, || {
            format!("S2: witness {witness} grants {epoch} of group {group} to a claim after {before}")
        });
    }

    /// What a voter has granted to another than `to`, and what that one may still use.
    fn rival_of(sim: &mut Sim, voter: usize, group: usize, to: usize) -> Option<Grant> {
        if sim.plan.is_beyond() {
            return None;
        }
        let mut grants = std::mem::take(&mut sim.oracle.votes.grants[voter][group]);
        grants.retain(|grant| sim.oracle.votes.boots[grant.to] == grant.boot && sim.local(grant.to) < grant.until);
        let excused = |node: usize| sim.now < sim.oracle.votes.excused[node];
        let rival = grants.iter().find(|grant| grant.to != to && !excused(grant.to)).copied();
        sim.oracle.votes.grants[voter][group] = grants;
        rival
    }

    /// How long a majority lets a node keep a group open, this node's own vote included.
    fn granted_until(sim: &Sim, node: usize, group: usize, epoch: Epoch) -> MonoTime {
        let quorum = sim.witnesses.len().div_ceil(2);
        let votes = &sim.oracle.votes;
        let until = |voter: usize| {
            let grants = votes.grants[voter][group].iter();
            let ours = grants.filter(|grant| (grant.to, grant.epoch, grant.boot) == (node, epoch, votes.boots[node]));
            ours.map(|grant| grant.until).max().unwrap_or(MonoTime::ZERO)
        };
        let voters = (0..votes.grants.len()).filter(|voter| *voter != node);
        let mut all: Vec<MonoTime> = voters.map(until).collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.get(quorum.saturating_sub(1)).copied().unwrap_or(MonoTime::ZERO)
    }

    /// A deadline is about to be written.
    pub(super) fn check_votes(sim: &mut Sim, node: usize, interface: usize, until: MonoTime) {
        // What a stopped process writes too late opens nothing.
        let strict = sim.plan.votes().is_some_and(|votes| votes.strict) && until > sim.local(node);
        for group in (0..sim.plan.groups.len()).filter(|_| strict) {
            if sim.plan.groups[group].interface != interface || !sim.nodes[node].kernel.is_open(group) {
                continue;
            }
            let epoch = sim.nodes[node].kernel.open[group];
            let granted = Oracle::granted_until(sim, node, group, epoch);
            sim.oracle.hold(until <= granted.max(sim.nodes[node].kernel.gates[interface].until), || {
                format!(
                    "S4: node {node} renews group {group} until {until:?}, a majority granted {epoch} until {granted:?}"
                )
            });
        }
    }

    /// A gate opens by votes: it has a majority for as long as its lease runs, and its own vote is free.
    pub(super) fn check_election(sim: &mut Sim, node: usize, group: usize, epoch: Epoch) {
        if sim.plan.is_beyond() || !sim.plan.strict || sim.oracle.seen[node].reopens[group] == epoch {
            return;
        }
        let until = sim.nodes[node].kernel.gates[sim.plan.groups[group].interface].until;
        if until <= sim.local(node) {
            return;
        }
        let granted = Oracle::granted_until(sim, node, group, epoch);
        sim.oracle.hold(until <= granted, || {
            format!(
                "S4: node {node} opens group {group} until {until:?}, a majority granted {epoch} until {granted:?}"
            )
        });
        let given_up = sim.oracle.votes.given_up[node][group].contains(&epoch);
        sim.oracle
            .hold(!given_up, || format!("S5: node {node} opens group {group} with {epoch}, which it has given up"));
        let rival = Oracle::rival_of(sim, node, group, node);
        sim.oracle.hold(rival.is_none(), || {
            format!("S5: node {node} opens group {group} with {epoch}, and has granted {rival:?}")
        });
    }

    /// S1: more than one answers.
    pub(super) fn check_alone(sim: &mut Sim, group: usize, answering: &[usize]) {
        let excused = answering.iter().filter(|node| sim.now < sim.oracle.votes.excused[**node]).count();
        let allowed = sim.plan.is_beyond() || answering.len() - excused < 2;
        if excused > 0 {
            sim.coverage.excused += 1;
        }
        sim.oracle.hold(allowed, || {
            let open: Vec<_> = answering.iter().map(|node| sim.nodes[*node].kernel.open[group]).collect();
            format!("S1: nodes {answering:?} answer for group {group} with {open:?}")
        });
    }
}
