//! Keeps a storm on the clients' segment from waking the hot thread for every frame.
//!
//! Owns: how busy each packet socket is. A socket that brings many frames within a millisecond is
//! taken off the poll for a while; its frames are read when that is over and at every wake-up
//! before it, so that the engine decides nothing before it has seen them. Never does: drop a frame;
//! a socket's full buffer does.

use crate::types::MonoTime;
use std::time::Duration;

/// Most frames within [`WINDOW`] that are no storm: 16,000 a second. The questions of a suspicious
/// standby stay far below.
const STORM: usize = 16;
/// Span in which frames are counted.
const WINDOW: Duration = Duration::from_millis(1);
/// Length of a rest: half the shortest time between two probes.
const REST: Duration = Duration::from_micros(500);

/// How busy one socket is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calm {
    /// Beginning of the span in which frames are counted.
    window: MonoTime,
    /// Frames in that span so far.
    frames: usize,
    /// End of the rest; `None` while the socket is polled.
    resting: Option<MonoTime>,
}

impl Calm {
    /// Counts frames that were just taken; returns whether the socket should rest from now on.
    pub fn note(&mut self, frames: usize, now: MonoTime) -> bool {
        if now.since(self.window) >= WINDOW {
            (self.window, self.frames) = (now, 0);
        }
        self.frames += frames;
        self.frames > STORM
    }

    /// Begins or prolongs the rest; returns whether it begins.
    pub fn rest(&mut self, now: MonoTime) -> bool {
        self.resting.replace(now + REST).is_none()
    }

    /// Ends the rest.
    pub fn end(&mut self) {
        self.resting = None;
    }

    /// When the socket must be read although it wakes nobody.
    pub fn due(&self) -> Option<MonoTime> {
        self.resting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_traffic_never_rests_and_a_storm_does() {
        let mut calm = Calm::default();
        let at = |micros: u64| MonoTime(1_000_000_000 + micros * 1000);
        for question in 0..1000 {
            assert!(!calm.note(3, at(question * 1000)), "three frames a millisecond are no storm");
        }
        let stormy = (0..100).any(|frame| calm.note(1, at(2_000_000 + frame * 7)));
        assert!(stormy, "a frame every 7 µs is one");
        assert!(calm.rest(at(3_000_000)));
        assert!(!calm.rest(at(3_000_100)), "it rests already");
        assert_eq!(calm.due(), Some(at(3_000_600)));
        calm.end();
        assert_eq!(calm.due(), None);
    }
}
