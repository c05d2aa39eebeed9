//! S1, S4 and S5 where votes decide. The account rests on what the voters' datagrams say and when
//! the nodes' datagrams left, by the holders' clocks; never on what voters or engines remember.
//!
//! - S1: two gates never answer at the same time. Deadlines only come closer between two events,
//!   and gates open at events only, so looking after each event is looking at every instant.
//! - S4: a gate's deadline is never later than what a majority granted: the lease that each of its
//!   voters was told of, counted from when the node sent the datagram that the grant answers.
//! - S5: a grant leaves a voter only when everything that it granted to another before, in this
//!   life or an earlier one, is over by the other's clock, or was given up by a row that the other
//!   has sent. A node that opens has granted to itself.
//!
//! The one exception: a guest that was frozen with its clock goes on with what its lease had left,
//! whatever was done meanwhile. It lasts one lease from the moment in which the guest goes on, and
//! it concerns nobody else.

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
    /// Time of sending, by the sender's clock.
    when: MonoTime,
    lease: Duration,
}

/// A grant of a voter: its holder may count on it until `until`, by the clock of that boot of its
/// machine.
#[derive(Clone, Copy, Debug)]
struct Grant {
    to: usize,
    epoch: Epoch,
    until: MonoTime,
    boot: u64,
}

/// The account of what was asked, granted and given up.
pub struct Votes {
    /// By node: its last datagrams, oldest first.
    sent: Vec<VecDeque<Sent>>,
    /// By node: number of boots of its machine.
    boots: Vec<u64>,
    /// By node: until when a guest that was frozen may use what its lease had left.
    pub(super) excused: Vec<Real>,
    /// By voter, nodes first: its session, and by group the epoch that its row grants.
    told: Vec<(u64, Vec<Epoch>)>,
    /// Grants that may still count, by voter and group.
    grants: Vec<Vec<Vec<Grant>>>,
    /// By node and group: epochs of its own that its rows have named and not given up.
    named: Vec<Vec<Vec<Epoch>>>,
    /// By voter and node: the sessions of both, and up to which version the node can know the
    /// voter's table.
    reached: Vec<Vec<(u64, u64, u64)>>,
    /// By node and group: epochs of its own that its rows have given up.
    given_up: Vec<Vec<Vec<Epoch>>>,
    /// By node: its session, and by group the epoch that its row asks for, with the version of its
    /// table that first did.
    asked: Vec<(u64, Vec<(Epoch, u64)>)>,
    /// By witness and group: the highest epoch that it has granted to a claim, whatever it
    /// remembers.
    highest: Vec<Vec<Epoch>>,
    /// By witness: whether its memory was ever damaged, so that it knows what the nodes tell.
    damaged: Vec<bool>,
    /// By group: whether the file of a node has ever lacked it: such a node tells nothing of it.
    removed: Vec<bool>,
    /// Whether no disk has lost or undone a write.
    pub honest: bool,
    /// Whether there are witnesses, and every node has a number of its own; else nothing is noted.
    on: bool,
}

