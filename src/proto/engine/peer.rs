//! What the engine knows of one peer: its session, its links, its rows, and how long it has been silent.

use super::setup::{PeerSetup, Setup};
use super::watch::Watch;
use crate::types::{GroupId, LinkId, LinkPath, MacAddr, MonoTime, NodeId};
use crate::wire::pulse::{Digests, Header, Row};
use crate::wire::session::Sessions;
use crate::wire::table::TableCopy;
use std::time::Duration;

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
    pub open: bool,
    pub heard: Option<MonoTime>,
    pub was_heard: bool,
    pub last_sent: Option<MonoTime>,
    pub sent: u64,
    pub received: u64,
    pub rejected: u64,
}

/// The parts of a header that describe the peer's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct PeerConfig {
    /// Its pulse in µs.
    pub pulse_us: u32,
    /// Its silence bound in µs.
    pub silence_us: u32,
    /// Its lease in µs.
    pub lease_us: u32,
    /// Digests of its nodes and groups.
    pub digests: Digests,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Peer {
    pub id: NodeId,
    pub sessions: Sessions,
    pub links: Vec<Link>,
    pub heard: Option<MonoTime>,
    pub hint: bool,
    pub left: bool,
    pub deaf: bool,
    /// When it last said so, having heard us before.
    pub deaf_at: Option<MonoTime>,
    /// It has heard us since its session began. Before that, everybody is deaf.
    pub heeded: bool,
    /// The highest of our counters that it had heard, as it says, when we last had its whole table.
    pub current: u64,
    /// Our first counter since it was heard again after a silence: what it said before may have been held up.
    pub(super) proof: u64,
    pub silent_told: bool,
    /// Its table, as far as we have been told.
    pub copy: TableCopy,
    /// Version of our table that it has completely.
    pub acked: u64,
    pub config: Option<PeerConfig>,
    pub differs: bool,
    pub rows_differ: bool,
    pub watch: Option<Watch>,
    /// Whatever it asks for is granted until then, if its vote is for us.
    pub granted: MonoTime,
    /// Which versions of its table and of ours its votes were counted with.
    pub counted: (u64, u64),
    /// What we promised it is renewed until then.
    pub promised: MonoTime,
}

impl Peer {
    pub fn new(peer: &PeerSetup, setup: &Setup, session: u64) -> Peer {
        let link = |path: &LinkPath| Link {
            id: LinkId { peer: peer.id, path: *path },
            open: false,
            heard: None,
            was_heard: false,
            last_sent: None,
            sent: 0,
            received: 0,
            rejected: 0,
        };
        Peer {
            id: peer.id,
            sessions: Sessions::new(session).mutated(setup.mutants),
            links: peer.links.iter().map(link).collect(),
            heard: None,
            hint: false,
            left: false,
            deaf: false,
            current: 0,
            proof: 0,
            deaf_at: None,
            heeded: false,
            silent_told: false,
            copy: TableCopy::new(setup.groups.len()),
            acked: 0,
            config: None,
            differs: false,
            rows_differ: false,
            watch: None,
            granted: MonoTime::ZERO,
            counted: (0, 0),
            promised: MonoTime::ZERO,
        }
    }

    /// True if it lately did not hear us: then the segment may be all that it hears, and going back to the links
    /// alone would be silence to it.
    pub fn needs_segment(&self, now: MonoTime, patience: Duration) -> bool {
        self.deaf || self.deaf_at.is_some_and(|at| now.since(at) < patience)
    }

    /// Silence, counted from the last word, our own resumption, whichever is later.
    pub fn silence(&self, resumed: MonoTime, now: MonoTime) -> Duration {
        now.since(self.heard.unwrap_or(MonoTime::ZERO).max(resumed))
    }

    /// How the peer stands now. `bound` is the silence bound, `suspicion` the suspicion time.
    pub fn presence(&self, resumed: MonoTime, now: MonoTime, suspicion: Duration, bound: Duration) -> Presence {
        if self.left {
            return Presence::Left;
        }
        if self.heard.is_none() {
            return Presence::Unknown;
        }
        let silence = self.silence(resumed, now);
        if silence >= bound {
            Presence::Silent
        } else if silence >= suspicion || self.hint {
            Presence::Suspicious
        } else {
            Presence::Heard
        }
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

    /// Notes up to when its table is known; true if that is now after `proof`, and was not before.
    pub fn note_table(&mut self, header: &Header, proof: u64) -> bool {
        let before = self.current;
        if self.is_complete() && self.sessions.newest() == Some(header.counter) {
            self.current = before.max(header.echo_counter);
        }
        before < proof && self.current >= proof
    }

    pub fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.id == id)
    }

    /// True if a hardware address is one the peer has named as its own.
    pub fn has_mac(&self, mac: MacAddr) -> bool {
        self.copy.rows().iter().flatten().any(|row| row.mac == mac)
    }

    /// A new life of the peer: nothing it said before counts, except its hardware addresses.
    pub fn begin_session(&mut self) {
        self.copy.begin_session();
        self.acked = 0;
        self.counted = (0, 0);
        self.left = false;
        self.current = 0;
        self.heeded = false;
    }

    /// Every table fits the number of groups and interfaces.
    pub fn is_whole(&self, groups: usize, interfaces: usize) -> bool {
        let watched = self.watch.as_ref().is_none_or(|watch| watch.evidence.len() == interfaces);
        watched && self.copy.is_whole(groups)
    }

    /// The lease that it has told; zero before it has.
    pub fn lease(&self) -> Duration {
        Duration::from_micros(self.config.map_or(0, |config| config.lease_us).into())
    }

    /// Takes note of its configuration; true if it has another set of groups than before.
    pub fn note_config(&mut self, header: &Header) -> bool {
        let other = self.config.is_some_and(|config| config.digests.groups != header.digests.groups);
        self.config = Some(PeerConfig {
            pulse_us: header.pulse_us,
            silence_us: header.silence_us,
            lease_us: header.lease_us,
            digests: header.digests,
        });
        other
    }
}
