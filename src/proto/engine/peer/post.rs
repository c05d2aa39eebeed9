//! Pulses out: on every open link at every pulse, at once when a row has changed, as answers, and
//! as questions.
//!
//! Owns: counters, table versions, and when datagrams left. Never does: decide what a row says. A
//! link that is not open is left out; a lost datagram is made up for by the next.

use super::{Link, Peer, PeerAt, Peers, Presence};
use crate::engine::action::{Action, Actions};
use crate::engine::group::Groups;
use crate::engine::setup::Setup;
use crate::engine::turn::Turn;
use crate::engine::vote::SentTimes;
use crate::rules::Rules;
use crate::types::{LinkId, LinkPath, MacAddr, MonoTime};
use crate::wire::pulse::{self, Flags, Header, ROWS_PER_PULSE};
use crate::wire::session::Echo;
use crate::wire::table::Excerpt;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Datagrams in one go to a peer that has many rows to learn; the rest follows with its
/// acknowledgements.
const BURST: usize = 4;

/// What this node has sent, and what it sends next.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Outbox {
    /// Own session number.
    pub session: u64,
    /// Counter of the last datagram sent.
    pub counter: u64,
    /// Version of the group table.
    pub table: u64,
    /// Version of the table when rows were last sent to everybody.
    pub sent_table: u64,
    /// When the last datagrams left; only with witnesses.
    pub sent: SentTimes,
    /// Scratch for the rows of a datagram.
    #[serde(skip)]
    excerpt: Excerpt,
    /// Scratch for one datagram.
    #[serde(skip)]
    datagram: Vec<u8>,
}

impl Outbox {
    /// An outbox that has sent nothing. The session's number comes from the seed.
    pub fn new(seed: &[u8; 32]) -> Outbox {
        let digest = Sha256::digest(seed);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Outbox {
            session: u64::from_be_bytes(first).max(1),
            counter: 0,
            table: 1,
            sent_table: 0,
            sent: SentTimes::default(),
            excerpt: Excerpt::default(),
            datagram: Vec::new(),
        }
    }

    /// Counter of the next datagram.
    pub fn next(&self) -> u64 {
        self.counter + 1
    }
}

/// What our pulses say of this node beside its rows: facts of other rooms.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Said {
    /// A gate of a former life may be open that we have not found yet.
    pub blind: bool,
    /// Everything is closed, and we leave.
    pub stopped: bool,
    /// This node would decide with its peer alone, without the witnesses.
    pub alone: bool,
}

/// Sends datagrams: writes the outbox, and what is known of the peers' links and sessions.
pub(in crate::engine) struct Post<'a> {
    pub setup: &'a Setup,
    pub turn: &'a Turn,
    pub groups: &'a Groups,
    pub said: Said,
    pub peers: &'a mut Peers,
    pub outbox: &'a mut Outbox,
    pub now: MonoTime,
}

