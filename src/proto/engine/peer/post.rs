//! Pulses out: on every open link at every pulse, at once when a row has changed, as answers, and
//! as questions.
//!
//! Owns: counters, table versions, and when datagrams left. Never does: decide what a row says. A
//! link that is not open is left out; a lost datagram is made up for by the next.

use super::{Double, Link, Peer, PeerAt, Peers, Presence};
use crate::engine::action::{Action, Actions};
use crate::engine::group::Groups;
use crate::engine::setup::Setup;
use crate::engine::turn::Turn;
use crate::engine::vote::SentTimes;
use crate::rules::Rules;
use crate::types::{LinkId, LinkPath, MacAddr, MonoTime};
use crate::wire::fit::FEW;
use crate::wire::pulse::{self, Flags, Header, ROWS_PER_PULSE};
use crate::wire::session::Echo;
use crate::wire::table::Excerpt;
use sha2::{Digest, Sha256};
use std::time::Duration;

mod unheard;

/// Rows in one go to a peer that has many to learn, in four datagrams unless the path is narrow; the
/// rest follows with its acknowledgements.
const BURST: usize = 4 * ROWS_PER_PULSE;

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

    /// Chooses the rows that changed after `base`, at most `room`.
    fn choose(&mut self, base: u64, room: usize, groups: &Groups) {
        self.excerpt.choose(base, self.table, room, groups.iter().map(|group| group.row_version));
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
    /// Somebody else uses our number and nothing is open here: nobody else is spoken to, who would
    /// take us for the other.
    pub doubled: bool,
}

/// One datagram that is to be sent.
struct Letter {
    peer: PeerAt,
    link: LinkId,
    /// Where a frame on the segment goes.
    to: MacAddr,
    query: bool,
    echo: Echo,
    /// The rows tell the table from this version up to that one.
    versions: (u64, u64),
    /// Whether the chosen rows go with it.
    rows: bool,
    /// Whether it says that a gate is open here; only to a double.
    open: bool,
}

