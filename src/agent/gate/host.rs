//! Hosts that a gate can work on: kernel 5.8 or later, and the host's own boot time.
//!
//! Owns: nothing. Never does: change the host. What cannot be read counts as fit, except the
//! kernel's version.

use super::GateError;

/// Refuses hosts on which a deadline of ours would mean something else, or nothing.
///
/// # Errors
/// [`GateError::KernelTooOld`], [`GateError::TimeNamespace`], and [`GateError::System`] if uname(2)
/// fails.
pub(super) fn check() -> Result<(), GateError> {
    let release = nix::sys::utsname::uname()
        .map_err(|errno| GateError::system("ask for the kernel's version", "uname", errno.into()))?;
    let release = release.release().to_string_lossy().into_owned();
    if kernel_version(&release) < (5, 8) {
        return Err(GateError::KernelTooOld { found: release });
    }
    // Without the file there are no time namespaces.
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    if is_shifted(&offsets) { Err(GateError::TimeNamespace) } else { Ok(()) }
}

/// Major and minor number of a release such as "6.1.0-18-amd64"; zero for what cannot be read.
pub(super) fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether boot time has an offset in the text of time_namespaces(7): lines of clock, seconds,
/// nanoseconds.
pub(super) fn is_shifted(offsets: &str) -> bool {
    let boottime = offsets.lines().filter_map(|line| line.trim_start().strip_prefix("boottime"));
    boottime.into_iter().any(|rest| rest.split_whitespace().any(|number| number != "0"))
}
