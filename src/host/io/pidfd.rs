//! A process held by a descriptor: it cannot be mistaken for a later one with the same number, and
//! its end makes the descriptor readable.
//!
//! Owns: the descriptor. Never does: signal the process. On failure the caller gets the kernel's
//! error.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// A process that ran when this value was made.
#[derive(Debug)]
pub struct PidFd {
    fd: AsyncFd<OwnedFd>,
}

impl PidFd {
    /// Opens the process with this number. Call inside a runtime.
    ///
    /// # Errors
    /// There is no such process (ESRCH), or the kernel is older than 5.3 (ENOSYS).
    pub fn open(pid: i32) -> io::Result<PidFd> {
        // SAFETY: pidfd_open(2) takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made this descriptor (close-on-exec), and nobody else knows of
        // it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: the descriptor is owned by the value that is registered, and nobody else closes
        // or replaces it.
        let fd = unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)?;
        Ok(PidFd { fd })
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// The runtime goes away.
    pub async fn ended(&self) -> io::Result<()> {
        self.fd.readable().await.map(drop)
    }
}
