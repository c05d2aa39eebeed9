//! Claims, and when a gate may open.

use super::action::{Action, Actions, GateAction};
use super::notice::{Cause, Notice};
use super::watch::Evident;
use super::{Engine, Presence, group_id};
use crate::mutant::Mutant;
use crate::timing::stretch;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::{Reason, Role, Row};
use std::cmp::Ordering;
use std::time::Duration;

/// When announcements are repeated after an opening (design: 0, 0.2, 1.3, 2.4 and 5 s): RFC 4861 7.2.6 wants at
/// most three unsolicited advertisements a second apart; the early second one covers a lost first.
const ANNOUNCE_AT: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(1300),
    Duration::from_millis(2400),
    Duration::from_secs(5),
];

/// What one peer lets us do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Permit {
    /// It does not stand in the way.
    Open(Cause),
    /// Our claim must be out for it to answer, or for it to close.
    Claim,
    /// Not now.
    No,
}

/// A peer that lets go in order carries its open connections on for a while; one that had to does not.
pub(super) fn consent_cause(reason: Reason) -> Cause {
    match reason {
        // Its consent may have used up its reservation: the next one is on its way to the disk.
        Reason::None | Reason::NoReservation | Reason::Paused | Reason::Stopping | Reason::Unhealthy => {
            Cause::Handover
        }
        Reason::NoInterface
        | Reason::NoCarrier
        | Reason::NoGate
        | Reason::NoAddresses
        | Reason::StateDamaged
        | Reason::Isolated
        | Reason::Hook
        | Reason::Listening => Cause::Free,
    }
}

impl Engine {
    /// Claims, withdraws, or opens, as the peers permit.
    pub(super) fn consider_opening(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        if self.is_mutant(Mutant::OpenedWithoutReserve) && !self.groups[at].has_reserve() {
            let group = &mut self.groups[at];
            let next = group.promised().max(group.held).max(group.reserve).next_for(self.setup.me);
            group.reserve = next.unwrap_or(group.reserve);
        }
        let reason = self.reason(at);
        // Isolation is found out while claiming, so it must not keep us from asking again. A service that does not answer is
        // better than a node that does not.
        let able = matches!(reason, Reason::None | Reason::Isolated | Reason::Unhealthy)
            && self.groups[at].role == Role::Standby;
        if !able {
            self.withdraw(at);
            return;
        }
        let all = if self.votes_decide() {
            self.permit_by_votes(at, now, out)
        } else {
            self.permit_by_evidence(at, now, out)
        };
        match all {
            Permit::Open(cause) => {
                if self.is_prepared(at, cause, now, out) {
                    self.open(at, cause, now, out);
                }
            }
            Permit::Claim => {
                if self.votes_decide() && self.may_vote_for_itself(at, now) {
                    self.vote_for_itself(at);
                }
                let group = &mut self.groups[at];
                if group.claim != group.reserve {
                    group.claim = group.reserve;
                    group.claimed = Some(now);
                }
                let again = group.claimed.map_or(now, |claimed| claimed + self.setup.timing.probe);
                if again > now {
                    group.deadline = group.deadline.min(again);
                }
            }
            Permit::No => self.withdraw(at),
        }
    }

    /// What the peers permit together in a bare pair.
    fn permit_by_evidence(&mut self, at: usize, now: MonoTime, out: &mut Actions) -> Permit {
        let mut all = Permit::Open(Cause::Free);
        for peer in self.node_peers() {
            all = match (all, self.permit(at, peer, now, out)) {
                (Permit::No, _) | (_, Permit::No) => Permit::No,
                (Permit::Claim, _) | (_, Permit::Claim) => Permit::Claim,
                (Permit::Open(Cause::Free), Permit::Open(cause)) => Permit::Open(cause),
                (Permit::Open(cause), Permit::Open(_)) => Permit::Open(cause),
            };
        }
        all
    }

    fn withdraw(&mut self, at: usize) {
        self.groups[at].claim = Epoch::NONE;
        self.groups[at].claimed = None;
    }

