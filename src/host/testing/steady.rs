//! Measurements on a machine that may stand still.
//!
//! Owns: a thread that sleeps for moments only, and so finds out when nothing ran. Never does: judge a
//! measurement.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time for which the thread sleeps.
const MOMENT: Duration = Duration::from_millis(2);
/// Longest time without a moment that a measurement may have had.
const STILL: Duration = Duration::from_millis(50);
/// Most tries.
const TRIES: usize = 20;

/// What `body` returns in a try during which the machine never stood still for long, as a thread beside
/// it finds; each try that was overtaken is told on standard error. After twenty of them, what the last
/// one returned.
pub fn steady<T>(mut body: impl FnMut() -> T) -> T {
    first_calm(
        || watched(&mut body),
        |still| {
            let told = writeln!(std::io::stderr(), "the machine stood still for {still:?}: measured anew");
            told.expect("standard error takes a line");
        },
    )
}

/// The result of the first try that was not still for long, or else of the last one; `say` is told of each
/// that was.
fn first_calm<T>(mut attempt: impl FnMut() -> (T, Duration), mut say: impl FnMut(Duration)) -> T {
    for _ in 1..TRIES {
        let (result, still) = attempt();
        if still < STILL {
            return result;
        }
        say(still);
    }
    attempt().0
}

/// Ends the thread beside a measurement, also when that panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What `body` returns, and the longest time for which nothing ran beside it.
fn watched<T>(body: &mut impl FnMut() -> T) -> (T, Duration) {
    let (ended, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    let result = std::thread::scope(|scope| {
        let _end = End(&ended);
        scope.spawn(|| {
            let mut last = Instant::now();
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(MOMENT);
                let still = u64::try_from(last.elapsed().as_nanos()).unwrap_or(u64::MAX);
                longest.fetch_max(still, Ordering::Relaxed);
                last = Instant::now();
            }
        });
        body()
    });
    (result, Duration::from_nanos(longest.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_that_was_overtaken_is_made_anew() {
        let mut stills = [STILL * 7, STILL, STILL / 2, MOMENT].into_iter().enumerate();
        let mut said = Vec::new();
        assert_eq!(first_calm(|| stills.next().expect("a third one is calm"), |still| said.push(still)), 2);
        assert_eq!(said, [STILL * 7, STILL]);
        let mut tries = 0;
        let mut attempt = || {
            tries += 1;
            (tries, STILL * 7)
        };
        assert_eq!(first_calm(&mut attempt, |_| ()), TRIES);
    }

    #[test]
    fn what_stands_still_beside_a_measurement_is_seen() {
        let ((), still) = watched(&mut || std::thread::sleep(MOMENT * 5));
        assert!(still >= MOMENT, "{still:?}");
        let told = std::panic::catch_unwind(|| watched(&mut || panic!("on purpose")));
        assert!(told.is_err(), "and the thread has ended");
    }
}
