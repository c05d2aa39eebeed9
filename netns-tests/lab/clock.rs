//! The one clock of the lab: CLOCK_BOOTTIME, which the gate uses, too.

use nix::time::{ClockId, clock_gettime};
use vipair::types::MonoTime;

/// The instant now, on CLOCK_BOOTTIME.
pub fn now() -> MonoTime {
    MonoTime(nanos(ClockId::CLOCK_BOOTTIME))
}

/// Time of any clock now, in nanoseconds.
pub fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("reading a clock that exists cannot fail");
    let part = |value: i64| u64::try_from(value).expect("clocks of this century are positive");
    part(time.tv_sec()) * 1_000_000_000 + part(time.tv_nsec())
}
