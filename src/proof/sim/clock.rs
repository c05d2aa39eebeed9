//! Real time, which only the simulator and its oracle know, and what a node's CLOCK_BOOTTIME makes
//! of it.
//!
//! A node's clock runs at its own rate, begins anew at each boot, and may stand still when a
//! hypervisor freezes the guest. Engine and kernel of a node see nothing else.

use crate::types::MonoTime;
use std::time::Duration;

/// An instant of real time, in nanoseconds since the beginning of the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Real(pub u64);

impl Real {
    /// The instant after everything: what never happens.
    pub const NEVER: Real = Real(u64::MAX);

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Real) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Real {
    type Output = Real;
    fn add(self, span: Duration) -> Real {
        Real(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

const MILLION: u64 = 1_000_000;

/// The clock of one node.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Instant of the last change of rate, or of the last thaw.
    real: Real,
    /// The local time that the clock showed at `real`.
    local: MonoTime,
    /// Nanoseconds that the clock counts in a real millisecond: 1,000,500 is 500 ppm fast.
    rate: u64,
    frozen: bool,
}

impl Clock {
    /// A clock that shows `local` now and is `ppm` fast.
    pub fn new(now: Real, local: MonoTime, ppm: i64) -> Clock {
        Clock { real: now, local, rate: MILLION.saturating_add_signed(ppm), frozen: false }
    }

    /// Error of the clock's rate in parts per million, fast or slow.
    pub fn error_ppm(&self) -> u64 {
        self.rate.abs_diff(MILLION)
    }

    /// The local time that the clock shows at a real instant.
    pub fn read(&self, now: Real) -> MonoTime {
        if self.frozen {
            return self.local;
        }
        let passed = now.0.saturating_sub(self.real.0);
        if self.rate == MILLION {
            return MonoTime(self.local.0 + passed);
        }
        MonoTime(self.local.0 + passed / MILLION * self.rate + passed % MILLION * self.rate / MILLION)
    }

    /// The first real instant at which the clock shows `local`, but never before the last change of
    /// its rate.
    pub fn when(&self, local: MonoTime) -> Real {
        if self.frozen || local == MonoTime::FOREVER {
            return Real::NEVER;
        }
        let ahead = local.0.saturating_sub(self.local.0);
        if self.rate == MILLION {
            return Real(self.real.0.saturating_add(ahead));
        }
        let about = u128::from(ahead) * u128::from(MILLION) / u128::from(self.rate);
        let mut when = Real(self.real.0.saturating_add(u64::try_from(about).unwrap_or(u64::MAX / 2)));
        while self.read(when) < local {
            when.0 += 1;
        }
        when
    }

    /// Sets another rate, `ppm` fast, from now on.
    pub fn set_rate(&mut self, now: Real, ppm: i64) {
        *self = Clock { frozen: self.frozen, ..Clock::new(now, self.read(now), ppm) };
    }

    /// Stops the clock, as a hypervisor does with a frozen guest.
    pub fn freeze(&mut self, now: Real) {
        self.local = self.read(now);
        self.frozen = true;
    }

    /// Lets a stopped clock go on where it stood.
    pub fn thaw(&mut self, now: Real) {
        if std::mem::take(&mut self.frozen) {
            self.real = now;
        }
    }
}

/// Real time that passes until a clock that is `error_ppm` slow has counted `span`.
pub fn stretched(span: Duration, error_ppm: u64) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    span + Duration::from_nanos(nanos / MILLION.saturating_sub(error_ppm).max(1) * error_ppm)
}
