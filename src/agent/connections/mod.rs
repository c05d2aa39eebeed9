//! Clients with an open connection learn of a takeover at once.
//!
//! The active lists its connections to the addresses of its groups again and again (`list`), and tells the peer what
//! changed over a TCP connection of its own, sealed with the cluster's key (`caller` there, `listener` here). When a
//! group opens here although the peer did not hand it over, every connection that it had is tickled: three rounds of an
//! empty ACK that makes the client ask, and the kernel reset it (`tickler`). When a group was handed over, what is left
//! shortly before the end of the drain is reset here (`resets`), and what is left even then is tickled by the new active.
//!
//! Owns: one thread, and all sockets for that. Never does: decide who is active, or make the hot thread or the slow side
//! wait. When any of it fails the takeover is as it would be without: clients learn when they next send. Bounds: at most
//! [`MAX_CONNECTIONS`] in all groups are listed and as many mirrored; beyond that the rest is left out, and `status`
//! says so.

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

/// Connections of all groups together that are listed, mirrored and tickled: 7 MB in each list.
pub const MAX_CONNECTIONS: usize = 200_000;
/// Orders that may wait: every group may open and close once.
const ORDERS: usize = 4096;

/// What this thread works with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// This node.
    pub me: NodeId,
    /// The other one.
    pub peer: NodeId,
    /// Local and remote address of each link.
    pub links: Vec<(IpAddr, IpAddr)>,
    /// What both nodes prove themselves with.
    pub keys: MirrorKeys,
    /// The groups whose connections are looked after.
    pub groups: Vec<Watched>,
}

/// A group whose connections are looked after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watched {
    /// Which.
    pub key: GroupKey,
    /// Its addresses.
    pub addresses: Vec<Vip>,
    /// How long the former active carries connections after a handover.
    pub drain: Duration,
}

/// How a group came to be open here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// It was open already: its connections are alive.
    Adopted,
    /// The peer handed it over and carries its connections for the time of the drain.
    HandedOver,
    /// The peer is gone, or could not go on: its connections are dead.
    TakenOver,
}

/// How a group came to be closed here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    /// Handed over: connections are carried for the time of the drain.
    HandedOver,
    /// The peer is active: no connection of ours can go on.
    Lost,
    /// It may open here again, with the same connections.
    Other,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    Setup(Box<Setup>),
    Opened(GroupKey, Opening, MonoTime),
    Closed(GroupKey, Closing, MonoTime),
}

/// Something worth a line in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Clients of so many connections of the former active are told, three times each.
    Tickling {
        /// Which group.
        group: GroupKey,
        /// How many.
        connections: usize,
    },
    /// That is done.
    Tickled {
        /// Which group.
        group: GroupKey,
        /// Packets that the kernel took.
        sent: u64,
        /// Packets that it did not take.
        failed: u64,
        /// From the first packet of the first round to its last.
        first_round: Duration,
    },
    /// What was left of a group's connections was reset here.
    Reset {
        /// Which group.
        group: GroupKey,
        /// How many were.
        reset: usize,
        /// How many the kernel would not.
        refused: usize,
    },
    /// The peer takes our list, over this link.
    MirrorUp {
        /// The position in `links`.
        link: usize,
    },
    /// It does not any more.
    MirrorDown {
        /// Why.
        why: String,
    },
    /// Somebody who proved nothing called, or was called. Told once a minute at most.
    Refused {
        /// Who, and why.
        what: String,
    },
    /// The kernel does not tell its connections, or takes no packets of ours. Told once a minute at most.
    Failed {
        /// What it said.
        what: String,
    },
}

/// The thread's other end.
#[derive(Clone, Debug)]
pub struct Connections {
    orders: SyncSender<Order>,
    waker: Waker,
    figures: Arc<Mutex<Figures>>,
}

impl Connections {
    /// Starts the thread in the caller's network namespace. It lives as long as the process or the last handle. `tell`
    /// is called on it.
    ///
    /// # Errors
    /// When the system has no room for a descriptor or a thread.
    pub fn start(setup: Setup, tell: impl Fn(Event) + Send + 'static) -> io::Result<Connections> {
        let (orders, taken) = sync_channel(ORDERS);
        let waker = Waker::new()?;
        let figures = Arc::new(Mutex::new(Figures::default()));
        let mut worker = worker::Worker::new(setup, taken, waker.clone(), Arc::clone(&figures), Box::new(tell))?;
        std::thread::Builder::new().name("connections".into()).spawn(move || {
            let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
            worker.run();
        })?;
        Ok(Connections { orders, waker, figures })
    }

    /// Goes on with another configuration.
    pub fn reconfigure(&self, setup: Setup) {
        self.order(Order::Setup(Box::new(setup)));
    }

    /// A group opened here.
    pub fn opened(&self, group: GroupKey, how: Opening, at: MonoTime) {
        self.order(Order::Opened(group, how, at));
    }

    /// A group closed here.
    pub fn closed(&self, group: GroupKey, how: Closing, at: MonoTime) {
        self.order(Order::Closed(group, how, at));
    }

    /// What there is to tell.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// At the bound an order is lost, and with it what one group's clients would have been told: the thread is stuck or
    /// gone, and waiting for it would be worse.
    fn order(&self, order: Order) {
        if let Err(lost) = self.orders.try_send(order) {
            tracing::error!("the connections' thread does not take orders: {lost}");
        }
        self.waker.wake();
    }
}
