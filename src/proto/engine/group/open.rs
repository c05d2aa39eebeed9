//! Claims, and when a gate may open.

use super::{Claimant, Group, health};
use crate::engine::action::{Action, GateAction};
use crate::engine::around::{Around, Requests};
use crate::engine::evidence::Evident;
use crate::engine::notice::{Cause, Notice};
use crate::engine::peer::{PeerAt, Presence};
use crate::engine::timers::Timer;
use crate::rules::evidence::PROBES;
use crate::types::{Epoch, MacAddr, MonoTime};
use crate::wire::pulse::{Reason, Role, Row};
use std::cmp::Ordering;

/// The claim of this node to a group.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Claim {
    /// The epoch it would open with; NONE if it claims nothing.
    pub epoch: Epoch,
    /// Since when it claims that.
    pub since: Option<MonoTime>,
}

impl Claim {
    /// Nothing is claimed.
    pub const NONE: Claim = Claim { epoch: Epoch::NONE, since: None };

    /// Claims `epoch`.
    pub fn make(&mut self, epoch: Epoch, now: MonoTime) {
        *self = Claim { epoch, since: Some(now) };
    }
}

/// What one peer lets us do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Permit {
    /// It does not stand in the way.
    Open(Cause),
    /// Our claim must be out for it to answer, or for it to close.
    Claim,
    /// Not now.
    No,
}

impl Permit {
    /// What two peers permit together: the stricter of both.
    fn and(self, other: Permit) -> Permit {
        match (self, other) {
            (Permit::No, _) | (_, Permit::No) => Permit::No,
            (Permit::Claim, _) | (_, Permit::Claim) => Permit::Claim,
            (Permit::Open(Cause::Free), Permit::Open(cause)) => Permit::Open(cause),
            (Permit::Open(cause), Permit::Open(_)) => Permit::Open(cause),
        }
    }
}

/// Why a group is taken by a consent that came with `reason`. A peer that lets go in order carries
/// its open connections on for a while; one that had to does not.
pub(in crate::engine) fn consent_cause(reason: Reason) -> Cause {
    match reason {
        // Its consent may have used up its reservation: the next one is on its way to the disk.
        Reason::None
        | Reason::NoReservation
        | Reason::Paused
        | Reason::Stopping
        | Reason::Unhealthy
        | Reason::Incomplete
        | Reason::Mute
        | Reason::NoWayBack
        | Reason::Unreached
        | Reason::SameMac => Cause::Handover,
        Reason::NoInterface
        | Reason::NoCarrier
        | Reason::NoGate
        | Reason::NoAddresses
        | Reason::StateDamaged
        | Reason::Isolated
        | Reason::Hook
        | Reason::SameNumber
        | Reason::Enslaved
        | Reason::Listening => Cause::Free,
    }
}

impl Group {
    /// Claims, withdraws, or opens, as the peers permit.
    pub(super) fn consider_opening(&mut self, around: Around<'_>, requests: &mut Requests<'_>) {
        if !around.rules.opens_with_reserve_only() && !self.has_reserve() {
            let known = self.promised().max(self.epochs.held).max(self.epochs.reserve);
            self.epochs.reserve = known.next_for(around.setup.me).unwrap_or(self.epochs.reserve);
        }
        let reason = self.reason(around);
        // Isolation is found out while claiming, so it must not keep us from asking again. A node
        // whose service is dead, or that lacks something, is better than no node, and so is one whose
        // hardware address a peer has that is gone.
        let able = matches!(reason, Reason::None | Reason::Isolated | Reason::Unhealthy | Reason::SameMac);
        let able = able || reason.is_lack();
        if !able || self.role != Role::Standby {
            self.claim = Claim::NONE;
            return;
        }
        let permit = if around.votes_decide() {
            self.permit_by_votes(around, requests)
        } else {
            self.permit_by_evidence(around, requests)
        };
        match permit {
            Permit::Open(cause) => {
                if self.is_prepared(cause, around, requests) {
                    self.open(cause, around, requests);
                }
            }
            Permit::Claim => self.stake_claim(around),
            Permit::No => self.claim = Claim::NONE,
        }
    }

