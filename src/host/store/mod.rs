//! Durable epochs: what a node must still know after a crash, in two slot files of one small
//! directory, written in turn.
//!
//! Owns: the state directory and one thread that may wait for the disk as long as the disk likes.
//! Never does: make a caller wait. [`StoreHandle::write`] leaves the newest state where the thread
//! finds it; a state is not written if a newer one comes first. A failed write is reported and
//! tried again with growing pauses until the newest state is durable: disk full, read-only, or
//! directory gone are reports, and the agent goes on without a reservation.

pub mod dir;
pub mod slot;

use crate::durable::GroupState;
use crate::io::{clock, shortage};
use crate::types::NodeId;
use dir::StateDir;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// Pause before the first repetition of a failed write. The pause doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two attempts of a write.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Everything that a node keeps on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Number of the node whose state this is.
    pub node: NodeId,
    /// [`cluster_hash`] of the cluster's name.
    pub cluster: u64,
    /// Longest lease: see [`Durable::lease`](crate::durable::Durable::lease).
    pub lease: Option<Duration>,
    /// One entry per group; the order means nothing.
    pub groups: Vec<GroupState>,
}

/// The name of a cluster in state files: the first eight bytes of SHA-256 of its name, as a
/// big-endian number.
#[must_use]
pub fn cluster_hash(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// Content of the state directory at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// No state file: this node has never run here before, or both files were removed.
    Fresh,
    /// A state.
    State {
        /// The newest state that is whole.
        state: State,
        /// Sentence about the other slot, if anything is wrong with it, for the operator. The next
        /// write repairs that slot.
        remark: Option<String>,
    },
    /// State files, of which none is whole; the text says what is wrong. The node must learn the
    /// epochs from the others before it votes or opens.
    Damaged(String),
}

/// The reason for which the store cannot be used at all. The agent should not start.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made, opened, inspected or locked.
    #[error("cannot {operation} state directory {}: {cause}", path.display())]
    Io {
        /// The operation that failed, as a verb.
        operation: &'static str,
        /// The file or directory that it was done to.
        path: PathBuf,
        /// The kernel's error.
        cause: std::io::Error,
    },
    /// Another agent uses the directory.
    #[error(
        "state directory {} is in use by another agent: stop it, or give this one its own --state-dir",
        path.display())]
    Locked {
        /// Path of the directory.
        path: PathBuf,
    },
    /// Another user could have put the file or directory there: a symbolic link, another owner,
    /// write permission for others.
    #[error("{} is not safe to use: {what}", path.display())]
    Unsafe {
        /// Path of the file or directory.
        path: PathBuf,
        /// Requirement that the file or directory does not meet, as a sentence.
        what: &'static str,
    },
    /// The state belongs to another cluster.
    #[error(
        "state directory {} belongs to a cluster of another name: correct `cluster`, or remove the directory \
         if the cluster was renamed on all nodes", path.display())]
    OtherCluster {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The state belongs to another node.
    #[error(
        "state directory {} belongs to node number {} and this is node number {}: correct --node, or remove the \
         directory if the nodes were renumbered", path.display(), found.0, wanted.0)]
    OtherNode {
        /// Path of the directory.
        path: PathBuf,
        /// Number of the node that the state belongs to.
        found: NodeId,
        /// Number of this node.
        wanted: NodeId,
    },
    /// The state was written by another version of this program.
    #[error("{} has format {format}, which this version cannot read: run the version that wrote it", path.display())]
    Format {
        /// Path of the slot file.
        path: PathBuf,
        /// Format that the slot names.
        format: u32,
    },
}

impl StoreError {
    /// Whether the directory is there and could not be used, for want of something or because its
    /// disk did not answer.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        matches!(self, StoreError::Io { cause, .. } if shortage::is_unread(cause))
    }
}

/// The reason for which a state is not durable yet. The store goes on trying.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {cause}", path.display())]
pub struct WriteError {
    /// The operation that failed, as a verb.
    pub operation: &'static str,
    /// The file or directory that it was done to.
    pub path: PathBuf,
    /// The kernel's error.
    pub cause: std::io::Error,
}

impl WriteError {
    /// The failure of `operation` on `path`.
    pub fn new(operation: &'static str, path: &Path, cause: std::io::Error) -> WriteError {
        WriteError { operation, path: path.to_path_buf(), cause }
    }

    /// Whether both are the same operation with the same error code.
    fn is_like(&self, other: &WriteError) -> bool {
        (self.operation, self.cause.raw_os_error()) == (other.operation, other.cause.raw_os_error())
    }
}

/// The locked state directory, before its thread runs.
pub struct Store {
    dir: StateDir,
}

