//! Announcements: when a group tells the segment who has it.

use super::Group;
use crate::engine::action::Action;
use crate::engine::around::{Around, Requests};
use crate::engine::timers::Timer;
use crate::rules::Rules;
use crate::types::{MacAddr, MonoTime, Vip};
use std::time::Duration;

/// When announcements are repeated after an opening (design: 0, 0.2, 1.3, 2.4 and 5 s): RFC 4861
/// 7.2.6 wants at most three unsolicited advertisements a second apart; the early second one covers
/// a lost first.
const ANNOUNCE_AT: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(1300),
    Duration::from_millis(2400),
    Duration::from_secs(5),
];
/// RFC 5227 2.4(c): defend an address at most once in this time.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// How far the round of announcements has come.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Announcing {
    /// Number of announcements made in this round.
    pub step: usize,
    /// When the next one is due; FOREVER when none is.
    pub next: MonoTime,
}

impl Default for Announcing {
    fn default() -> Announcing {
        Announcing { step: 0, next: MonoTime::FOREVER }
    }
}

impl Announcing {
    /// Begins a round at `when`.
    pub fn begin(&mut self, when: MonoTime) {
        *self = Announcing { step: 0, next: when };
    }

    /// Ends the round: nothing is announced until another begins.
    pub fn end(&mut self) {
        self.next = MonoTime::FOREVER;
    }

    /// Announces nothing before `until`.
    pub fn postpone(&mut self, until: MonoTime) {
        self.next = self.next.max(until);
    }

    /// True if an announcement is due, and then sets the next one: after the round once in each
    /// `pause`.
    fn take(&mut self, pause: Duration, rules: Rules, now: MonoTime) -> bool {
        if now < self.next {
            return false;
        }
        let done = ANNOUNCE_AT[self.step.min(ANNOUNCE_AT.len() - 1)];
        self.step += 1;
        let wait = ANNOUNCE_AT.get(self.step).map_or(pause, |next| next.saturating_sub(done));
        self.next = if rules.announces_again() { now + wait } else { MonoTime::FOREVER };
        true
    }
}

impl Group {
    /// Announces the group before its gate is open, then begins the round. Only a mutant does so.
    pub(super) fn announce_early(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        requests.push(Action::Announce { group: self.id, address: None });
        self.announcing.begin(around.now + ANNOUNCE_AT[1]);
    }

    /// Announces the group if that is due, and sets the timer of the next announcement.
    pub fn announce(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        if !self.is_open() {
            self.announcing.end();
            return;
        }
        if self.announcing.take(around.timing().patience.announcements, around.rules, around.now) {
            requests.push(Action::Announce { group: self.id, address: None });
            requests.wishes.announced = true;
        }
        self.timers.set(Timer::Announce, self.announcing.next);
    }

    /// Announces the group anew after a conflict.
    pub fn announce_anew(&mut self, rules: Rules, now: MonoTime) {
        if rules.winner_announces() {
            self.announcing.begin(now);
        }
    }

    /// Announces an address that a stranger claims, and tells people; at most once in
    /// [`DEFEND_INTERVAL`]. The group stays open whatever strangers say (S6).
    pub fn defend(&mut self, address: Vip, mac: MacAddr, now: MonoTime, out: &mut crate::engine::Actions) {
        if self.defended.is_some_and(|last| now.since(last) < DEFEND_INTERVAL) {
            return;
        }
        self.defended = Some(now);
        out.push(Action::Announce { group: self.id, address: Some(address) });
        out.notice(crate::engine::Notice::Stranger { group: self.id, address, mac });
    }
}
