//! One node as the simulator sees it: process, kernel, disk.

use super::kernel::Kernel;
use crate::engine::{Action, Command, Engine, Event, GroupState, InterfaceFacts, Loaded};
use crate::types::{InterfaceId, LinkId, MonoTime};
use crate::wire::frame::Sighting;
use std::time::Duration;

/// An event that waits for a process to run again.
#[derive(Clone, Debug)]
pub enum Waiting {
    Datagram(LinkId, Vec<u8>),
    Refused(LinkId),
    Seen(Sighting),
    Facts(InterfaceFacts),
    Stored(u64),
    StoreFailed,
    Command(Command),
    Tick,
}

impl Waiting {
    /// As the engine takes it.
    pub fn event(&self, interface: InterfaceId) -> Event<'_> {
        match self {
            Waiting::Datagram(link, bytes) => Event::Datagram { link: *link, bytes },
            Waiting::Refused(link) => Event::Refused { link: *link },
            Waiting::Seen(sighting) => Event::Seen { interface, sighting: *sighting },
            Waiting::Facts(facts) => Event::Interface { interface, facts: *facts },
            Waiting::Stored(version) => Event::Stored { version: *version },
            Waiting::StoreFailed => Event::StoreFailed,
            Waiting::Command(command) => Event::Command { id: 1, command: *command },
            Waiting::Tick => Event::Tick,
        }
    }
}

/// A stopped process: what it had decided and not yet done, and what waits for it.
#[derive(Default)]
pub struct Pause {
    pub held: Vec<Action>,
    pub bytes: Vec<u8>,
    pub decided: MonoTime,
    pub backlog: Vec<Waiting>,
}

/// What the disk of a node holds, and how it behaves.
pub struct Disk {
    pub content: Loaded,
    pub fails: bool,
    pub latency: Duration,
    /// The newest state that the process wants there.
    pub wanted: Option<(u64, Vec<GroupState>)>,
    pub writing: bool,
}

pub struct Node {
    pub engine: Option<Engine>,
    pub kernel: Kernel,
    pub disk: Disk,
    pub pause: Option<Pause>,
    /// Stop for so long in the middle of the next list that changes the gate.
    pub trap: Option<Duration>,
    pub carrier: bool,
    pub exited: bool,
    pub life: u64,
    /// Wake-ups without time passing.
    pub spins: usize,
}

impl Node {
    pub fn new() -> Node {
        Node {
            engine: None,
            kernel: Kernel::default(),
            disk: Disk {
                content: Loaded::Fresh,
                fails: false,
                latency: Duration::from_millis(3),
                wanted: None,
                writing: false,
            },
            pause: None,
            trap: None,
            carrier: true,
            exited: false,
            life: 0,
            spins: 0,
        }
    }

    /// True while its process takes events.
    pub fn is_running(&self) -> bool {
        self.engine.is_some() && self.pause.is_none() && !self.exited
    }
}
