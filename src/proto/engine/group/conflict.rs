//! Conflicts: two nodes are active, or one is and a deaf one is about to be. Who closes, and what
//! the winner does.

use super::Group;
use crate::engine::action::Action;
use crate::engine::around::{Around, Requests};
use crate::engine::notice::{Cause, Notice};
use crate::engine::peer::{PeerAt, Presence};
use crate::engine::timers::Timer;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::Row;

/// A peer that says that it is active, as we are.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Contest {
    /// Since when it does.
    pub since: MonoTime,
    /// Whether people were told.
    pub told: bool,
}

impl Group {
    /// Closes an active group for what a peer that is heard says, if it must. True if it did.
    pub(super) fn yield_to(
        &mut self,
        peer: PeerAt,
        row: &Row,
        around: Around<'_>,
        requests: &mut Requests<'_>,
    ) -> bool {
        let (id, deaf) = (around.peers[peer].id, around.peers[peer].deaf);
        let own = self.epochs.own;
        let active = row.role.is_open();
        let conflict = |won| Notice::Conflict { group: self.id, peer: id, epoch: row.epoch, won };
        let (lost, won) = (conflict(false), conflict(true));
        if active && around.rules.is_outranked(own, row.epoch) {
            self.close(MonoTime::ZERO, Cause::HigherEpoch, around, requests);
            requests.notice(lost);
            return true;
        }
        // Words from before our opening tell of the owner that we have taken over from: nobody is told
        // of them as of a conflict.
        let said_since = around.peers[peer].heard.is_some_and(|heard| heard > self.since);
        if active {
            if self.contested.is_none() {
                self.announce_anew(around.rules, around.now);
            }
            let contest = self.contested.get_or_insert(Contest { since: around.now, told: false });
            if said_since && !contest.told {
                contest.told = true;
                requests.notice(won);
            }
        } else if self.contested.is_some() {
            // The loser has closed: tell the segment again who is left.
            self.contested = None;
            self.announce_anew(around.rules, around.now);
        }
        if active && self.rival_cannot_hear_us(peer, around) {
            self.close(MonoTime::ZERO, Cause::Unheard, around, requests);
            requests.notice(lost);
            return true;
        }
        // Where votes decide, the peer cannot open while we are active.
        let heeded = around.rules.closes_for_deaf_claim() && !around.votes_decide();
        let claims = row.claim != Epoch::NONE && row.claim.node() == id;
        if heeded && deaf && !active && claims {
            // The peer cannot hear us and is about to open. One of us must close first, and only we
            // know of both. A claim below our epoch shows that it knows too little of us: it gets
            // no consent. The others may answer an offer of ours whose time is over: connections
            // are carried on as in any handover.
            let consents = row.claim > own;
            let drain = around.rules.drain(around.policy(self.id).drain);
            let until = if consents { around.now + drain } else { MonoTime::ZERO };
            self.close(until, Cause::Unheard, around, requests);
            if consents {
                self.give_consent(row.claim, around, requests);
            }
            return true;
        }
        false
    }

    /// True when a node with a lower epoch that should have closed cannot hear us, and we hear it:
    /// of the two only we know, so we give way although our epoch is higher (S8). The bound leaves
    /// it time to hear us after all.
    fn rival_cannot_hear_us(&mut self, peer: PeerAt, around: Around<'_>) -> bool {
        let gives_way = around.rules.gives_way_to_deaf_rival() && !around.votes_decide();
        let Some(contest) = self.contested.filter(|_| gives_way) else { return false };
        let over = contest.since + around.timing().silence * 2 + around.timing().pulse * 4;
        if around.now < over {
            self.timers.set(Timer::Rival, over);
            return false;
        }
        around.peers[peer].deaf && around.presence(peer) == Presence::Heard
    }

    /// Closes because this node cannot serve, and lets a ready peer open without asking first.
    pub fn release(&mut self, cause: Cause, around: Around<'_>, requests: &mut Requests<'_>) {
        self.close(MonoTime::ZERO, cause, around, requests);
        let promised = self.promised();
        // An heir whose service does not answer is better than no heir.
        let able = |row: &&Row| super::health::is_able(row) && row.reserve > promised;
        let heirs = around.peers.other_nodes().iter().filter_map(|peer| peer.row(self.id)).filter(able);
        let heir = heirs.min_by_key(|row| row.health).filter(|_| around.rules.names_heir());
        if let Some(heir) = heir {
            self.give_consent(heir.reserve, around, requests);
        }
    }

    /// Ends the drain of a group that is not open: what is carried on is dropped from now on.
    pub fn end_drain_early(&mut self, requests: &mut Requests<'_>) {
        self.drain_until = None;
        requests.push(Action::close(self.id));
    }
}
