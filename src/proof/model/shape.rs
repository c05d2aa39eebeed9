//! The shape of a search: how many nodes, with which times, and what may go wrong how often.

use super::act::Act;
use super::state::{Budget, Cuts, Node, Order, State};
use super::witness::Witness;
use crate::canon::NEVER;
use crate::durable::Loaded;
use crate::engine::{Command, GroupSetup, PeerSetup, Setup, Votes};
use crate::mutant::{Mutant, Mutants};
use crate::timing::DRIFT_PPM;
use crate::timing::{Patience, Promote, Timing};
use crate::types::{GroupId, GroupKey, InterfaceId, LinkPath, MacAddr, MonoTime, NodeId, Vip};
use crate::wire::auth::KeyRing;
use crate::wire::pulse::Digests;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// The length of a tick. Waits that are constants of the code, and not part of [`Timing`], are
/// shorter and end within one.
pub const TICK: Duration = Duration::from_secs(10);
/// The clients' interface of every node.
pub const ETH: InterfaceId = InterfaceId(0);
/// The only group.
pub const GROUP: GroupId = GroupId(0);
/// The ways from one node to another: one link, and the segment.
pub const PATHS: [LinkPath; 2] = [LinkPath::Udp(0), LinkPath::Segment(ETH)];
/// Position of the segment in [`PATHS`].
pub const SEGMENT: usize = 1;

/// The span of so many ticks.
pub fn ticks(count: u32) -> Duration {
    TICK * count
}

/// The identity on the wire of the node with this number in the model: 1 for node 0.
pub fn id(node: usize) -> NodeId {
    NodeId(u8::try_from(node).unwrap() + 1)
}

/// The hardware address of a node.
pub fn mac(node: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, id(node).0])
}

/// The group's only address.
pub fn vip() -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100))
}

/// A rule of the modelled world that is broken on purpose, to see that a promise of the check
/// notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// The gate answers whatever its deadline says.
    GateIgnoresDeadline,
    /// The gate takes a deadline as a span from the moment of the write.
    DeadlineFromWrite,
    /// A process that starts finds no state on its disk.
    DiskForgets,
    /// The gate forgets that it turned somebody away.
    LatchOff,
    /// The gate never closes.
    GateNeverCloses,
    /// The disk never tells that it has written.
    DiskSilent,
    /// The wires are cut behind the model's back: it believes them sound.
    SecretCut,
}

/// The plan of a search.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Name of the search.
    pub name: &'static str,
    /// Number of nodes.
    pub nodes: usize,
    /// Whether a witness takes part, so that S5 of voters is checked.
    pub witness: bool,
    /// Whether S1 is checked instead of S8.
    pub one: bool,
    /// The times of all nodes.
    pub timing: Timing,
    /// The order of arrivals.
    pub order: Order,
    /// The counter of the first epoch.
    pub floor: u64,
    /// The ways that are configured, by their position in [`PATHS`].
    pub links: Vec<usize>,
    /// Acts before the search begins, each with the ticks that pass after it.
    pub history: Vec<(Act, usize)>,
    /// Whether the search begins with all agents running and one active; otherwise node 0 has just
    /// started.
    pub settled: bool,
    /// Whether the preferred node takes the group back.
    pub preempt: bool,
    /// Latest start of node 1, in ticks.
    pub stagger: u64,
    /// The things that may go wrong.
    pub budget: Budget,
    /// The cuts that may be made.
    pub cuts: Vec<Cuts>,
    /// Whether what is cut stays cut.
    pub lasting: bool,
    /// Number of ticks by which a held-up flight is late.
    pub delay: u8,
    /// Number of flights that wait for a stopped process.
    pub backlog: usize,
    /// Commands that operators may give, each with its node.
    pub orders: Vec<(usize, Command)>,
    /// Number of ticks that the hook before an opening takes; `None` without one.
    pub hook: Option<u8>,
    /// A node that nothing happens to, so that it answers all the time.
    pub spared: Option<usize>,
    /// Whether something may happen that lets node 1 take over.
    pub moves: bool,
    /// Whether L5 is checked, too, which makes many more states.
    pub liveness: bool,
    /// The rule of the protocol that is broken, if any.
    pub mutants: Mutants,
    /// The rule of the world that is broken, if any.
    pub plant: Option<Plant>,
    /// Number of steps that the search is known to have at most. A search is given up after three
    /// times as many.
    pub steps: usize,
    /// The keys of the cluster.
    pub keys: Arc<KeyRing>,
}

/// The times of a bare pair: ratios as in a profile, in few ticks: pulse 2, suspicion 3, silence 6,
/// lease 8.
fn timing() -> Timing {
    Timing {
        pulse: ticks(2),
        silence: ticks(6),
        lease: ticks(8),
        suspicion: ticks(3),
        probe: ticks(1),
        listen: ticks(9),
        veto: ticks(20),
        election: ticks(6),
        promise: ticks(9),
        abstain: ticks(10),
        drift_ppm: DRIFT_PPM,
        patience: Patience {
            hold: ticks(10),
            unrest: ticks(40),
            unrest_most: ticks(80),
            offer: ticks(6),
            first_veto: ticks(20),
            isolation: NEVER,
            asking: NEVER,
            anchors: NEVER,
            slowest: ticks(1),
            frame: Duration::ZERO,
            deaf: ticks(12),
            segment: NEVER,
            reach: Patience::UNDOUBTED,
            announcements: NEVER,
        },
    }
}

/// The times where votes renew the lease: pulse 2, silence 4, lease 6 ticks, and promises that are
/// longer by what [`Timing::derive`] adds for clocks that differ. Clocks may differ by a tick in a
/// lease.
fn voted_timing() -> Timing {
    let bare = timing();
    let (pulse, silence, lease) = (ticks(2), ticks(4), ticks(6));
    let derived = Timing::derive(pulse, silence, lease);
    let Timing { promise, abstain, .. } = derived;
    Timing { silence, lease, promise, abstain, listen: promise, ..bare }
}

