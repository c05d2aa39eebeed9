//! The two bounded queues between the hot thread and everything else.
//!
//! Both are single-producer, single-consumer rings without locks: the hot thread can never wait for
//! a slow thread that holds one. At the bound an order waits on the slow side; a tale from the hot
//! thread is dropped and counted, because nothing on the slow side may delay a pulse (L6).
//!
//! Owns: both rings, and the orders that found theirs full. Never does: decide what is published.

use super::lateness::Lateness;
use super::unsent::Unsent;
use crate::announcer::AnnounceOrder;
use crate::durable::Durable;
use crate::engine::{
    Cause, Command, Hook, InterfaceFacts, Lacks, Notice, Outcome, OwnAddress, Reconfiguration, Report,
};
use crate::gate::GateHandle;
use crate::io::links::LinkSocket;
use crate::io::poll::Waker;
use crate::io::segment::PacketSocket;
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId, LinkId, MacAddr, MonoTime};
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries in each ring.
const BOUND: usize = 4096;

/// An order of the slow side to the hot thread.
#[derive(Debug)]
pub(super) enum Order {
    /// Use this gate and this packet socket on an interface.
    Attach(Box<Attach>),
    /// Tell the engine the present facts of an interface.
    Facts { interface: InterfaceId, facts: InterfaceFacts },
    /// Use this socket for a link.
    Link { link: LinkId, socket: LinkSocket },
    /// Ask this address, a gateway, whether the segment is alive.
    Anchor { interface: InterfaceId, address: IpAddr, mac: Option<MacAddr> },
    /// Publish who was seen on a segment, as [`Tale::Neighbours`].
    Neighbours { interface: InterfaceId },
    /// Tell the engine the hardware addresses of this server's interfaces.
    OwnMacs(Box<[MacAddr]>),
    /// Tell the engine the hardware addresses of machines inside this server on an interface's segment.
    InsideMacs { interface: InterfaceId, macs: Box<[MacAddr]> },
    /// Ask with these addresses of our own on an interface.
    OwnAddresses { interface: InterfaceId, own: Box<[OwnAddress]> },
    /// Tell the engine an operator's command, and publish its outcome under `id`.
    Command { id: u64, command: Command },
    /// Publish the engine's report under `id`.
    Report { id: u64 },
    /// Go on with another configuration, and publish [`Tale::Reconfigured`].
    Reconfigure(Box<Reconfigure>),
    /// Use a gate whose groups have changed.
    Regrouped(Box<Regrouped>),
    /// Tell the engine whether any address of a group is in place.
    Addresses { group: GroupId, there: bool },
    /// Begin a new segment of the flight recording.
    Segment,
    /// Tell the engine how badly a group's service does: 0 well, 255 vetoed.
    Health { group: GroupId, health: u8 },
    /// Tell the engine what this node lacks for a group now.
    Lacks { group: GroupId, lacks: Lacks },
    /// Tell the engine that a hook has ended.
    Hook { group: GroupId, hook: Hook, epoch: Epoch, ok: bool },
    /// Tell the engine that a state is durable.
    Stored { version: u64 },
    /// Tell the engine that a state could not be written.
    StoreFailed,
}

impl Order {
    /// Tells who is inside this server on an interface's segment.
    pub fn inside(interface: InterfaceId, macs: Vec<MacAddr>) -> Order {
        Order::InsideMacs { interface, macs: macs.into() }
    }
}

/// A group as the hot thread's hands know it.
#[derive(Debug)]
pub(super) struct Group {
    pub key: GroupKey,
    pub interface: InterfaceId,
    /// Place of the group in its gate; `None` while there is none.
    pub slot: Option<u16>,
    /// Announcement of the group, complete but for what comes with the gate.
    pub announcement: AnnounceOrder,
}

/// A gate of an interface, and what comes with it.
#[derive(Debug)]
pub(super) struct Attach {
    pub interface: InterfaceId,
    pub ifindex: u32,
    pub mac: MacAddr,
    pub gate: GateHandle,
    pub slots: Vec<(GroupKey, u16)>,
    /// Whether the gate was running before this process.
    pub adopted: bool,
    pub socket: PacketSocket,
}

/// Another configuration, for the engine and for the hands.
#[derive(Debug)]
pub(super) struct Reconfigure {
    pub change: Reconfiguration,
    pub groups: Vec<Group>,
}

/// A gate after its groups changed.
#[derive(Debug)]
pub(super) struct Regrouped {
    pub interface: InterfaceId,
    pub gate: GateHandle,
    pub slots: Vec<(GroupKey, u16)>,
    /// Whether the gate is a new, closed one.
    pub replaced: bool,
}

