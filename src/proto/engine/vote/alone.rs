//! `strict = false`: two nodes that hear each other and no majority of the witnesses go on as a bare pair.
//!
//! Each says so in its pulses once it has gone without the witnesses for a while; when both have
//! said so to each other, the pair decides alone, by the evidence of a bare pair. It ends on both
//! as soon as one of them hears the witnesses again. Meanwhile S8 holds in the place of S1. Votes
//! are given and counted all the time, so that they are there when they decide again.
//!
//! Owns: when votes decide, and what people are told of witnesses. Never does: anything in a strict
//! cluster but telling.

use crate::engine::Engine;
use crate::engine::action::Actions;
use crate::engine::group::{Claim, Groups};
use crate::engine::lease::Leases;
use crate::engine::notice::Notice;
use crate::engine::peer::{PeerAt, Peers};
use crate::timing::Timing;
use crate::types::MonoTime;
use crate::wire::pulse::Header;
use std::time::Duration;

/// No majority of the witnesses for at least this long, before the pair decides alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far the pair has come on its way to deciding alone.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Alone {
    /// Since when no majority of the witnesses is heard.
    pub lacking: Option<MonoTime>,
    /// The counter from which on our pulses say that we would decide alone.
    pub said: Option<u64>,
    /// Whether the peer has said so in its present life.
    pub echoed: bool,
    /// Since when a later life of the peer is heard that does not say so.
    pub unsaid: Option<MonoTime>,
    /// Both have said so: the pair decides.
    pub on: bool,
}

/// Time without a majority of the witnesses after which a node says that it would decide alone.
pub(in crate::engine) fn patience(timing: &Timing) -> Duration {
    (timing.silence * 10).max(PATIENCE)
}

impl Alone {
    /// Notes that no majority of the witnesses is heard. `paired`: the other node is. `next` is the
    /// counter of the next datagram. True if the pair has decided alone for too long without the
    /// peer saying so, and ends it.
    fn lack(&mut self, paired: bool, next: u64, timing: &Timing, now: MonoTime) -> bool {
        let patience = patience(timing);
        // A peer that is not heard for a moment must not make the waiting begin anew.
        let long = now.since(*self.lacking.get_or_insert(now)) >= patience;
        if long && (paired || self.on) {
            self.said.get_or_insert(next);
        }
        self.on && self.unsaid.is_some_and(|since| now.since(since) >= patience * 2)
    }
}

impl Groups {
    /// Lets votes decide from now on. What is open stays open until its present lease ends, unless
    /// there are votes for it by then; claims that rest on a bare pair's evidence are withdrawn,
    /// and made again with votes.
    fn return_to_votes(&mut self, leases: &Leases) {
        for group in self.iter_mut() {
            if group.is_open() {
                group.ballot.floor = group.ballot.floor.max(leases[group.interface].until);
            }
            group.claim = Claim::NONE;
        }
        self.look_again = true;
    }
}

impl Peers {
    /// How many witnesses are heard. That this process did not run says nothing of them.
    pub fn witnesses_heard(&self, timing: &Timing, now: MonoTime) -> usize {
        let recent = |heard: MonoTime| now.since(heard) < timing.silence;
        self.witnesses().filter(|peer| self[*peer].heard.is_some_and(recent)).count()
    }
}

impl Engine {
    /// Enters and leaves the state in which the pair decides alone, and tells of witnesses that are
    /// not heard.
    pub(in crate::engine) fn note_witnesses(&mut self, now: MonoTime, out: &mut Actions) {
        let Some(votes) = self.setup.votes else { return };
        self.tell_lost_witnesses(now, out);
        if self.setup.rules().is_strict(votes.strict) {
            return;
        }
        let heard = self.peers.witnesses_heard(&self.setup.timing, now);
        if heard >= self.peers.electorate().majority_of_witnesses() {
            self.end_alone(out);
            self.poll.alone.lacking = None;
            return;
        }
        let around = self.around(now);
        let paired = self.peers.nodes().any(|peer| around.is_speaking(peer));
        if self.poll.alone.lack(paired, self.outbox.next(), &self.setup.timing, now) {
            self.end_alone(out);
        }
    }

    /// Notes whether the newest pulse of the other node says that it would decide alone, and begins
    /// or ends deciding alone accordingly.
    pub(in crate::engine) fn note_alone(&mut self, peer: PeerAt, header: &Header, now: MonoTime, out: &mut Actions) {
        let strict = self.setup.votes.is_none_or(|votes| self.setup.rules().is_strict(votes.strict));
        if strict || self.peers[peer].id.is_witness() {
            return;
        }
        let alone = &mut self.poll.alone;
        if header.flags.alone {
            (alone.echoed, alone.unsaid) = (true, None);
            if !alone.on && alone.said.is_some_and(|said| header.echo_counter >= said) {
                alone.on = true;
                self.groups.look_again = true;
                out.notice(Notice::Alone { alone: true });
            }
        } else if alone.on && alone.echoed {
            // The peer has said it before in this life, and does no more: it hears the witnesses
            // again.
            self.end_alone(out);
        } else if alone.on {
            alone.unsaid.get_or_insert(now);
        }
    }

    /// Notes a new life of the peer: until it says that it would decide alone, nothing follows from
    /// that.
    pub(in crate::engine) fn forget_echo_of_alone(&mut self, peer: PeerAt) {
        if !self.peers[peer].id.is_witness() {
            self.poll.alone.echoed = false;
        }
    }

    /// Ends the state in which the pair decides alone.
    fn end_alone(&mut self, out: &mut Actions) {
        let was = std::mem::take(&mut self.poll.alone);
        if was.on {
            self.groups.return_to_votes(&self.leases);
            self.sort_grants();
            out.notice(Notice::Alone { alone: false });
        }
    }

    /// Tells people of a witness that is not heard: the next failure is one too many.
    fn tell_lost_witnesses(&mut self, now: MonoTime, out: &mut Actions) {
        let patience = self.setup.timing.patience.offer;
        for peer in self.peers.witnesses() {
            let known = &mut self.peers[peer];
            let silence = known.silence(&self.turn, now);
            if !known.silence_told && silence >= patience {
                known.silence_told = true;
                out.notice(Notice::WitnessLost { witness: known.id, silence });
            }
        }
    }
}
