//! Failures for want of something that comes back: descriptors, memory, buffers, threads.
//!
//! Owns: which errors of the kernel those are. Never does: wait. Whoever meets one tries again a
//! moment later, and ends nothing because of it.

use std::io;

/// Whether the machine or the process is short of something, so that the same call may succeed a
/// moment later.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    use libc::{EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC};
    let codes = [EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Whether a file that is there could not be read, for want of something or because its disk did
/// not answer.
#[must_use]
pub fn is_unread(error: &io::Error) -> bool {
    is_shortage(error) || error.raw_os_error().is_some_and(|code| [libc::EIO, libc::ESTALE].contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_wrong() {
        let of = io::Error::from_raw_os_error;
        assert!(is_shortage(&of(libc::EMFILE)) && is_unread(&of(libc::EIO)));
        assert!(!is_shortage(&of(libc::EIO)) && !is_unread(&of(libc::ENOENT)) && !is_unread(&of(libc::EACCES)));
        assert!(!is_shortage(&io::Error::other("no error of the kernel")));
    }
}
