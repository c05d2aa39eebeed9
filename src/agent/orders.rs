//! The two bounded queues between the hot thread and everything else.
//!
//! Both are single-producer, single-consumer rings without locks: the hot thread can never wait for a slow thread
//! that holds one. At the bound an order waits on the slow side; a tale from the hot thread is dropped and counted,
//! because nothing on the slow side may delay a pulse (L6).

use super::lateness::Lateness;
use crate::announcer::AnnounceOrder;
use crate::durable::Durable;
use crate::engine::{Cause, Command, Hook, InterfaceFacts, Notice, Outcome, Reconfiguration, Report};
use crate::gate::GateHandle;
use crate::io::links::LinkSocket;
use crate::io::poll::Waker;
use crate::io::segment::PacketSocket;
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId, LinkId, MacAddr, MonoTime};
use rtrb::{Consumer, Producer, RingBuffer};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries in each ring.
const BOUND: usize = 4096;

/// What the slow side gives to the hot thread.
#[derive(Debug)]
pub(super) enum Order {
    /// A gate and a packet socket for an interface.
    Attach(Box<Attach>),
    /// What is known of an interface now.
    Facts { interface: InterfaceId, facts: InterfaceFacts },
    /// A link's socket; `None` when it cannot be opened at present.
    Link { link: LinkId, socket: Option<LinkSocket> },
    /// Somebody to ask whether the segment is alive.
    Anchor { interface: InterfaceId, address: IpAddr, mac: Option<MacAddr> },
    /// An operator's wish.
    Command { id: u64, command: Command },
    /// Make a report.
    Report { id: u64 },
    /// Go on with another configuration, and say so.
    Reconfigure(Box<Reconfigure>),
    /// A gate knows other groups than before.
    Regrouped(Box<Regrouped>),
    /// All addresses of an interface are in place.
    Installed { interface: InterfaceId },
    /// The flight recorder is to begin a new segment.
    Segment,
    /// How badly a group's service does.
    Health { group: GroupId, health: u8 },
    /// A hook has ended.
    Hook { group: GroupId, hook: Hook, epoch: Epoch, ok: bool },
    /// A state is durable.
    Stored { version: u64 },
    /// The state could not be written.
    StoreFailed,
}

/// Where a group lives.
#[derive(Debug)]
pub(super) struct Group {
    pub key: GroupKey,
    pub interface: InterfaceId,
    pub slot: Option<u16>,
    /// What to announce, all but the interface known before it is needed.
    pub announcement: AnnounceOrder,
}

/// What comes with a gate.
#[derive(Debug)]
pub(super) struct Attach {
    pub interface: InterfaceId,
    pub ifindex: u32,
    pub mac: MacAddr,
    pub gate: GateHandle,
    pub slots: Vec<(GroupKey, u16)>,
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
    /// It is another, closed one.
    pub replaced: bool,
}

/// What the hot thread tells the slow side.
#[derive(Debug)]
pub(super) enum Tale {
    Notice {
        at: MonoTime,
        notice: Notice,
    },
    Reply {
        id: u64,
        outcome: Outcome,
    },
    Persist {
        version: u64,
        state: Durable,
    },
    Report {
        id: u64,
        report: Box<Report>,
    },
    /// Run the hooks of a group and say how they ended. Groups are numbered as in the newest [`Tale::Reconfigured`].
    Hook {
        group: GroupId,
        hook: Hook,
        epoch: Epoch,
        cause: Cause,
    },
    /// From here on groups are numbered as in the newest [`Order::Reconfigure`].
    Reconfigured,
    Stopped,
}

/// Figures the hot thread keeps about itself; read by anyone.
#[derive(Debug, Default)]
pub(super) struct Vital {
    /// Rises with every turn of the loop: the watchdog looks at it.
    pub turns: AtomicU64,
    /// Wake-ups after their deadline.
    pub lateness: Lateness,
    /// Renewals of gates' leases, from when they were due until they were written.
    pub renewals: Lateness,
    /// Tales that found the ring full.
    pub dropped: AtomicU64,
    /// Announcement orders that found their queue full.
    pub announcements_dropped: AtomicU64,
}

/// The slow side's end.
pub(super) struct SlowEnd {
    orders: Producer<Order>,
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
    /// [`Tale::Reconfigured`] found the ring full: nothing is told before it.
    unsaid: bool,
}

/// Makes both ends.
pub(super) fn queues() -> std::io::Result<(SlowEnd, HotEnd, Arc<Vital>)> {
    let (orders_in, orders) = RingBuffer::new(BOUND);
    let (tales_in, tales) = RingBuffer::new(BOUND);
    let (hot, slow) = (Waker::new()?, Waker::new()?);
    let vital = Arc::new(Vital::default());
    let slow_end = SlowEnd { orders: orders_in, wake_hot: hot.clone(), tales, woken: slow.clone() };
    let hot_end =
        HotEnd { orders, woken: hot, tales: tales_in, wake_slow: slow, vital: Arc::clone(&vital), unsaid: false };
    Ok((slow_end, hot_end, vital))
}

impl SlowEnd {
    /// Hands an order over. At the bound it comes back: try again a little later.
    pub fn order(&mut self, order: Order) -> Result<(), Order> {
        let pushed = self.orders.push(order);
        self.wake_hot.wake();
        pushed.map_err(|rtrb::PushError::Full(order)| order)
    }
}

impl HotEnd {
    /// Tells something. Dropped and counted when the slow side is a whole ring behind.
    pub fn tell(&mut self, tale: Tale) {
        self.catch_up();
        if self.unsaid || self.tales.push(tale).is_err() {
            self.vital.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.wake_slow.wake();
    }

    /// Tells that the groups have other numbers: now, or before anything else as soon as there is room.
    pub fn tell_reconfigured(&mut self) {
        self.unsaid = true;
        self.catch_up();
    }

    /// Tells what there was no room for.
    pub fn catch_up(&mut self) {
        if self.unsaid && self.tales.push(Tale::Reconfigured).is_ok() {
            self.unsaid = false;
            self.wake_slow.wake();
        }
    }
}
