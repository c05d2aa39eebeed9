//! What `status` shows: plain values, no words. Words are made of them on the slow side.

use super::Engine;
use super::around::Around;
use super::event::Hook;
use super::evidence::Evident;
use super::group::{Claimant, Group};
use super::notice::Cause;
use super::openable::Openable;
use super::peer::{PeerAt, Presence};
use super::timers::Timer;
use crate::timing::Promote;
use crate::types::{Epoch, GroupId, LinkId, MacAddr, MonoTime, NodeId};
use crate::wire::auth::{Reject, Rejects};
use crate::wire::pulse::{PeerConfig, Reason, Role};
use std::time::Duration;

/// For so long people are told of a number that spoke where another belongs.
const STRANGER: Duration = Duration::from_secs(10);

/// Somebody who answered for an address within this time still counts.
const ANSWERED_LATELY: Duration = Duration::from_secs(60);

/// The engine at one instant.
#[derive(Clone, Debug)]
pub struct Report {
    /// The instant.
    pub now: MonoTime,
    /// This node.
    pub me: NodeId,
    /// Groups, by [`GroupId`](crate::types::GroupId).
    pub groups: Vec<GroupReport>,
    /// Peers.
    pub peers: Vec<PeerReport>,
    /// Datagrams turned away, by reason.
    pub rejects: Rejects,
    /// Each reason that there was: how often, and the link and time of the last one.
    pub turned_away: Vec<(Reject, u64, LinkId, MonoTime)>,
    /// Where somebody is heard that uses our number, and whether a gate is open there; `None` if
    /// nobody is.
    pub double: Option<(LinkId, bool)>,
    /// The state directory cannot be written.
    pub store_failing: bool,
    /// The agent is stopping.
    pub stopping: bool,
    /// How it stands with the witnesses; `None` in a bare pair.
    pub votes: Option<VotesReport>,
}

/// The witnesses together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VotesReport {
    /// How many there are.
    pub witnesses: usize,
    /// How many of them are heard.
    pub heard: usize,
    /// How many make a majority.
    pub majority: usize,
    /// Without a majority no gate is open.
    pub strict: bool,
    /// The pair decides alone.
    pub alone: bool,
}

/// One group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupReport {
    /// Our role.
    pub role: Role,
    /// Why we have the role.
    pub cause: Cause,
    /// Our epoch when active, else the highest seen.
    pub epoch: Epoch,
    /// Since when we have the role.
    pub since: MonoTime,
    /// Why we are not ready.
    pub reason: Reason,
    /// How badly the service does here, as in [`Row::health`](crate::wire::pulse::Row).
    pub health: u8,
    /// The same of the first peer, if it is heard.
    pub peer_health: Option<u8>,
    /// Who answers for the group as far as we know.
    pub active: Option<NodeId>,
    /// What the first peer says of itself, if it is heard.
    pub peer: Option<(Role, Reason)>,
    /// What a group that is not active waits for.
    pub waiting: Waiting,
    /// The timer that ends next, and when.
    pub timer: Option<(Timer, MonoTime)>,
    /// How many voters grant our epoch now, this node included; `None` in a bare pair.
    pub support: Option<u8>,
    /// Who else was seen to answer for an address of the group since this node has its role, within
    /// the last minute; a peer that is heard is nobody else.
    pub answered_by: Option<MacAddr>,
    /// Connections are still carried after a handover.
    pub draining: bool,
    /// The peer's addresses for this group differ from ours.
    pub addresses_differ: bool,
    /// The peer's preference, preemption or drain differ from ours.
    pub policy_differs: bool,
    /// The peer does not know this group.
    pub unknown_to_peer: bool,
    /// The hardware address that a peer has as well as we, on the group's interface.
    pub same_mac: Option<(NodeId, MacAddr)>,
}

/// What a group that is not active waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// It is active, or cannot be.
    Nothing,
    /// The end of the listening time.
    Listening,
    /// For the active node to fail or to hand over: the normal state of a standby.
    PeerIsActive,
    /// For the peer to have the group under the same name: it may have the addresses under another.
    Name,
    /// For the peer's consent.
    Consent,
    /// For the silence to last long enough.
    Silence,
    /// For the address to be answered no more.
    Veto,
    /// For somebody on the clients' segment to be heard.
    Isolated,
    /// For the promises of this node's former life to be over: until then it votes for nobody.
    Abstaining,
    /// For a majority of votes.
    Majority,
    /// For a majority of the witnesses to say that the active has failed.
    WitnessWord,
    /// For what is run before the group is opened or handed over.
    Hook(Hook),
}

