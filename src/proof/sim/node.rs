//! One node as the simulator sees it: machine, kernel, process, disk, and what its file says.

use super::clock::{Clock, Real};
use super::kernel::Kernel;
use super::names::mac;
use super::swarm::Plan;
use crate::durable::{Durable, Loaded};
use crate::engine::{Action, Command, Engine, Hook, Lacks};
use crate::timing::{Promote, Timing};
use crate::types::{Epoch, LinkId, MacAddr, MonoTime};
use crate::wire::frame::Sighting;
use std::time::Duration;

/// An event for a process, which waits while the process is stopped.
#[derive(Clone, Debug)]
pub enum Waiting {
    Datagram(LinkId, Vec<u8>),
    Refused(LinkId),
    Seen(usize, Sighting),
    /// The present state of an interface.
    Facts(usize),
    /// The hardware addresses of the machine.
    OwnMacs,
    /// The socket of a UDP link to all nodes is open, or closed.
    Socket(usize),
    /// A link took no datagram of so many bytes.
    TooLarge(LinkId, u16),
    /// The slow side has the gate of an interface at hand.
    Attach(usize),
    /// The own addresses on an interface, to ask with.
    Own(usize),
    /// The slow side has replaced the gate of an interface.
    Replaced(usize),
    /// The slow side looks whether the gate of an interface is in its place.
    Look(usize),
    /// Whether any address of one of the simulation's groups is in place.
    Addresses(usize),
    Stored(u64),
    StoreFailed,
    Command(Command),
    /// A verdict of the checks of one of the simulation's groups.
    Health(usize),
    /// What the node lacks for one of the simulation's groups is told.
    Lacks(usize),
    /// The end of a hook of one of the simulation's groups: for which epoch, and whether it ended
    /// well.
    Hook(usize, Hook, Epoch, bool),
    Tick,
}

/// A stopped process: actions it had decided and not yet carried out, and events that wait for it.
#[derive(Default)]
pub struct Pause {
    /// Actions that were decided and not carried out.
    pub held: Vec<Action>,
    /// Datagrams of the held actions.
    pub bytes: Vec<u8>,
    /// Instant at which the held actions were decided, by the node's clock.
    pub decided: MonoTime,
    /// Events that have come since.
    pub backlog: Vec<Waiting>,
}

/// The disk of a node: content and behaviour.
pub struct Disk {
    /// The state that a process which starts finds.
    pub content: Loaded,
    /// The content before the last write.
    pub former: Loaded,
    /// Whether writes fail.
    pub fails: bool,
    /// Time that a write takes.
    pub latency: Duration,
    /// The newest state that the process wants there.
    pub wanted: Option<(u64, Durable)>,
    /// The state that is being written.
    pub writing: Option<Durable>,
}

/// An interface of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Eth {
    /// Whether the interface exists.
    pub exists: bool,
    /// Whether the interface has the name that the file knows. What the kernel does with frames
    /// does not depend on it.
    pub named: bool,
    /// Whether the interface is a port of another one.
    pub enslaved: bool,
    /// Whether the interface has carrier.
    pub carrier: bool,
    /// Serial of the gate that the process has at hand.
    pub attached: Option<u64>,
    /// Whether the interface was gone, and the process has not heard of it.
    pub was_gone: bool,
}

impl Eth {
    /// An interface that is as it should be, and whose gate no process has at hand.
    const WHOLE: Eth =
        Eth { exists: true, named: true, enslaved: false, carrier: true, attached: None, was_gone: false };

    /// Whether a process finds the interface, and may keep gate and addresses on it.
    pub fn is_usable(&self) -> bool {
        self.exists && self.named && !self.enslaved
    }
}

/// One group in the file of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// Number of the group in the simulation.
    pub group: usize,
    /// The preferred node.
    pub prefer: usize,
    /// Whether the preferred node takes the group back.
    pub preempt: bool,
    /// The evidence that promotes, where votes decide.
    pub promote: Promote,
    /// Whether the group has its second address here.
    pub second: bool,
    /// Whether the group has its second name here.
    pub renamed: bool,
}

