//! The heap of a program that must not end for want of memory.
//!
//! Owns: a reserve, and what happens when the system gives no more. Never does: count or limit.
//! Without memory the standard library aborts the process. The agent waits instead until there is
//! some. The reserve makes that unlikely: whoever needs memory while the system has none takes it
//! from there.
//!
//! A thread that waits delays its own work, and that of threads that wait for a lock it holds. The
//! hot thread asks for no memory at rest. If it waits all the same, it renews no lease, so the kernel
//! closes the gates as after an abort, and it meets the lapse when it goes on. The wait has an end:
//! without the hot thread systemd's watchdog is not fed, and systemd starts the agent anew. Without
//! systemd nothing ends it but memory. An abort would be no better: the next life needs memory, too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes of heap that are kept at hand.
const RESERVE: usize = 4 << 20;
/// Size from which a piece of memory is a mapping of its own, in bytes: more than the reserve, so
/// that the reserve is part of the heap.
#[cfg(target_env = "gnu")]
const OWN_MAPPING: libc::c_int = 16 << 20;
/// Time between two attempts to get memory.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether to wait for memory.
static PATIENT: AtomicBool = AtomicBool::new(false);

/// The program's allocator: the system's, and patience after [`be_patient`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

/// Makes the process wait for memory instead of ending without it, and fills the reserve. Call this
/// once, before there are threads. Best effort: another C library may give the reserve back.
pub fn be_patient() {
    PATIENT.store(true, Ordering::Relaxed);
    #[cfg(target_env = "gnu")]
    // SAFETY: these settings of the heap are plain numbers, and there is one thread. What was freed
    // stays, and the reserve is no mapping of its own.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING);
    }
    // Written to, so that the pages are there.
    drop(black_box(vec![1_u8; RESERVE]));
}

/// Asks again and again for memory that was not given, if the process is patient.
fn ask_again(mut ask: impl FnMut() -> *mut u8) -> *mut u8 {
    loop {
        let given = ask();
        if !given.is_null() || !PATIENT.load(Ordering::Relaxed) {
            return given;
        }
        std::thread::sleep(PAUSE);
    }
}

// SAFETY: everything is the system allocator's own work; asking it again keeps its contract.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on as they are.
        ask_again(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        ask_again(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; where realloc gives nothing, the old piece is as it was.
        ask_again(|| unsafe { System.realloc(start, layout, size) })
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patient_one_gets_memory_as_soon_as_there_is_some_and_others_hear_that_there_is_none() {
        let mut one = 0_u8;
        let given = &raw mut one;
        assert!(ask_again(std::ptr::null_mut).is_null());
        PATIENT.store(true, Ordering::Relaxed);
        let mut attempts = 0;
        let got = ask_again(|| {
            attempts += 1;
            if attempts < 3 { std::ptr::null_mut() } else { given }
        });
        PATIENT.store(false, Ordering::Relaxed);
        assert_eq!((got, attempts), (given, 3));
    }
}
