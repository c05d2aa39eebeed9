//! The announcer's thread: takes orders from the queue and sends their frames.
//!
//! Owns: the open sockets and the buffers for frames. Never does: hold an order back for another
//! one. An interface that is gone ends its order at once; a network that takes no frames ends it
//! after [`STALL_MAX`].

use super::order::{AnnounceError, AnnounceOrder, AnnounceReport, Message};
use super::socket::{BATCH, Sender};
use super::{QUEUE, STALL_MAX};
use crate::io::clock;
use crate::types::Vip;
use crate::wire::frame;
use nix::errno::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Most interfaces whose sockets stay open; one more closes the one that was opened first.
const SENDERS_MAX: usize = 32;

/// State of the announcer's thread.
pub(super) struct Worker {
    senders: Vec<Sender>,
    /// Buffers for the frames of one batch.
    frames: Vec<Vec<u8>>,
    /// Whether each interface forwards IPv6, as read for the orders being carried out.
    routers: Vec<(u32, bool)>,
    stopping: Arc<AtomicBool>,
}

/// An order being carried out.
struct Announcing {
    order: AnnounceOrder,
    /// Frames handed to the kernel so far.
    frames: usize,
    /// Time that the order may still wait for the network.
    patience: Duration,
    error: Option<AnnounceError>,
}

/// Takes the orders that wait right behind the first, at most [`QUEUE`] in all; and the message
/// after them, if it is no order.
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

/// Forms of announcing, in the order of sending. Each form is sent for all addresses of all groups
/// whose orders wait together before the next form begins, so that hosts that understand the first
/// form correct the last address early.
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
    pub(super) fn new(stopping: Arc<AtomicBool>) -> Worker {
        Worker { senders: Vec::new(), frames: vec![Vec::new(); BATCH], routers: Vec::new(), stopping }
    }

    /// Carries out orders until the queue's other end is gone or `stopping` is set.
    pub(super) fn run(&mut self, orders: &Receiver<Message>, report: impl Fn(AnnounceReport)) {
        let mut next = None;
        while let Some(message) = next.take().or_else(|| orders.recv().ok()) {
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            match message {
                Message::Announce(order) => {
                    let (together, other) = gather(order, orders);
                    next = other;
                    self.announce(together, &report);
                }
                Message::Stop => return,
            }
        }
    }

    /// Carries out orders that wait together as if they were one, and reports each.
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

    /// Sends one form of all of an order's addresses.
    fn send_pass(&mut self, one: &mut Announcing, pass: Pass) -> Result<(), AnnounceError> {
        let Announcing { order, frames: sent, patience, .. } = one;
        self.open_sender(order.ifindex)?;
        let fails = |cause| AnnounceError { operation: "announce", ifindex: order.ifindex, cause };
        for addresses in order.addresses.chunks(BATCH) {
            if self.stopping.load(Ordering::Relaxed) {
                return Err(fails(Errno::ECANCELED));
            }
            let router = addresses.iter().any(Vip::is_ipv6) && self.is_router(order.ifindex);
            let count = build(order, pass, router, addresses, &mut self.frames);
            let sender = self.senders.iter().find(|sender| sender.ifindex() == order.ifindex);
            let sender = sender.ok_or(fails(Errno::ENODEV))?;
            send(sender, &self.frames[..count], sent, patience).map_err(fails)?;
        }
        Ok(())
    }

    /// Whether the interface forwards IPv6; read once for all orders that are carried out together.
    fn is_router(&mut self, ifindex: u32) -> bool {
        if let Some((_, router)) = self.routers.iter().find(|(known, _)| *known == ifindex) {
            return *router;
        }
        let router = is_router(ifindex);
        self.routers.push((ifindex, router));
        router
    }

    /// Opens the interface's socket unless it is open.
    fn open_sender(&mut self, ifindex: u32) -> Result<(), AnnounceError> {
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

/// Builds one form's frames for up to [`BATCH`] addresses; returns their number.
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

/// Sends all frames, adding their number to `sent`. Waits while `patience` lasts when the network
/// takes none.
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
            // The queue of the interface dropped the frame; no event tells when it has room.
            Errno::ENOBUFS | Errno::ENOMEM if !patience.is_zero() => std::thread::sleep(Duration::from_millis(1)),
            cause => return Err(cause),
        }
        *patience = patience.saturating_sub(clock::now().since(before));
    }
    Ok(())
}

/// Whether the host routes IPv6 on this interface, as its kernel says in its own advertisements
/// (net/ipv6/ndisc.c, `is_router`). Without IPv6, and when in doubt, false.
fn is_router(ifindex: u32) -> bool {
    // The setting is found by the name that the interface has now, which need not be the configured
    // one.
    let Ok(name) = nix::net::if_::if_indextoname(ifindex) else { return false };
    let path = format!("/proc/sys/net/ipv6/conf/{}/forwarding", name.to_string_lossy());
    std::fs::read_to_string(path).is_ok_and(|value| !["", "0"].contains(&value.trim()))
}
