//! What `status` shows: plain values, no words. Words are made of them on the slow side.

use super::hook::Hook;
use super::notice::Cause;
use super::peer::{PeerConfig, Presence};
use super::watch::Evident;
use super::{Engine, Openable, group_id};
use crate::timing::Promote;
use crate::types::{Epoch, LinkId, MonoTime, NodeId};
use crate::wire::auth::Rejects;
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

/// The engine at one instant.
#[derive(Clone, Debug)]
pub struct Report {
    /// The instant.
    pub now: MonoTime,
    /// Groups, by [`GroupId`](crate::types::GroupId).
    pub groups: Vec<GroupReport>,
    /// Peers.
    pub peers: Vec<PeerReport>,
    /// Datagrams turned away, by reason.
    pub rejects: Rejects,
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
    /// Why we have it.
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
    /// What we wait for.
    pub waiting: Waiting,
    /// How many voters grant our epoch now, this node included; `None` in a bare pair.
    pub support: Option<u8>,
    /// Connections are still carried after a handover.
    pub draining: bool,
    /// The peer's addresses for this group differ from ours.
    pub addresses_differ: bool,
    /// The peer's preference, preemption or drain differ from ours.
    pub policy_differs: bool,
    /// The peer does not know this group.
    pub unknown_to_peer: bool,
}

/// What a group that is not active waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// It is active, or cannot be.
    Nothing,
    /// The end of the listening time.
    Listening,
    /// For the active node to need us: the normal state of a standby.
    PeerIsActive,
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
    /// Which.
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
    /// Which.
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
}

impl Engine {
    /// A snapshot for people.
    #[must_use]
    pub fn report(&self, now: MonoTime) -> Report {
        let mut openable = Openable::default();
        Report {
            now,
            groups: (0..self.groups.len()).map(|at| self.report_group(at, &mut openable, now)).collect(),
            peers: (0..self.peers.len()).map(|peer| self.report_peer(peer, now)).collect(),
            rejects: self.rejects,
            store_failing: self.store_failing,
            stopping: self.stopping.is_some(),
            votes: self.setup.votes.map(|votes| VotesReport {
                witnesses: self.witness_peers().len(),
                heard: self.witnesses_heard(now),
                majority: self.quorum(),
                strict: votes.strict,
                alone: self.poll.alone.on,
            }),
        }
    }

    fn report_group(&self, at: usize, openable: &mut Openable, now: MonoTime) -> GroupReport {
        let id = group_id(at);
        let group = &self.groups[at];
        let heard = |peer: usize| !matches!(self.presence(peer, now), Presence::Unknown | Presence::Silent);
        let mut peers = self.node_peers().filter(|&peer| heard(peer));
        let first = peers.next();
        let other = self.node_peers().find(|&peer| heard(peer) && self.peers[peer].is_active(id));
        let active = if group.is_open() { Some(self.setup.me) } else { other.map(|peer| self.peers[peer].id) };
        let row = first.and_then(|peer| self.peers[peer].row(id));
        GroupReport {
            role: group.role,
            cause: group.cause,
            epoch: if group.is_open() { group.epoch } else { group.seen },
            since: group.since,
            reason: self.reason(at),
            health: group.service.health,
            peer_health: row.map(|row| row.health),
            active,
            peer: row.map(|row| (row.role, row.reason)),
            waiting: self.waiting(at, openable, now),
            support: self.setup.votes.map(|_| self.support(at, now)),
            draining: group.drain_until.is_some(),
            addresses_differ: row.is_some_and(|row| row.addresses != group.row.addresses),
            policy_differs: row.is_some_and(|row| row.policy != group.row.policy),
            unknown_to_peer: row.is_none() && first.is_some_and(|peer| self.peers[peer].is_complete()),
        }
    }

    fn waiting(&self, at: usize, openable: &mut Openable, now: MonoTime) -> Waiting {
        let group = &self.groups[at];
        if let Some(running) = group.service.hook.filter(|running| running.ended.is_none()) {
            return Waiting::Hook(running.hook);
        }
        match group.role {
            Role::Active | Role::Handover | Role::Fault | Role::Paused | Role::Witness => return Waiting::Nothing,
            Role::Starting if now < group.ballot.from => return Waiting::Abstaining,
            Role::Starting => return Waiting::Listening,
            Role::Standby => {}
        }
        if self.votes_decide() && group.claim != Epoch::NONE {
            return Waiting::Majority;
        }
        for peer in self.node_peers() {
            match self.presence(peer, now) {
                Presence::Heard | Presence::Suspicious if self.peers[peer].is_active(group_id(at)) => {
                    return Waiting::PeerIsActive;
                }
                Presence::Heard | Presence::Suspicious => return Waiting::Consent,
                Presence::Left if self.has_left_lately(peer, now) => {}
                Presence::Left | Presence::Unknown | Presence::Silent if self.votes_decide() => {
                    let isolated = self.segments[usize::from(group.interface.0)].isolated;
                    let told = self.setup.groups[at].promote == Promote::Peer || self.is_nobody_active(at, now);
                    return match (isolated, told) {
                        (true, _) => Waiting::Isolated,
                        (false, true) => Waiting::Silence,
                        (false, false) => Waiting::WitnessWord,
                    };
                }
                Presence::Left | Presence::Unknown | Presence::Silent => {
                    let openable = openable.of(peer, group.interface, self);
                    return match self.evident(peer, group.interface, group.claimed, openable, now) {
                        Evident::Vetoed => Waiting::Veto,
                        Evident::Isolated => Waiting::Isolated,
                        Evident::Wait | Evident::Claim | Evident::Gone => Waiting::Silence,
                    };
                }
            }
        }
        Waiting::Nothing
    }

    fn report_peer(&self, peer: usize, now: MonoTime) -> PeerReport {
        let known = &self.peers[peer];
        let links = known.links.iter().map(|link| LinkReport {
            id: link.id,
            open: link.open,
            heard: link.was_heard,
            last_heard: link.heard,
            sent: link.sent,
            received: link.received,
            rejected: link.rejected,
        });
        PeerReport {
            id: known.id,
            presence: self.presence(peer, now),
            silence: known.silence(self.resumed, now),
            deaf: known.deaf,
            config: known.config,
            differs: known.differs,
            links: links.collect(),
        }
    }

    /// True if the peer's configuration differs from ours in anything that must be equal.
    pub(super) fn is_different(&self, peer: usize) -> bool {
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