/// One peer.
#[derive(Clone, Debug)]
pub struct PeerReport {
    /// The peer's number.
    pub id: NodeId,
    /// How it stands with us.
    pub presence: Presence,
    /// How long it has been silent.
    pub silence: Duration,
    /// It says that it does not hear us.
    pub deaf: bool,
    /// Its configuration as it says.
    pub config: Option<PeerConfig>,
    /// Its nodes or groups differ from ours, or its times.
    pub differs: bool,
    /// The paths to it.
    pub links: Vec<LinkReport>,
}

/// One path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkReport {
    /// The link.
    pub id: LinkId,
    /// Its socket is open.
    pub open: bool,
    /// Heard within the silence bound.
    pub heard: bool,
    /// When it was last heard.
    pub last_heard: Option<MonoTime>,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams believed.
    pub received: u64,
    /// Datagrams turned away.
    pub rejected: u64,
    /// Another number than the peer's that spoke there lately.
    pub stranger: Option<NodeId>,
    /// Datagrams that were too long for it.
    pub too_large: u64,
    /// Length in bytes of the longest that are sent on it; `None` if it is that of the layout.
    pub longest: Option<usize>,
}

impl Engine {
    /// The state of the engine at `now`, for `status`.
    #[must_use]
    pub fn report(&self, now: MonoTime) -> Report {
        let mut openable = Openable::default();
        openable.count(self.groups.given(&self.peers), (self.peers.len(), self.leases.len()));
        let around = Around { openable: &openable, ..self.around(now) };
        Report {
            now,
            me: self.setup.me,
            groups: self.groups.iter().map(|group| group.report(around)).collect(),
            peers: self.peers.all().map(|peer| self.report_peer(peer, around)).collect(),
            rejects: self.turned_away.counts,
            turned_away: self.turned_away.iter().collect(),
            double: self.double.heard.filter(|_| around.doubled.there).map(|(_, link)| (link, self.double.open)),
            store_failing: self.store.failing,
            stopping: self.commands.stopping.is_some(),
            votes: self.setup.votes.map(|votes| VotesReport {
                witnesses: self.peers.electorate().witnesses,
                heard: self.peers.witnesses_heard(&self.setup.timing, now),
                majority: self.peers.electorate().majority_of_witnesses(),
                strict: votes.strict,
                alone: self.poll.alone.on,
            }),
        }
    }

    /// The timer of each group that ends next, and when; groups that wait for nothing are left out.
    pub fn next_timers(&self) -> impl Iterator<Item = (GroupId, Timer, MonoTime)> + '_ {
        let next = |group: &Group| group.timers.running().first().map(|(timer, when)| (group.id, *timer, *when));
        self.groups.iter().filter_map(next)
    }

    /// What `status` shows of one peer.
    fn report_peer(&self, peer: PeerAt, around: Around<'_>) -> PeerReport {
        let known = &self.peers[peer];
        let links = known.links.iter().map(|link| LinkReport {
            id: link.id,
            open: link.open,
            heard: link.told_as_heard,
            last_heard: link.heard,
            sent: link.sent,
            received: link.received,
            rejected: link.rejected,
            too_large: link.too_large,
            stranger: link.stranger.filter(|(_, when)| around.now.since(*when) < STRANGER).map(|(sender, _)| sender),
            longest: link.fit.bytes(around.now),
        });
        PeerReport {
            id: known.id,
            presence: around.presence(peer),
            silence: known.silence(&self.turn, around.now),
            deaf: known.deaf,
            config: known.config,
            differs: known.differs,
            links: links.collect(),
        }
    }

    /// True if the peer's configuration differs from ours in anything that must be equal.
    pub(super) fn is_different(&self, peer: PeerAt) -> bool {
        let known = &self.peers[peer];
        let Some(config) = known.config else { return false };
        let timing = &self.setup.timing;
        let same = |ours: Duration, theirs: u32| ours.as_micros() == u128::from(theirs);
        let times = same(timing.pulse, config.pulse_us)
            && same(timing.silence, config.silence_us)
            && same(timing.lease, config.lease_us);
        !times || config.digests != self.setup.digests || known.rows_differ
    }
}

