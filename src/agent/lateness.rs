//! Lateness of the hot thread's wake-ups and renewals of leases.
//!
//! Owns: counters, written by the hot thread and read by any other. Never does: lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Four buckets for each doubling, from 1 µs to 65 ms and more.
const BUCKETS: usize = 64;

/// Wake-ups or renewals, counted by lateness. A bucket's bound is at most a quarter above any
/// lateness in it.
#[derive(Debug)]
pub(super) struct Lateness {
    buckets: [AtomicU64; BUCKETS],
    /// Greatest lateness so far, in ns.
    worst: AtomicU64,
}

impl Default for Lateness {
    fn default() -> Lateness {
        Lateness { buckets: std::array::from_fn(|_| AtomicU64::new(0)), worst: AtomicU64::new(0) }
    }
}

impl Lateness {
    /// Counts a wake-up or renewal that came `nanos` ns after it was due.
    pub fn note(&self, nanos: u64) {
        self.worst.fetch_max(nanos, Ordering::Relaxed);
        let micros = (nanos / 1000).max(1);
        let octave = micros.ilog2();
        let quarter = ((micros << 2) >> octave) & 3;
        let bucket = usize::try_from(u64::from(octave) * 4 + quarter).unwrap_or(BUCKETS);
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Greatest lateness so far, in ns.
    pub fn worst(&self) -> u64 {
        self.worst.load(Ordering::Relaxed)
    }

    /// Bound in µs and count of each bucket that counted something: latenesses below its bound and
    /// not below the bound before. The last bucket also has everything later.
    pub fn histogram(&self) -> Vec<(u64, u64)> {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        counts.enumerate().filter(|(_, count)| *count > 0).map(|(at, count)| (bound_of(at), count)).collect()
    }

    /// Lateness that 999 of 1,000 wake-ups or renewals did not exceed.
    pub fn p999(&self) -> Duration {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        let wakes: u64 = counts.iter().sum();
        let wanted = wakes - wakes / 1000;
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let bound = bucket.map_or(0, |bucket| bound_of(bucket).saturating_mul(1000));
        Duration::from_nanos(bound.min(self.worst()))
    }
}

/// Bound of a bucket, in µs: every lateness in it is below.
fn bound_of(bucket: usize) -> u64 {
    let (octave, quarter) = (bucket / 4, bucket as u64 % 4);
    ((1 << octave) * (5 + quarter)).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thousand_does_not_count_and_more_do() {
        let lateness = Lateness::default();
        assert_eq!(lateness.p999(), Duration::ZERO);
        (0..1998).for_each(|_| lateness.note(40_000));
        (0..2).for_each(|_| lateness.note(9_000_000));
        assert_eq!(lateness.worst(), 9_000_000);
        let micros = |lateness: &Lateness| lateness.p999().as_micros();
        assert!((40..50).contains(&micros(&lateness)), "{}", micros(&lateness));
        lateness.note(8_000_000);
        assert!((8_000..=9_000).contains(&micros(&lateness)), "{}", micros(&lateness));
    }

    #[test]
    fn the_histogram_has_every_wake_up_once_and_in_order() {
        let lateness = Lateness::default();
        assert_eq!(lateness.histogram(), []);
        [40_000, 900, 40_000, u64::MAX].into_iter().for_each(|nanos| lateness.note(nanos));
        assert_eq!(lateness.histogram(), [(2, 1), (48, 2), (65_536, 1)]);
    }

    #[test]
    fn every_lateness_is_below_the_bound_of_its_bucket() {
        for nanos in [0, 1, 999, 1000, 5_000, 123_456, 1_999_999, 2_000_000, 60_000_000, u64::MAX] {
            let lateness = Lateness::default();
            lateness.note(nanos);
            let bucket = lateness.buckets.iter().position(|count| count.load(Ordering::Relaxed) == 1);
            let bucket = bucket.expect("it was counted");
            let micros = (nanos / 1000).max(1);
            assert!(micros < bound_of(bucket) || bucket == BUCKETS - 1, "{nanos}");
            assert!(bucket == 0 || micros * 4 >= bound_of(bucket) * 3, "{nanos} is far below its bound");
        }
    }
}
