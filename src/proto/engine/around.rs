//! What a step of one group may read ([`Around`]), and what it may ask of other rooms
//! ([`Requests`]).
//!
//! A step of a group writes that group alone, its `self`. [`Around`] is everything else, read only.
//! [`Requests`] takes what follows from the step: actions, in their order, and wishes to other
//! rooms of the engine, which the engine fulfils when the step is over.

use super::action::{Action, Actions};
use super::commands::Commands;
use super::evidence::Evidence;
use super::lease::Leases;
use super::notice::Notice;
use super::openable::Openable;
use super::peer::{Doubled, PeerAt, Peers, Presence};
use super::setup::{GroupSetup, Setup};
use super::turn::Turn;
use super::vote::Poll;
use crate::rules::Rules;
use crate::timing::Timing;
use crate::types::{Epoch, GroupId, MonoTime};
use crate::wire::pulse::Row;

/// Everything around a group at one instant.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub now: MonoTime,
    pub setup: &'a Setup,
    pub rules: Rules,
    pub turn: &'a Turn,
    pub peers: &'a Peers,
    pub evidence: &'a Evidence,
    pub openable: &'a Openable,
    pub leases: &'a Leases,
    pub poll: &'a Poll,
    pub commands: &'a Commands,
    /// How things stand because of somebody who uses our number.
    pub doubled: Doubled,
    /// Counter of the last datagram that we have sent.
    pub counter: u64,
    /// The peer that may have opened the group since it was last heard, as known when this step
    /// began.
    pub given_before: Option<PeerAt>,
}

impl<'a> Around<'a> {
    pub fn timing(self) -> &'a Timing {
        &self.setup.timing
    }

    /// The configuration of a group.
    pub fn policy(self, group: GroupId) -> &'a GroupSetup {
        &self.setup.groups[usize::from(group.0)]
    }

    /// How a peer stands now.
    pub fn presence(self, peer: PeerAt) -> Presence {
        self.peers[peer].presence(self.turn, self.timing(), self.now)
    }

    /// True if a peer that is heard may have the addresses of a group in a group of another name: it
    /// has the same ones there, or it lacks the group and has one that we lack. Whatever it says of
    /// the group, it has consented to nothing.
    pub fn is_elsewhere(self, peer: PeerAt, group: GroupId) -> bool {
        let known = &self.peers[peer];
        let strange = known.row(group).is_none() && known.copy.strange().next().is_some();
        let elsewhere = strange || known.elsewhere[usize::from(group.0)].is_some();
        !known.id.is_witness() && self.rules.is_elsewhere(elsewhere)
    }

    /// What a peer says of a group, or of the group of another name that has its addresses: what is
    /// open under another name is as open as under this one, and what is claimed as claimed.
    pub fn word_on(self, peer: PeerAt, group: GroupId) -> Option<Row> {
        let known = &self.peers[peer];
        let elsewhere = known.elsewhere[usize::from(group.0)].filter(|_| self.is_elsewhere(peer, group));
        let words = [known.row(group).copied(), elsewhere].into_iter().flatten();
        let open = words.clone().find(|row| row.role.is_open());
        open.or(words.clone().find(|row| row.claim != Epoch::NONE)).or(words.clone().next())
    }

    /// True if a peer's words still count: it is heard, or has been silent for a moment only.
    pub fn is_speaking(self, peer: PeerAt) -> bool {
        matches!(self.presence(peer), Presence::Heard | Presence::Suspicious)
    }

    /// True while a goodbye proves that the peer's gates are closed: it is younger than the silence
    /// bound, and not from before a stall of ours. After that a later life of the peer may have
    /// opened a gate without our hearing of it, and its silence is judged like any other.
    pub fn has_left_lately(self, peer: PeerAt) -> bool {
        let known = &self.peers[peer];
        let lately = known.heard.is_some_and(|heard| self.now.since(heard) < self.timing().silence);
        known.left && (!self.rules.goodbye_grows_old() || (lately && self.is_proven(peer)))
    }

    /// See [`super::peer::Peer::is_proven`].
    pub fn is_proven(self, peer: PeerAt) -> bool {
        self.peers[peer].is_proven(self.turn)
    }

    /// True if the cluster has witnesses.
    pub fn has_votes(self) -> bool {
        self.setup.votes.is_some()
    }

    /// True while votes decide what may be open.
    pub fn votes_decide(self) -> bool {
        self.has_votes() && !self.poll.alone.on
    }
}

/// What a group asks of other rooms while it is looked at.
#[derive(Default)]
pub(super) struct Wishes {
    /// The state is to be made durable.
    pub persist: bool,
    /// All groups are to be stepped again.
    pub look_again: bool,
    /// A witness's word is waited for.
    pub word_of_witnesses: bool,
    /// Every peer is to be asked at once: the place among the actions where the questions belong.
    pub ask_everybody: Option<usize>,
    /// New deadline of the lease of the group's interface, which is earlier than before.
    pub lease_until: Option<MonoTime>,
    /// Whether the group's segment is isolated: nobody is heard on it although neighbours are
    /// known.
    pub isolated: Option<bool>,
    /// Probes that nobody could hear prove nothing: counting begins anew on the group's interface.
    pub void_probes: bool,
    /// The group's segment is to be asked again.
    pub ask_segment: bool,
    /// The group's addresses are announced.
    pub announced: bool,
    /// A stop waits at least until then.
    pub stop_not_before: Option<MonoTime>,
}

/// Where a group's actions go, and its wishes.
pub(super) struct Requests<'a> {
    out: &'a mut Actions,
    pub wishes: Wishes,
}

impl<'a> Requests<'a> {
    pub fn new(out: &'a mut Actions) -> Requests<'a> {
        Requests { out, wishes: Wishes::default() }
    }

    /// Asks for a question to every peer, before whatever action follows.
    pub fn ask_everybody(&mut self) {
        self.wishes.ask_everybody.get_or_insert(self.out.list.len());
    }

    pub fn push(&mut self, action: Action) {
        self.out.push(action);
    }

    pub fn notice(&mut self, notice: Notice) {
        self.out.notice(notice);
    }
}