/// Sends datagrams: writes the outbox, and what is known of the peers' links and sessions.
pub(in crate::engine) struct Post<'a> {
    pub setup: &'a Setup,
    pub turn: &'a Turn,
    pub groups: &'a Groups,
    pub said: Said,
    pub peers: &'a mut Peers,
    pub double: &'a mut Double,
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

    /// Sends one pulse, or a few if many rows are unacknowledged, on one link. Many rows go behind a
    /// pulse without rows, which gets through whatever the link carries.
    pub fn send_on(&mut self, peer: PeerAt, link: LinkId, query: bool, out: &mut Actions) {
        if self.said.doubled {
            return self.send_to_double(peer, link, out);
        }
        // A peer that we do not hear may have begun a new session and forgotten what it
        // acknowledged: it is told everything, if that fits into one datagram.
        let heard = self.presence(peer) == Presence::Heard;
        let whole = !heard && self.groups.len() <= ROWS_PER_PULSE;
        let mut base = if whole { 0 } else { self.peers[peer].acked };
        let room = self.room(peer, link);
        let (mut query, mut told) = (query, 0);
        loop {
            self.outbox.choose(base, room, self.groups);
            if told == 0 && self.outbox.excerpt.count() > FEW && self.rules().minds_narrow_paths() {
                let (echo, to) = (self.next_echo(peer), self.segment_mac(peer, link));
                let versions = (self.outbox.table, self.outbox.table);
                self.send_datagram(&Letter { peer, link, to, query, echo, versions, rows: false, open: false }, out);
                query = false;
            }
            let (echo, to) = (self.next_echo(peer), self.segment_mac(peer, link));
            let versions = (base, self.outbox.excerpt.upto());
            self.send_datagram(&Letter { peer, link, to, query, echo, versions, rows: true, open: false }, out);
            self.peers[peer].fit.note_sent(self.outbox.counter, versions.1, self.outbox.excerpt.count());
            query = false;
            told += self.outbox.excerpt.count();
            let over = versions.1 == self.outbox.table || versions.1 == base || told >= BURST;
            base = versions.1;
            if over {
                break;
            }
        }
        if !heard {
            self.tell_unheard(peer, link, out);
        }
        if !self.rules().repeats_rows() {
            self.peers[peer].acked = base;
        }
    }

    /// The echo of the next datagram to a peer, whose counter is the present one from now on.
    fn next_echo(&mut self, peer: PeerAt) -> Echo {
        self.outbox.counter += 1;
        self.peers[peer].sessions.echo(self.outbox.counter)
    }

    /// How many rows a datagram to a peer may have on a link.
    fn room(&self, peer: PeerAt, link: LinkId) -> usize {
        if !self.rules().minds_narrow_paths() {
            return ROWS_PER_PULSE;
        }
        let known = &self.peers[peer];
        let link = known.links.iter().find(|known| known.id == link);
        let carried = link.map_or(ROWS_PER_PULSE, |link| link.fit.rows(self.now));
        known.fit.rows(self.now).min(carried)
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
        if self.said.doubled {
            return;
        }
        self.outbox.counter += 1;
        let echo = self.peers[peer].sessions.answer(learned, self.outbox.counter);
        let (to, versions) = (self.segment_mac(peer, link), (self.outbox.table, self.outbox.table));
        self.send_datagram(&Letter { peer, link, to, query: false, echo, versions, rows: false, open: false }, out);
    }

    /// Answers somebody who uses our own number, on the link where it was heard or `everywhere`, with
    /// its session as echo and no rows. It listens for nobody else's number there.
    pub fn answer_double(&mut self, link: LinkId, session: u64, everywhere: bool, out: &mut Actions) {
        let Some(peer) = self.peers.find(link.peer).or_else(|| self.peers.nodes().next()) else { return };
        let link = LinkId { peer: self.peers[peer].id, path: link.path };
        self.answer_double_on(peer, link, session, out);
        for number in 0..self.peers[peer].links.len() {
            let other = &self.peers[peer].links[number];
            if everywhere && other.open && other.id != link {
                self.answer_double_on(peer, other.id, session, out);
            }
        }
    }

    /// Answers somebody who uses our own number on one link.
    fn answer_double_on(&mut self, peer: PeerAt, link: LinkId, session: u64, out: &mut Actions) {
        self.outbox.counter += 1;
        let known = self.double.sessions.verified() == Some(session);
        let (sessions, counter) = (&mut self.double.sessions, self.outbox.counter);
        let echo = if known { sessions.echo(counter) } else { sessions.answer(session, counter) };
        self.tell_double((peer, link), echo, false, out);
    }

    /// Sends a pulse to a double instead of to a peer, and asks for an answer: what it says to others
    /// proves nothing to us. Witnesses get none.
    fn send_to_double(&mut self, peer: PeerAt, link: LinkId, out: &mut Actions) {
        if self.peers[peer].id.is_witness() {
            return;
        }
        self.outbox.counter += 1;
        let echo = self.double.sessions.echo(self.outbox.counter);
        self.tell_double((peer, link), echo, true, out);
    }

    /// Sends one datagram to a double: to everybody, if it goes over the segment.
    fn tell_double(&mut self, (peer, link): (PeerAt, LinkId), echo: Echo, query: bool, out: &mut Actions) {
        let versions = (self.outbox.table, self.outbox.table);
        let (to, open) = (MacAddr::BROADCAST, self.groups.iter().any(|group| group.is_open()));
        self.send_datagram(&Letter { peer, link, to, query, echo, versions, rows: false, open }, out);
    }

    /// Sends one datagram, with the present counter, and the rows that were chosen last if they are
    /// to go with it.
    fn send_datagram(&mut self, letter: &Letter, out: &mut Actions) {
        let header = self.header(letter);
        self.note_sent();
        let start = out.bytes.len();
        let rows = self.outbox.excerpt.positions().filter(|_| letter.rows);
        let rows = rows.map(|position| self.groups.row_of(position));
        pulse::encode(&self.setup.keys, &header, rows, &mut self.outbox.datagram);
        out.bytes.extend_from_slice(&self.outbox.datagram);
        let (link, to) =
            (letter.link, if let LinkPath::Segment(_) = letter.link.path { letter.to } else { MacAddr::ZERO });
        out.push(Action::Send { link, to, bytes: start..out.bytes.len() });
        if let Some(link) = self.peers[letter.peer].link_mut(link) {
            link.sent += 1;
            link.last_sent = Some(self.now);
        }
    }

    /// The header of a datagram. Tells the peer that we are deaf while we do not hear it.
    fn header(&self, letter: &Letter) -> Header {
        let (peer, echo) = (letter.peer, letter.echo);
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
                query: letter.query,
                goodbye: self.said.stopped && !self.said.blind,
                deaf: self.rules().says_deaf(deaf),
                alone: self.said.alone,
                open: letter.open,
            },
            pulse_us: micros(timing.pulse),
            silence_us: micros(timing.silence),
            lease_us: micros(timing.lease),
            digests: self.setup.digests,
            // Nobody has the whole table while a gate of groups that it does not name may be open.
            table_version: self.outbox.table + u64::from(self.said.blind),
            base_version: letter.versions.0,
            upto_version: letter.versions.1,
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
        !self.peers[peer].links.iter().filter(udp).any(|link| link.open && link.heard.is_some_and(fresh))
    }

    /// Where to send on a segment link: the hardware address the peer named, else everybody. To
    /// everybody, too, if that is our own, for such a frame leaves by no port of a switch; and every
    /// second time while the peer is not heard or does not hear us, for it may have another by now.
    fn segment_mac(&self, peer: PeerAt, link: LinkId) -> MacAddr {
        let LinkPath::Segment(interface) = link.path else { return MacAddr::ZERO };
        let rows = self.groups.iter().zip(self.peers[peer].copy.rows());
        let here = rows.filter(|(group, _)| group.interface == interface);
        let mut known = here.filter_map(|(group, row)| row.as_ref().map(|row| (group.row.mac, row.mac)));
        let (ours, mac) = known.find(|(_, mac)| !mac.is_zero()).unwrap_or_default();
        let sent = self.peers[peer].links.iter().find(|known| known.id == link).map_or(0, |link| link.sent);
        let answers = self.presence(peer) == Presence::Heard && !self.peers[peer].deaf;
        let reached = mac != ours && (answers || sent % 2 == 1);
        if reached && !mac.is_zero() { mac } else { MacAddr::BROADCAST }
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
