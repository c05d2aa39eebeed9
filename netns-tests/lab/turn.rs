//! Turns of labs: a few side by side, or one alone when times are measured.
//!
//! Owns: the count of labs that stand in this process. Never does: anything to a lab. A test that
//! panics gives its turn back while unwinding, so the others go on. In a test, the end of a turn tells
//! whether the machine stood still meanwhile.

use super::clock::now;
use super::pauses;
use std::sync::{Condvar, Mutex, PoisonError};
use vipair::types::MonoTime;

/// The labs of this process.
struct State {
    /// Number of labs that stand.
    running: usize,
    /// Whether the only lab that stands wants to be alone.
    alone: bool,
    /// Number of labs that wait to stand alone; no other lab begins before them.
    waiting_alone: usize,
}

static STATE: Mutex<State> = Mutex::new(State { running: 0, alone: false, waiting_alone: 0 });
/// Signal that [`STATE`] has changed.
static CHANGED: Condvar = Condvar::new();

/// The right to have a lab standing; given back on drop.
#[derive(Debug)]
pub struct Turn {
    alone: bool,
    /// When it was given.
    began: MonoTime,
}

/// Number of labs that may stand at once: one per core and never more than four, since each has
/// threads that keep time.
fn places() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4)
}

impl Turn {
    /// Waits for a place beside other labs.
    pub fn shared() -> Turn {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        while state.alone || state.waiting_alone > 0 || state.running >= places() {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.running += 1;
        Turn::begin(false)
    }

    /// Waits until no other lab of this process stands, and keeps others from starting.
    pub fn alone() -> Turn {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting_alone += 1;
        while state.alone || state.running > 0 {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting_alone -= 1;
        state.running += 1;
        state.alone = true;
        Turn::begin(true)
    }

    /// A turn from now on. Demonstration and benchmark show the times that they saw, pauses included;
    /// only tests look for them.
    fn begin(alone: bool) -> Turn {
        if cfg!(test) {
            pauses::watch();
        }
        Turn { alone, began: now() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        pauses::report(self.began);
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        if self.alone {
            state.alone = false;
        }
        CHANGED.notify_all();
    }
}
