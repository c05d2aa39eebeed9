//! A peer: its session, its links, its rows, and how long it has been silent.
//!
//! Owns: what peers have said and when they were heard. Never does: decide what follows from it for
//! a group. A peer that says nothing becomes silent by the passing of time alone.
//!
//! | file | noun |
//! |---|---|
//! | `table` | the table of peers, positions in it, sets of them |
//! | `receive` | a datagram in: authenticated, judged, believed |
//! | `double` | another machine that uses our number |
//! | `turned_away` | datagrams that are dropped |
//! | `post` | datagrams out |

use super::index::Index;
use super::setup::{PeerSetup, Setup};
use super::turn::Turn;
use crate::rules::Rules;
use crate::timing::Timing;
use crate::types::{GroupId, LinkId, LinkPath, MacAddr, MonoTime, NodeId};
use crate::wire::fit::Fit;
use crate::wire::pulse::{Header, PeerConfig, Row};
use crate::wire::session::Sessions;
use crate::wire::table::TableCopy;
use std::time::Duration;

mod double;
mod post;
mod receive;
mod table;
mod turned_away;

pub(super) use double::{Double, Doubled};
pub(super) use post::{Outbox, Post, Said, micros};
pub(super) use table::{PeerAt, PeerSet, Peers};
pub(super) use turned_away::TurnedAway;

/// How a peer stands with us at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Never heard in this life of ours.
    Unknown,
    /// Heard within the suspicion time.
    Heard,
    /// Silent for longer than the suspicion time, or a hint says that it may be gone.
    Suspicious,
    /// Silent for the whole silence bound.
    Silent,
    /// It said goodbye; its gates are closed.
    Left,
}

/// One path to the peer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Link {
    pub id: LinkId,
    /// Whether datagrams can be sent on the link: its socket is there.
    pub open: bool,
    /// When the newest believed datagram of the link was received; `None` before the first.
    pub heard: Option<MonoTime>,
    /// Whether people were told last that the link is heard.
    pub told_as_heard: bool,
    /// When the newest datagram was sent on the link; `None` before the first.
    pub last_sent: Option<MonoTime>,
    /// Number of datagrams sent on the link.
    pub sent: u64,
    /// Number of datagrams received on the link and believed.
    pub received: u64,
    /// Number of datagrams received on the link and rejected.
    pub rejected: u64,
    /// Another number than the peer's that spoke there authentically, and when it did last.
    pub stranger: Option<(NodeId, MonoTime)>,
    /// How long a datagram the link takes, as its kernel says.
    pub fit: Fit,
    /// Number of datagrams that were too long for it.
    pub too_large: u64,
    /// Version up to which short datagrams have told the table, while the peer is not heard.
    pub retold: u64,
}

/// Another node or a witness, as this node knows it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Peer {
    /// Number of the peer in the configuration.
    pub id: NodeId,
    /// The sessions of both sides, which say whether a datagram of the peer is fresh.
    pub sessions: Sessions,
    /// All paths to the peer, in the order of the configuration.
    pub links: Vec<Link>,
    /// When the peer's newest believed datagram was received; `None` before the first.
    pub heard: Option<MonoTime>,
    /// Whether the peer's kernel has refused a datagram since the peer was last heard: a hint, no
    /// proof, that its process is gone.
    pub may_be_gone: bool,
    /// When that was last taken note of.
    pub refused: Option<MonoTime>,
    /// Whether the peer's newest word is a goodbye.
    pub left: bool,
    /// Whether the peer's newest word is that it does not hear us.
    pub deaf: bool,
    /// When the peer last said that it does not hear us, having heard us before.
    pub deaf_at: Option<MonoTime>,
    /// Whether the peer has heard us since its session began. Before that, every peer is deaf.
    pub has_heard_us: bool,
    /// The highest of our counters that the peer had heard, as it says, when we last had its whole
    /// table.
    pub echoed: u64,
    /// First counter of ours since the peer was heard again after a silence: what it said before
    /// may have been held up.
    pub fresh_from: u64,
    /// Whether people were told of the peer's silence.
    pub silence_told: bool,
    /// The peer's table, as far as we have been told.
    pub copy: TableCopy,
    /// Version of our table that the peer has completely.
    pub acked: u64,
    /// By group of ours: what the peer says of its addresses in a group of another name.
    pub elsewhere: Vec<Option<Row>>,
    /// How many rows of one datagram get through to the peer, as its acknowledgements say.
    pub fit: Fit,
    /// Whether people were told last that it has a hardware address of ours.
    pub same_mac: bool,
    /// The peer's times and digests, by its newest header; `None` before the first.
    pub config: Option<PeerConfig>,
    /// Whether people were told last that the peer's configuration differs.
    pub differs: bool,
    /// Whether addresses or policies in the peer's rows differ from ours.
    pub rows_differ: bool,
    /// End of what the peer grants, if its vote is for us.
    pub granted: MonoTime,
    /// Versions of the peer's table and of ours with which its votes were counted.
    pub counted: (u64, u64),
    /// End of what we have promised the peer.
    pub promised: MonoTime,
}

