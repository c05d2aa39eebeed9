//! A file that is held back: whoever opens it for reading waits until it is given.
//!
//! Owns: the pipe in the file's place, and the file, which lies beside it meanwhile. So a case can
//! act at the very moment at which a program reads the file. Never does: change the file. Any
//! failure panics with the path.

use nix::sys::stat::Mode;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

/// A file in whose place a pipe is.
#[derive(Debug)]
pub struct HeldFile {
    path: PathBuf,
    file: PathBuf,
}

impl HeldFile {
    /// Puts a pipe of the same owner into the place of the file.
    pub fn hold_back(path: &Path) -> HeldFile {
        let held = HeldFile { path: path.to_owned(), file: path.with_extension("held") };
        fs::rename(path, &held.file).unwrap_or_else(|e| held.fail(e));
        let owner = held.file.metadata().unwrap_or_else(|e| held.fail(e));
        nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap_or_else(|e| held.fail(e.into()));
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap_or_else(|e| held.fail(e));
        held
    }

    /// The pipe's writing end if somebody waits for the file; `None` if nobody does yet.
    pub fn awaited(&self) -> Option<File> {
        // Without a reader the kernel refuses with ENXIO.
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&self.path).ok()
    }

    /// Puts the file back, and gives its text to whoever waits at the other end of `pipe`.
    pub fn give(self, mut pipe: File) {
        let text = fs::read(&self.file).unwrap_or_else(|e| self.fail(e));
        fs::rename(&self.file, &self.path).unwrap_or_else(|e| self.fail(e));
        pipe.write_all(&text).unwrap_or_else(|e| self.fail(e));
    }

    /// Puts the file back; nobody waits for it any more.
    pub fn put_back(self) {
        fs::rename(&self.file, &self.path).unwrap_or_else(|e| self.fail(e));
    }

    /// Panics with what has failed.
    fn fail<T>(&self, cause: std::io::Error) -> T {
        panic!("hold {} back: {cause}", self.path.display())
    }
}