/// A fact that the hot thread publishes to the slow side.
#[derive(Debug)]
pub(super) enum Tale {
    /// Notice of the engine, with its time.
    Notice { at: MonoTime, notice: Notice },
    /// Outcome of [`Order::Command`].
    Reply { id: u64, outcome: Outcome },
    /// State that must be made durable; [`Order::Stored`] or [`Order::StoreFailed`] answers.
    Persist { version: u64, state: Durable },
    /// Answer to [`Order::Report`].
    Report { id: u64, report: Box<Report> },
    /// Addresses of those who were seen on a segment: the answer to [`Order::Neighbours`].
    Neighbours { interface: InterfaceId, addresses: Box<[IpAddr]> },
    /// Hooks of a group that the engine waits for; [`Order::Hook`] answers.
    Hook { group: GroupId, hook: Hook, epoch: Epoch, cause: Cause },
    /// From here on groups are numbered as in the newest [`Order::Reconfigure`].
    Reconfigured,
    /// The socket of a link could not be used any more, and the link has none now; [`Order::Link`]
    /// answers.
    LinkFailed { link: LinkId, error: io::Error },
    /// The engine has stopped.
    Stopped,
}

/// Figures that the hot thread keeps about itself; any thread may read them.
#[derive(Debug, Default)]
pub(super) struct Vital {
    /// Turns of the loop so far; the watchdog is fed while they rise.
    pub turns: AtomicU64,
    /// Lateness of wake-ups, after their deadline.
    pub lateness: Lateness,
    /// Lateness of renewals of gates' leases, from when they were due until they were written.
    pub renewals: Lateness,
    /// Number of tales that found the ring full.
    pub dropped: AtomicU64,
    /// Number of announcement orders that found their queue full.
    pub announcements_dropped: AtomicU64,
    /// UDP links that take no datagrams.
    pub unsent: Unsent,
}

/// The slow side's end.
pub(super) struct SlowEnd {
    orders: Producer<Order>,
    /// Orders that found the ring full, the oldest first. The list grows only while the hot thread
    /// takes nothing, which the watchdog ends.
    backlog: VecDeque<Order>,
    wake_hot: Waker,
    pub tales: Consumer<Tale>,
    pub woken: Waker,
}

/// The hot thread's end.
pub(super) struct HotEnd {
    pub orders: Consumer<Order>,
    pub woken: Waker,
    tales: Producer<Tale>,
    wake_slow: Waker,
    pub vital: Arc<Vital>,
    /// Whether [`Tale::Reconfigured`] found the ring full: nothing is published before it.
    unsaid: bool,
    /// Links without a socket of which the slow side has not been told: at most one entry for each
    /// link.
    failed_links: Vec<(LinkId, io::Error)>,
}

/// Makes both ends, and the figures that both can reach; `links` are the UDP links.
pub(super) fn queues(links: &[LinkId]) -> io::Result<(SlowEnd, HotEnd, Arc<Vital>)> {
    let (orders_in, orders) = RingBuffer::new(BOUND);
    let (tales_in, tales) = RingBuffer::new(BOUND);
    let (hot, slow) = (Waker::new()?, Waker::new()?);
    let vital = Arc::new(Vital { unsent: Unsent::new(links), ..Vital::default() });
    let slow_end =
        SlowEnd { orders: orders_in, backlog: VecDeque::new(), wake_hot: hot.clone(), tales, woken: slow.clone() };
    let hot_end = HotEnd {
        orders,
        woken: hot,
        tales: tales_in,
        wake_slow: slow,
        vital: Arc::clone(&vital),
        unsaid: false,
        failed_links: Vec::new(),
    };
    Ok((slow_end, hot_end, vital))
}

impl SlowEnd {
    /// Hands an order over, after all orders before it. At the bound it waits in the backlog.
    pub fn order(&mut self, order: Order) {
        self.backlog.push_back(order);
        self.push_backlog();
    }

    /// Hands over the orders that wait, as far as there is room.
    pub fn push_backlog(&mut self) {
        while let Some(order) = self.backlog.pop_front() {
            let pushed = self.orders.push(order);
            self.wake_hot.wake();
            if let Err(PushError::Full(order)) = pushed {
                self.backlog.push_front(order);
                return;
            }
        }
    }
}

impl HotEnd {
    /// Publishes a tale. Dropped and counted when the slow side is a whole ring behind.
    pub fn publish(&mut self, tale: Tale) {
        self.catch_up();
        if self.unsaid || self.tales.push(tale).is_err() {
            self.vital.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.wake_slow.wake();
    }

    /// Publishes that the groups have other numbers: now, or before anything else as soon as there
    /// is room.
    pub fn publish_reconfigured(&mut self) {
        self.unsaid = true;
        self.catch_up();
    }

    /// Publishes that a link has no socket any more, now or as soon as there is room: nobody else
    /// would open another one.
    pub fn publish_failed_link(&mut self, link: LinkId, error: io::Error) {
        self.failed_links.retain(|(known, _)| *known != link);
        self.failed_links.push((link, error));
        self.catch_up();
    }

    /// Publishes what must not be lost and found no room before: [`Tale::Reconfigured`], then
    /// [`Tale::LinkFailed`].
    pub fn catch_up(&mut self) {
        if self.unsaid && self.tales.push(Tale::Reconfigured).is_ok() {
            self.unsaid = false;
            self.wake_slow.wake();
        }
        while !self.unsaid && !self.tales.is_full() {
            let Some((link, error)) = self.failed_links.pop() else { return };
            // There is room, and nobody else pushes.
            let _pushed = self.tales.push(Tale::LinkFailed { link, error });
            self.wake_slow.wake();
        }
    }
}
