//! Pulses out: on every link every pulse, at once when a row has changed, and as answers and questions.

use super::action::{Action, Actions};
use super::notice::Notice;
use super::{Engine, Presence};
use crate::mutant::Mutant;
use crate::types::{LinkId, LinkPath, MacAddr, MonoTime};
use crate::wire::pulse::{self, Flags, Header, ROWS_PER_PULSE};
use crate::wire::session::Echo;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Datagrams in one go to a peer that has many rows to learn; the rest follows with its acknowledgements.
const BURST: usize = 4;

/// The session number of a process.
pub(super) fn session_number(seed: &[u8; 32]) -> u64 {
    let digest = Sha256::digest(seed);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first).max(1)
}

impl Engine {
    /// Sends what is due to every peer: everything at a pulse, otherwise only to peers that have rows to learn
    /// that were never sent to them.
    pub(super) fn send_pulses(&mut self, due: bool, now: MonoTime, out: &mut Actions) {
        let changed = self.table > self.sent_table;
        if !due && !changed {
            return;
        }
        self.sent_table = self.table;
        for peer in 0..self.peers.len() {
            self.send_pulse(peer, false, now, out);
        }
    }

    /// One pulse on every open link to a peer; on the segment only when one of us hears nothing else, or now and
    /// then.
    pub(super) fn send_pulse(&mut self, peer: usize, query: bool, now: MonoTime, out: &mut Actions) {
        let unused = self.is_mutant(Mutant::SegmentUnused);
        let patience = self.setup.timing.patience;
        let lonely = self.is_udp_silent(peer, now) || self.peers[peer].needs_segment(now, patience.deaf);
        for at in 0..self.peers[peer].links.len() {
            let link = &self.peers[peer].links[at];
            if !link.open {
                continue;
            }
            let wanted = match link.id.path {
                LinkPath::Udp(_) => true,
                LinkPath::Segment(_) if unused => false,
                LinkPath::Segment(_) => {
                    lonely || link.last_sent.is_none_or(|sent| now.since(sent) >= patience.segment)
                }
            };
            if wanted {
                self.send_on(peer, link.id, query, now, out);
            }
        }
    }

    /// True while no UDP link to the peer is heard: then the clients' segment is the path of last resort.
    fn is_udp_silent(&self, peer: usize, now: MonoTime) -> bool {
        let suspicion = self.setup.timing.suspicion;
        let fresh = |heard: MonoTime| now.since(heard) < suspicion;
        let udp = |link: &&super::peer::Link| matches!(link.id.path, LinkPath::Udp(_));
        !self.peers[peer].links.iter().filter(udp).any(|link| link.heard.is_some_and(fresh))
    }

    /// One pulse, or a few if many rows are unacknowledged, on one link.
    pub(super) fn send_on(&mut self, peer: usize, link: LinkId, query: bool, now: MonoTime, out: &mut Actions) {
        // What a peer we do not hear acknowledged long ago it may have forgotten since, in a new session: it is told
        // everything, if that fits into one datagram.
        let heard = self.presence(peer, now) == Presence::Heard;
        let whole = !heard && self.groups.len() <= ROWS_PER_PULSE;
        let mut base = if whole { 0 } else { self.peers[peer].acked };
        for datagram in 0..BURST {
            self.counter += 1;
            let echo = self.peers[peer].sessions.echo(self.counter);
            base = self.send_datagram(peer, link, query && datagram == 0, echo, base, now, out);
            if base == self.table {
                break;
            }
        }
        if self.is_mutant(Mutant::RowsSentOnce) {
            self.peers[peer].acked = base;
        }
    }

    /// Answers a datagram of a session that has not proven itself, with that session as echo and no rows.
    pub(super) fn answer_unproven(
        &mut self,
        peer: usize,
        link: LinkId,
        learned: u64,
        now: MonoTime,
        out: &mut Actions,
    ) {
        self.counter += 1;
        let echo = self.peers[peer].sessions.answer(learned, self.counter);
        let base = self.table;
        self.send_datagram(peer, link, false, echo, base, now, out);
    }

