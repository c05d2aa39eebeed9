//! One node as the simulator sees it: machine, kernel, process, disk, and what its file says.

use super::clock::{Clock, Real};
use super::kernel::Kernel;
use super::swarm::Plan;
use crate::durable::{Durable, Loaded};
use crate::engine::{Action, Command, Engine, Hook};
use crate::timing::{Promote, Timing};
use crate::types::{Epoch, LinkId, MonoTime};
use crate::wire::frame::Sighting;
use std::time::Duration;

/// Something that waits for a process to run again.
#[derive(Clone, Debug)]
pub enum Waiting {
    Datagram(LinkId, Vec<u8>),
    Refused(LinkId),
    Seen(usize, Sighting),
    /// How an interface is now.
    Facts(usize),
    /// The gate of an interface is at hand.
    Attach(usize),
    /// The gate of an interface is another.
    Replaced(usize),
    /// The addresses of a new configuration are there.
    Installed(usize),
    Stored(u64),
    StoreFailed,
    Command(Command),
    /// How the service of one of the simulation's groups does.
    Health(usize),
    /// A hook of one of the simulation's groups has ended.
    Hook(usize, Hook, Epoch, bool),
    Tick,
}

/// A stopped process: what it had decided and not yet done, and what waits for it.
#[derive(Default)]
pub struct Pause {
    pub held: Vec<Action>,
    pub bytes: Vec<u8>,
    /// By the node's clock.
    pub decided: MonoTime,
    pub backlog: Vec<Waiting>,
}

/// What the disk of a node holds, and how it behaves.
pub struct Disk {
    pub content: Loaded,
    /// What it held before.
    pub former: Loaded,
    pub fails: bool,
    pub latency: Duration,
    /// The newest state that the process wants there.
    pub wanted: Option<(u64, Durable)>,
    /// What is being written.
    pub writing: Option<Durable>,
}

/// An interface of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Eth {
    pub exists: bool,
    pub carrier: bool,
    /// Which gate the process has at hand, by its serial.
    pub attached: Option<u64>,
}

/// One group in the file of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// Which of the simulation's groups.
    pub group: usize,
    pub prefer: usize,
    pub preempt: bool,
    pub promote: Promote,
    /// It has its second address here.
    pub second: bool,
}

/// What the file of a node says.
#[derive(Clone, Debug)]
pub struct Config {
    pub timing: Timing,
    pub groups: Vec<GroupConfig>,
}

impl Config {
    pub fn new(plan: &Plan) -> Config {
        let group = |(group, plan): (usize, &super::swarm::GroupPlan)| GroupConfig {
            group,
            prefer: plan.prefer,
            preempt: plan.preempt,
            promote: plan.promote,
            second: false,
        };
        Config { timing: plan.timing(), groups: plan.groups.iter().enumerate().map(group).collect() }
    }
}

pub struct Node {
    pub engine: Option<Box<Engine>>,
    pub kernel: Kernel,
    pub disk: Disk,
    pub clock: Clock,
    pub interfaces: Vec<Eth>,
    pub config: Config,
    /// How badly the service of each of the simulation's groups does, whatever the agent knows of it.
    pub services: Vec<u8>,
    /// By the simulation's number of a group: with which epoch it may be opened in this life, as far as hooks go.
    pub prepared: Vec<Epoch>,
    /// By the engine's number of a group: which of the simulation's it is.
    pub table: Vec<usize>,
    /// By the simulation's number of a group: which of the engine's it is.
    pub places: Vec<Option<usize>>,
    pub pause: Option<Pause>,
    /// Stop for so long in the middle of the next list that changes the gate.
    pub trap: Option<Duration>,
    pub powered: bool,
    /// Suspended or frozen: its kernel does nothing either.
    pub asleep: bool,
    pub exited: bool,
    pub life: u64,
    /// When the engine wants to be woken.
    pub wake: Real,
    /// Wake-ups without time passing.
    pub spins: usize,
}

impl Node {
    pub fn new(plan: &Plan, now: Real) -> Node {
        let disk = Disk {
            content: Loaded::Fresh,
            former: Loaded::Fresh,
            fails: false,
            latency: Duration::from_millis(3),
            wanted: None,
            writing: None,
        };
        Node {
            engine: None,
            kernel: Kernel::new(plan.interfaces, plan.groups.len()),
            disk,
            clock: Clock::new(now, MonoTime(1_000_000_000), 0),
            interfaces: vec![Eth { exists: true, carrier: true, attached: None }; plan.interfaces],
            config: Config::new(plan),
            services: vec![0; plan.groups.len()],
            prepared: vec![Epoch::NONE; plan.groups.len()],
            table: Vec::new(),
            places: vec![None; plan.groups.len()],
            pause: None,
            trap: None,
            powered: true,
            asleep: false,
            exited: false,
            life: 0,
            wake: Real::NEVER,
            spins: 0,
        }
    }

    /// True while its process takes events.
    pub fn is_running(&self) -> bool {
        self.engine.is_some() && self.pause.is_none() && !self.exited
    }

    /// True while frames reach its kernel on an interface.
    pub fn is_connected(&self, interface: usize) -> bool {
        let eth = &self.interfaces[interface];
        self.powered && !self.asleep && eth.exists && eth.carrier
    }

    /// True while its process has the gate that its kernel runs.
    pub fn is_attached(&self, interface: usize) -> bool {
        let gate = &self.kernel.gates[interface];
        gate.there && self.interfaces[interface].attached == Some(gate.serial)
    }
}
