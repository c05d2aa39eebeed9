//! The announcer tells the clients' segment where a group's addresses live now: gratuitous ARP in
//! both forms, unsolicited neighbour advertisements, and, if the gateway is named, an ordinary
//! request to it.
//!
//! Owns: one thread, a bounded queue to it, and a sending packet socket for each interface. Never
//! does: decide when to announce (the engine does), or make another thread wait: an order is left
//! in the queue. The gate on egress decides whether the frames leave: it drops them when the group
//! is closed.
//!
//! When the network takes no frames, an order waits for at most [`STALL_MAX`] in all and then ends
//! with an error in its report; the next round of announcements repeats it anyway. When the
//! interface is gone, the order ends at once. An order names its interface by number, on purpose:
//! an interface that was re-created under the same name has no gate yet. When the queue is full,
//! the order is handed back.
//!
//! Frames are built as they are sent, a batch at a time. That costs a few percent of sending them,
//! needs no memory for each address, and leaves nothing to go stale. An interface's socket is
//! opened with the first order for it.
//!
//! | file | noun |
//! |---|---|
//! | `order` | an order and the report on it |
//! | `worker` | the thread that sends |
//! | `socket` | a packet socket that only sends |

mod order;
mod socket;
#[cfg(test)]
mod tests;
mod worker;

pub use order::{AnnounceOrder, AnnounceReport};

use order::Message;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use worker::Worker;

/// Most orders that wait. Every group can have one due at the same time; orders beyond that are
/// repeated soon anyway.
pub const QUEUE: usize = 1024;
/// Longest time that one order waits for the network in all. Less than the time until the next
/// round.
pub const STALL_MAX: Duration = Duration::from_millis(150);

/// Owner of the announcer's thread. Dropping it stops the thread, at the latest after the present
/// batch.
#[derive(Debug)]
pub struct Announcer {
    handle: AnnouncerHandle,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Sending end of the queue of orders. Never blocks.
#[derive(Clone, Debug)]
pub struct AnnouncerHandle {
    queue: SyncSender<Message>,
}

impl Announcer {
    /// Starts the thread in the caller's network namespace. On the new thread, `prepare` runs
    /// first, to give it a priority of its own, and `report` is called after every order.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn start(
        prepare: impl FnOnce() + Send + 'static,
        report: impl Fn(AnnounceReport) + Send + 'static,
    ) -> io::Result<Announcer> {
        let (queue, orders) = sync_channel(QUEUE);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut worker = Worker::new(Arc::clone(&stopping));
        let thread = std::thread::Builder::new().name("announcer".into()).spawn(move || {
            prepare();
            worker.run(&orders, report);
        })?;
        Ok(Announcer { handle: AnnouncerHandle { queue }, stopping, thread: Some(thread) })
    }

    /// Another sending end of the queue.
    #[must_use]
    pub fn handle(&self) -> AnnouncerHandle {
        self.handle.clone()
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // This only wakes a waiting thread; a thread whose queue is full does not wait and sees the
        // flag.
        let _woken = self.handle.queue.try_send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // The panic hook has printed a panic of the thread.
            let _panicked = thread.join();
        }
    }
}

impl AnnouncerHandle {
    /// Leaves an order in the queue.
    ///
    /// # Errors
    /// The order itself, when the queue is full or the thread has ended: count it, and let the next
    /// round repeat it.
    pub fn try_send(&self, order: AnnounceOrder) -> Result<(), AnnounceOrder> {
        match self.queue.try_send(Message::Announce(order)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => match message {
                Message::Announce(order) => Err(order),
                Message::Stop => unreachable!("invariant: a queue gives back what it was given"),
            },
        }
    }
}