    /// Claims the reserved epoch, and votes for it if this node may.
    fn stake_claim(&mut self, around: Around<'_>) {
        if around.votes_decide() && self.may_vote_for_itself(around) {
            self.vote_for_itself();
        }
        if self.claim.epoch != self.epochs.reserve {
            self.claim.make(self.epochs.reserve, around.now);
        }
        let again = self.claim.since.map_or(around.now, |since| since + around.timing().probe);
        if again > around.now {
            self.timers.set(Timer::Claim, again);
        }
    }

    /// What the peers permit together in a bare pair.
    fn permit_by_evidence(&self, around: Around<'_>, requests: &mut Requests<'_>) -> Permit {
        let nodes = around.peers.nodes();
        nodes.fold(Permit::Open(Cause::Free), |all, peer| all.and(self.permit(peer, around, requests)))
    }

    /// What one peer permits.
    fn permit(&self, peer: PeerAt, around: Around<'_>, requests: &mut Requests<'_>) -> Permit {
        match around.presence(peer) {
            Presence::Left if around.has_left_lately(peer) => Permit::Open(Cause::Handover),
            Presence::Left | Presence::Unknown | Presence::Silent => self.permit_of_silence(peer, around, requests),
            Presence::Heard => self.permit_of_row(peer, around),
            Presence::Suspicious => {
                // The peer's last word still counts. Where that permits nothing, its silence may:
                // the evidence begins before the silence bound.
                match self.permit_of_row(peer, around) {
                    Permit::Open(cause) => Permit::Open(cause),
                    Permit::Claim => Permit::Claim,
                    Permit::No => self.permit_of_silence(peer, around, requests),
                }
            }
        }
    }

    /// What the silence of a peer permits. Asks for the segment's isolation to be noted.
    fn permit_of_silence(&self, peer: PeerAt, around: Around<'_>, requests: &mut Requests<'_>) -> Permit {
        let timing = around.timing();
        let claimed = self.claim.since.filter(|_| self.claim.epoch == self.epochs.reserve);
        // Probes find an open gate. But a peer that was not active when it was last heard may be
        // stopped between its decision to open and the store that opens, where no probe finds it:
        // the lease that it would open with must be over first.
        let known = &around.peers[peer];
        // No more is a gate found by probes whose answers cannot be told from our own; while our
        // interface was of no use the peer may have renewed its lease unheard.
        let askable = around.rules.is_askable(self.shares_mac(peer, around.peers, around.leases));
        // Nor where nobody was seen to answer such questions.
        let tells = around.evidence[self.interface].tells(self.addresses.probe);
        let askable = askable && (tells || !around.rules.needs_known_questions());
        let open = known.is_active(self.id) && !self.may_be_opened_by(known.id) && askable;
        let lease = known.unheard_lease(timing);
        let silence =
            if askable { known.silence(around.turn, around.now) } else { around.unheard(peer, self.interface) };
        if known.heard.is_some() && !open && silence < lease {
            return Permit::No;
        }
        let evident = around.evident(peer, self.interface, claimed, self.openable_by(peer, around));
        let isolated = evident == Evident::Isolated;
        let before = requests.wishes.isolated.unwrap_or(around.evidence[self.interface].isolated);
        if isolated && !before {
            requests.notice(Notice::Isolated { interface: self.interface });
        }
        if matches!(evident, Evident::Stale | Evident::Asking) {
            requests.wishes.ask_segment = true;
        } else if evident != Evident::Wait {
            requests.wishes.isolated = Some(isolated);
        }
        requests.wishes.void_probes |= isolated;
        match evident {
            Evident::Wait | Evident::Asking | Evident::Vetoed | Evident::Isolated => Permit::No,
            // What was claimed while the evidence was whole stays so until it is looked at again.
            Evident::Stale => claimed.map_or(Permit::No, |_| Permit::Claim),
            Evident::Claim => Permit::Claim,
            Evident::Gone => Permit::Open(Cause::Silence),
        }
    }

    /// How many groups a peer may have opened on this group's interface since it was last heard:
    /// each of their addresses has to be asked.
    pub fn openable_by(&self, peer: PeerAt, around: Around<'_>) -> u32 {
        around.openable.of(peer, self.interface, around.given_before, self.may_be_opened_behind_us(around.peers))
    }

