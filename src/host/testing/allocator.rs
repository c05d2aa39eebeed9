//! Counts what the calling thread asks of the heap, so that "allocates nothing" can be said of a
//! piece of code.
//!
//! Owns: the counts, one set per thread. Never does: memory management; every call goes on to the
//! system's allocator. Only a binary that installs [`Counting`] counts; elsewhere [`measured`] sees
//! nothing, and says so.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The counting allocator, to be installed with `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

/// Heap usage of a piece of code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Number of allocations and reallocations.
    pub calls: u64,
    /// Most bytes held at a time, beyond those held before.
    pub peak: u64,
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// Runs `code` and returns its result and its heap usage on this thread.
///
/// # Panics
/// If no [`Counting`] is installed: a count that is always 0 must not pass for a result.
pub fn measured<T>(code: impl FnOnce() -> T) -> (T, Usage) {
    let before = CALLS.get();
    drop(std::hint::black_box(Box::new(0_u8)));
    assert!(CALLS.get() > before, "this binary installs no counting allocator");
    let (calls, held) = (CALLS.get(), HELD.get());
    PEAK.set(held);
    let result = code();
    let peak = u64::try_from(PEAK.get() - held).unwrap_or(0);
    (result, Usage { calls: CALLS.get() - calls, peak })
}

/// Adds `calls` to this thread's calls, and moves its held bytes by `taken` less `returned`. Does
/// nothing in a thread whose counts are gone because it is ending.
fn note_use(calls: u64, taken: usize, returned: usize) {
    let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    let _counted = CALLS.try_with(|count| count.set(count.get() + calls));
    let _counted = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(signed(taken)).wrapping_sub(signed(returned)));
        PEAK.try_with(|peak| peak.set(peak.get().max(held.get())))
    });
}

// SAFETY: every call is passed to the system's allocator with the arguments it came with; the
// counts are thread-local cells without destructors, so that touching them allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note_use(1, layout.size(), 0);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note_use(1, layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note_use(1, size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note_use(0, 0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}
