//! What the service manager is told, and what it keeps for us.
//!
//! Owns: the notify socket's messages and the descriptors handed back by the manager's store. Without a service manager
//! everything here does nothing and says so by doing nothing: the agent runs as well from a shell.

use sd_notify::NotifyState;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// Without it the manager polls what it stores and throws away what reports an error, which a BPF map always does
/// (kernel/bpf/syscall.c, bpf_map_poll). sd_pid_notify_with_fds(3), since systemd 246; an older one keeps no maps.
const UNWATCHED: NotifyState<'static> = NotifyState::Custom("FDPOLL=0");

/// True if a service manager waits for our word.
#[must_use]
pub fn is_manager() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells the service manager something. Nobody listens when there is none.
pub fn notify(states: &[NotifyState<'_>]) {
    let _nobody = sd_notify::notify(states);
}

/// Gives descriptors to the manager's store under `name`, in the place of those that were there under that name.
pub fn keep(name: &str, descriptors: &[BorrowedFd<'_>]) {
    let _nobody = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    let _nobody =
        sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(name), UNWATCHED], descriptors);
}

/// Takes the descriptors that an earlier life of this service left in the store. Call once, before any other code looks
/// at inherited descriptors; a second call gives the same numbers again.
#[must_use]
pub fn kept() -> Vec<OwnedFd> {
    let Ok(found) = sd_notify::listen_fds() else { return Vec::new() };
    // SAFETY: the service manager opened these numbers for this process alone, and this is the one place that owns them.
    found.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}
