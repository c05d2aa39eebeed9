//! What a search is about: how many nodes, with which times, and what may go wrong how often.

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

/// One tick. Long against the few waits that are constants of the code, so that these are over within a tick.
pub const TICK: Duration = Duration::from_secs(10);
/// The clients' interface of every node.
pub const ETH: InterfaceId = InterfaceId(0);
/// The only group.
pub const GROUP: GroupId = GroupId(0);
/// The ways from one node to another: one link, and the segment.
pub const PATHS: [LinkPath; 2] = [LinkPath::Udp(0), LinkPath::Segment(ETH)];
/// Position of the segment in [`PATHS`].
pub const SEGMENT: usize = 1;

pub fn ticks(count: u32) -> Duration {
    TICK * count
}

pub fn id(node: usize) -> NodeId {
    NodeId(u8::try_from(node).unwrap() + 1)
}

pub fn mac(node: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, id(node).0])
}

pub fn vip() -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100))
}

/// A rule of the world that is broken on purpose, to see that the promise it holds up is looked at.
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
    /// What is closed stays open.
    GateNeverCloses,
    /// The disk never tells that it has written.
    DiskSilent,
    /// The wires are cut behind the model's back: it believes them sound.
    SecretCut,
}

/// The plan of a search.
#[derive(Clone, Debug)]
pub struct Shape {
    pub name: &'static str,
    pub nodes: usize,
    /// A third voter takes part: then S5 of voters is looked at.
    pub witness: bool,
    /// S1 is asked for in the place of S8.
    pub one: bool,
    pub timing: Timing,
    pub order: Order,
    /// The counter of the first epoch.
    pub floor: u64,
    /// The ways that are configured, by their position in [`PATHS`].
    pub links: Vec<usize>,
    /// What has happened before the search begins, and for how many ticks each.
    pub history: Vec<(Act, usize)>,
    /// Both are started and one is active when the search begins; otherwise nobody has started yet.
    pub settled: bool,
    /// The preferred node takes the group back.
    pub preempt: bool,
    /// How late node 1 may start, in ticks.
    pub stagger: u64,
    pub budget: Budget,
    pub cuts: Vec<Cuts>,
    /// What is cut stays cut.
    pub lasting: bool,
    /// A datagram that is held up arrives so many ticks late.
    pub delay: u8,
    /// What fits into the sockets of a stopped process.
    pub backlog: usize,
    pub orders: Vec<(usize, Command)>,
    /// Something is done before the group is opened, and takes so many ticks.
    pub hook: Option<u8>,
    /// A node that nothing happens to, so it answers all the time.
    pub spared: Option<usize>,
    /// Something may happen that lets node 1 take over.
    pub moves: bool,
    /// L5 is asked for, too: it makes many more states.
    pub liveness: bool,
    pub mutants: Mutants,
    pub plant: Option<Plant>,
    /// How many steps it is known to have, at most. A search that goes far beyond is given up.
    pub steps: usize,
    pub keys: Arc<KeyRing>,
}

/// Ratios as in a profile, in few ticks: pulse 2, suspicion 3, silence 6, lease 8.
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
            offer: ticks(6),
            first_veto: ticks(20),
            isolation: NEVER,
            asking: NEVER,
            anchors: NEVER,
            deaf: ticks(12),
            segment: NEVER,
            announcements: NEVER,
        },
    }
}

/// The same where votes renew the lease: pulse 2, lease 6, and promises that are longer by the least that there is. Clocks
/// that differ by a tick in a lease are what they bear.
fn voted() -> Timing {
    let bare = timing();
    let (pulse, silence, lease) = (ticks(2), ticks(4), ticks(6));
    let derived = Timing::derive(pulse, silence, lease);
    let Timing { promise, abstain, .. } = derived;
    Timing { silence, lease, promise, abstain, listen: promise, ..bare }
}

impl Shape {
    /// A pair with a witness to which nothing happens.
    pub fn voted(name: &'static str) -> Shape {
        Shape::pair(name).with_witness()
    }

    /// The same with a witness.
    pub fn with_witness(self) -> Shape {
        Shape { witness: true, one: true, order: Order::Rounds, timing: voted(), ..self }
    }

    /// The number of an end of a way.
    pub fn number(&self, end: usize) -> NodeId {
        if end == self.witness_end() { NodeId::FIRST_WITNESS } else { id(end) }
    }

    pub fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys)
    }

    /// A bare pair to which nothing happens.
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

    pub fn with_mutant(mut self, mutant: Mutant) -> Shape {
        self.mutants = Mutants::only(mutant);
        self.keys = Arc::new(KeyRing::new("model", &[(1, [7; 32])]).mutated(self.mutants));
        self
    }

    pub fn with_plant(mut self, plant: Plant) -> Shape {
        self.plant = Some(plant);
        self
    }

    /// The same, known to have so many steps.
    pub fn of(self, steps: usize) -> Shape {
        Shape { steps, ..self }
    }

    /// True if some cut leaves no way between two nodes in some direction.
    pub fn parts(&self) -> bool {
        let lost = |cuts: &Cuts, from: usize, to: usize| {
            from != to && self.links.iter().all(|path| cuts.is_cut(from, to, *path))
        };
        self.cuts.iter().any(|cuts| (0..self.nodes).any(|from| (0..self.nodes).any(|to| lost(cuts, from, to))))
    }

    pub fn paths(&self) -> Vec<LinkPath> {
        self.links.iter().map(|path| PATHS[*path]).collect()
    }

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

    /// The states a search begins with.
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

/// A node's clock as its engine sees it; it begins late enough for any age to be told from the beginning of time.
pub fn instant(clock: u64) -> MonoTime {
    MonoTime(0) + TICK * 10_000 + TICK * u32::try_from(clock).unwrap_or(u32::MAX)
}
