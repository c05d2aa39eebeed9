//! Tells the clients' segment where a group's addresses live now: gratuitous ARP in both forms, unsolicited neighbour
//! advertisements, and, if the gateway is named, an ordinary request to it.
//!
//! Owns: one thread, a bounded queue to it, and a sending packet socket for each interface. Never does: decide when to
//! announce (the engine), or make anybody wait; whoever has an order leaves it in the queue. Whether the frames leave
//! is not decided here either: they pass the gate on egress, which drops them when the group is closed.
//!
//! When the network does not take frames, the order waits for at most [`STALL_MAX`] altogether and then ends with an
//! error in its report; the next round of announcements repeats it anyway. When the interface is gone, it ends at once.
//! An order names its interface by index, on purpose: an interface that was re-created under the same name has no gate
//! yet. When the queue is full, the order is handed back.
//!
//! Frames are built as they are sent, [`BATCH`] at a time. That costs a few percent of sending them, needs no memory
//! for each address, and leaves nothing to go stale. What has to happen ahead of need is opening the socket: see
//! [`AnnouncerHandle::try_prepare`].

use crate::io::clock;
use crate::types::{GroupId, MacAddr, MonoTime, Vip};
use crate::wire::frame;
use nix::errno::Errno;
use socket::Sender;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

mod socket;
#[cfg(test)]
mod tests;

/// Orders that may wait. Every group can have one due at the same time; beyond that they are repeated soon anyway.
pub const QUEUE: usize = 1024;
/// Frames handed to one sendmmsg(2): a fraction of a millisecond.
pub const BATCH: usize = 64;
/// How long one order may wait for the network altogether. Less than the time until the next round.
pub const STALL_MAX: Duration = Duration::from_millis(150);
/// Interfaces that stay open; one more closes the one that was opened first.
const SENDERS_MAX: usize = 32;

/// One group's addresses, to be announced once.
#[derive(Clone, Debug)]
pub struct AnnounceOrder {
    /// Whose addresses; comes back in the report.
    pub group: GroupId,
    /// Name of the interface: whether it forwards IPv6 decides the R flag.
    pub interface: Arc<str>,
    /// Index of the interface that has the gate.
    pub ifindex: u32,
    /// Its hardware address.
    pub source: MacAddr,
    /// What to announce.
    pub addresses: Arc<[Vip]>,
    /// The gateway, to be corrected by an ordinary request besides, for routers that ignore announcements. One request
    /// for each IPv4 address.
    pub gateway: Option<(Ipv4Addr, MacAddr)>,
}

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnounceReport {
    /// The order's group.
    pub group: GroupId,
    /// The order's interface.
    pub ifindex: u32,
    /// Frames handed to the kernel. Those that the gate dropped are among them.
    pub frames: usize,
    /// When the order's turn came.
    pub started: MonoTime,
    /// From then until the last frame.
    pub took: Duration,
    /// Why not all frames were sent.
    pub error: Option<AnnounceError>,
}

/// The network did not take a frame, or the interface is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{operation} on interface {ifindex}: {cause}")]
pub struct AnnounceError {
    /// What was tried.
    pub operation: &'static str,
    /// Where.
    pub ifindex: u32,
    /// What the kernel said. ENXIO and ENODEV: the interface is gone; ENETDOWN: it is down; EAGAIN and ENOBUFS: it took
    /// no frame for [`STALL_MAX`]; ECANCELED: the announcer was stopped.
    pub cause: Errno,
}

#[derive(Debug)]
enum Message {
    Prepare(u32),
    Announce(AnnounceOrder),
    Stop,
}

/// The thread. Dropping it stops it, at the latest after the batch it is sending.
#[derive(Debug)]
pub struct Announcer {
    handle: AnnouncerHandle,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Leaves orders for the thread. Never blocks.
#[derive(Clone, Debug)]
pub struct AnnouncerHandle {
    queue: SyncSender<Message>,
}

impl Announcer {
    /// Starts the thread in the caller's network namespace. `report` is called on it after every order.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn start(report: impl Fn(AnnounceReport) + Send + 'static) -> io::Result<Announcer> {
        Announcer::start_with(|| {}, report)
    }

