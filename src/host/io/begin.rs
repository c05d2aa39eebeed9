//! What a program does before anything else, in the place of the standard library's own beginning.
//!
//! That one gives every new thread a stack of its own for signals, so that it can name a stack overflow, and
//! panics in the new thread where the kernel has no memory for it: a whole program ends because a file was
//! to be written beside it. So `main` is C's, and this does the rest of what the standard library would.
//!
//! Owns: descriptors 0 to 2, and SIGPIPE. Never does: fail; what cannot be had is done without.

use nix::errno::Errno;
use std::fs::OpenOptions;
use std::os::fd::IntoRawFd;

/// Makes descriptors 0 to 2 be something, so that no file takes their place and gets what is printed; and
/// lets writing to a pipe without a reader be an error, not the end.
pub fn begin() {
    for fd in 0..3 {
        // SAFETY: asks for a flag of a number; any number may be asked about.
        let is_open = Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFD) }).is_ok();
        if !is_open && let Ok(nothing) = OpenOptions::new().read(true).write(true).open("/dev/null") {
            // The kernel gives the lowest number that is free: this one. It stays as long as the program.
            let _stays = nothing.into_raw_fd();
        }
    }
    // SAFETY: no handler of ours is replaced, and SIG_IGN calls nothing.
    let _before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
