//! The state directory: two slot files, and the lock that keeps a second agent out.
//!
//! Owns: the directory and its lock. Never does: decide what is written. A write goes to the slot
//! that does not hold the newest state. An existing slot is overwritten in place (pwrite,
//! fdatasync) and not replaced by rename: its space is allocated already, so that a full disk does
//! not keep a node from reserving an epoch, and the other slot covers a torn write. A missing slot
//! is made under another name and renamed, so that a slot that exists has been whole. After the
//! first write both slots exist.
//!
//! Every write begins from the path again: a directory that was removed, replaced or unmounted is
//! an error and never a write into files that nobody will find.

use super::slot::{self, MAX_SLOT, SlotError};
use super::{Loaded, State, StoreError, WriteError};
use crate::types::NodeId;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

/// Names of the two slot files.
const SLOTS: [&str; 2] = ["state.a", "state.b"];
/// Name of a slot file while it is made.
const NEW: &str = "state.new";
/// Mode of a slot file.
const OWNER_ONLY: Mode = Mode::from_bits_truncate(0o600);

/// Content of one slot.
#[derive(Debug)]
enum Content {
    Missing,
    /// Number of the write, and the state.
    Whole(u64, State),
    /// Name of the slot, and what is wrong with it.
    Damaged(String),
}

/// The locked directory, and which slot the next write goes to.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    /// The open directory, which holds the lock.
    lock: Flock<File>,
    /// Index of the slot for the next write.
    target: usize,
    /// Number of the next write.
    sequence: u64,
    /// Whether a slot is missing or damaged, so that the next write goes to both.
    lone: bool,
}

impl StateDir {
    /// Locks the directory and reads both slots. See [`Store::open`](super::Store::open).
    pub(super) fn open(path: &Path, node: NodeId, cluster: u64) -> Result<(StateDir, Loaded), StoreError> {
        make_directory(path)?;
        let lock = lock(path)?;
        let contents = [read_slot(&lock, path, 0)?, read_slot(&lock, path, 1)?];
        for content in &contents {
            if let Content::Whole(_, state) = content {
                check_owner(path, state, node, cluster)?;
            }
        }
        let sequence_of = |content: &Content| match content {
            Content::Whole(sequence, _) => Some(*sequence),
            Content::Missing | Content::Damaged(_) => None,
        };
        let numbers = [sequence_of(&contents[0]), sequence_of(&contents[1])];
        let target = usize::from(numbers[0] > numbers[1]);
        let sequence = numbers.into_iter().flatten().max().unwrap_or(0) + 1;
        let lone = numbers.contains(&None);
        Ok((StateDir { path: path.to_path_buf(), lock, target, sequence, lone }, choose_newest(contents)))
    }

    /// Makes `state` durable.
    pub(super) fn write(&mut self, state: &State) -> Result<(), WriteError> {
        self.follow_path()?;
        self.write_target(state)?;
        if self.lone {
            // The state is durable already. If this second write fails, the next one goes to the
            // same slot and reports the failure.
            self.lone = self.write_target(state).is_err();
        }
        Ok(())
    }

    /// Writes `state` to the target slot. Then the other slot is the target.
    fn write_target(&mut self, state: &State) -> Result<(), WriteError> {
        let bytes = slot::encode(self.sequence, state)
            .map_err(|text| WriteError::new("encode", &self.path, std::io::Error::other(text)))?;
        let name = SLOTS[self.target];
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        match openat(&*self.lock, name, flags, Mode::empty()) {
            Ok(fd) => self.overwrite(&File::from(fd), name, &bytes)?,
            Err(Errno::ENOENT) => self.create(name, &bytes)?,
            Err(cause) => return Err(self.failed("open", name, cause)),
        }
        self.target = 1 - self.target;
        self.sequence += 1;
        Ok(())
    }