    /// The same; `setup` runs first on the new thread, to give it a priority or processor of its own.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn start_with(
        setup: impl FnOnce() + Send + 'static,
        report: impl Fn(AnnounceReport) + Send + 'static,
    ) -> io::Result<Announcer> {
        let (queue, orders) = sync_channel(QUEUE);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut worker = Worker::new(Arc::clone(&stopping));
        let thread = std::thread::Builder::new().name("announcer".into()).spawn(move || {
            setup();
            worker.run(&orders, report);
        })?;
        Ok(Announcer { handle: AnnouncerHandle { queue }, stopping, thread: Some(thread) })
    }

    /// A handle for whoever has orders.
    #[must_use]
    pub fn handle(&self) -> AnnouncerHandle {
        self.handle.clone()
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Only wakes a waiting thread; one whose queue is full does not wait and sees the flag.
        let _woken = self.handle.queue.try_send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed, and there is nobody left to tell.
            let _panicked = thread.join();
        }
    }
}

impl AnnouncerHandle {
    /// Leaves an order.
    ///
    /// # Errors
    /// Gives it back when the queue is full or the thread has ended: count it, and let the next round repeat it.
    pub fn try_send(&self, order: AnnounceOrder) -> Result<(), AnnounceOrder> {
        match self.queue.try_send(Message::Announce(order)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => match message {
                Message::Announce(order) => Err(order),
                Message::Prepare(_) | Message::Stop => {
                    unreachable!("invariant: a queue gives back what it was given")
                }
            },
        }
    }

    /// Opens the socket of an interface ahead of need, so that the first order finds it ready. False if the queue is
    /// full; then the first order opens it.
    pub fn try_prepare(&self, ifindex: u32) -> bool {
        self.queue.try_send(Message::Prepare(ifindex)).is_ok()
    }
}

/// What the thread has.
struct Worker {
    senders: Vec<Sender>,
    frames: Vec<Vec<u8>>,
    /// Which interfaces forward IPv6.
    routers: Vec<(Arc<str>, bool)>,
    stopping: Arc<AtomicBool>,
}

/// An order, and how far it has come.
struct Announcing {
    order: AnnounceOrder,
    frames: usize,
    patience: Duration,
    error: Option<AnnounceError>,
}

/// An order and those that wait right behind it, at most as many as wait at all; and what is no order and comes next.
fn gather(first: AnnounceOrder, orders: &Receiver<Message>) -> (Vec<Announcing>, Option<Message>) {
    let begin = |order| Announcing { order, frames: 0, patience: STALL_MAX, error: None };
    let mut together = vec![begin(first)];
    while together.len() < QUEUE {
        match orders.try_recv() {
            Ok(Message::Announce(order)) => together.push(begin(order)),
            Ok(other) => return (together, Some(other)),
            Err(_) => break,
        }
    }
    (together, None)
}

/// The forms of announcing, in the order of sending. A whole pass over all addresses, of all groups whose orders wait
/// together, comes before the next one, so that the last address is corrected early by hosts that understand the first form.
#[derive(Clone, Copy)]
enum Pass {
    /// Gratuitous request, or neighbour advertisement.
    First,
    /// Gratuitous reply.
    Reply,
    /// Request to the gateway.
    Gateway,
}

impl Worker {
    fn new(stopping: Arc<AtomicBool>) -> Worker {
        Worker { senders: Vec::new(), frames: vec![Vec::new(); BATCH], routers: Vec::new(), stopping }
    }

    fn run(&mut self, orders: &Receiver<Message>, report: impl Fn(AnnounceReport)) {
        let mut next = None;
        while let Some(message) = next.take().or_else(|| orders.recv().ok()) {
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            match message {
                // If it fails it fails again when it is needed, and is reported then.
                Message::Prepare(ifindex) => drop(self.open(ifindex)),
                Message::Announce(order) => {
                    let (together, other) = gather(order, orders);
                    next = other;
                    self.announce(together, &report);
                }
                Message::Stop => return,
            }
        }
    }

    /// Carries out orders that wait together as if they were one: first every address in the first form.
    fn announce(&mut self, mut together: Vec<Announcing>, report: &impl Fn(AnnounceReport)) {
        let started = clock::now();
        self.routers.clear();
        for pass in [Pass::First, Pass::Reply, Pass::Gateway] {
            for one in together.iter_mut().filter(|one| one.error.is_none()) {
                one.error = self.send_pass(one, pass).err();
                if one.error.is_some_and(|error| [Errno::ENXIO, Errno::ENODEV].contains(&error.cause)) {
                    self.senders.retain(|sender| sender.ifindex() != one.order.ifindex);
                }
            }
        }
        let took = clock::now().since(started);
        for Announcing { order, frames, error, .. } in together {
            report(AnnounceReport { group: order.group, ifindex: order.ifindex, frames, started, took, error });
        }
    }

