//! Durable epochs: what a node must still know after a crash, in two alternating slots of one small directory.
//!
//! Owns: the state directory and one thread that may wait for the disk as long as the disk likes. Never does: make a
//! caller wait. [`StoreHandle::write`] leaves the newest state where the thread finds it; a state that is overtaken
//! before its turn is not written. A failed write is reported and tried again with growing pauses until the newest
//! state is durable: disk full, read-only, or directory gone are reports, and the agent goes on without a reservation.

pub mod dir;
pub mod slot;

use crate::durable::GroupState;
use crate::io::clock;
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

/// Pause before the first repetition of a failed write; it doubles with each failure …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Everything a node keeps on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Whose state it is.
    pub node: NodeId,
    /// Of which cluster: [`cluster_hash`] of its name.
    pub cluster: u64,
    /// See [`Durable::lease`](crate::durable::Durable::lease).
    pub lease: Option<Duration>,
    /// One entry per group; the order means nothing.
    pub groups: Vec<GroupState>,
}

/// What a cluster is called in its state files: the first eight bytes of SHA-256 of its name.
#[must_use]
pub fn cluster_hash(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// What was found at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// No state file: this node has never been here before, or somebody removed both.
    Fresh,
    /// The newest state that is whole.
    State {
        /// That state.
        state: State,
        /// What is wrong with the other slot, if anything: tell the operator. The next write repairs it.
        remark: Option<String>,
    },
    /// There are state files and none is whole. The epochs must be learned from the others before this node votes or
    /// opens. The text says what is wrong.
    Damaged(String),
}

/// Why the store cannot be used at all. The agent should not start.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made, opened, inspected or locked.
    #[error("cannot {operation} state directory {}: {cause}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// Another agent uses the directory.
    #[error("state directory {} is in use by another agent: stop it, or give this one its own --state-dir", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Someone else could have put it there: a symbolic link, another owner, a directory others may write.
    #[error("{} is not safe to use: {what}", path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is required of it.
        what: &'static str,
    },
    /// The state belongs to another cluster.
    #[error(
        "state directory {} belongs to a cluster of another name: correct `cluster`, or remove the directory \
         if the cluster was renamed on all nodes", path.display())]
    OtherCluster {
        /// The directory.
        path: PathBuf,
    },
    /// The state belongs to another node.
    #[error(
        "state directory {} belongs to node number {} and this is node number {}: correct --node, or remove the \
         directory if the nodes were renumbered", path.display(), found.0, wanted.0)]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who we are.
        wanted: NodeId,
    },
    /// The state was written by another version of this program.
    #[error("{} has format {format}, which this version cannot read: run the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
}

/// Why a state is not durable yet. The store goes on trying.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {cause}", path.display())]
pub struct WriteError {
    /// What was tried.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the kernel said.
    pub cause: std::io::Error,
}

impl WriteError {
    pub fn new(operation: &'static str, path: &Path, cause: std::io::Error) -> WriteError {
        WriteError { operation, path: path.to_path_buf(), cause }
    }

    fn is_like(&self, other: &WriteError) -> bool {
        (self.operation, self.cause.raw_os_error()) == (other.operation, other.cause.raw_os_error())
    }
}

/// The locked state directory, before its thread runs.
pub struct Store {
    dir: StateDir,
}

impl Store {
    /// Locks `path` (made with mode 0700 if it is missing; its parent must exist) and reads what is in it. May wait
    /// for the disk.
    ///
    /// # Errors
    /// See [`StoreError`]. A directory that can be read and not written is no error here: writes will report it.
    pub fn open(path: &Path, node: NodeId, cluster: u64) -> Result<(Store, Loaded), StoreError> {
        let (dir, loaded) = StateDir::open(path, node, cluster)?;
        Ok((Store { dir }, loaded))
    }

    /// Starts the thread. `report` is called on it: with the version and `Ok` when a state is durable (and with it
    /// all versions before), with an error at the first failure of each version and when the cause changes.
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
            // Releases the lock before anybody learns that it is over.
            drop(writer);
            let _nobody_waits = done.try_send(durable);
        })?;
        Ok(StoreHandle { shared, thread: thread.thread().clone(), finished })
    }
}

/// The way to the store's thread. Dropping it ends the thread after one more attempt at what is not durable.
pub struct StoreHandle {
    shared: Arc<Shared>,
    thread: Thread,
    finished: Receiver<bool>,
}

impl StoreHandle {
    /// Makes `state` durable as soon as the disk allows. Versions must rise. Never waits for the disk: a lock is held
    /// for the exchange of one pointer-sized value on either side.
    pub fn write(&self, version: u64, state: State) {
        let overtaken = self.shared.exchange(Some((version, state)));
        self.thread.unpark();
        drop(overtaken);
    }

    /// Ends the thread after one more attempt, and tells whether everything is durable and the lock released. False
    /// after `patience`, too, with a disk that does not answer.
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

type Pending = Option<(u64, State)>;

/// A queue of one: the newest wins.
struct Shared {
    newest: Mutex<Pending>,
    stop: AtomicBool,
}

impl Shared {
    fn exchange(&self, pending: Pending) -> Pending {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut newest, pending)
    }
}

struct Writer<R> {
    dir: StateDir,
    shared: Arc<Shared>,
    report: R,
}

impl<R: FnMut(u64, Result<(), WriteError>)> Writer<R> {
    /// Works until told to stop; tells whether everything is durable then.
    fn run(&mut self) -> bool {
        let mut pending: Pending = None;
        let mut told: Option<(u64, WriteError)> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            // Before looking for work, so that what was left before the stop is found.
            let stop = self.shared.stop.load(Ordering::Acquire);
            pending = self.shared.exchange(None).or(pending);
            if let Some((version, state)) = &pending {
                match self.dir.write(state) {
                    Ok(()) => {
                        (self.report)(*version, Ok(()));
                        (pending, told, pause) = (None, None, FIRST_PAUSE);
                    }
                    Err(cause) => told = Some(self.tell(*version, cause, told)),
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

    /// Reports a failure unless it is the one reported last, and returns what is reported now.
    fn tell(&mut self, version: u64, cause: WriteError, told: Option<(u64, WriteError)>) -> (u64, WriteError) {
        match told {
            Some((before, like)) if before == version && like.is_like(&cause) => (before, like),
            Some(_) | None => {
                let copy = WriteError::new(cause.operation, &cause.path, copy(&cause.cause));
                (self.report)(version, Err(cause));
                (version, copy)
            }
        }
    }

    /// Sleeps until there is something new to do or `limit` has passed. Parking may end for no reason.
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

fn copy(cause: &std::io::Error) -> std::io::Error {
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
