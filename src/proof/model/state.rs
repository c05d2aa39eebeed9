//! One state of the modelled world: nodes, kernels, disks, flights, budget. Two states are the same
//! if their canons are.

pub use super::budget::{Budget, Cuts};
pub use super::flight::{Flight, Freight, Receiver};
use super::rules::Ghost;
use super::shape::instant;
use super::witness::{Grant, Said, SentPulse, Witness};
use crate::canon::Canon;
use crate::durable::Loaded;
use crate::engine::{Action, Engine};
use crate::types::{Epoch, MonoTime};
use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The order in which flights that are due may arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Any flight next.
    Any,
    /// The first of each way and kind next: nothing overtakes what is not held up.
    Queues,
    /// Everything that one node has sent to another at once, in its order, as a process takes it
    /// that empties its sockets. Processes start and go on, and wires are mended, between instants
    /// only.
    Bursts,
    /// Bursts, and all datagrams travel equally long: what is sent in one round of an instant
    /// arrives in the next. Within a round the parties act one after another, each in any order of
    /// what has come to it.
    Rounds,
}

/// The kernel of a node: the gate with its lease and its latch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel {
    /// Deadline of the lease, by the node's clock.
    pub until: MonoTime,
    /// Number of the lease; 0 before the first.
    pub generation: u64,
    /// Whether the present lease has turned somebody away.
    pub refused: bool,
    /// The epoch that the gate is open with.
    pub open: Option<Epoch>,
}

/// What is kept for a stopped process until it goes on.
#[derive(Clone, Debug)]
pub struct Pause {
    /// Actions that the process had decided and not yet carried out.
    pub held: Vec<Action>,
    /// The datagrams of the held actions.
    pub bytes: Vec<u8>,
    /// Instant of the decision, by the node's clock.
    pub decided: MonoTime,
    /// Flights that have arrived since.
    pub backlog: Vec<Arc<Flight>>,
}

/// One node: clock, process, kernel, disk, and what the rules remember of it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Ticks since the beginning, as this node counts them.
    pub clock: u64,
    /// The engine of the agent; `None` if no agent runs.
    pub engine: Option<Engine>,
    pub kernel: Kernel,
    /// What an agent that starts now reads.
    pub disk: Loaded,
    /// The pause of a stopped process; `None` while the process runs.
    pub pause: Option<Pause>,
    /// Whether the interface has carrier.
    pub carrier: bool,
    /// Number of the agent's starts.
    pub life: u8,
    /// The highest epoch that the node has opened with.
    pub used: Epoch,
    /// The highest epoch that the node was told while it could remember.
    pub told: Epoch,
    /// Whether the guest is frozen: its clock stands still, and nothing reaches it.
    pub frozen: bool,
    /// Number of ticks for which a thawed guest may still use what its lease had left when it
    /// froze.
    pub excused: u8,
    /// The epochs that the node grants, as its datagrams said. Only with a witness.
    pub said: Said,
    /// The highest epoch that the node has asked for.
    pub asked: Epoch,
    /// The highest epoch that the node has given up.
    pub given_up: Epoch,
    /// The datagrams from which a lease may be counted. Only with a witness; no part of the canon,
    /// for the engine that sent them has them in its own.
    pub sent: Vec<SentPulse>,
}

impl Node {
    /// A machine that has just booted for the first time: no agent, no gate, an empty disk.
    pub fn new() -> Node {
        Node {
            clock: 0,
            engine: None,
            kernel: Kernel::default(),
            disk: Loaded::Fresh,
            pause: None,
            carrier: true,
            life: 0,
            used: Epoch::NONE,
            told: Epoch::NONE,
            frozen: false,
            excused: 0,
            said: Said::default(),
            asked: Epoch::NONE,
            given_up: Epoch::NONE,
            sent: Vec::new(),
        }
    }

    /// Whether the guest is frozen, or goes on with what its lease had left.
    pub fn is_excused(&self) -> bool {
        self.frozen || self.excused > 0
    }

    /// The instant that the node's clock shows.
    pub fn now(&self) -> MonoTime {
        instant(self.clock)
    }

    /// Whether the process takes events.
    pub fn is_running(&self) -> bool {
        self.engine.is_some() && self.pause.is_none()
    }

    /// Whether the engine has to be called now.
    pub fn is_due(&self) -> bool {
        let due = self.engine.as_ref().is_some_and(|engine| engine.next_deadline() <= self.now());
        due && self.is_running()
    }

    /// Whether the gate answers for the group now; `forever`: whatever the lease's deadline and
    /// latch say.
    pub fn answers(&self, forever: bool) -> bool {
        let kernel = &self.kernel;
        !self.frozen && kernel.open.is_some() && (forever || (self.now() < kernel.until && !kernel.refused))
    }

    /// Adds the node to a state's canon: everything that can matter later, and instants as
    /// distances from now.
    fn canon(&self, canon: &mut Canon) {
        let Node {
            clock: _,
            engine,
            kernel,
            disk,
            pause,
            carrier,
            life: _,
            used,
            told,
            frozen,
            excused,
            said,
            asked,
            given_up,
            sent: _,
        } = self;
        let now = self.now();
        let Kernel { until, generation, refused, open } = *kernel;
        canon.ahead(now, until);
        canon.generation(generation);
        canon.flags(&[refused, *carrier, until == MonoTime::ZERO, *frozen]);
        canon.plain((*excused).into());
        canon.epochs(&[open.unwrap_or(Epoch::NONE), *used, *told]);
        canon.epochs(&[*asked, *given_up]);
        said.canon(canon);
        match disk {
            Loaded::Fresh => canon.plain(0),
            Loaded::State(state) => state.canon(canon),
            Loaded::Damaged => canon.plain(u64::MAX),
        }
        canon.option(engine.as_ref(), |canon, engine| engine.canon(now, canon));
        canon.option(pause.as_ref(), |canon, pause| pause.canon(self, canon));
    }
}

