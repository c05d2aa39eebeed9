//! What a seed decides of services: whether checks watch them, what is run before a group moves, and how long that may take.
//!
//! Drawn beside the rest of the plan, so that a seed that has none of it is the run that it always was.

use super::names::ms;
use super::random::Random;
use std::time::Duration;

/// Keeps these draws apart from those that follow the plan's.
const SALT: u64 = 0x5e7_1ce5;

/// How services are watched, and what moves with them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceScript {
    /// Checks run, and one of them decides alone.
    pub checked: bool,
    pub before_open: Option<Duration>,
    pub before_close: Option<Duration>,
}

impl ServiceScript {
    pub fn draw(random: &Random) -> ServiceScript {
        let mut random = Random::new(random.clone().next() ^ SALT);
        let limit = |random: &mut Random| random.pick(&[ms(20), ms(200), ms(1000)]);
        ServiceScript {
            checked: random.chance(30),
            before_open: random.chance(15).then(|| limit(&mut random)),
            before_close: random.chance(15).then(|| limit(&mut random)),
        }
    }

    /// How badly a service may do until its checks have come to a verdict.
    pub fn unknown(&self) -> u8 {
        if self.checked { u8::MAX } else { 0 }
    }

    pub fn has_hooks(&self) -> bool {
        self.before_open.or(self.before_close).is_some()
    }
}