impl Post<'_> {
    /// Sends a pulse to every peer if one is due, or if there are rows that were never sent.
    pub fn send_due(&mut self, due: bool, out: &mut Actions) {
        let changed = self.outbox.table > self.outbox.sent_table;
        if due || changed {
            self.outbox.sent_table = self.outbox.table;
            self.send_to_all(false, out);
        }
    }

    /// Sends a pulse to every peer; `query` asks for an answer.
    pub fn send_to_all(&mut self, query: bool, out: &mut Actions) {
        for peer in self.peers.all() {
            self.send(peer, query, out);
        }
    }

    /// Sends one pulse on every open UDP link to a peer. The segment link is used as well while no
    /// UDP link is heard or the peer does not hear us, and now and then otherwise.
    pub fn send(&mut self, peer: PeerAt, query: bool, out: &mut Actions) {
        let patience = self.setup.timing.patience;
        let lonely = self.is_udp_silent(peer) || self.peers[peer].needs_segment(self.now, patience.deaf);
        for link in 0..self.peers[peer].links.len() {
            let link = &self.peers[peer].links[link];
            let seldom = || link.last_sent.is_none_or(|sent| self.now.since(sent) >= patience.segment);
            let wanted = match link.id.path {
                LinkPath::Udp(_) => true,
                LinkPath::Segment(_) => self.rules().uses_segment() && (lonely || seldom()),
            };
            if link.open && wanted {
                self.send_on(peer, link.id, query, out);
            }
        }
    }

    /// Sends one pulse, or a few if many rows are unacknowledged, on one link.
    pub fn send_on(&mut self, peer: PeerAt, link: LinkId, query: bool, out: &mut Actions) {
        // A peer that we do not hear may have begun a new session and forgotten what it
        // acknowledged: it is told everything, if that fits into one datagram.
        let heard = self.presence(peer) == Presence::Heard;
        let whole = !heard && self.groups.len() <= ROWS_PER_PULSE;
        let mut base = if whole { 0 } else { self.peers[peer].acked };
        for datagram in 0..BURST {
            self.outbox.counter += 1;
            let echo = self.peers[peer].sessions.echo(self.outbox.counter);
            base = self.send_datagram((peer, link), query && datagram == 0, echo, base, out);
            if base == self.outbox.table {
                break;
            }
        }
        if !self.rules().repeats_rows() {
            self.peers[peer].acked = base;
        }
    }

    /// Answers a datagram that introduces a session, on the link that it came by. A peer that hears
    /// us on no link may not hear us on that one either: its first datagram is answered on all.
    pub fn introduce(&mut self, peer: PeerAt, link: LinkId, learned: u64, deaf: bool, out: &mut Actions) {
        let everywhere = deaf && self.peers[peer].sessions.is_unanswered(learned);
        self.answer_unproven(peer, link, learned, out);
        for number in 0..self.peers[peer].links.len() {
            let other = &self.peers[peer].links[number];
            if everywhere && other.open && other.id != link {
                self.answer_unproven(peer, other.id, learned, out);
            }
        }
    }

    /// Answers a datagram of a session that has not proven itself, with that session as echo and no
    /// rows.
    fn answer_unproven(&mut self, peer: PeerAt, link: LinkId, learned: u64, out: &mut Actions) {
        self.outbox.counter += 1;
        let echo = self.peers[peer].sessions.answer(learned, self.outbox.counter);
        let base = self.outbox.table;
        self.send_datagram((peer, link), false, echo, base, out);
    }

    /// Sends one datagram with rows that changed after version `base`. Returns the version up to
    /// which it tells the table.
    fn send_datagram(
        &mut self,
        (peer, link): (PeerAt, LinkId),
        query: bool,
        echo: Echo,
        base: u64,
        out: &mut Actions,
    ) -> u64 {
        let table = self.outbox.table;
        self.outbox.excerpt.choose(base, table, self.groups.iter().map(|group| group.row_version));
        let upto = self.outbox.excerpt.upto();
        let header = self.header(peer, query, echo, (base, upto));
        self.note_sent();
        let start = out.bytes.len();
        let rows = self.outbox.excerpt.positions().map(|position| self.groups.row_of(position));
        pulse::encode(&self.setup.keys, &header, rows, &mut self.outbox.datagram);
        out.bytes.extend_from_slice(&self.outbox.datagram);
        let to = self.segment_mac(peer, link);
        out.push(Action::Send { link, to, bytes: start..out.bytes.len() });
        if let Some(link) = self.peers[peer].link_mut(link) {
            link.sent += 1;
            link.last_sent = Some(self.now);
        }
        upto
    }

    /// The header of the next datagram to a peer: rows from version `base` to `upto` of our table
    /// go with it. Tells the peer that we are deaf while we do not hear it.
    fn header(&self, peer: PeerAt, query: bool, echo: Echo, (base, upto): (u64, u64)) -> Header {
        let known = &self.peers[peer];
        let timing = &self.setup.timing;
        let deaf = matches!(self.presence(peer), Presence::Unknown | Presence::Suspicious | Presence::Silent);
        Header {
            sender: self.setup.me,
            receiver: known.id,
            cluster: self.setup.cluster,
            session: self.outbox.session,
            counter: self.outbox.counter,
            echo_session: echo.session,
            echo_counter: echo.counter,
            flags: Flags {
                query,
                goodbye: self.said.stopped && !self.said.blind,
                deaf: self.rules().says_deaf(deaf),
                alone: self.said.alone,
            },
            pulse_us: micros(timing.pulse),
            silence_us: micros(timing.silence),
            lease_us: micros(timing.lease),
            digests: self.setup.digests,
            // Nobody has the whole table while a gate of groups that it does not name may be open.
            table_version: self.outbox.table + u64::from(self.said.blind),
            base_version: base,
            upto_version: upto,
            // The copy is the table of the believed session; a session that introduces itself is
            // acknowledged nothing.
            ack_version: if known.sessions.verified() == Some(echo.session) { known.copy.have() } else { 0 },
        }
    }

    /// Notes that the datagram with the present counter leaves now: votes count from then (S4).
    fn note_sent(&mut self) {
        if self.setup.votes.is_some() {
            let stated = micros(self.setup.timing.lease);
            let counter = self.outbox.counter;
            self.outbox.sent.note(counter, self.now, Duration::from_micros(u64::from(stated)));
        }
    }

    fn rules(&self) -> Rules {
        self.setup.rules()
    }

    fn presence(&self, peer: PeerAt) -> Presence {
        self.peers[peer].presence(self.turn, &self.setup.timing, self.now)
    }

    /// True while no UDP link to the peer is heard: then the clients' segment is the path of last
    /// resort.
    fn is_udp_silent(&self, peer: PeerAt) -> bool {
        let fresh = |heard: MonoTime| self.now.since(heard) < self.setup.timing.suspicion;
        let udp = |link: &&Link| matches!(link.id.path, LinkPath::Udp(_));
        !self.peers[peer].links.iter().filter(udp).any(|link| link.heard.is_some_and(fresh))
    }

    /// Where to send on a segment link: the hardware address the peer named, else everybody.
    fn segment_mac(&self, peer: PeerAt, link: LinkId) -> MacAddr {
        let LinkPath::Segment(interface) = link.path else { return MacAddr::ZERO };
        let rows = self.groups.iter().zip(self.peers[peer].copy.rows());
        let here = rows.filter(|(group, _)| group.interface == interface);
        let mac = here.filter_map(|(_, row)| row.as_ref()).map(|row| row.mac).find(|mac| !mac.is_zero());
        mac.unwrap_or(MacAddr::BROADCAST)
    }
}

impl Peer {
    /// Notes which links are heard and reports those whose state has changed. `bound` is the
    /// silence of a UDP link,
    /// `segment` that of a segment link.
    pub(in crate::engine) fn note_links(
        &mut self,
        (bound, segment): (Duration, Duration),
        now: MonoTime,
        mut report: impl FnMut(LinkId, bool),
    ) {
        for link in &mut self.links {
            let patience = match link.id.path {
                LinkPath::Udp(_) => bound,
                LinkPath::Segment(_) => segment,
            };
            let heard = link.heard.is_some_and(|heard| now.since(heard) < patience);
            if std::mem::replace(&mut link.told_as_heard, heard) != heard {
                report(link.id, heard);
            }
        }
    }
}

/// A duration as it travels, in µs.
pub(in crate::engine) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