    fn permit(&mut self, at: usize, peer: usize, now: MonoTime, out: &mut Actions) -> Permit {
        match self.presence(peer, now) {
            Presence::Left if self.has_left_lately(peer, now) => Permit::Open(Cause::Handover),
            Presence::Left | Presence::Unknown | Presence::Silent => self.permit_of_silence(at, peer, now, out),
            Presence::Heard => self.permit_of_row(at, peer, now),
            Presence::Suspicious => {
                // Its last word still counts; but when it was about to end anyway, the evidence may begin.
                match self.permit_of_row(at, peer, now) {
                    Permit::Open(cause) => Permit::Open(cause),
                    Permit::Claim => Permit::Claim,
                    Permit::No => self.permit_of_silence(at, peer, now, out),
                }
            }
        }
    }

    fn permit_of_silence(&mut self, at: usize, peer: usize, now: MonoTime, out: &mut Actions) -> Permit {
        let interface = self.groups[at].interface;
        let openable = self.openable(peer, interface);
        let group = &self.groups[at];
        let claimed = group.claimed.filter(|_| group.claim == group.reserve);
        // An open gate can be asked. A peer that was not active when it was last heard may be stopped between its decision
        // to open and the store that does it, and no probe tells: the lease that it has then must be over first.
        let known = &self.peers[peer];
        let open = known.is_active(group_id(at)) && !group.may_be_opened_by(known.id);
        let lease = self.setup.timing.listen.max(stretch(known.lease(), self.setup.timing.drift_ppm))
            + self.setup.timing.pulse;
        if known.heard.is_some() && !open && known.silence(self.resumed, now) < lease {
            return Permit::No;
        }
        let evident = self.evident(peer, interface, claimed, openable, now);
        let segment = &mut self.segments[usize::from(interface.0)];
        let isolated = evident == Evident::Isolated;
        if isolated && !segment.isolated {
            out.notice(Notice::Isolated { interface });
        }
        if evident != Evident::Wait {
            segment.isolated = isolated;
        }
        if isolated {
            self.forget_evidence(interface);
        }
        match evident {
            Evident::Wait | Evident::Vetoed | Evident::Isolated => Permit::No,
            Evident::Claim => Permit::Claim,
            Evident::Gone => Permit::Open(Cause::Silence),
        }
    }

    /// What a peer that is heard says.
    fn permit_of_row(&mut self, at: usize, peer: usize, now: MonoTime) -> Permit {
        let id = group_id(at);
        let group = &self.groups[at];
        let Some(row) = self.peers[peer].row(id) else {
            // A peer that has told us its whole table and does not know the group has no say in it. After a stall it
            // may have learned of the group since.
            let told = self.peers[peer].is_complete() && self.is_proven(peer);
            return if told { Permit::Open(Cause::Free) } else { Permit::No };
        };
        match row.role {
            Role::Active => return Permit::No,
            Role::Handover if self.is_mutant(Mutant::ConsentWhileOpen) && row.consent == group.reserve => {}
            Role::Handover => return if row.claim == group.reserve { Permit::Claim } else { Permit::No },
            Role::Starting | Role::Standby | Role::Fault | Role::Paused | Role::Witness => {}
        }
        let stale = !self.is_proven(peer) && !self.is_mutant(Mutant::StaleConsentCounts);
        if row.consent == group.reserve && stale {
            return Permit::No;
        }
        if row.consent == group.reserve {
            return Permit::Open(consent_cause(row.reason));
        }
        if row.epoch >= group.reserve || self.waits_for(at, peer, row, now) { Permit::No } else { Permit::Claim }
    }

