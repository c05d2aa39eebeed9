//! The queue of what will happen, in the order of time; what is due at one instant happens in the
//! order of entry.

use super::clock::Real;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A heap of small keys; what happens lies in places of its own, which are used again.
pub struct Queue<T> {
    /// Keys: instant, order of entry, place.
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    places: Vec<Option<T>>,
    /// Places that are empty.
    free: Vec<usize>,
    /// Number of entries so far.
    entered: u64,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new() -> Queue<T> {
        Queue { heap: BinaryHeap::with_capacity(256), places: Vec::with_capacity(256), free: Vec::new(), entered: 0 }
    }

    /// Adds what is due at `when`.
    pub fn push(&mut self, when: Real, what: T) {
        let place = if let Some(place) = self.free.pop() {
            self.places[place] = Some(what);
            place
        } else {
            self.places.push(Some(what));
            self.places.len() - 1
        };
        self.entered += 1;
        self.heap.push(Reverse((when.0, self.entered, place)));
    }

    /// Instant of the next entry; [`Real::NEVER`] if there is none.
    pub fn next(&self) -> Real {
        self.heap.peek().map_or(Real::NEVER, |Reverse((when, _, _))| Real(*when))
    }

    /// Takes the next entry out.
    pub fn pop(&mut self) -> Option<T> {
        let Reverse((_, _, place)) = self.heap.pop()?;
        self.free.push(place);
        self.places[place].take()
    }
}