impl Votes {
    /// The account of a run in which nobody has said anything yet.
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
            damaged: vec![false; plan.witnesses],
            removed: vec![false; groups],
            honest: true,
            on: plan.witnesses > 0,
        }
    }

    /// Notes that a machine has booted anew: nothing of its kernel is left.
    pub fn note_power_loss(&mut self, node: usize) {
        self.boots[node] += 1;
        // No grant that answers what was sent before can be used any more.
        self.sent[node].clear();
        self.excused[node] = Real(0);
    }

    /// Notes that a disk was not honest: its node may use again what it has given up.
    pub fn note_disk_loss(&mut self, node: usize) {
        self.honest = false;
        self.named[node].iter_mut().for_each(Vec::clear);
        self.given_up[node].iter_mut().for_each(Vec::clear);
    }

    /// Notes that the memory of a witness is damaged.
    pub fn note_damage(&mut self, witness: usize) {
        self.damaged[witness] = true;
    }

    /// Notes that the file of a node lacks a group.
    pub fn note_removed(&mut self, group: usize) {
        self.removed[group] = true;
    }

    /// Notes that two nodes have one number: whose a grant is cannot be told any more.
    pub fn note_doubles(&mut self) {
        self.on = false;
    }

    /// Notes that a guest is frozen with its clock.
    pub fn note_freeze(&mut self, node: usize) {
        self.excused[node] = Real::NEVER;
    }

    /// Whether a datagram of `voter` completes the table of the voter that node `to` can know, if
    /// every datagram before it arrived. Notes how much of the table the node can know.
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

    /// Notes what a row of a node asks for, names and gives up; grants of epochs that the node has
    /// given up are dropped.
    fn note_row(&mut self, node: usize, group: usize, header: &Header, row: &Row) {
        let asked = &mut self.asked[node];
        let epoch = ask(id(node), row).map_or(Epoch::NONE, Ask::epoch);
        if asked.1[group].0 != epoch {
            // The row has changed after `base_version`, at the latest.
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

/// Header and rows of a datagram; that its tag is right is not checked.
fn decode_sealed(bytes: &[u8]) -> Option<(Header, pulse::Rows<'_>)> {
    pulse::decode(&bytes[PREFIX_SIZE..bytes.len() - TAG_SIZE]).ok()
}

impl Oracle {
    /// Notes that a frozen guest goes on, and for how long it is excused.
    pub fn note_thaw(sim: &mut Sim, node: usize) {
        if sim.oracle.votes.excused[node] == Real::NEVER {
            let lease =
                stretched(sim.nodes[node].config.timing.lease.max(sim.oracle.bounds.lease), sim.plan.drift_ppm);
            sim.oracle.votes.excused[node] = sim.now + lease;
        }
    }

    /// Notes a datagram that a node or a witness sends, and checks what it gives up and grants.
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
            if sim.oracle.two_names[group] {
                continue;
            }
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

    /// Notes everything that a voter's datagram grants its receiver, and checks S5.
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
            // A node whose file lacks the group asks for nothing and has closed its gate.
            let known = known && sim.nodes[to].places[group].is_some() && !sim.oracle.two_names[group];
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

    /// Checks S2: a witness grants a claim only above everything that it granted before, restarts
    /// included. An epoch that is open it may always grant: nothing higher was open meanwhile. Of a
    /// group that a node's file lacks, nobody may be left to tell what a damaged memory had.
    pub(super) fn check_rising(sim: &mut Sim, voter: usize, group: usize, to: usize, epoch: Epoch) {
        let Some(witness) = voter.checked_sub(sim.nodes.len()) else { return };
        let open = sim.nodes[to].kernel.open[group] == epoch;
        let highest = &mut sim.oracle.votes.highest[witness][group];
        let before = *highest;
        *highest = before.max(epoch);
        let votes = &sim.oracle.votes;
        let untold = votes.damaged[witness] && votes.removed[group];
        let excused = !votes.honest || untold || sim.oracle.two_names[group];
        sim.oracle.hold(open || epoch >= before || excused, || {
            format!("S2: witness {witness} grants {epoch} of group {group} to a claim after {before}")
        });
    }

    /// A grant of a voter to another node than `to` that its holder may still use. Drops grants
    /// that are over.
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

    /// Deadline until which a majority lets a node keep a group open, the node's own vote included.
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

    /// Checks a deadline that is about to be written against what a majority granted (S4).
    pub(super) fn check_votes(sim: &mut Sim, node: usize, interface: usize, until: MonoTime) {
        // A deadline in the past, written by a process that was stopped, opens nothing.
        let strict =
            sim.plan.votes().is_some_and(|votes| votes.strict) && until > sim.local(node) && sim.oracle.votes.on;
        for group in (0..sim.plan.groups.len()).filter(|_| strict) {
            if sim.plan.groups[group].interface != interface || !sim.nodes[node].kernel.is_open(group) {
                continue;
            }
            let epoch = sim.nodes[node].kernel.open[group];
            let granted = Oracle::granted_until(sim, node, group, epoch);
            let apart = sim.oracle.two_names[group];
            sim.oracle.hold(apart || until <= granted.max(sim.nodes[node].kernel.gates[interface].until), || {
                format!(
                    "S4: node {node} renews group {group} until {until:?}, a majority granted {epoch} until {granted:?}"
                )
            });
        }
    }

    /// Checks an opening by votes: a majority covers the lease (S4), and the node's own vote is
    /// free (S5).
    pub(super) fn check_election(sim: &mut Sim, node: usize, group: usize, epoch: Epoch) {
        let known = sim.oracle.votes.on && !sim.plan.is_beyond() && sim.plan.strict;
        if !known || sim.oracle.seen[node].reopens[group] == epoch || sim.oracle.two_names[group] {
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

    /// Checks S1 when more than one node answers.
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
