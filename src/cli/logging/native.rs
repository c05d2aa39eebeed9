//! The journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram for each record, with its fields.
//!
//! Owns: the form of a record, and a thread that sends. Never does: make whoever logs wait. A journal that hangs stops that
//! thread alone; what does not fit into the queue meanwhile is lost, and counted in the next record that does.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// Records that wait while the journal does not take any: every group of a full node moves, and back.
const QUEUE: usize = 4096;
/// How long the last records may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the thread is given.
enum Item {
    Record(Vec<u8>),
    /// Everything before it has been sent.
    Rest(SyncSender<()>),
}

/// The layer that hands records to the thread.
pub struct Native {
    queue: SyncSender<Item>,
    lost: AtomicU64,
}

/// Waits for the last records when it is dropped, a second at the most.
pub struct Rest(SyncSender<Item>);

impl Native {
    /// Begins to send to the journal that listens at `socket`.
    ///
    /// # Errors
    /// Nobody listens there, or there is no thread to be had.
    pub fn start(socket: &Path) -> io::Result<(Native, Rest)> {
        let sender = UnixDatagram::unbound()?;
        // Nothing in it: the journal ignores it, and a journal that is not there is told now.
        sender.set_nonblocking(true)?;
        match sender.send_to(&[], socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => sender.set_nonblocking(false)?,
        }
        let (queue, items) = sync_channel(QUEUE);
        let socket = PathBuf::from(socket);
        std::thread::Builder::new().name("journal".into()).spawn(move || send(&items, &sender, &socket))?;
        Ok((Native { queue: queue.clone(), lost: AtomicU64::new(0) }, Rest(queue)))
    }
}

fn send(items: &Receiver<Item>, sender: &UnixDatagram, socket: &Path) {
    for item in items {
        match item {
            // Refused while the journal is started anew, and if it is too long: there is nobody else to tell.
            Item::Record(record) => drop(sender.send_to(&record, socket)),
            Item::Rest(done) => drop(done.try_send(())),
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Native {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let record = Record::of(event, lost);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(Item::Record(record))
        {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

/// A record in the making.
struct Record {
    bytes: Vec<u8>,
    value: String,
}

impl Record {
    fn of(event: &Event<'_>, lost: u64) -> Vec<u8> {
        let mut record = Record { bytes: Vec::with_capacity(256), value: String::new() };
        let level = *event.metadata().level();
        record.put("PRIORITY", &super::priority(level));
        record.put("SYSLOG_IDENTIFIER", &"vipair");
        record.put("TARGET", &event.metadata().target());
        if lost > 0 {
            record.put("LOST", &lost);
        }
        event.record(&mut record);
        record.bytes
    }

    /// `NAME=value`, or with its length if it has several lines.
    fn put(&mut self, name: &str, value: &dyn fmt::Display) {
        self.value.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.value, "{value}");
        self.bytes.extend_from_slice(name.as_bytes());
        if self.value.contains('\n') {
            let length = u64::try_from(self.value.len()).unwrap_or(0);
            self.bytes.push(b'\n');
            self.bytes.extend_from_slice(&length.to_le_bytes());
        } else {
            self.bytes.push(b'=');
        }
        self.bytes.extend_from_slice(self.value.as_bytes());
        self.bytes.push(b'\n');
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(&name_of(field), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(&name_of(field), &format_args!("{value:?}"));
    }
}

/// Fields are in capitals there. Ours are plain words.
fn name_of(field: &Field) -> String {
    field.name().to_ascii_uppercase()
}

impl Drop for Rest {
    fn drop(&mut self) {
        let limit = Instant::now() + PATIENCE;
        let (done, rest) = sync_channel(1);
        while let Err(TrySendError::Full(_)) = self.0.try_send(Item::Rest(done.clone())) {
            if Instant::now() > limit {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Late: the journal hangs, and so would we.
        let _late = rest.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests;