impl Store {
    /// Locks the directory `path` and reads its state. Makes the directory with mode 0700 if it is
    /// missing; its parent must exist. May wait for the disk.
    ///
    /// # Errors
    /// See [`StoreError`]. A directory that can be read but not written is no error here: writes
    /// will report that.
    pub fn open(path: &Path, node: NodeId, cluster: u64) -> Result<(Store, Loaded), StoreError> {
        let (dir, loaded) = StateDir::open(path, node, cluster)?;
        Ok((Store { dir }, loaded))
    }

    /// Starts the thread, which calls `report`: with the version and `Ok` when a state is durable,
    /// and with it all versions before; with an error at the first failure of each version and when
    /// the cause changes.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(
        self,
        report: impl FnMut(u64, Result<(), WriteError>) + Send + 'static,
    ) -> std::io::Result<StoreHandle> {
        let shared = Arc::new(Shared { newest: Mutex::new(None), stop: AtomicBool::new(false) });
        let (done, finished) = sync_channel(1);
        let mut writer = Writer { dir: self.dir, shared: Arc::clone(&shared), report };
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            let durable = writer.run();
            // Releases the lock before `finish` returns.
            drop(writer);
            let _nobody_waits = done.try_send(durable);
        })?;
        Ok(StoreHandle { shared, thread: thread.thread().clone(), finished })
    }
}

/// The handle of the store's thread. When it is dropped, the thread makes one more attempt at a
/// state that is not durable, and ends.
pub struct StoreHandle {
    shared: Arc<Shared>,
    thread: Thread,
    finished: Receiver<bool>,
}

impl StoreHandle {
    /// Asks for `state` to be made durable as soon as the disk allows. Versions must rise. Never
    /// waits for the disk: both sides hold the lock only to exchange one value.
    pub fn write(&self, version: u64, state: State) {
        let overtaken = self.shared.exchange(Some((version, state)));
        self.thread.unpark();
        drop(overtaken);
    }

    /// Ends the thread after one more attempt. Returns whether the newest state is durable and the
    /// lock released; false, too, if the disk has not answered within `patience`.
    #[must_use]
    pub fn finish(self, patience: Duration) -> bool {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
        self.finished.recv_timeout(patience).unwrap_or(false)
    }
}

impl Drop for StoreHandle {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// A state to be written, with its version.
type Pending = Option<(u64, State)>;

/// State shared by the handle and the thread: a queue of one state, where the newest wins, and the
/// order to stop.
struct Shared {
    newest: Mutex<Pending>,
    stop: AtomicBool,
}

impl Shared {
    /// Puts `pending` into the queue and returns what was there.
    fn exchange(&self, pending: Pending) -> Pending {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut newest, pending)
    }
}

/// The store's thread.
struct Writer<R> {
    dir: StateDir,
    shared: Arc<Shared>,
    report: R,
}

impl<R: FnMut(u64, Result<(), WriteError>)> Writer<R> {
    /// Writes states until told to stop. Returns whether the newest state is durable then.
    fn run(&mut self) -> bool {
        let mut pending: Pending = None;
        let mut reported: Option<(u64, WriteError)> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            // Before looking for work, so that what was left before the stop is found.
            let stop = self.shared.stop.load(Ordering::Acquire);
            pending = self.shared.exchange(None).or(pending);
            if let Some((version, state)) = &pending {
                match self.dir.write(state) {
                    Ok(()) => {
                        (self.report)(*version, Ok(()));
                        (pending, reported, pause) = (None, None, FIRST_PAUSE);
                    }
                    Err(cause) => reported = Some(self.report_failure(*version, cause, reported)),
                }
            }
            if stop {
                return pending.is_none();
            }
            if pending.is_none() {
                self.sleep(None);
            } else {
                self.sleep(Some(pause));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Reports a failure unless it is like the one reported last. Returns the failure that is now
    /// the last one reported.
    fn report_failure(
        &mut self,
        version: u64,
        cause: WriteError,
        reported: Option<(u64, WriteError)>,
    ) -> (u64, WriteError) {
        match reported {
            Some((before, like)) if before == version && like.is_like(&cause) => (before, like),
            Some(_) | None => {
                let copy = WriteError::new(cause.operation, &cause.path, copy_of(&cause.cause));
                (self.report)(version, Err(cause));
                (version, copy)
            }
        }
    }

    /// Sleeps until a state waits, the thread is told to stop, or `limit` has passed. Parking may
    /// end for no reason.
    fn sleep(&self, limit: Option<Duration>) {
        let start = clock::now();
        loop {
            let newest = self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            if newest || self.shared.stop.load(Ordering::Acquire) {
                return;
            }
            match limit.map(|limit| limit.saturating_sub(clock::now().since(start))) {
                None => std::thread::park(),
                Some(Duration::ZERO) => return,
                Some(rest) => std::thread::park_timeout(rest),
            }
        }
    }
}

/// A copy of an error of the operating system.
fn copy_of(cause: &std::io::Error) -> std::io::Error {
    match cause.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::new(cause.kind(), cause.to_string()),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish()
    }
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHandle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
