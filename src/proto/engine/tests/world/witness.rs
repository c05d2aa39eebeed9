//! Witnesses of the world: their voters, their disks, the ways to them. And S1 judged by what
//! voters are bound to.

use super::setup::RENAMED;
use super::{Due, LATENCY, World, id, ms};
use crate::engine::{Event, PeerSetup, Votes};
use crate::rules::vote::abstention;
use crate::timing::{Profile, Promote, Timing};
use crate::types::{GroupId, GroupKey, LinkId, LinkPath, MonoTime, NodeId};
use crate::voter::{CheckSetup, Loaded, Memory, Output, Voter, VoterSetup};
use crate::wire::auth::KeyRing;
use crate::wire::fit::PLAIN;
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
pub struct Witness {
    /// The voter, while the witness runs.
    pub voter: Option<Voter>,
    pub disk: Option<Memory>,
    /// No copy of its memory is whole.
    pub damaged: bool,
    lives: u64,
    started: MonoTime,
}

/// All witnesses, and how the nodes reach them.
pub struct Witnesses {
    pub all: Vec<Witness>,
    pub strict: bool,
    pub promote: Promote,
    /// Cut ways, as (node, witness): `deaf` from the node to the witness, `mute` back.
    pub deaf: Vec<(usize, usize)>,
    pub mute: Vec<(usize, usize)>,
    /// How much longer a way takes than a link does.
    pub delay: Duration,
    /// Of several datagrams that answer one, the first with rows is lost.
    pub lose_first_of_burst: bool,
    /// Every gate is compared with what voters are bound to.
    pub judged: bool,
}

impl Default for Witnesses {
    fn default() -> Witnesses {
        let (deaf, mute) = (Vec::new(), Vec::new());
        let (all, promote, delay) = (Vec::new(), Promote::Peer, Duration::ZERO);
        Witnesses { all, strict: true, promote, deaf, mute, delay, lose_first_of_burst: false, judged: true }
    }
}

impl Witnesses {
    /// Who votes, for a node's setup; `None` without witnesses.
    pub(super) fn votes(&self) -> Option<Votes> {
        let witnesses = u8::try_from(self.all.len()).unwrap();
        (witnesses > 0).then_some(Votes { witnesses, strict: self.strict })
    }

    /// The witnesses as peers, for a node's setup.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerSetup> {
        (0..self.all.len()).map(|at| PeerSetup { id: number(at), links: vec![LinkPath::Udp(0)] })
    }

    /// Cuts both ways between a node and a witness, or mends them.
    pub fn cut(&mut self, node: usize, witness: usize, cut: bool) {
        for ways in [&mut self.deaf, &mut self.mute] {
            ways.retain(|way| *way != (node, witness));
            ways.extend(cut.then_some((node, witness)));
        }
    }
}

/// The number of a witness, by its position.
fn number(at: usize) -> NodeId {
    NodeId(NodeId::FIRST_WITNESS.0 + u8::try_from(at).unwrap())
}

/// The key of one of the world's groups, by its position.
fn key(group: usize) -> GroupKey {
    GroupKey(group as u64 + 1)
}

impl World {
    /// A world with this many witnesses, at the times of a cluster with witnesses. Nothing is
    /// started.
    pub fn voted(profile: Profile, groups: usize, witnesses: usize) -> World {
        let mut world = World::new(profile, groups);
        world.timing = Timing::with_witness(profile);
        world.witnesses.all = (0..witnesses).map(|_| Witness::default()).collect();
        world
    }

    /// Starts a witness's voter with what its disk holds.
    pub fn start_witness(&mut self, at: usize) {
        let witness = &mut self.witnesses.all[at];
        witness.lives += 1;
        witness.started = self.now;
        let missing = if witness.damaged { Loaded::Damaged } else { Loaded::Fresh };
        let loaded = witness.disk.clone().map_or(missing, Loaded::Memory);
        let setup = VoterSetup {
            me: number(at),
            cluster: 7,
            keys: Arc::new(KeyRing::new("test", &self.keys)),
            session: 1 << 40 | (at as u64) << 32 | witness.lives,
            drift_ppm: self.timing.drift_ppm,
            nodes: 2,
            loaded,
            checks: vec![CheckSetup { group: key(0), fall: 2, rise: 2 }],
            mutants: crate::mutant::Mutants::NONE,
        };
        witness.voter = Some(Voter::new(setup, self.now));
    }

    /// Kills a witness: its voter is gone, its disk stays.
    pub fn kill_witness(&mut self, at: usize) {
        self.witnesses.all[at].voter = None;
    }

