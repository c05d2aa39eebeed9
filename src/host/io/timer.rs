//! One timer of the pulse thread: an absolute deadline on CLOCK_BOOTTIME that makes a descriptor
//! readable.
//!
//! Owns: the descriptor and the deadline that it is armed with. Never does: count relative time. A
//! deadline in the past fires at once. The kernel refuses only wrong arguments, which this file
//! cannot produce; a refusal is returned all the same.

use crate::types::MonoTime;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// A timerfd on CLOCK_BOOTTIME, nonblocking, in nanoseconds.
#[derive(Debug)]
pub struct Timer {
    fd: TimerFd,
    /// The deadline that the kernel has, so that an unchanged one costs no system call.
    armed: MonoTime,
}

impl Timer {
    /// Makes a timer that is not armed.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn new() -> io::Result<Timer> {
        let fd = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Timer { fd, armed: MonoTime::FOREVER })
    }

    /// Arms the timer: it fires once at `deadline`, or at once if that has passed, or never for
    /// [`MonoTime::FOREVER`]. An earlier deadline is replaced.
    ///
    /// # Errors
    /// Never in practice (see the head of this file).
    pub fn arm(&mut self, deadline: MonoTime) -> io::Result<()> {
        if deadline == self.armed {
            return Ok(());
        }
        match deadline {
            MonoTime::FOREVER => self.fd.unset()?,
            // Zero would disarm the timer: timerfd_settime(2).
            MonoTime(nanos) => self.fd.set(absolute(nanos.max(1)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?,
        }
        self.armed = deadline;
        Ok(())
    }

    /// Takes the expiry, so that the descriptor is no longer readable. Returns whether the timer
    /// had fired; then it is no longer armed.
    pub fn take(&mut self) -> bool {
        let mut count = [0u8; 8];
        loop {
            match nix::unistd::read(&self.fd, &mut count) {
                Ok(_) => {
                    self.armed = MonoTime::FOREVER;
                    return true;
                }
                Err(Errno::EINTR) => {}
                // EAGAIN: not yet. ECANCELED exists for CLOCK_REALTIME only.
                Err(_) => return false,
            }
        }
    }
}

/// An instant of CLOCK_BOOTTIME as the kernel takes it.
fn absolute(nanos: u64) -> Expiration {
    let seconds = libc::time_t::try_from(nanos / 1_000_000_000).unwrap_or(libc::time_t::MAX);
    let rest = libc::c_long::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Expiration::OneShot(TimeSpec::new(seconds, rest))
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