    /// Writes an existing slot in place and syncs it.
    fn overwrite(&self, file: &File, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let status = fstat(file).map_err(|cause| self.failed("inspect", name, cause))?;
        if !is_plain(status.st_mode) {
            return Err(self.failed("write", name, std::io::Error::other("it is not a plain file")));
        }
        file.write_all_at(bytes, 0).map_err(|cause| self.failed("write", name, cause))?;
        file.sync_data().map_err(|cause| self.failed("sync", name, cause))
    }

    /// Makes a missing slot under another name, syncs it, and renames it.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        match unlinkat(&*self.lock, NEW, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(cause) => return Err(self.failed("remove", NEW, cause)),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&*self.lock, NEW, flags, OWNER_ONLY).map_err(|cause| self.failed("create", NEW, cause))?;
        let file = File::from(fd);
        let written = file
            .write_all_at(bytes, 0)
            .map_err(|cause| self.failed("write", NEW, cause))
            .and_then(|()| file.sync_all().map_err(|cause| self.failed("sync", NEW, cause)));
        if let Err(cause) = written {
            // Frees what little space there is; the next attempt removes it in any case.
            let _leftover = unlinkat(&*self.lock, NEW, UnlinkatFlags::NoRemoveDir);
            return Err(cause);
        }
        renameat(&*self.lock, NEW, &*self.lock, name).map_err(|cause| self.failed("rename", NEW, cause))?;
        self.lock.sync_all().map_err(|cause| self.failed("sync", ".", cause))
    }

    /// Checks that the path still leads to the locked directory; if not, locks the directory that
    /// it leads to now.
    fn follow_path(&mut self) -> Result<(), WriteError> {
        let failed = |cause: Errno| WriteError::new("open", &self.path, cause.into());
        let there = nix::sys::stat::stat(&self.path).map_err(failed)?;
        let ours = fstat(&*self.lock).map_err(failed)?;
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) {
            self.lock = lock(&self.path)
                .map_err(|cause| WriteError::new("lock", &self.path, std::io::Error::other(cause.to_string())))?;
            // States in that directory are older than what this process knows: write both slots.
            self.lone = true;
        }
        Ok(())
    }

    /// The failure of `operation` on the file `name` of the directory.
    fn failed(&self, operation: &'static str, name: &str, cause: impl Into<std::io::Error>) -> WriteError {
        WriteError::new(operation, &self.path.join(name), cause.into())
    }
}

/// The failure of `operation` on `path`, at the start.
fn failed(operation: &'static str, path: &Path, cause: impl Into<std::io::Error>) -> StoreError {
    StoreError::Io { operation, path: path.to_path_buf(), cause: cause.into() }
}

/// Makes the directory if it is missing, for its owner alone. Its parent must exist.
fn make_directory(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(_) if path.is_dir() => Ok(()),
        Err(cause) => Err(failed("create", path, cause)),
    }
}

/// Opens and locks the directory, which must belong to us and be writable by nobody else. Never
/// waits: [`StoreError::Locked`] if another process holds the lock. The lock is freed when the
/// result is dropped.
fn lock(path: &Path) -> Result<Flock<File>, StoreError> {
    let dir = File::open(path).map_err(|cause| failed("open", path, cause))?;
    let status = fstat(&dir).map_err(|cause| failed("inspect", path, cause))?;
    if !is_ours(status.st_uid) || status.st_mode & 0o022 != 0 {
        return Err(StoreError::Unsafe {
            path: path.to_path_buf(),
            what: "it must belong to the user of the agent and be writable by no one else",
        });
    }
    Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, cause)| match cause {
        Errno::EWOULDBLOCK => StoreError::Locked { path: path.to_path_buf() },
        cause => failed("lock", path, cause),
    })
}