/// The file of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The times that the file names or implies.
    pub timing: Timing,
    /// The groups of the file, in its order.
    pub groups: Vec<GroupConfig>,
}

impl Config {
    /// The file that the plan gives to every node in the beginning.
    pub fn new(plan: &Plan) -> Config {
        let group = |(group, plan): (usize, &super::swarm::GroupPlan)| GroupConfig {
            group,
            prefer: plan.prefer,
            preempt: plan.preempt,
            promote: plan.promote,
            second: false,
            renamed: false,
        };
        Config { timing: plan.timing(), groups: plan.groups.iter().enumerate().map(group).collect() }
    }
}

/// One node: machine, kernel, process and disk.
pub struct Node {
    /// The engine of the process; `None` if no agent runs.
    pub engine: Option<Box<Engine>>,
    pub kernel: Kernel,
    pub disk: Disk,
    pub clock: Clock,
    pub interfaces: Vec<Eth>,
    pub config: Config,
    /// The node whose number the file gives to this one: its own, or another's by mistake.
    pub number: usize,
    /// By interface: its hardware address.
    pub macs: Vec<MacAddr>,
    /// By UDP link: whether its socket is closed.
    pub closed: Vec<bool>,
    /// By the simulation's number of a group: how badly its service does here (0 well, 255 not at
    /// all), whatever the agent knows of it.
    pub services: Vec<u8>,
    /// By the simulation's number of a group: what this node lacks for it, whatever the agent knows.
    pub lacks: Vec<Lacks>,
    /// By the simulation's number of a group: whether none of its addresses can be had here.
    pub bare: Vec<bool>,
    /// By the simulation's number of a group: the epochs with which its hook has permitted to open it
    /// since the machine was started.
    pub prepared: Vec<Vec<Epoch>>,
    /// By the engine's number of a group: its number in the simulation.
    pub table: Vec<usize>,
    /// By the simulation's number of a group: its number in the engine, if the file has it.
    pub places: Vec<Option<usize>>,
    /// The pause of a stopped process; `None` while it runs.
    pub pause: Option<Pause>,
    /// Time for which the process stops in the middle of its next list of actions that changes the
    /// gate.
    pub trap: Option<Duration>,
    /// Whether the machine has power.
    pub powered: bool,
    /// Whether the machine is suspended or frozen, so that its kernel does nothing either.
    pub asleep: bool,
    /// Whether the process has ended in order.
    pub exited: bool,
    /// Number of the process, which rises with each start.
    pub life: u64,
    /// Real instant at which the engine wants to be woken.
    pub wake: Real,
    /// Number of wake-ups since time last passed.
    pub spins: usize,
}

impl Node {
    /// The machine with this number, which has power, and on which no agent was ever started.
    pub fn new(plan: &Plan, number: usize, now: Real) -> Node {
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
            interfaces: vec![Eth::WHOLE; plan.interfaces],
            config: Config::new(plan),
            number,
            macs: (0..plan.interfaces).map(|interface| mac(number, interface)).collect(),
            closed: vec![false; plan.udp],
            services: vec![0; plan.groups.len()],
            lacks: vec![Lacks::NONE; plan.groups.len()],
            bare: vec![false; plan.groups.len()],
            prepared: vec![Vec::new(); plan.groups.len()],
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

    /// Whether the process takes events.
    pub fn is_running(&self) -> bool {
        self.engine.is_some() && self.pause.is_none() && !self.exited
    }

    /// Whether frames reach the kernel on an interface.
    pub fn is_connected(&self, interface: usize) -> bool {
        let eth = &self.interfaces[interface];
        self.powered && !self.asleep && eth.exists && eth.carrier
    }

    /// Whether the process has the gate that the kernel runs on an interface.
    pub fn is_attached(&self, interface: usize) -> bool {
        let gate = &self.kernel.gates[interface];
        gate.there && self.interfaces[interface].attached == Some(gate.serial)
    }
}
