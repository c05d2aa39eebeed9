//! What a group waits for: one table of named timers.
//!
//! Every look at a group clears its table, and each part of the look sets the timers of what it
//! waits for. The earliest of all groups is when the engine wants to be called again. The name
//! tells people what a group waits for.

use crate::types::MonoTime;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Timer {
    /// The former active carries connections until then.
    Drain,
    /// A starting node listens until then.
    Listening,
    /// A starting node votes for nobody until then.
    Abstention,
    /// An adopted active waits until then for its interface to be confirmed.
    Adoption,
    /// An offered group is taken by then, or kept.
    Offer,
    /// The node that gave the right of way claims nothing until then.
    Hold,
    /// A node with the right of way runs its hooks until then.
    Preparation,
    /// The better placed node is waited for until then.
    Election,
    /// The preferred node takes its group back then.
    Preempt,
    /// A claim is out long enough then.
    Claim,
    /// A witness's higher claim is waited for until then.
    Yield,
    /// The node's own vote is free then.
    Vote,
    /// What a silent peer was granted is over then.
    Grant,
    /// A fault may move the group again then.
    Return,
    /// A rival that cannot hear us has had its time then.
    Rival,
    /// The service's health may move the group then.
    Health,
    /// A hook that runs is waited for until then.
    Hook,
    /// A hook that failed is tried again then.
    Retry,
    /// The next announcement is due then.
    Announce,
}

impl Timer {
    /// All of them, in the order of their numbers.
    pub const ALL: [Timer; 19] = [
        Timer::Drain,
        Timer::Listening,
        Timer::Abstention,
        Timer::Adoption,
        Timer::Offer,
        Timer::Hold,
        Timer::Preparation,
        Timer::Election,
        Timer::Preempt,
        Timer::Claim,
        Timer::Yield,
        Timer::Vote,
        Timer::Grant,
        Timer::Return,
        Timer::Rival,
        Timer::Health,
        Timer::Hook,
        Timer::Retry,
        Timer::Announce,
    ];

    /// Name for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Timer::Drain => "drain",
            Timer::Listening => "listening",
            Timer::Abstention => "abstention",
            Timer::Adoption => "adoption",
            Timer::Offer => "offer",
            Timer::Hold => "hold",
            Timer::Preparation => "preparation",
            Timer::Election => "election",
            Timer::Preempt => "preempt",
            Timer::Claim => "claim",
            Timer::Yield => "yield",
            Timer::Vote => "vote",
            Timer::Grant => "grant",
            Timer::Return => "return",
            Timer::Rival => "rival",
            Timer::Health => "health",
            Timer::Hook => "hook",
            Timer::Retry => "retry",
            Timer::Announce => "announce",
        }
    }
}

/// The timers of one group. To clear them, and to ask for the earliest, costs the same however many
/// there are: a thousand groups do both in every look at them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    /// Instants by timer; only those in `running` mean anything.
    ends: [MonoTime; Timer::ALL.len()],
    /// Timers that are set: one bit for each.
    running: u32,
    /// The earliest of them; FOREVER while none is set.
    next: MonoTime,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers { ends: [MonoTime::FOREVER; Timer::ALL.len()], running: 0, next: MonoTime::FOREVER }
    }
}

impl Timers {
    /// Clears all of them.
    pub fn clear(&mut self) {
        (self.running, self.next) = (0, MonoTime::FOREVER);
    }

    /// Sets a timer; the earlier one counts if it is set already. FOREVER sets none.
    pub fn set(&mut self, timer: Timer, when: MonoTime) {
        if when == MonoTime::FOREVER {
            return;
        }
        let known = &mut self.ends[timer as usize];
        *known = if self.running & bit(timer) == 0 { when } else { when.min(*known) };
        self.running |= bit(timer);
        self.next = self.next.min(when);
    }

    /// The earliest of them; FOREVER if none is set.
    pub fn next(&self) -> MonoTime {
        self.next
    }

    /// Those that are set, the earliest first.
    pub fn running(&self) -> Vec<(Timer, MonoTime)> {
        let all = Timer::ALL.into_iter().zip(self.ends);
        let mut running: Vec<(Timer, MonoTime)> = all.filter(|(timer, _)| self.running & bit(*timer) != 0).collect();
        running.sort_by_key(|(_, when)| *when);
        running
    }
}

/// The bit of a timer in [`Timers::running`].
fn bit(timer: Timer) -> u32 {
    1 << timer as u32
}

/// Few are set at a time, so only those are written down.
impl Serialize for Timers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.running().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timers, D::Error> {
        let running = Vec::<(Timer, MonoTime)>::deserialize(deserializer)?;
        if running.len() > Timer::ALL.len() {
            return Err(D::Error::custom("more timers than there are"));
        }
        let mut timers = Timers::default();
        running.into_iter().for_each(|(timer, when)| timers.set(timer, when));
        Ok(timers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_stands_where_its_number_says() {
        for (number, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, number, "{timer:?}");
        }
    }

    #[test]
    fn the_earliest_counts_and_nothing_is_waited_for_where_none_is_set() {
        let mut timers = Timers::default();
        assert_eq!((timers.next(), timers.running()), (MonoTime::FOREVER, Vec::new()));
        timers.set(Timer::Hold, MonoTime(9));
        timers.set(Timer::Offer, MonoTime(7));
        timers.set(Timer::Hold, MonoTime(8));
        timers.set(Timer::Hold, MonoTime(10));
        assert_eq!(timers.next(), MonoTime(7));
        assert_eq!(timers.running(), [(Timer::Offer, MonoTime(7)), (Timer::Hold, MonoTime(8))]);
        timers.clear();
        assert_eq!(timers.next(), MonoTime::FOREVER);
    }
}
