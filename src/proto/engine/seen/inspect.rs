//! Views of an engine for simulator, model and tests: plain copies of its state. They change
//! nothing, and are not part of what ships.

use crate::engine::peer::PeerAt;
use crate::engine::{Engine, Hook};
#[cfg(test)]
use crate::types::NodeId;
use crate::types::{Epoch, GroupId, MonoTime};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

/// One group of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupView {
    pub role: Role,
    /// The epoch it is active with.
    pub epoch: Epoch,
    pub seen: Epoch,
    pub reserve: Epoch,
    /// The reservation on its way to the disk.
    pub reserving: Epoch,
    pub claim: Epoch,
    pub consent: Epoch,
    pub open: bool,
    pub paused: bool,
    pub state_damaged: bool,
}

/// One peer of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerView {
    pub heard: Option<MonoTime>,
    pub silence: Duration,
    pub left: bool,
    pub deaf: bool,
    /// Its session, if it has proven it.
    pub verified: Option<u64>,
    /// Versions of its table: the one that we have completely, and the newest one that it named.
    pub have: (u64, u64),
    /// Version of our table that it has acknowledged.
    pub acked: u64,
}

/// What a node's own vote is bound to.
#[cfg(test)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VoteView {
    /// To whom it is promised, and until when.
    pub promised: Option<(NodeId, MonoTime)>,
    /// Until when the node votes for nobody.
    pub abstains: MonoTime,
    /// How long a majority lets the gate be open.
    pub deadline: MonoTime,
    /// The pair decides without its witnesses.
    pub alone: bool,
}

impl Engine {
    #[cfg(test)]
    /// What the node's own vote is bound to.
    pub fn view_vote(&self, group: usize) -> VoteView {
        let group = &self.groups.list[group];
        let ballot = &group.ballot;
        let promised = ballot.promise.map(|promise| (self.peers[promise.peer].id, promise.end(&self.peers)));
        let deadline = group.votes_until(&self.setup, &self.turn, &self.peers);
        VoteView { promised, abstains: ballot.from, deadline, alone: self.poll.alone.on }
    }

    /// Number of sets of open groups (same interface, same granting peers) that a renewal looks at.
    #[cfg(test)]
    pub fn view_grants(&self) -> usize {
        self.poll.grants.len()
    }

    /// The state that the engine would make durable now.
    pub fn view_durable(&self) -> crate::durable::Durable {
        self.durable_state()
    }

    /// How a group stands here.
    pub fn view_group(&self, group: usize) -> GroupView {
        let group = &self.groups.list[group];
        GroupView {
            role: group.role,
            epoch: group.epochs.own,
            seen: group.epochs.seen,
            reserve: group.epochs.reserve,
            reserving: group.epochs.reserving.map_or(Epoch::NONE, |(epoch, _)| epoch),
            claim: group.claim.epoch,
            consent: group.consent,
            open: group.is_open(),
            paused: group.paused,
            state_damaged: group.epochs.damaged,
        }
    }

    /// How long this node keeps a group whose fault follows it; zero for others.
    pub fn view_unrest(&self, group: usize, now: MonoTime) -> Duration {
        self.groups.list[group].service.unrest.bar(&self.setup.timing.patience, now)
    }

    /// What is known of a peer.
    pub fn view_peer(&self, peer: usize, now: MonoTime) -> PeerView {
        let known = &self.peers[PeerAt::view(peer)];
        PeerView {
            heard: known.heard,
            silence: known.silence(&self.turn, now),
            left: known.left,
            deaf: known.deaf,
            verified: known.sessions.verified(),
            have: (known.copy.have(), known.copy.newest()),
            acked: known.acked,
        }
    }

    /// The hook of a group that runs and has not ended.
    pub fn view_hook(&self, group: usize) -> Option<Hook> {
        let running = self.groups.list[group].service.hook.filter(|running| running.ended.is_none());
        running.map(|running| running.hook)
    }

    /// What a peer last said about a group.
    pub fn view_row(&self, peer: usize, group: usize) -> Option<&Row> {
        self.peers[PeerAt::view(peer)].row(GroupId(u16::try_from(group).expect("fewer than 65,536 groups")))
    }

    /// Datagrams that were believed, of all peers.
    #[allow(dead_code, reason = "for the rules about recordings")]
    pub fn view_believed(&self) -> u64 {
        self.peers.iter().flat_map(|peer| &peer.links).map(|link| link.received).sum()
    }

    /// True while votes decide what may be open.
    pub fn view_votes_decide(&self) -> bool {
        self.poll.decides(&self.setup)
    }

    /// How many neighbours are known on an interface.
    pub fn view_neighbours(&self, interface: usize) -> usize {
        self.evidence.segments()[interface].known()
    }

    /// The session of a peer, if it has proven it.
    pub fn view_verified(&self, peer: usize) -> Option<u64> {
        self.peers[PeerAt::view(peer)].sessions.verified()
    }

    /// Changes whenever what the other views show of groups, rows or sessions may have changed.
    pub fn view_stamp(&self) -> u64 {
        self.peers.iter().fold(self.outbox.table, |stamp, peer| {
            let session = peer.sessions.verified().unwrap_or_default();
            stamp.rotate_left(21) ^ peer.copy.have().rotate_left(7) ^ session
        })
    }

    /// The number of its own session.
    pub fn view_session(&self) -> u64 {
        self.outbox.session
    }
}