    #[allow(clippy::too_many_arguments, reason = "one datagram has this many facets")]
    fn send_datagram(
        &mut self,
        peer: usize,
        link: LinkId,
        query: bool,
        echo: Echo,
        base: u64,
        now: MonoTime,
        out: &mut Actions,
    ) -> u64 {
        self.excerpt.choose(base, self.table, self.groups.iter().map(|group| group.row_version));
        let upto = self.excerpt.upto();
        let header = self.header(peer, query, echo, (base, upto), now);
        self.note_sent(now);
        let start = out.bytes.len();
        let groups = &self.groups;
        let rows = self.excerpt.positions().map(|at| groups[at].row);
        pulse::encode(&self.setup.keys, &header, rows, &mut self.datagram);
        out.bytes.extend_from_slice(&self.datagram);
        let to = self.segment_mac(peer, link);
        out.push(Action::Send { link, to, bytes: start..out.bytes.len() });
        if let Some(link) = self.peers[peer].link_mut(link) {
            link.sent += 1;
            link.last_sent = Some(now);
        }
        upto
    }

    fn header(&self, peer: usize, query: bool, echo: Echo, (base, upto): (u64, u64), now: MonoTime) -> Header {
        let known = &self.peers[peer];
        let timing = &self.setup.timing;
        let told = !self.is_mutant(Mutant::DeafNotTold);
        let deaf =
            told && matches!(self.presence(peer, now), Presence::Unknown | Presence::Suspicious | Presence::Silent);
        Header {
            sender: self.setup.me,
            receiver: known.id,
            cluster: self.setup.cluster,
            session: self.session,
            counter: self.counter,
            echo_session: echo.session,
            echo_counter: echo.counter,
            flags: Flags {
                query,
                goodbye: self.stopped && !self.leases.blind,
                deaf,
                alone: self.poll.alone.said.is_some(),
            },
            pulse_us: micros(timing.pulse),
            silence_us: micros(timing.silence),
            lease_us: micros(timing.lease),
            digests: self.setup.digests,
            // Nobody has the whole table while a gate of groups that it does not name may be open.
            table_version: self.table + u64::from(self.leases.blind),
            base_version: base,
            upto_version: upto,
            // What is remembered is the table of the session that is believed, not of one that introduces itself.
            ack_version: if known.sessions.verified() == Some(echo.session) { known.copy.have() } else { 0 },
        }
    }

    /// Where to send on a segment link: the hardware address the peer named, else everybody.
    fn segment_mac(&self, peer: usize, link: LinkId) -> MacAddr {
        let LinkPath::Segment(interface) = link.path else { return MacAddr::ZERO };
        let here =
            self.groups.iter().zip(self.peers[peer].copy.rows()).filter(|(group, _)| group.interface == interface);
        let mac = here.filter_map(|(_, row)| row.as_ref()).map(|row| row.mac).find(|mac| !mac.is_zero());
        mac.unwrap_or(MacAddr::BROADCAST)
    }

    /// Tells when single links fall silent or are heard again.
    pub(super) fn note_links(&mut self, now: MonoTime, out: &mut Actions) {
        let bound = self.setup.timing.silence.max(self.setup.timing.pulse * 3);
        let segment = self.setup.timing.patience.segment;
        for peer in &mut self.peers {
            for link in &mut peer.links {
                let patience = match link.id.path {
                    LinkPath::Udp(_) => bound,
                    LinkPath::Segment(_) => bound.max(segment * 5 / 2),
                };
                let heard = link.heard.is_some_and(|heard| now.since(heard) < patience);
                if std::mem::replace(&mut link.was_heard, heard) != heard {
                    out.notice(Notice::Link { link: link.id, heard });
                }
            }
        }
    }
}

pub(super) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
