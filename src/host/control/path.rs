//! How long the path of a control socket may be.
//!
//! Owns: that rule, for both sides. Never does: touch the path. A path that is too long is an error
//! that tells its length and the most that the kernel takes.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest path of a socket, in bytes: `sun_path` of linux/un.h without the closing zero.
const MAX_BYTES: usize = 107;

/// Refuses a path that no socket can have.
///
/// # Errors
/// With `InvalidInput` when the path is longer than [`MAX_BYTES`]; name a shorter one.
pub(super) fn check_length(path: &Path) -> io::Result<()> {
    let length = path.as_os_str().as_bytes().len();
    if length <= MAX_BYTES {
        return Ok(());
    }
    let text = format!("its path has {length} bytes, and that of a socket at most {MAX_BYTES}: name a shorter one");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}
