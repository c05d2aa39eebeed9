//! Both are active: who gives way.

use super::{Engine, Presence};
use crate::mutant::Mutant;
use crate::types::{Epoch, MonoTime};

impl Engine {
    /// The higher epoch wins, always.
    pub(super) fn is_outranked(&self, own: Epoch, other: Epoch) -> bool {
        if self.is_mutant(Mutant::LowerEpochWins) {
            return other < own;
        }
        other > own && !self.is_mutant(Mutant::HigherEpochIgnored)
    }

    /// Mutants that hold on to what is out of date.
    pub(super) fn is_stubborn(&self) -> bool {
        [Mutant::OutrankedStays, Mutant::HigherEpochIgnored, Mutant::LowerEpochWins]
            .into_iter()
            .any(|mutant| self.is_mutant(mutant))
    }

    pub(super) fn announce_anew(&mut self, at: usize, now: MonoTime) {
        if !self.is_mutant(Mutant::WinnerSilent) {
            self.schedule_announcements(at, now);
        }
    }

    /// A peer that was active when it fell silent is heard again, and we are active: both may have answered. It may have
    /// closed on our word before we hear its own, and then nothing but this tells its clients who is left (L4).
    pub(super) fn announce_after_division(&mut self, peer: usize, now: MonoTime) {
        for at in 0..self.groups.len() {
            if self.groups[at].is_open() && self.peers[peer].is_active(super::group_id(at)) {
                self.announce_anew(at, now);
            }
        }
    }

    /// True when a node with a lower epoch that should have closed cannot hear us, and we hear it: of the two only
    /// we know, so we give way although our epoch is higher (S8). The bound leaves it time to hear us after all.
    pub(super) fn is_hopeless(&mut self, at: usize, peer: usize, now: MonoTime) -> bool {
        let stays = self.is_mutant(Mutant::DeafRivalOutlasted) || self.votes_decide();
        let Some(since) = self.groups[at].contested.filter(|_| !stays) else { return false };
        let over = since + self.setup.timing.silence * 2 + self.setup.timing.pulse * 4;
        if now < over {
            let group = &mut self.groups[at];
            group.deadline = group.deadline.min(over);
        }
        now >= over && self.peers[peer].deaf && self.presence(peer, now) == Presence::Heard
    }
}
