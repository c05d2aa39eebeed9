//! The services of a run: whether checks watch them, which hooks run before a group moves, and how
//! long those may take.
//!
//! The script is drawn beside the rest of the plan, so that a seed without services is the run that
//! it always was.

use super::names::ms;
use super::random::Random;
use std::time::Duration;

/// Number that keeps the draws of a script apart from those of the plan.
const SALT: u64 = 0x5e7_1ce5;

/// The services of a run: whether they are watched, and which hooks they have.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceScript {
    /// Whether checks run, one of which decides alone.
    pub checked: bool,
    /// Longest time of the hook before an opening; `None` without one.
    pub before_open: Option<Duration>,
    /// Longest time of the hook before a closing; `None` without one.
    pub before_close: Option<Duration>,
}

impl ServiceScript {
    /// Draws a script without taking anything from `random`.
    pub fn draw(random: &Random) -> ServiceScript {
        let mut random = Random::new(random.clone().next() ^ SALT);
        let limit = |random: &mut Random| random.pick(&[ms(20), ms(200), ms(1000)]);
        ServiceScript {
            checked: random.chance(30),
            before_open: random.chance(15).then(|| limit(&mut random)),
            before_close: random.chance(15).then(|| limit(&mut random)),
        }
    }

    /// Health that an agent assumes until the first verdict: the worst if checks run.
    pub fn unknown(&self) -> u8 {
        if self.checked { u8::MAX } else { 0 }
    }

    /// Whether any hook runs.
    pub fn has_hooks(&self) -> bool {
        self.before_open.or(self.before_close).is_some()
    }
}