/// What was known of a peer before its newest word.
pub(super) struct Heard {
    /// Whether the peer had not been heard for the suspicion time, or never before, or may have
    /// been gone.
    pub quiet: bool,
    /// Whether the peer had been silent for the whole silence bound.
    pub returned: bool,
    /// Whether the peer is a witness, and people must be told that it is heard.
    pub is_news: bool,
}

/// What the header of a peer's newest pulse has changed.
#[derive(Default)]
pub(super) struct Learned {
    /// Whether the peer's word that it does not hear us, or its goodbye, has changed.
    pub changed: bool,
    /// Whether the peer has another set of groups: its table is wanted from the beginning.
    pub regrouped: bool,
    /// Whether the peer says goodbye and had not before.
    pub left: bool,
}

impl Peer {
    /// A peer that was never heard. `session` is our own.
    pub fn new(peer: &PeerSetup, setup: &Setup, session: u64) -> Peer {
        let link = |path: &LinkPath| Link {
            id: LinkId { peer: peer.id, path: *path },
            open: false,
            heard: None,
            told_as_heard: false,
            last_sent: None,
            sent: 0,
            received: 0,
            rejected: 0,
            stranger: None,
            fit: Fit::default(),
            too_large: 0,
            retold: 0,
        };
        Peer {
            id: peer.id,
            sessions: Sessions::new(session).mutated(setup.mutants),
            links: peer.links.iter().map(link).collect(),
            heard: None,
            may_be_gone: false,
            refused: None,
            left: false,
            deaf: false,
            echoed: 0,
            fresh_from: 0,
            deaf_at: None,
            has_heard_us: false,
            silence_told: false,
            copy: TableCopy::new(setup.groups.len()),
            elsewhere: vec![None; setup.groups.len()],
            acked: 0,
            fit: Fit::default(),
            same_mac: false,
            config: None,
            differs: false,
            rows_differ: false,
            granted: MonoTime::ZERO,
            counted: (0, 0),
            promised: MonoTime::ZERO,
        }
    }

    /// True if the peer does not hear us, or did not until less than `patience` ago: the segment
    /// may be all that it hears, so pulses on the links alone would be silence to it.
    pub fn needs_segment(&self, now: MonoTime, patience: Duration) -> bool {
        self.deaf || self.deaf_at.is_some_and(|when| now.since(when) < patience)
    }

    /// Silence, counted from the last word or from our own resumption, whichever is later.
    pub fn silence(&self, turn: &Turn, now: MonoTime) -> Duration {
        now.since(self.last_heard(turn))
    }

    /// Beginning of its silence.
    pub fn last_heard(&self, turn: &Turn) -> MonoTime {
        self.heard.unwrap_or(MonoTime::ZERO).max(turn.resumed)
    }

    /// How the peer stands at `now`.
    pub fn presence(&self, turn: &Turn, timing: &Timing, now: MonoTime) -> Presence {
        if self.left {
            return Presence::Left;
        }
        if self.heard.is_none() {
            return Presence::Unknown;
        }
        let silence = self.silence(turn, now);
        if silence >= timing.silence {
            Presence::Silent
        } else if silence >= timing.suspicion || self.may_be_gone {
            Presence::Suspicious
        } else {
            Presence::Heard
        }
    }

    /// True if the peer's whole table is as of after our last stall, and after its last silence: it
    /// has echoed a counter that we sent since. An older row may have waited in a buffer, or been
    /// held back by somebody, while the peer changed its mind. One datagram sent since then is not
    /// enough: the row that matters may come with the next.
    pub fn is_proven(&self, turn: &Turn) -> bool {
        self.echoed >= self.proven_from(turn)
    }

    /// The first counter of ours whose echo proves a peer's rows to be recent (see
    /// [`Peer::is_proven`]).
    pub fn proven_from(&self, turn: &Turn) -> u64 {
        turn.fresh_from.max(self.fresh_from)
    }

    /// What the peer last said about a group.
    pub fn row(&self, group: GroupId) -> Option<&Row> {
        self.copy.row(usize::from(group.0))
    }

    /// True if its last word about the group was that it answers for it.
    pub fn is_active(&self, group: GroupId) -> bool {
        self.row(group).is_some_and(|row| row.role.is_open())
    }

    /// True when every row of its newest table has arrived.
    pub fn is_complete(&self) -> bool {
        self.copy.is_complete()
    }

