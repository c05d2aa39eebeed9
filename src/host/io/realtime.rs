//! Real-time priority and locked memory for the agent's threads.
//!
//! Owns: the priorities. Never does: insist. Without the privilege the kernel refuses, the caller
//! says so, and the threads run as ordinary ones, late on a busy machine.

use nix::sys::mman::{MapFlags, MlockAllFlags, ProtFlags, mlockall, mmap_anonymous, munlockall, munmap};
use std::num::NonZeroUsize;

/// Priority of the pulse thread: above all that is not real-time, below kernel threads that must
/// win (migration, watchdog at 99).
pub const HOT_PRIORITY: i32 = 10;
/// Priority of the announcer: announcements come after pulses.
pub const ANNOUNCER_PRIORITY: i32 = 5;
/// Priority of all other threads that a takeover waits for: those that report events, watch
/// interfaces and services, start hooks, and tell clients. Linux has been seen to keep threads of
/// ordinary priority waiting for more than a second behind one busy process of the lowest priority.
pub const HELPER_PRIORITY: i32 = 2;
/// Bytes of stack that are touched once, so that the hot loop never waits for a page.
const STACK: usize = 128 * 1024;
/// Bytes of address space that must still be lockable after the memory is locked: stacks of later
/// threads, rings, maps.
const ROOM: NonZeroUsize = NonZeroUsize::new(256 << 20).unwrap();

/// Makes the calling thread run under SCHED_FIFO with this priority.
///
/// # Errors
/// EPERM without CAP_SYS_NICE or an RLIMIT_RTPRIO that allows the priority: the agent then runs,
/// and wakes up late on a busy machine.
pub fn be_realtime(priority: i32) -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `parameters` lives for the call; pid 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Runs `work` at ordinary priority even if the calling thread has a real-time one: for long work
/// that no takeover waits for.
pub fn at_ordinary_priority<T>(work: impl FnOnce() -> T) -> T {
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` lives for the call; pid 0 is the calling thread.
    let told = unsafe { libc::sched_getparam(0, &raw mut parameters) };
    if told != 0 || parameters.sched_priority == 0 {
        return work();
    }
    let ordinary = libc::sched_param { sched_priority: 0 };
    // SAFETY: the same. Lowering one's own priority cannot fail; if it did, the work would run at
    // the present priority.
    let _lowered = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary) };
    let result = work();
    // The priority was allowed before; if it is not any more, the thread goes on as threads without
    // the privilege do.
    let _raised = be_realtime(parameters.sched_priority);
    result
}

/// Locks the memory of the process. Pages are locked when they are first touched, so that unused
/// stacks cost nothing.
///
/// # Errors
/// EPERM, ENOMEM or EAGAIN without CAP_IPC_LOCK and with an RLIMIT_MEMLOCK that does not leave
/// room: nothing is locked, the agent runs, and may wait for a page.
pub fn lock_memory() -> nix::Result<()> {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)?;
    // Each later mapping counts against the limit with its whole size, touched or not; beyond the
    // limit no thread could start any more (mmap(2), EAGAIN). Unlocked memory is the lesser evil.
    has_room().inspect_err(|_| {
        // Unlocking one's own memory cannot fail; if it did, the start of the next thread would
        // fail and say so.
        let _unlocked = munlockall();
    })
}

/// Checks that [`ROOM`] more bytes can be locked, by mapping and unmapping them without touching
/// them.
fn has_room() -> nix::Result<()> {
    // SAFETY: a fresh private mapping at an address of the kernel's choice, which nobody uses.
    let start = unsafe { mmap_anonymous(None, ROOM, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }?;
    // SAFETY: exactly that mapping.
    unsafe { munmap(start, ROOM.get()) }
}

/// Touches the part of the calling thread's stack that the hot loop needs.
#[inline(never)]
pub fn touch_stack() {
    let mut pages = [0_u8; STACK];
    for page in pages.chunks_mut(4096) {
        page[0] = std::hint::black_box(1);
    }
    std::hint::black_box(&pages);
}
