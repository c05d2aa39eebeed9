//! Unrest: a group that was moved for its health again and again, because the fault goes with it.
//!
//! Owns: how often this node has given a group away for that reason lately, and how long it must
//! have had the group before it does so once more. Never does: keep a group that another has to
//! have: an operator, a silence, a lost carrier move it as ever.
//!
//! The first two moves are free. Each further one needs twice the time of the one before, up to a
//! bound. A group that stays where it is for four times that is at rest, and counting begins anew.

use crate::timing::Patience;
use crate::types::MonoTime;
use std::time::Duration;

/// Moves that need no more patience than the ordinary one.
const FREE: u8 = 2;
/// Doublings after which the bound is reached for certain; no more are counted.
const MOST: u8 = 16;

/// How often this node has given a group away for its health lately.
#[derive(Clone, Copy, Default, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Unrest {
    /// Moves that are remembered, [`MOST`] at most.
    pub moves: u8,
    /// When they are forgotten.
    pub until: MonoTime,
}

impl Unrest {
    /// How long this node must have had the group before it gives it away for its health once more.
    pub fn bar(&self, patience: &Patience, now: MonoTime) -> Duration {
        let doublings = if now < self.until { self.moves.saturating_sub(FREE) } else { 0 };
        if doublings == 0 {
            return Duration::ZERO;
        }
        (patience.unrest * (1 << (doublings - 1))).min(patience.unrest_most)
    }

    /// Notes a move. Returns the bar for the next one when it has just been raised for the first
    /// time: then people are told.
    pub fn note_move(&mut self, patience: &Patience, now: MonoTime) -> Option<Duration> {
        let before = if now < self.until { self.moves } else { 0 };
        self.moves = (before + 1).min(MOST);
        self.until = MonoTime::FOREVER;
        let bar = self.bar(patience, now);
        self.until = now + bar.max(patience.unrest) * 4;
        (before == FREE).then_some(bar)
    }
}

#[cfg(test)]
mod tests {
    use super::Unrest;
    use crate::timing::{Profile, Timing};
    use crate::types::MonoTime;
    use std::time::Duration;

    #[test]
    fn the_bar_doubles_with_each_move_to_its_bound_and_falls_when_the_group_stays() {
        let patience = Timing::of(Profile::Lan).patience;
        let (mut unrest, mut now, mut told) = (Unrest::default(), MonoTime(1), 0);
        let mut bars = Vec::new();
        for _ in 0..20 {
            told += usize::from(unrest.note_move(&patience, now).is_some());
            bars.push(unrest.bar(&patience, now));
            now = now + unrest.bar(&patience, now);
        }
        assert_eq!(bars[..4], [Duration::ZERO, Duration::ZERO, patience.unrest, patience.unrest * 2]);
        assert!(bars.windows(2).all(|pair| pair[0] <= pair[1]), "{bars:?}");
        assert_eq!((bars[19], told), (patience.unrest_most, 1));
        now = now + patience.unrest_most * 4;
        assert_eq!(unrest.bar(&patience, now), Duration::ZERO);
        assert_eq!(unrest.note_move(&patience, now), None);
        assert_eq!(unrest.moves, 1);
    }
}