    /// True while this node lets a better placed one go first.
    pub(super) fn waits_for(&self, at: usize, peer: usize, row: &Row, now: MonoTime) -> bool {
        let group = &self.groups[at];
        if now < group.hold && !self.is_mutant(Mutant::HoldIgnored) {
            return true;
        }
        if self.lets_prepare(at, row, now) {
            return true;
        }
        let setup = &self.setup.groups[at];
        let candidate = matches!(row.reason, Reason::None | Reason::Unhealthy) || row.role == Role::Starting;
        let preferred = setup.prefer == self.peers[peer].id;
        let first = match row.health.cmp(&self.health(at)) {
            Ordering::Less => true,
            Ordering::Equal => preferred,
            Ordering::Greater => preferred && self.is_mutant(Mutant::HealthIgnored),
        };
        let better = first && candidate && !self.is_mutant(Mutant::NoRightOfWay);
        better && group.free.is_none_or(|free| now < free + self.setup.timing.election)
    }

    fn open(&mut self, at: usize, cause: Cause, now: MonoTime, out: &mut Actions) {
        let id = group_id(at);
        let former = self.former_active(at);
        self.shorten_lease(at, out);
        self.forget_openable(at);
        let group = &mut self.groups[at];
        let epoch = group.reserve;
        assert!(epoch > group.seen.max(group.consent), "S2: a gate opens only with an epoch above all seen");
        group.epoch = epoch;
        group.held = epoch;
        group.seen = epoch;
        group.reserve = Epoch::NONE;
        group.claim = Epoch::NONE;
        group.claimed = None;
        group.consent = Epoch::NONE;
        group.ballot.promise = None;
        group.wants = false;
        group.service.hook = None;
        group.free = None;
        group.drain_until = None;
        group.contested = None;
        let drain = self.setup.groups[at].drain;
        if cause == Cause::Handover
            && let Some(mac) = former
        {
            out.push(Action::Gate(GateAction::Forward { group: id, until: now + drain, mac }));
        } else {
            let mac = crate::types::MacAddr::ZERO;
            out.push(Action::Gate(GateAction::Forward { group: id, until: MonoTime::ZERO, mac }));
        }
        let early = self.is_mutant(Mutant::AnnouncedBeforeOpening);
        if early {
            out.push(Action::Announce { group: id, address: None });
        }
        out.push(Action::Gate(GateAction::Open { group: id, epoch }));
        self.schedule_announcements(at, now + if early { ANNOUNCE_AT[1] } else { Duration::ZERO });
        self.set_role(at, Role::Active, cause, now, out);
        self.reserve(at);
        self.persist_wanted = true;
    }

    /// The hardware address of the peer whose consent let us open: it may still carry connections.
    fn former_active(&self, at: usize) -> Option<crate::types::MacAddr> {
        let id = group_id(at);
        let reserve = self.groups[at].reserve;
        let consenting = |peer: &&super::Peer| peer.row(id).is_some_and(|row| row.consent == reserve);
        self.peers[self.node_peers()].iter().find(consenting)?.row(id).map(|row| row.mac).filter(|mac| !mac.is_zero())
    }

    /// Begins the round of announcements.
    pub(super) fn schedule_announcements(&mut self, at: usize, now: MonoTime) {
        self.groups[at].announce_step = 0;
        self.groups[at].announce_at = now;
    }

    /// Announces what is due.
    pub(super) fn announce(&mut self, at: usize, now: MonoTime, out: &mut Actions) {
        let once = self.is_mutant(Mutant::AnnouncedOnce);
        let group = &mut self.groups[at];
        if !group.is_open() {
            group.announce_at = MonoTime::FOREVER;
            return;
        }
        if now >= group.announce_at {
            out.push(Action::Announce { group: group_id(at), address: None });
            let done = ANNOUNCE_AT[group.announce_step.min(ANNOUNCE_AT.len() - 1)];
            group.announce_step += 1;
            let wait = match ANNOUNCE_AT.get(group.announce_step) {
                Some(next) => next.saturating_sub(done),
                None => self.setup.timing.patience.announcements,
            };
            group.announce_at = if once { MonoTime::FOREVER } else { now + wait };
        }
        group.deadline = group.deadline.min(group.announce_at);
    }
}
