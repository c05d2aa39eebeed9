//! What the hot thread asks of the scheduler and of memory, and what it does without.

use nix::sys::mman::{MlockAllFlags, mlockall};

/// Above everything that is not real-time; below kernel threads that must win (migration, watchdog at 99).
pub(super) const HOT_PRIORITY: i32 = 10;
/// Announcements come after pulses.
pub(super) const ANNOUNCER_PRIORITY: i32 = 5;
/// Stack that is touched once, so that the hot loop never waits for a page.
const STACK: usize = 128 * 1024;

/// Runs the calling thread under SCHED_FIFO.
///
/// # Errors
/// EPERM without CAP_SYS_NICE or an RLIMIT_RTPRIO that allows it: the agent then runs, and wakes up late on a busy
/// machine.
pub(super) fn be_realtime(priority: i32) -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `parameters` lives for the call; pid 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Keeps what is in memory there. Pages are locked when they are first touched, so that unused stacks cost nothing.
///
/// # Errors
/// EPERM or ENOMEM without CAP_IPC_LOCK and beyond RLIMIT_MEMLOCK: the agent then runs, and may wait for a page.
pub(super) fn lock_memory() -> nix::Result<()> {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)
}

/// Touches the stack that the hot loop will use.
#[inline(never)]
pub(super) fn touch_stack() {
    let mut pages = [0_u8; STACK];
    for page in pages.chunks_mut(4096) {
        page[0] = std::hint::black_box(1);
    }
    std::hint::black_box(&pages);
}