impl Group {
    /// What `status` shows of one group. "The peer" is the first node that is heard, if any.
    fn report(&self, around: Around<'_>) -> GroupReport {
        let heard = |peer: &PeerAt| !matches!(around.presence(*peer), Presence::Unknown | Presence::Silent);
        let first = around.peers.nodes().find(heard).map(|peer| &around.peers[peer]);
        let other = around.peers.nodes().filter(heard).find(|peer| around.peers[*peer].is_active(self.id));
        let active = if self.is_open() { Some(around.setup.me) } else { other.map(|peer| around.peers[peer].id) };
        let row = first.and_then(|peer| peer.row(self.id));
        GroupReport {
            role: self.role,
            cause: self.cause,
            epoch: self.epochs.told(self.is_open()),
            since: self.since,
            reason: self.reason(around),
            health: self.service.health,
            peer_health: row.map(|row| row.health),
            active,
            peer: row.map(|row| (row.role, row.reason)),
            waiting: self.waiting(around),
            timer: self.timers.running().first().copied(),
            support: around.has_votes().then(|| self.support(around)),
            answered_by: self.answered_by(around),
            draining: self.drain_until.is_some(),
            addresses_differ: row.is_some_and(|row| row.addresses != self.row.addresses),
            policy_differs: row.is_some_and(|row| row.policy != self.row.policy),
            same_mac: around
                .peers
                .nodes()
                .find(|peer| self.shares_mac(*peer, around.peers, around.leases))
                .map(|peer| (around.peers[peer].id, around.leases[self.interface].facts.mac)),
            unknown_to_peer: row.is_none() && first.is_some_and(|peer| peer.is_complete()),
        }
    }

    /// Who else has answered for an address of the group lately, since this node has its role.
    fn answered_by(&self, around: Around<'_>) -> Option<MacAddr> {
        let mut watches = around.peers.nodes().filter_map(|peer| around.evidence.watch(peer));
        // What a holder said before it fell silent does not count.
        let asked = watches.next().map(|watch| watch.since).filter(|_| !self.is_open());
        let start = asked.unwrap_or(self.since);
        let lately = |seen: MonoTime| seen >= start && around.now.since(seen) < ANSWERED_LATELY;
        let Claimant { mac, .. } = self.claimant.filter(|claimant| lately(claimant.seen))?;
        let heard = |peer: &PeerAt| matches!(around.presence(*peer), Presence::Heard | Presence::Suspicious);
        let of_peer = around.peers.nodes().filter(heard).any(|peer| around.peers[peer].has_mac(mac));
        (!of_peer).then_some(mac)
    }

    /// What the group waits for; [`Waiting::Nothing`] if it is open, cannot be opened, or waits for
    /// no peer.
    fn waiting(&self, around: Around<'_>) -> Waiting {
        if let Some(running) = self.service.hook.filter(|running| running.ended.is_none()) {
            return Waiting::Hook(running.hook);
        }
        match self.role {
            Role::Active | Role::Handover | Role::Fault | Role::Paused | Role::Witness => return Waiting::Nothing,
            Role::Starting if around.now < self.ballot.from => return Waiting::Abstaining,
            Role::Starting => return Waiting::Listening,
            Role::Standby => {}
        }
        if around.votes_decide() && self.claim.epoch != Epoch::NONE {
            return Waiting::Majority;
        }
        let mut waits = around.peers.nodes().filter_map(|peer| self.waits_for_peer(peer, around));
        waits.next().unwrap_or(Waiting::Nothing)
    }

    /// What a standby waits for because of one peer; `None` if that peer does not stand in the way.
    fn waits_for_peer(&self, peer: PeerAt, around: Around<'_>) -> Option<Waiting> {
        match around.presence(peer) {
            Presence::Heard | Presence::Suspicious if around.peers[peer].is_active(self.id) => {
                Some(Waiting::PeerIsActive)
            }
            Presence::Heard | Presence::Suspicious if around.is_elsewhere(peer, self.id) => Some(Waiting::Name),
            Presence::Heard | Presence::Suspicious => Some(Waiting::Consent),
            Presence::Left if around.has_left_lately(peer) => None,
            Presence::Left | Presence::Unknown | Presence::Silent if around.votes_decide() => {
                let told = around.policy(self.id).promote == Promote::Peer || around.is_nobody_active(self.id);
                Some(match (around.evidence[self.interface].isolated, told) {
                    (true, _) => Waiting::Isolated,
                    (false, true) => Waiting::Silence,
                    (false, false) => Waiting::WitnessWord,
                })
            }
            Presence::Left | Presence::Unknown | Presence::Silent => {
                let given_before = self.may_be_opened_behind_us(around.peers);
                let openable = self.openable_by(peer, Around { given_before, ..around });
                Some(match around.evident(peer, self.interface, self.claim.since, openable) {
                    Evident::Vetoed => Waiting::Veto,
                    Evident::Isolated => Waiting::Isolated,
                    Evident::Wait | Evident::Asking | Evident::Stale | Evident::Claim | Evident::Gone => {
                        Waiting::Silence
                    }
                })
            }
        }
    }
}
