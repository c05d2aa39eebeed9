//! The engine's own time: when it ran last, since when without a stall, and when the next pulse is
//! due.

use crate::rules::Rules;
use crate::types::MonoTime;
use std::time::Duration;

/// What the engine knows of its own running.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Turn {
    /// Time of the newest event.
    pub last: MonoTime,
    /// Beginning of the time that this process has run without a stall: silence is never counted
    /// from before.
    pub resumed: MonoTime,
    /// First counter that we sent after the last stall: a consent counts once the peer has echoed
    /// it. A datagram that lay in a socket's buffer during the stall may be from before the peer
    /// changed its mind.
    pub fresh_from: u64,
    /// First counter sent after the most recent end of a hook.
    pub hooked_from: u64,
    /// Time of the next pulse.
    pub next_pulse: MonoTime,
}

impl Turn {
    /// The time of an engine that begins at `now`; its first pulse is due at once.
    pub fn new(now: MonoTime) -> Turn {
        Turn { last: now, resumed: now, fresh_from: 0, hooked_from: 0, next_pulse: now }
    }

    /// Begins a turn at `now`. Returns how long this process did not run if that was a stall: a
    /// process that did not run heard nothing, so silence counts anew. `next` is the counter of the
    /// next datagram, `pulse` the time between two pulses.
    pub fn begin(&mut self, now: MonoTime, pulse: Duration, next: u64, rules: Rules) -> Option<Duration> {
        let stall = now.since(self.last);
        self.last = now;
        if stall < pulse * 2 || !rules.notices_stalls() {
            return None;
        }
        self.resume(now, next);
        Some(stall)
    }

    /// Counts silence anew from `now`, and takes for fresh only what answers our datagrams from
    /// `next` on: nobody could answer before.
    pub fn resume(&mut self, now: MonoTime, next: u64) {
        self.resumed = now;
        self.fresh_from = next;
    }

    /// Sets the next pulse if one is due at `now`; true if one is. Pulses that were missed are not
    /// made up for.
    pub fn take_pulse(&mut self, now: MonoTime, interval: Duration) -> bool {
        if now < self.next_pulse {
            return false;
        }
        self.next_pulse = self.next_pulse + interval;
        if self.next_pulse <= now {
            self.next_pulse = now + interval;
        }
        true
    }
}