    /// The link of this path; `None` if the configuration has no such link.
    pub fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.id == id)
    }

    /// True if a hardware address is one the peer has named as its own.
    pub fn has_mac(&self, mac: MacAddr) -> bool {
        self.copy.rows().iter().flatten().any(|row| row.mac == mac)
    }

    /// Notes which of our groups' addresses the peer has in groups of other names.
    pub fn note_elsewhere(&mut self, index: &Index) {
        let rows = self.copy.rows();
        self.elsewhere.clear();
        self.elsewhere.resize(rows.len(), None);
        let known = rows.iter().enumerate().filter_map(|(at, row)| Some((Some(at), row.as_ref()?)));
        for (at, row) in known.chain(self.copy.strange().map(|row| (None, row))) {
            let Some(GroupId(group)) = index.group_of_digest(row.addresses) else { continue };
            let group = usize::from(group);
            // A row from before may be of a group that has had another name since.
            let told = rows[group].as_ref().filter(|_| self.copy.is_told(group));
            let there = told.is_some_and(|known| known.addresses == row.addresses);
            // Of several the one that is open counts.
            let open = self.elsewhere[group].is_some_and(|known: Row| known.role.is_open());
            if at != Some(group) && !there && !open {
                self.elsewhere[group] = Some(*row);
            }
        }
    }

    /// Begins a new life of the peer: nothing it said before counts, except its hardware addresses.
    pub fn begin_session(&mut self, rules: Rules) {
        self.copy.begin_session();
        self.acked = if rules.forgets_former_acks() { 0 } else { self.acked };
        self.counted = (0, 0);
        self.fit.forget();
        self.left = false;
        self.echoed = 0;
        self.has_heard_us = false;
    }

    /// Notes that a datagram of it was believed. `next` is the counter of our next datagram.
    pub fn hear(&mut self, link: LinkId, turn: &Turn, timing: &Timing, next: u64, now: MonoTime) -> Heard {
        let silence = self.silence(turn, now);
        let quiet = silence >= timing.suspicion || self.may_be_gone || self.heard.is_none();
        let returned = self.heard.is_some() && silence >= timing.silence;
        let is_news = self.id.is_witness() && (self.silence_told || self.heard.is_none());
        if returned {
            self.fresh_from = next;
        }
        self.may_be_gone = false;
        self.heard = Some(now);
        self.silence_told = false;
        if let Some(link) = self.link_mut(link) {
            link.heard = Some(now);
            link.received += 1;
        }
        Heard { quiet, returned, is_news }
    }

    /// Takes in the header of its newest pulse. `table` is the version of our own table.
    pub fn learn(&mut self, header: &Header, table: u64, rules: Rules, now: MonoTime) -> Learned {
        let changed = self.deaf != header.flags.deaf || self.left != header.flags.goodbye;
        let left = header.flags.goodbye && !self.left;
        self.deaf = header.flags.deaf;
        self.has_heard_us |= !self.deaf;
        if self.deaf && self.has_heard_us {
            self.deaf_at = Some(now);
        }
        self.left = rules.is_goodbye(header.flags.goodbye);
        // It may fall: then the peer wants to be told everything again.
        let floor = if rules.acks_may_fall() { 0 } else { self.acked };
        self.acked = header.ack_version.max(floor).min(table);
        self.fit.note_word(header.echo_counter, self.acked, now);
        let regrouped = self.note_config(header);
        if regrouped {
            self.copy.forget();
        }
        Learned { changed, regrouped, left }
    }

    /// Notes the configuration in a header; true if the peer has another set of groups than before.
    fn note_config(&mut self, header: &Header) -> bool {
        let other = self.config.is_some_and(|config| config.digests.groups != header.digests.groups);
        self.config = Some(PeerConfig {
            pulse_us: header.pulse_us,
            silence_us: header.silence_us,
            lease_us: header.lease_us,
            digests: header.digests,
        });
        other
    }

    /// Notes up to which of our counters it had heard when its table became whole.
    pub fn note_echo(&mut self, header: &Header) {
        if self.is_complete() && self.sessions.newest() == Some(header.counter) {
            self.echoed = self.echoed.max(header.echo_counter);
        }
    }

    /// True if the copy of its table fits the number of groups; a state from a file may not.
    pub fn is_whole(&self, groups: usize) -> bool {
        self.copy.is_whole(groups)
    }

    /// The lease that it has told in µs; zero before it has.
    pub fn lease_us(&self) -> u32 {
        self.config.map_or(0, |config| config.lease_us)
    }

    /// The lease that it has told; zero before it has.
    pub fn lease(&self) -> Duration {
        Duration::from_micros(self.lease_us().into())
    }

    /// Time after its last word in which a lease of it may run.
    pub fn unheard_lease(&self, timing: &Timing) -> Duration {
        let pulse = Duration::from_micros(self.config.map_or(0, |config| config.pulse_us).into());
        timing.unheard_lease(self.lease(), pulse)
    }
}
