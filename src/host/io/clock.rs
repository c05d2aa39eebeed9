//! The two clocks: CLOCK_BOOTTIME for every decision, the wall clock for what people read.
//!
//! Never does: give wall time to code that decides. Reading a clock cannot fail on a kernel that
//! runs the gate (CLOCK_BOOTTIME exists since 2.6.39), so both readings return plain values.

use crate::types::MonoTime;
use nix::time::{ClockId, clock_gettime};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The present instant on CLOCK_BOOTTIME, in nanoseconds: the clock the gate program compares with.
///
/// # Panics
/// If the kernel has no CLOCK_BOOTTIME: nothing in this program can work then.
#[must_use]
pub fn now() -> MonoTime {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("invariant: the kernel has CLOCK_BOOTTIME");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    MonoTime(seconds * 1_000_000_000 + nanos)
}

/// Processor time that the calling thread has used so far, to measure what our own work costs.
///
/// # Panics
/// If the kernel has no such clock: Linux has it since 2.6.12.
#[must_use]
pub fn busy() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("invariant: the kernel counts a thread's time");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec()).unwrap_or(0))
}

/// A moment of the wall clock, in milliseconds since 1970-01-01 00:00 UTC. For logs and status
/// only: the wall clock jumps when it is set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WallTime(pub u64);

/// The present moment of the wall clock. A clock set before 1970 reads as 1970.
#[must_use]
pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The moment of the wall clock at `then`, computed from the present reading of both clocks.
#[must_use]
pub fn wall_of(then: MonoTime) -> WallTime {
    let (mono, wall) = (now(), wall());
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if then <= mono {
        WallTime(wall.0.saturating_sub(millis(mono.since(then))))
    } else {
        WallTime(wall.0.saturating_add(millis(then.since(mono))))
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC with milliseconds: `2026-03-01T12:30:00.250Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar.
/// Years are counted from 1 March, so that the leap day is a year's last and months follow one
/// pattern (153 days in five months).
fn civil(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 are one 400-year cycle.
    let days = days.saturating_add(719_468);
    let (cycle, in_cycle) = (days / 146_097, days % 146_097);
    let year_in_cycle = (in_cycle - in_cycle / 1_460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let day_of_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (cycle * 400 + year_in_cycle + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