impl Pause {
    /// Adds what a stopped process of `node` holds, and what waits for it, to a state's canon.
    fn canon(&self, node: &Node, canon: &mut Canon) {
        let Pause { held, bytes, decided, backlog } = self;
        canon.list(backlog, |canon, flight| flight.canon(Receiver::Node(node), canon));
        canon.size(held.len());
        if held.is_empty() {
            return;
        }
        canon.age(node.now(), *decided, super::shape::ticks(64));
        super::carry::canon_held(held, bytes, node, canon);
    }
}

/// One state of the world.
#[derive(Clone)]
pub struct State {
    pub nodes: Vec<Arc<Node>>,
    pub witness: Option<Arc<Witness>>,
    /// Grants of voters that their holders may still use.
    pub grants: Vec<Grant>,
    /// The flights, in the order of sending.
    pub air: Vec<Arc<Flight>>,
    /// Number of the present round of the instant.
    pub round: u16,
    /// The highest epoch that any node has opened with. Only with a witness.
    pub highest: Epoch,
    /// The order of arrivals, the same in every state of a search.
    pub order: Order,
    /// The ways that are cut.
    pub cut: Cuts,
    /// What may still go wrong.
    pub budget: Budget,
    /// The ticks that the rules count.
    pub ghost: Ghost,
    /// The first promise that was broken.
    pub broken: Option<&'static str>,
}

impl State {
    /// A state with these nodes in which nothing has happened yet: no witness, no flights, no
    /// budget.
    pub fn new(nodes: Vec<Arc<Node>>, order: Order) -> State {
        State {
            nodes,
            witness: None,
            grants: Vec::new(),
            air: Vec::new(),
            round: 1,
            highest: Epoch::NONE,
            order,
            cut: Cuts::default(),
            budget: Budget::default(),
            ghost: Ghost::default(),
            broken: None,
        }
    }

    /// Number of nodes whose gates answer; `forever` as in [`Node::answers`].
    pub fn answering(&self, forever: bool) -> usize {
        self.nodes.iter().filter(|node| node.answers(forever)).count()
    }

    /// Puts a flight into the air.
    pub fn launch(&mut self, from: usize, to: usize, freight: Freight) {
        self.air.push(Arc::new(Flight { from, to, late: 0, round: self.round, freight }));
    }

    /// Puts a flight of a node's own machine into the air that takes `late` ticks.
    pub fn launch_late(&mut self, node: usize, freight: Freight, late: u8) {
        self.air.push(Arc::new(Flight { from: node, to: node, late, round: self.round, freight }));
    }

    /// Whether a flight is to arrive in the present instant and round.
    pub fn is_due(&self, flight: &Flight) -> bool {
        flight.late == 0 && (self.order != Order::Rounds || flight.round < self.round)
    }

    /// The receiver at the end `to`.
    fn receiver(&self, to: usize) -> Receiver<'_> {
        match (self.nodes.get(to), &self.witness) {
            (Some(node), _) => Receiver::Node(node),
            (None, Some(witness)) => Receiver::Witness(witness),
            (None, None) => unreachable!("nothing is for nobody"),
        }
    }

    /// Adds the state to a canon, but for what is hashed as it is: cuts, budget, counts, and the
    /// broken promise.
    fn canon(&self, canon: &mut Canon) {
        let State {
            nodes,
            witness,
            grants: _,
            air,
            round: _,
            highest,
            order,
            cut: _,
            budget: _,
            ghost: _,
            broken: _,
        } = self;
        canon.epochs(&[*highest]);
        nodes.iter().for_each(|node| node.canon(canon));
        canon.option(witness.as_ref(), |canon, witness| witness.canon(canon));
        self.canon_grants(canon);
        let mut flights: Vec<&Arc<Flight>> = air.iter().collect();
        match order {
            Order::Any | Order::Queues => flights.sort_by_key(|flight| flight.place()),
            // A burst arrives in the order in which it was sent.
            Order::Bursts | Order::Rounds => flights.sort_by_key(|flight| (flight.from, flight.to)),
        }
        canon.size(flights.len());
        for flight in flights {
            flight.canon(self.receiver(flight.to), canon);
            canon.flags(&[self.is_due(flight)]);
        }
    }
}

thread_local! {
    /// A canon that is used again, for canons are made millions of times.
    static CANON: RefCell<Canon> = RefCell::default();
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        CANON.with_borrow_mut(|canon| {
            canon.clear();
            self.canon(canon);
            canon.hash_into(hasher);
        });
        (self.cut, self.budget, self.ghost, self.broken).hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        let hash = |state: &State| {
            let mut hasher = std::hash::DefaultHasher::new();
            state.hash(&mut hasher);
            hasher.finish()
        };
        hash(self) == hash(other)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::story::line(self))
    }
}
