//! Clients with an open connection learn of a takeover at once.
//!
//! The active lists the connections to its groups' addresses again and again (`list`), and sends
//! the peer what changed over a TCP connection of its own, sealed with the cluster's key (`caller`
//! there, `listener` here). When a group opens here although the peer did not hand it over, every
//! connection that the peer had is tickled: three rounds of an empty ACK that makes the client ask,
//! and our kernel reset it (`tickler`). When a group was handed over, connections left shortly
//! before the end of the drain are reset by the former active (`resets`), and those left even then
//! are tickled by the new one.
//!
//! Owns: one thread, and all sockets for that. Never does: decide who is active, or make the hot
//! thread or the slow side wait. When a part of it fails, the takeover is as it would be without:
//! clients learn of it when they next send. Bounds: at most [`MAX_CONNECTIONS`] in all groups are
//! listed and as many mirrored; further ones are left out, and `status` says so.
//!
//! | file | noun |
//! |---|---|
//! | `worker` | the thread, what opens and closes, what is reported |
//! | `list` | our connections, read from the kernel |
//! | `caller` | the end that sends our lists to the peer |
//! | `listener` | the end that takes the peer's lists |
//! | `mirrored` | the peer's connections |
//! | `tickler`, `outlet` | packets to clients, and their way out |
//! | `resets` | ends of our own connections |
//! | `stream` | a TCP connection that never blocks |
//! | `figures` | numbers for `status` |

mod caller;
mod figures;
mod list;
mod listener;
mod mirrored;
mod outlet;
mod resets;
mod stream;
#[cfg(test)]
mod tests;
mod tickler;
mod worker;

pub use figures::{Figures, GroupFigures};

use crate::io::poll::Waker;
use crate::io::realtime;
use crate::types::{GroupKey, MonoTime, NodeId, Vip};
use crate::wire::mirror::MirrorKeys;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most connections of all groups together that are listed, mirrored and tickled: 7 MB in each
/// list.
pub const MAX_CONNECTIONS: usize = 200_000;
/// Most orders that wait: every group may open and close once.
const ORDERS: usize = 4096;

/// Configuration of the connections' thread.
#[derive(Clone, Debug)]
pub struct Setup {
    /// This node.
    pub me: NodeId,
    /// The other node.
    pub peer: NodeId,
    /// Local and remote address of each link.
    pub links: Vec<(IpAddr, IpAddr)>,
    /// Keys with which both nodes prove themselves.
    pub keys: MirrorKeys,
    /// Groups whose connections are watched.
    pub groups: Vec<Watched>,
}

/// Group whose connections are watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watched {
    /// Key of the group.
    pub key: GroupKey,
    /// Addresses of the group.
    pub addresses: Vec<Vip>,
    /// Time for which the former active carries connections after a handover.
    pub drain: Duration,
}

/// Reason why a group opened here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// The group was open already: its connections are alive.
    Adopted,
    /// The peer handed the group over and carries its connections for the time of the drain.
    HandedOver,
    /// The peer is gone, or could not go on: the group's connections are dead.
    TakenOver,
}

/// Reason why a group closed here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    /// The group was handed over: connections are carried for the time of the drain.
    HandedOver,
    /// The peer is active: no connection of ours can go on.
    Lost,
    /// The group may open here again, with the same connections.
    Other,
}

/// Order to the thread.
#[derive(Debug)]
enum Order {
    Setup(Box<Setup>),
    Opened(GroupKey, Opening, MonoTime),
    Closed(GroupKey, Closing, MonoTime),
}

/// Event worth a line in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Clients of a former active's connections are being tickled, three times each.
    Tickling {
        /// Group that opened here.
        group: GroupKey,
        /// Number of connections.
        connections: usize,
    },
    /// All clients of a group have been tickled.
    Tickled {
        /// Group that opened here.
        group: GroupKey,
        /// Number of packets that the kernel took.
        sent: u64,
        /// Number of packets that the kernel did not take.
        failed: u64,
        /// Time from the first packet of the first round to its last.
        first_round: Duration,
    },
    /// Connections that were left of a group were reset here.
    Reset {
        /// Group that closed here.
        group: GroupKey,
        /// Number of connections reset.
        reset: usize,
        /// Number of connections that the kernel refused to reset.
        refused: usize,
    },
    /// The peer takes our lists.
    MirrorUp {
        /// Position of the link in [`Setup::links`].
        link: usize,
    },
    /// The peer does not take our lists any more.
    MirrorDown {
        /// Reason, for people.
        why: String,
    },
    /// A caller or listener without the cluster's key was refused. Reported once a minute at most.
    Refused {
        /// Address and reason, for people.
        what: String,
    },
    /// The kernel does not list its connections, or takes no packets of ours. Reported once a
    /// minute at most.
    Failed {
        /// Operation and the kernel's words.
        what: String,
    },
}

/// Handle of the connections' thread.
#[derive(Clone, Debug)]
pub struct Connections {
    orders: SyncSender<Order>,
    waker: Waker,
    figures: Arc<Mutex<Figures>>,
}

impl Connections {
    /// Starts the thread in the caller's network namespace. The thread lives as long as the process
    /// or the last handle, and calls `report`.
    ///
    /// # Errors
    /// When the system has no room for a descriptor or a thread.
    pub fn start(setup: Setup, report: impl Fn(Event) + Send + 'static) -> io::Result<Connections> {
        let (orders, taken) = sync_channel(ORDERS);
        let waker = Waker::new()?;
        let figures = Arc::new(Mutex::new(Figures::default()));
        let mut worker = worker::Worker::new(setup, taken, waker.clone(), Arc::clone(&figures), Box::new(report))?;
        std::thread::Builder::new().name("connections".into()).spawn(move || {
            let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
            worker.run();
        })?;
        Ok(Connections { orders, waker, figures })
    }

    /// Makes the thread go on with another configuration.
    pub fn reconfigure(&self, setup: Setup) {
        self.order(Order::Setup(Box::new(setup)));
    }

    /// Tells the thread that a group opened here.
    pub fn opened(&self, group: GroupKey, how: Opening, when: MonoTime) {
        self.order(Order::Opened(group, how, when));
    }

    /// Tells the thread that a group closed here.
    pub fn closed(&self, group: GroupKey, how: Closing, when: MonoTime) {
        self.order(Order::Closed(group, how, when));
    }

    /// Figures as the thread last published them.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves an order for the thread, and wakes it. At the bound the order is lost, and one
    /// group's clients learn of the takeover when they next send: the thread is stuck or gone, and
    /// waiting for it would be worse.
    fn order(&self, order: Order) {
        if let Err(lost) = self.orders.try_send(order) {
            tracing::error!("the connections' thread does not take orders: {lost}");
        }
        self.waker.wake();
    }
}
