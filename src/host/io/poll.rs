//! The sleep of the pulse thread: epoll, and an eventfd by which other threads wake it.
//!
//! Owns: the set of descriptors. Never does: read or interpret what became ready. The set is
//! level-triggered: a descriptor that is not read is reported again. One wake-up reports at most
//! [`MAX_READY`] descriptors; the others come with the next.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Most descriptors that one wake-up reports.
pub const MAX_READY: usize = 32;

/// A set of descriptors to wait for.
#[derive(Debug)]
pub struct Poll {
    epoll: Epoll,
}

impl Poll {
    /// Makes an empty set.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Adds `fd` to the set: from now on `token` is reported while `fd` can be read or has an
    /// error. A descriptor that is closed leaves the set by itself.
    ///
    /// # Errors
    /// EEXIST if `fd` is in the set, ENOMEM or ENOSPC when the kernel's limits are reached.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Removes `fd` from the set.
    ///
    /// # Errors
    /// ENOENT if it is not in the set.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Sleeps until something is ready or `timeout` (rounded up to milliseconds, at most 65 s;
    /// `None`: for ever) has passed, and fills `ready`. A signal ends the sleep with nothing ready.
    ///
    /// # Errors
    /// None that a correct caller can meet.
    pub fn wait(&self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map_or(EpollTimeout::NONE, |span| {
            let millis = span.as_nanos().div_ceil(1_000_000);
            EpollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
        });
        ready.count = match self.epoll.wait(&mut ready.events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(cause) => return Err(cause.into()),
        };
        Ok(())
    }
}

/// The descriptors that one wake-up reported.
#[derive(Debug)]
pub struct Ready {
    events: [EpollEvent; MAX_READY],
    count: usize,
}

impl Ready {
    /// An empty list, to be filled by [`Poll::wait`].
    #[must_use]
    pub fn new() -> Ready {
        Ready { events: [EpollEvent::empty(); MAX_READY], count: 0 }
    }

    /// Tokens of the descriptors that are ready.
    pub fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.events[..self.count].iter().map(EpollEvent::data)
    }
}

impl Default for Ready {
    fn default() -> Ready {
        Ready::new()
    }
}

/// A means to wake a [`Poll`] from any thread. Clones wake the same one. Wake-ups that are not yet
/// taken count as one.
#[derive(Clone, Debug)]
pub struct Waker {
    fd: Arc<EventFd>,
}

impl Waker {
    /// Makes a waker; add it to the [`Poll`] that it shall wake.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn new() -> io::Result<Waker> {
        let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Waker { fd: Arc::new(fd) })
    }

    /// Wakes the sleeper. Never blocks.
    pub fn wake(&self) {
        // EAGAIN means that the counter is at its top: it is readable, and that is all a wake-up is
        // for.
        let _full = self.fd.write(1);
    }

    /// A descriptor of the same waker for a tokio task that is to be woken. Call inside a runtime.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn for_tokio(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = self.fd.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is owned by the value that is registered, and nobody else closes
        // or replaces it.
        unsafe { AsyncFd::register(fd) }.map_err(Into::into)
    }

    /// Takes the wake-up, and returns whether there was one. Call this before reading the queues
    /// that it announces.
    #[must_use]
    pub fn take(&self) -> bool {
        self.fd.read().is_ok()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
