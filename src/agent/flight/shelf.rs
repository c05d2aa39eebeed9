//! The shelf: a directory of flight recordings, a bounded number of each reason.
//!
//! Owns: the files' names, their mode, and which of them go when new ones come. A recording is
//! written under another name and renamed, so that a recording that exists is whole. Never does:
//! keep the hot thread or the slow side waiting; its caller has a thread for that. A disk that
//! takes no recording is an error for the log, and nothing else.

use super::file::Recording;
use crate::io::clock::WallTime;
use crate::store::WriteError;
use nix::sys::statvfs::statvfs;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Number of recordings of each reason that are kept: the oldest goes when one more comes.
pub const KEPT: usize = 5;

/// Bytes that must be free before a recording is written: epochs need the disk more.
const ROOM: u64 = 32 << 20;

/// Beginning of every recording's name.
const PREFIX: &str = "flight-";
/// End of every recording's name.
const SUFFIX: &str = ".vfr";
/// Name of a recording while it is written.
const NEW: &str = "flight.new";

/// Writes a recording into `dir`, which is created if it is missing, and removes recordings beyond
/// [`KEPT`]. Waits for the disk.
///
/// # Errors
/// The kernel's refusal. Only older recordings are left behind then.
pub fn put(dir: &Path, recording: &Recording) -> Result<PathBuf, WriteError> {
    let failed = |operation, path: &Path, cause| WriteError::new(operation, path, cause);
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => return Err(failed("create", dir, cause)),
        Ok(()) | Err(_) => {}
    }
    let room = statvfs(dir).map_err(|cause| failed("inspect", dir, cause.into()))?;
    if room.blocks_available().saturating_mul(room.fragment_size()) < ROOM {
        return Err(failed("write to", dir, std::io::Error::other("what is free is kept for the state")));
    }
    let new = dir.join(NEW);
    match std::fs::remove_file(&new) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(failed("remove", &new, cause)),
        Ok(()) | Err(_) => {}
    }
    let path = dir.join(name(recording));
    let written = write(&new, recording).and_then(|()| std::fs::rename(&new, &path));
    if let Err(cause) = written {
        // This frees the space at once; the next attempt would remove the file in any case.
        let _leftover = std::fs::remove_file(&new);
        return Err(failed("write", &path, cause));
    }
    prune(dir, &recording.header.reason).map_err(|cause| failed("clear", dir, cause))?;
    Ok(path)
}

/// Writes a recording to a new file, and waits until the disk has it.
fn write(path: &Path, recording: &Recording) -> std::io::Result<()> {
    // Only a new file, for its owner alone: a link in its place is not followed.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    recording.write(&mut out)?;
    out.flush()?;
    File::sync_all(out.get_ref())
}

/// Name such as `flight-20260301T123000.250Z-beta-takeover.vfr`: names sort by time.
fn name(recording: &Recording) -> String {
    let header = &recording.header;
    let time: String = WallTime(header.written).to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{PREFIX}{time}-{}-{}{SUFFIX}", header.node, header.reason)
}

/// Removes the oldest recordings of one reason beyond [`KEPT`].
fn prune(dir: &Path, reason: &str) -> std::io::Result<()> {
    let ending = format!("-{reason}{SUFFIX}");
    let mut names: Vec<OsString> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(&ending)) {
            names.push(name);
        }
    }
    names.sort();
    let many = names.len().saturating_sub(KEPT);
    names[..many].iter().try_for_each(|name| std::fs::remove_file(dir.join(name)))
}

#[cfg(test)]
mod tests;
