//! Messages to the service manager, and descriptors that it stores for us across a restart.
//!
//! Owns: the notify socket's messages and the descriptors that come back from the manager's store.
//! Never does: fail. Without a service manager each function does nothing: the agent runs as well
//! from a shell.

use sd_notify::NotifyState;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// Keeps the manager from polling what it stores: it would throw away each descriptor that reports
/// an error, which a BPF map always does (kernel/bpf/syscall.c, bpf_map_poll).
/// sd_pid_notify_with_fds(3), since systemd 246; an older one keeps no maps.
const UNWATCHED: NotifyState<'static> = NotifyState::Custom("FDPOLL=0");

/// Whether a service manager listens to our messages.
#[must_use]
pub fn is_manager() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Sends messages to the service manager, if there is one.
pub fn notify(states: &[NotifyState<'_>]) {
    let _nobody = sd_notify::notify(states);
}

/// Puts descriptors into the manager's store under `name`. They replace those that it has under
/// that name.
pub fn keep(name: &str, descriptors: &[BorrowedFd<'_>]) {
    let _nobody = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    let _nobody =
        sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(name), UNWATCHED], descriptors);
}

/// Takes the descriptors that an earlier run of this service put into the store. Call this once,
/// before other code uses inherited descriptors: a second call would return the same numbers again.
#[must_use]
pub fn kept() -> Vec<OwnedFd> {
    let Ok(found) = sd_notify::listen_fds() else { return Vec::new() };
    // SAFETY: the service manager opened these numbers for this process alone, and this is the one
    // place that owns them.
    found.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}