/// Reads one slot. A file that cannot be read is a damaged slot; a file that no agent would have
/// made is an error.
fn read_slot(dir: &File, path: &Path, index: usize) -> Result<Content, StoreError> {
    let name = SLOTS[index];
    let damaged = |text: &dyn std::fmt::Display| Ok(Content::Damaged(format!("{name}: {text}")));
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = match openat(dir, name, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::ENOENT) => return Ok(Content::Missing),
        Err(Errno::ELOOP) => return Err(not_plain(path, name)),
        Err(cause) => return damaged(&std::io::Error::from(cause)),
    };
    let status = fstat(&file).map_err(|cause| failed("inspect", &path.join(name), cause))?;
    if !is_plain(status.st_mode) || !is_ours(status.st_uid) {
        return Err(not_plain(path, name));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SLOT).unwrap_or(u64::MAX);
    // An agent may have been killed before it synced what it wrote. That is read from memory here,
    // and counts only once it is on the disk.
    if let Err(cause) = file.sync_data().and_then(|()| file.take(limit).read_to_end(&mut bytes)) {
        return damaged(&cause);
    }
    match slot::decode(&bytes) {
        Ok((sequence, state)) => Ok(Content::Whole(sequence, state)),
        Err(SlotError::Damaged(text)) => damaged(&text),
        Err(SlotError::Format(format)) => Err(StoreError::Format { path: path.join(name), format }),
    }
}

/// The state that two slots with these bytes give; `None` for a slot that is missing. For tests of
/// other crates.
#[cfg(any(test, feature = "testing"))]
pub fn found(slots: [Option<&[u8]>; 2]) -> Loaded {
    choose_newest(slots.map(|bytes| match bytes.map(slot::decode) {
        None => Content::Missing,
        Some(Ok((sequence, state))) => Content::Whole(sequence, state),
        Some(Err(SlotError::Damaged(text))) => Content::Damaged(text.to_owned()),
        Some(Err(SlotError::Format(format))) => Content::Damaged(format!("format {format}")),
    }))
}

/// Chooses the newest whole slot. The remark says why the other slot is not whole, or not of the
/// write before.
fn choose_newest(contents: [Content; 2]) -> Loaded {
    let lone =
        |state, remark: &str| Loaded::State { state, remark: Some(format!("{remark}; the other slot is used")) };
    match contents.into() {
        (Content::Missing, Content::Missing) => Loaded::Fresh,
        (Content::Whole(a, one), Content::Whole(b, other)) => {
            let remark = (a.abs_diff(b) != 1).then(|| {
                format!("slots {a} and {b} do not follow each other: a file was put back; the newer is used")
            });
            Loaded::State { state: if a > b { one } else { other }, remark }
        }
        (Content::Whole(_, state), Content::Missing) | (Content::Missing, Content::Whole(_, state)) => {
            lone(state, "a slot is missing")
        }
        (Content::Whole(_, state), Content::Damaged(text)) | (Content::Damaged(text), Content::Whole(_, state)) => {
            lone(state, &text)
        }
        (Content::Damaged(text), Content::Missing) | (Content::Missing, Content::Damaged(text)) => {
            Loaded::Damaged(text)
        }
        (Content::Damaged(one), Content::Damaged(other)) => Loaded::Damaged(format!("{one}; {other}")),
    }
}

/// Refuses a state of another cluster or another node.
fn check_owner(path: &Path, state: &State, node: NodeId, cluster: u64) -> Result<(), StoreError> {
    let path = path.to_path_buf();
    if state.cluster != cluster {
        return Err(StoreError::OtherCluster { path });
    }
    if state.node != node {
        return Err(StoreError::OtherNode { path, found: state.node, wanted: node });
    }
    Ok(())
}

/// The error about a slot that is no plain file of ours.
fn not_plain(path: &Path, name: &str) -> StoreError {
    StoreError::Unsafe {
        path: path.join(name),
        what: "it must be a plain file that belongs to the user of the agent",
    }
}

/// Whether the mode is that of a regular file.
fn is_plain(mode: libc::mode_t) -> bool {
    mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
}

/// Whether the user is the one that this process runs as.
fn is_ours(user: libc::uid_t) -> bool {
    user == geteuid().as_raw()
}