    fn send_pass(&mut self, one: &mut Announcing, pass: Pass) -> Result<(), AnnounceError> {
        let Announcing { order, frames: sent, patience, .. } = one;
        self.open(order.ifindex)?;
        let fails = |cause| AnnounceError { operation: "announce", ifindex: order.ifindex, cause };
        for addresses in order.addresses.chunks(BATCH) {
            if self.stopping.load(Ordering::Relaxed) {
                return Err(fails(Errno::ECANCELED));
            }
            let router = addresses.iter().any(Vip::is_ipv6) && self.is_router(&order.interface);
            let count = build(order, pass, router, addresses, &mut self.frames);
            let sender = self.senders.iter().find(|sender| sender.ifindex() == order.ifindex);
            let sender = sender.ok_or(fails(Errno::ENODEV))?;
            send(sender, &self.frames[..count], sent, patience).map_err(fails)?;
        }
        Ok(())
    }

    /// Asked once for all orders that are carried out together.
    fn is_router(&mut self, interface: &Arc<str>) -> bool {
        if let Some((_, router)) = self.routers.iter().find(|(known, _)| known == interface) {
            return *router;
        }
        let router = is_router(interface);
        self.routers.push((Arc::clone(interface), router));
        router
    }

    fn open(&mut self, ifindex: u32) -> Result<(), AnnounceError> {
        if self.senders.iter().any(|sender| sender.ifindex() == ifindex) {
            return Ok(());
        }
        let sender =
            Sender::open(ifindex).map_err(|cause| AnnounceError { operation: "open socket", ifindex, cause })?;
        if self.senders.len() >= SENDERS_MAX {
            self.senders.remove(0);
        }
        self.senders.push(sender);
        Ok(())
    }
}

/// Builds one pass's frames for up to [`BATCH`] addresses and tells how many there are.
fn build(order: &AnnounceOrder, pass: Pass, router: bool, addresses: &[Vip], frames: &mut [Vec<u8>]) -> usize {
    let mut frames = frames.iter_mut();
    let mut count = 0;
    let mut next = |fill: &dyn Fn(&mut Vec<u8>)| {
        if let Some(frame) = frames.next() {
            fill(frame);
            count += 1;
        }
    };
    for address in addresses {
        match (pass, *address, order.gateway) {
            (Pass::First, Vip::V4(address), _) => {
                next(&|frame| frame::arp_announce_request(order.source, address, frame));
            }
            (Pass::First, Vip::V6(address), _) => {
                next(&|frame| frame::na_announce(order.source, address, router, frame));
            }
            (Pass::Reply, Vip::V4(address), _) => {
                next(&|frame| frame::arp_announce_reply(order.source, address, frame));
            }
            (Pass::Gateway, Vip::V4(address), Some((gateway, mac))) => {
                next(&|frame| frame::arp_request(order.source, address, gateway, mac, frame));
            }
            (Pass::Reply | Pass::Gateway, Vip::V6(_), _) | (Pass::Gateway, Vip::V4(_), None) => {}
        }
    }
    count
}

/// Sends all frames, waiting as long as `patience` lasts when the network takes none.
fn send(sender: &Sender, frames: &[Vec<u8>], sent: &mut usize, patience: &mut Duration) -> Result<(), Errno> {
    let mut rest = frames;
    while !rest.is_empty() {
        let cause = match sender.send_batch(rest) {
            Ok(count) => {
                *sent += count;
                rest = &rest[count..];
                continue;
            }
            Err(cause) => cause,
        };
        let before = clock::now();
        match cause {
            Errno::EINTR => continue,
            Errno::EAGAIN if !patience.is_zero() => sender.wait_writable(*patience),
            // The queue of the interface dropped it; no event tells when it has room.
            Errno::ENOBUFS | Errno::ENOMEM if !patience.is_zero() => std::thread::sleep(Duration::from_millis(1)),
            cause => return Err(cause),
        }
        *patience = patience.saturating_sub(clock::now().since(before));
    }
    Ok(())
}

/// Whether the host routes IPv6 on this interface, as its kernel says in its own advertisements (net/ipv6/ndisc.c,
/// `is_router`). Without IPv6, and when in doubt, no.
fn is_router(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|value| !["", "0"].contains(&value.trim()))
}