impl Shape {
    /// The shape of a pair with a witness to which nothing happens.
    pub fn voted(name: &'static str) -> Shape {
        Shape::pair(name).with_witness()
    }

    /// The same shape with a witness.
    pub fn with_witness(self) -> Shape {
        Shape { witness: true, one: true, order: Order::Rounds, timing: voted_timing(), ..self }
    }

    /// The identity on the wire of an end: a node, or the witness.
    pub fn number(&self, end: usize) -> NodeId {
        if end == self.witness_end() { NodeId::FIRST_WITNESS } else { id(end) }
    }

    /// The keys of the cluster, which every party shares.
    pub fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys)
    }

    /// The shape of a bare pair to which nothing happens.
    pub fn pair(name: &'static str) -> Shape {
        Shape {
            name,
            nodes: 2,
            witness: false,
            one: false,
            timing: timing(),
            order: Order::Bursts,
            floor: 1,
            links: vec![0, SEGMENT],
            history: Vec::new(),
            settled: true,
            preempt: false,
            stagger: 0,
            budget: Budget::default(),
            cuts: Vec::new(),
            lasting: false,
            delay: 1,
            backlog: 2,
            orders: Vec::new(),
            hook: None,
            spared: None,
            moves: true,
            liveness: false,
            mutants: Mutants::NONE,
            plant: None,
            steps: 1_000_000,
            keys: Arc::new(KeyRing::new("model", &[(1, [7; 32])])),
        }
    }

    /// The same shape with a rule of the protocol broken.
    pub fn with_mutant(mut self, mutant: Mutant) -> Shape {
        self.mutants = Mutants::only(mutant);
        self.keys = Arc::new(KeyRing::new("model", &[(1, [7; 32])]).mutated(self.mutants));
        self
    }

    /// The same shape with a rule of the world broken.
    pub fn with_plant(mut self, plant: Plant) -> Shape {
        self.plant = Some(plant);
        self
    }

    /// The same shape, whose search is known to have `steps` steps.
    pub fn with_steps(self, steps: usize) -> Shape {
        Shape { steps, ..self }
    }

    /// Whether some cut leaves no way between two nodes in some direction.
    pub fn parts(&self) -> bool {
        let lost = |cuts: &Cuts, from: usize, to: usize| {
            from != to && self.links.iter().all(|path| cuts.is_cut(from, to, *path))
        };
        self.cuts.iter().any(|cuts| (0..self.nodes).any(|from| (0..self.nodes).any(|to| lost(cuts, from, to))))
    }

    /// The paths that are configured between nodes.
    pub fn paths(&self) -> Vec<LinkPath> {
        self.links.iter().map(|path| PATHS[*path]).collect()
    }

    /// The setup of the engine of node `node` in its life `life`, with what its disk holds.
    pub fn setup(&self, node: usize, life: u8, disk: &Loaded) -> Setup {
        let group = GroupSetup {
            key: GroupKey(1),
            interface: ETH,
            addresses: Arc::from([vip()]),
            prefer: id(0),
            preempt: self.preempt,
            preempt_delay: ticks(4),
            drain: ticks(2),
            promote: Promote::Peer,
            health: 0,
            before_open: self.hook.map(|taken| ticks(u32::from(taken) * 2)),
            before_close: None,
            addresses_digest: 1,
            policy_digest: 1,
        };
        let others = (0..self.nodes).filter(|other| *other != node);
        let others = others.map(|other| PeerSetup { id: id(other), links: self.paths() });
        let witness = PeerSetup { id: NodeId::FIRST_WITNESS, links: vec![PATHS[0]] };
        Setup {
            me: id(node),
            cluster: 7,
            timing: self.timing,
            keys: Arc::clone(&self.keys),
            seed: [id(node).0, life, 0, 0].repeat(8).try_into().unwrap(),
            epoch_floor: self.floor,
            loaded: disk.clone(),
            digests: Digests::default(),
            peers: others.chain(self.witness.then_some(witness)).collect(),
            votes: self.witness.then_some(Votes { witnesses: 1, strict: true }),
            interfaces: 1,
            groups: vec![group],
            mutants: self.mutants,
        }
    }

    /// The states that a search begins with: one for each permitted start of node 1, after the
    /// shape's history, with the whole budget.
    pub fn beginnings(&self) -> Vec<State> {
        let nodes = (0..self.nodes).map(|_| Arc::new(Node::new())).collect();
        let blank = State::new(nodes, self.order);
        (0..=self.stagger)
            .map(|late| {
                let mut state = self.start(&blank, 0);
                if self.witness {
                    state.witness = Some(Arc::new(Witness::new()));
                    self.start_witness(&mut state);
                }
                for _ in 0..late {
                    state = self.calm(&state, 1);
                }
                for node in 1..self.nodes {
                    state = self.start(&state, node);
                }
                if self.settled {
                    state = self.calm(&state, 60);
                }
                for (act, ticks) in &self.history {
                    state.budget = Budget::LAVISH;
                    let next = self.step(&state, *act).expect("what has happened was possible");
                    state = self.calm(&next, *ticks);
                }
                state.budget = self.budget;
                state.ghost = self.sound();
                state
            })
            .collect()
    }
}

/// The instant that a clock shows after so many ticks. Clocks begin late enough for every age to
/// differ from the beginning of time.
pub fn instant(clock: u64) -> MonoTime {
    MonoTime(0) + TICK * 10_000 + TICK * u32::try_from(clock).unwrap_or(u32::MAX)
}