    /// What a peer that is heard permits, by what it says.
    fn permit_of_row(&self, peer: PeerAt, around: Around<'_>) -> Permit {
        let reserve = self.epochs.reserve;
        if around.is_elsewhere(peer, self.id) {
            return Permit::No;
        }
        let Some(row) = around.peers[peer].row(self.id) else {
            // A peer that has told us its whole table and does not know the group has no say in it.
            // After a stall it may have learned of the group since.
            let told = around.peers[peer].is_complete() && around.is_proven(peer);
            return if told { Permit::Open(Cause::Free) } else { Permit::No };
        };
        match row.role {
            Role::Active => return Permit::No,
            Role::Handover if !around.rules.closes_before_consent() && row.consent == reserve => {}
            Role::Handover => return if row.claim == reserve { Permit::Claim } else { Permit::No },
            Role::Starting | Role::Standby | Role::Fault | Role::Paused | Role::Witness => {}
        }
        if row.consent == reserve {
            let fresh = around.rules.is_fresh(around.is_proven(peer));
            return if fresh { Permit::Open(consent_cause(row.reason)) } else { Permit::No };
        }
        if row.epoch >= reserve || self.waits_for(peer, row, around) { Permit::No } else { Permit::Claim }
    }

    /// True while this node lets a better placed one go first.
    pub fn waits_for(&self, peer: PeerAt, row: &Row, around: Around<'_>) -> bool {
        let held = around.now < self.candidate.hold || self.lets_prepare(row, around);
        if held && around.rules.holds_after_consent() {
            return true;
        }
        let candidate = health::is_able(row) || row.role == Role::Starting;
        let preferred = around.policy(self.id).prefer == around.peers[peer].id;
        let first = match row.health.cmp(&self.health(around)) {
            Ordering::Less => true,
            Ordering::Equal => preferred,
            Ordering::Greater => preferred && !around.rules.health_counts(),
        };
        let better = first && candidate && around.rules.right_of_way();
        let election = around.timing().election;
        better && self.candidate.free.is_none_or(|free| around.now < free + election)
    }

    /// Opens the gate with the reserved epoch.
    fn open(&mut self, cause: Cause, around: Around<'_>, requests: &mut Requests<'_>) {
        let former = self.former_active(around).filter(|_| cause == Cause::Handover);
        self.shorten_lease(around, requests);
        let promised = self.promised();
        assert!(self.epochs.reserve > promised, "S2: a gate opens only with an epoch above all seen");
        let epoch = self.epochs.open();
        self.claim = Claim::NONE;
        self.consent = Epoch::NONE;
        self.service.outreached = None;
        self.ballot.promise = None;
        (self.candidate.wants, self.candidate.free) = (false, None);
        self.service.hook = None;
        self.drain_until = None;
        self.contested = None;
        let drained = around.now + around.policy(self.id).drain;
        let (until, mac) = former.map_or((MonoTime::ZERO, MacAddr::ZERO), |mac| (drained, mac));
        requests.push(Action::Gate(GateAction::Forward { group: self.id, until, mac }));
        if around.rules.opens_before_announcing() {
            self.announcing.begin(around.now);
        } else {
            self.announce_early(around, requests);
        }
        requests.push(Action::Gate(GateAction::Open { group: self.id, epoch }));
        if let Some(mac) = self.still_answered(around).filter(|_| cause == Cause::Silence) {
            // It answers beside us from now on, whether we hear that or not.
            self.claimant = Some(Claimant { mac, seen: around.now });
            requests.notice(Notice::StillAnswered { group: self.id, mac });
        }
        self.set_role(Role::Active, cause, around, requests);
        self.reserve(around.setup, requests);
        requests.wishes.persist = true;
    }

    /// Who has answered for the group since its silent holder is asked, and within as many questions
    /// as an opening needs unanswered.
    fn still_answered(&self, around: Around<'_>) -> Option<MacAddr> {
        let claimant = self.claimant?;
        let mut watches = around.peers.nodes().filter_map(|peer| around.evidence.watch(peer));
        let answered = watches.any(|watch| {
            let recent = around.now.back(watch.interval * PROBES);
            claimant.seen >= watch.since.max(recent)
        });
        answered.then_some(claimant.mac)
    }

    /// The hardware address of the peer whose consent let us open: it may still carry connections.
    fn former_active(&self, around: Around<'_>) -> Option<MacAddr> {
        let rows = around.peers.other_nodes().iter().filter_map(|peer| peer.row(self.id));
        let mut consenting = rows.filter(|row| row.consent == self.epochs.reserve);
        consenting.next().map(|row| row.mac).filter(|mac| !mac.is_zero())
    }
}
