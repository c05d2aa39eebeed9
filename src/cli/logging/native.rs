//! The journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram for each record,
//! with its fields.
//!
//! Owns: the form of a record, and a thread that sends. Never does: make the caller wait. A journal
//! that hangs stops that thread alone. Records that do not fit into the queue meanwhile, and those
//! that the journal refuses, are lost, and counted in the next record.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Path of the journal's socket.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// Most records that wait while the journal takes none: all groups of a full node move, and move
/// back.
const QUEUE: usize = 4096;
/// Longest time to wait for the last records.
const PATIENCE: Duration = Duration::from_secs(1);

/// An order to the thread.
enum Item {
    /// Send these bytes of a record, which tells of so many lost ones.
    Record(Vec<u8>, u64),
    /// Answer: all records before this have been sent.
    Rest(SyncSender<()>),
}

/// The layer of `tracing` that hands records to the thread.
pub struct Native {
    queue: SyncSender<Item>,
    /// Number of lost records that no record has told of. The thread counts what is refused.
    lost: Arc<AtomicU64>,
}

/// A guard that waits for the last records when it is dropped, one or two seconds at most.
pub struct Rest(SyncSender<Item>);

impl Native {
    /// Starts the thread, which sends to the journal that listens at `socket`.
    ///
    /// # Errors
    /// No journal listens there, or the kernel gives no thread.
    pub fn start(socket: &Path) -> io::Result<(Native, Rest)> {
        let sender = UnixDatagram::unbound()?;
        // An empty datagram: the journal ignores it, and if there is no journal the error comes
        // now.
        sender.set_nonblocking(true)?;
        match sender.send_to(&[], socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => sender.set_nonblocking(false)?,
        }
        let (queue, items) = sync_channel(QUEUE);
        let socket = PathBuf::from(socket);
        let lost = Arc::new(AtomicU64::new(0));
        let refused = lost.clone();
        let work = move || send(&items, &refused, |record| sender.send_to(record, &socket));
        std::thread::Builder::new().name("journal".into()).spawn(work)?;
        Ok((Native { queue: queue.clone(), lost }, Rest(queue)))
    }
}

/// The thread: sends records in their order by `post` until the layer and the guard are gone.
/// Adds those that are refused to `lost`.
fn send(items: &Receiver<Item>, lost: &AtomicU64, post: impl Fn(&[u8]) -> io::Result<usize>) {
    for item in items {
        match item {
            Item::Record(record, told) => {
                // Refused while the journal restarts, or because the record is too long: only a
                // later record can say so.
                if post(&record).is_err() {
                    lost.fetch_add(told + 1, Ordering::Relaxed);
                }
            }
            Item::Rest(done) => drop(done.try_send(())),
        }
    }
}

/// Queues a record for each event. If the queue is full, the record is lost and counted.
impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Native {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let record = Record::of(event, lost);
        let queued = self.queue.try_send(Item::Record(record, lost));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queued {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

/// A record that is being built.
struct Record {
    bytes: Vec<u8>,
    value: String,
}

impl Record {
    /// The bytes of a record of `event`. `lost` records before it were lost.
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

    /// Appends a field: `NAME=value`, or the form with a length if the value has several lines.
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

/// Name of a field in the journal, where names are in capitals. Our names are plain words.
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
        // An error means that the journal hangs: the end of the process does not wait for it.
        let _late = rest.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests;
