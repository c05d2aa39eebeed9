//! `strict = false`: two nodes that hear each other and no majority of the witnesses go on as a bare pair.
//!
//! Each says so in its pulses once it has gone without the witnesses for a while; when both have said so to each other, the
//! pair decides alone, by the evidence of a bare pair. It ends on both as soon as one of them hears the witnesses again.
//! Meanwhile S8 holds in the place of S1. Votes are given and counted all the time, so that they are there when they
//! decide again.
//!
//! Owns: when votes decide, and what people are told of witnesses. Never does: anything in a strict cluster but telling.

use super::action::Actions;
use super::notice::Notice;
use super::{Engine, Presence};
use crate::mutant::Mutant;
use crate::types::MonoTime;
use crate::wire::pulse::Header;
use std::time::Duration;

/// No majority of the witnesses for at least this long, before the pair decides alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Alone {
    /// Since when no majority of the witnesses is heard.
    pub lacking: Option<MonoTime>,
    /// Our pulses say so from this counter on.
    pub said: Option<u64>,
    /// The peer says so in its present life.
    pub echoed: bool,
    /// Since when a later life of the peer is heard that does not say so.
    pub unsaid: Option<MonoTime>,
    /// Both have said so: the pair decides.
    pub on: bool,
}

impl Engine {
    /// Enters and leaves the state, and tells of witnesses that are not heard.
    pub(super) fn note_witnesses(&mut self, now: MonoTime, out: &mut Actions) {
        let Some(votes) = self.setup.votes else { return };
        self.tell_lost_witnesses(now, out);
        if votes.strict && !self.is_mutant(Mutant::StrictIgnored) {
            return;
        }
        if self.witnesses_heard(now) >= self.quorum() {
            self.end_alone(now, out);
            self.poll.alone.lacking = None;
            return;
        }
        let heard = |peer| matches!(self.presence(peer, now), Presence::Heard | Presence::Suspicious);
        let paired = self.node_peers().any(heard);
        let patience = self.alone_patience();
        let alone = &mut self.poll.alone;
        // A peer that is not heard for a moment must not make the waiting begin anew.
        let long = now.since(*alone.lacking.get_or_insert(now)) >= patience;
        if long && (paired || alone.on) {
            alone.said.get_or_insert(self.counter + 1);
        }
        if alone.on && alone.unsaid.is_some_and(|since| now.since(since) >= patience * 2) {
            self.end_alone(now, out);
        }
    }

    pub(super) fn alone_patience(&self) -> Duration {
        (self.setup.timing.silence * 10).max(PATIENCE)
    }

    /// Takes note of what the newest pulse of the other node says.
    pub(super) fn note_alone(&mut self, peer: usize, header: &Header, now: MonoTime, out: &mut Actions) {
        let strict = self.setup.votes.is_none_or(|votes| votes.strict) && !self.is_mutant(Mutant::StrictIgnored);
        if strict || self.peers[peer].id.is_witness() {
            return;
        }
        let alone = &mut self.poll.alone;
        if header.flags.alone {
            (alone.echoed, alone.unsaid) = (true, None);
            if !alone.on && alone.said.is_some_and(|said| header.echo_counter >= said) {
                alone.on = true;
                self.dirty = true;
                out.notice(Notice::Alone { alone: true });
            }
        } else if alone.on && alone.echoed {
            // It hears the witnesses again.
            self.end_alone(now, out);
        } else if alone.on {
            alone.unsaid.get_or_insert(now);
        }
    }

    /// The peer lives anew: that it does not say so yet means nothing.
    pub(super) fn forget_echo_of_alone(&mut self, peer: usize) {
        if !self.peers[peer].id.is_witness() {
            self.poll.alone.echoed = false;
        }
    }

    /// Votes decide from now on. What is open stays so for what it has: until then there must be votes for it.
    fn end_alone(&mut self, now: MonoTime, out: &mut Actions) {
        let was = std::mem::take(&mut self.poll.alone);
        if !was.on {
            return;
        }
        for group in self.groups.iter_mut().filter(|group| group.is_open()) {
            let until = self.interfaces[usize::from(group.interface.0)].until;
            group.ballot.floor = group.ballot.floor.max(until);
        }
        // A claim that was made by a bare pair's evidence is made anew by ours.
        for group in &mut self.groups {
            group.claim = crate::types::Epoch::NONE;
            group.claimed = None;
            group.deadline = now;
        }
        self.tally();
        self.dirty = true;
        out.notice(Notice::Alone { alone: false });
    }

    /// How many witnesses are heard. That this process did not run says nothing of them.
    pub(super) fn witnesses_heard(&self, now: MonoTime) -> usize {
        let recent = |heard: MonoTime| now.since(heard) < self.setup.timing.silence;
        self.witness_peers().filter(|&peer| self.peers[peer].heard.is_some_and(recent)).count()
    }

    /// A witness that is not heard makes the next failure one too many: people must know.
    fn tell_lost_witnesses(&mut self, now: MonoTime, out: &mut Actions) {
        let patience = self.setup.timing.patience.offer;
        for peer in self.witness_peers() {
            let silence = self.peers[peer].silence(self.resumed, now);
            let known = &mut self.peers[peer];
            if !known.silent_told && silence >= patience {
                known.silent_told = true;
                out.notice(Notice::WitnessLost { witness: known.id, silence });
            }
        }
    }
}