    /// Reports the same result of a witness's check of group 0 twice, which is enough to count.
    pub fn check_service(&mut self, at: usize, healthy: bool) {
        let voter = self.witnesses.all[at].voter.as_mut().unwrap();
        for _ in 0..2 {
            voter.check(0, healthy, &mut Output::default());
        }
    }

    /// Sends a node's datagram to a witness, unless the way is cut.
    pub(super) fn say_to_witness(&mut self, from: usize, to: NodeId, bytes: Vec<u8>) {
        let witness = usize::from(to.0 - NodeId::FIRST_WITNESS.0);
        if !self.witnesses.deaf.contains(&(from, witness)) {
            self.schedule(Due::ToWitness { from, witness, bytes }, LATENCY + self.witnesses.delay);
        }
    }

    /// Delivers a datagram to a witness's voter; schedules its write and its answers.
    pub(super) fn hear_at_witness(&mut self, from: usize, at: usize, bytes: &[u8]) {
        let mut out = Output::default();
        let Some(voter) = self.witnesses.all[at].voter.as_mut() else { return };
        voter.handle(self.now, bytes, &mut out);
        if let Some(version) = out.persist {
            let (memory, life) = (voter.memory(), self.witnesses.all[at].lives);
            self.schedule(Due::WitnessStored { at, life, version, memory }, ms(1));
        }
        let burst = self.witnesses.lose_first_of_burst && out.answers.len() > 1;
        let first = out.datagrams().position(|answer| answer.len() > PLAIN).filter(|_| burst);
        for (_, answer) in out.datagrams().enumerate().filter(|(number, _)| Some(*number) != first) {
            if !self.witnesses.mute.contains(&(from, at)) {
                let link = LinkId { peer: number(at), path: LinkPath::Udp(0) };
                let delay = LATENCY + self.witnesses.delay;
                self.schedule(Due::Datagram { to: from, link, bytes: answer.to_vec() }, delay);
            }
        }
    }

    /// Ends a write of a witness's disk; a voter of the same life is told.
    pub(super) fn witness_stored(&mut self, at: usize, life: u64, version: u64, memory: Memory) {
        let witness = &mut self.witnesses.all[at];
        witness.disk = Some(memory);
        if let Some(voter) = witness.voter.as_mut().filter(|_| life == witness.lives) {
            voter.stored(version);
        }
    }

    /// Tells a node's engine that its links to all witnesses are open.
    pub(super) fn open_witness_links(&mut self, at: usize) {
        for witness in 0..self.witnesses.all.len() {
            let link = LinkId { peer: number(witness), path: LinkPath::Udp(0) };
            self.handle(at, Event::Link { link, open: true });
        }
    }

    /// Asserts S1 by arithmetic, whatever happens next: for each group that is answered for, a
    /// majority of the voters is bound to its node, for at least as long as the gate can be open.
    /// The node itself is one of them: it votes for nobody else while it is open.
    pub(super) fn judge_votes(&self) {
        if self.witnesses.all.is_empty() || !self.witnesses.judged {
            return;
        }
        for at in 0..2 {
            let kernel = &self.nodes[at].kernel;
            for (&group, &epoch) in &kernel.open {
                if !kernel.answers(group, self.now) {
                    continue;
                }
                let until = kernel.until;
                let other = self.is_bound(1 - at, at, group, until);
                let witnesses = self.witnesses.all.iter().filter(|witness| {
                    let Some(voter) = &witness.voter else { return true };
                    let lease = u32::try_from(self.timing.lease.as_micros()).unwrap();
                    let abstains = witness.started + abstention(lease, self.timing.drift_ppm) >= until;
                    let mut promises = voter.promises(self.now);
                    let promised = promises.any(|promise| {
                        promise.group.0 % RENAMED == key(usize::from(group.0)).0
                            && promise.to == id(at)
                            && promise.until >= until
                    });
                    promised || abstains
                });
                let bound = 1 + usize::from(other) + witnesses.count();
                let voters = 2 + self.witnesses.all.len();
                assert!(bound * 2 > voters, "S1: only {bound} of {voters} are bound to {epoch} until {until:?}");
            }
        }
    }

    /// True if node `at` votes for nobody but `holder` before `until`. A node whose agent does not
    /// run does not vote.
    fn is_bound(&self, at: usize, holder: usize, group: GroupId, until: MonoTime) -> bool {
        let Some(engine) = &self.nodes[at].engine else { return true };
        let vote = engine.view_vote(usize::from(group.0));
        let promised = vote.promised.is_some_and(|(to, end)| to == id(holder) && end >= until);
        promised || vote.abstains >= until
    }
}
