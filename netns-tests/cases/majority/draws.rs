//! Draws by chance that a seed repeats.
//!
//! Owns: the seed and the generator. Never does: deciding what is drawn for. The seed is printed,
//! so that a failure can be played again with it.

use crate::lab::clock;
use std::time::Duration;

/// Seed of the draws: `VIPAIR_SEED`, or one of this moment; printed either way.
pub fn seed(what: &str) -> u64 {
    let given = std::env::var("VIPAIR_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| clock::now().0 / 1_000 % 1_000_000_007);
    eprintln!("{what}: VIPAIR_SEED={seed}");
    seed
}

/// A small random generator (xorshift64*): its draws must be repeatable, no more.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator whose draws depend on the seed alone.
    pub fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        low + (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % (high - low + 1)
    }

    /// Draws one of the values, each as likely as the others.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let last = u64::try_from(all.len() - 1).expect("few");
        all[usize::try_from(self.between(0, last)).expect("few")]
    }

    /// Draws a number of milliseconds from `low` to `high`, both included.
    pub fn duration(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}
