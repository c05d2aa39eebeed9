//! Pulses in: authenticate, judge freshness, believe.

use super::action::{Action, Actions};
use super::notice::Notice;
use super::{Engine, group_id};
use crate::mutant::Mutant;
use crate::types::{InterfaceId, LinkId, LinkPath, MonoTime};
use crate::wire::auth::Reject;
use crate::wire::frame::Sighting;
use crate::wire::pulse::{self, Header, Row, Rows};
use crate::wire::session::Verdict;
use crate::wire::table::Admission;
use std::sync::Arc;
use std::time::Duration;

/// RFC 5227 2.4(c): defend an address at most once in this time.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// What went before a datagram that is believed.
struct Heard {
    /// The peer had not been heard for the suspicion time, or ever.
    quiet: bool,
    /// It had been silent.
    returned: bool,
}

impl Engine {
    pub(super) fn handle_datagram(&mut self, link: LinkId, bytes: &[u8], now: MonoTime, out: &mut Actions) {
        // The segment is shared: our peers' pulses to each other pass here as well. The key and the header tell.
        let keys = Arc::clone(&self.setup.keys);
        let read = keys.open(bytes).and_then(pulse::decode);
        let (header, rows) = match read {
            Ok(read) => read,
            Err(reject) => return self.reject(link, reject),
        };
        if let Err(reject) = header.check_addressee(self.setup.cluster, self.setup.me) {
            return self.reject(link, reject);
        }
        let segment = matches!(link.path, LinkPath::Segment(_));
        let Some(peer) = self.peer_at(header.sender).filter(|_| segment || header.sender == link.peer) else {
            return self.reject(link, Reject::Addressee);
        };
        let link = LinkId { peer: header.sender, path: link.path };
        match self.peers[peer].sessions.check(&header) {
            Verdict::Rejected(reject) => self.reject(link, reject),
            Verdict::Unproven { learned } => {
                // Its content is not believed, but it learns our session from the answer and can prove itself.
                self.answer_unproven(peer, link, learned, now, out);
            }
            Verdict::Fresh { new_session } => {
                if new_session {
                    self.begin_peer_session(peer, out);
                }
                let anew = self.believe(peer, link, &header, rows, now, out);
                let asked = header.flags.query;
                if asked && header.flags.deaf && !segment {
                    // It hears us on no link, perhaps not on this one either: answer on all ways.
                    self.send_pulse(peer, false, now, out);
                } else if asked || new_session || anew {
                    self.send_on(peer, link, false, now, out);
                }
            }
        }
    }

    fn reject(&mut self, link: LinkId, reject: Reject) {
        self.rejects.count(reject);
        if let Some(peer) = self.peer_at(link.peer)
            && let Some(known) = self.peers[peer].link_mut(link)
        {
            known.rejected += 1;
        }
    }

    fn begin_peer_session(&mut self, peer: usize, out: &mut Actions) {
        let acked = self.peers[peer].acked;
        // Its kernel's gate may be open as the process before left it.
        self.freeze_promises(peer);
        self.forget_known(peer);
        self.forget_echo_of_alone(peer);
        self.peers[peer].begin_session();
        if self.is_mutant(Mutant::FormerAckCounts) {
            self.peers[peer].acked = acked;
        }
        self.dirty = true;
        if !self.peers[peer].id.is_witness() {
            out.notice(Notice::PeerUp { peer: self.peers[peer].id });
        }
    }

    /// Takes in what a fresh datagram says; true if the peer must be told at once that its table is wanted anew.
    fn believe(
        &mut self,
        peer: usize,
        link: LinkId,
        header: &Header,
        rows: Rows<'_>,
        now: MonoTime,
        out: &mut Actions,
    ) -> bool {
        let mutants = self.setup.mutants;
        let Heard { quiet, returned } = self.note_heard(peer, link, now, out);
        let known = &mut self.peers[peer];
        let (mut changed, mut anew, acked) = (quiet, false, known.acked);
        // One that was overtaken on the way says how things were, not how they are.
        let newest = known.sessions.newest() == Some(header.counter);
        if newest || mutants.is_on(Mutant::OvertakenBelieved) {
            changed |= known.deaf != header.flags.deaf || known.left != header.flags.goodbye;
            known.deaf = header.flags.deaf;
            known.heeded |= !known.deaf;
            if known.deaf && known.heeded {
                known.deaf_at = Some(now);
            }
            if header.flags.goodbye && !known.left {
                out.notice(Notice::PeerLeft { peer: known.id });
            }
            known.left = header.flags.goodbye && !mutants.is_on(Mutant::GoodbyeIgnored);
            // It may fall: then the peer wants to be told everything again.
            let rises = mutants.is_on(Mutant::RowsSentOnce) || mutants.is_on(Mutant::FormerAckCounts);
            let floor = if rises { known.acked } else { 0 };
            known.acked = header.ack_version.max(floor).min(self.table);
            anew = known.note_config(header);
            if anew {
                known.copy.forget();
            }
        }
        if self.peers[peer].acked < acked {
            self.forget_known(peer);
        }
        if newest {
            self.note_alone(peer, header, now, out);
        }
        if returned {
            self.announce_after_division(peer, now);
        }
        let news = self.take_rows(peer, header, rows);
        self.count_votes(peer, header, newest, now);
        let proof = self.proof.max(self.peers[peer].proof);
        let before = self.peers[peer].current;
        let proven = self.peers[peer].note_table(header, proof);
        // A group whose hook has ended waits for the next word.
        let asked = before < self.hooked && self.peers[peer].current > before;
        self.dirty |= changed || news || proven || asked;
        if quiet {
            for segment in &mut self.segments {
                segment.isolated = false;
            }
        }
        if !self.peers[peer].id.is_witness() {
            self.compare_config(peer, out);
        }
        anew
    }

    /// Notes that a peer was heard, and says how long it had not been.
    fn note_heard(&mut self, peer: usize, link: LinkId, now: MonoTime, out: &mut Actions) -> Heard {
        let timing = &self.setup.timing;
        let known = &mut self.peers[peer];
        let silence = known.silence(self.resumed, now);
        let quiet = silence >= timing.suspicion || known.hint || known.heard.is_none();
        let returned = known.heard.is_some() && silence >= timing.silence;
        if returned {
            known.proof = self.counter + 1;
        }
        if known.id.is_witness() && (known.silent_told || known.heard.is_none()) {
            out.notice(Notice::WitnessHeard { witness: known.id });
        }
        known.hint = false;
        known.watch = None;
        known.heard = Some(now);
        known.silent_told = false;
        if let Some(link) = known.link_mut(link) {
            link.heard = Some(now);
            link.received += 1;
        }
        Heard { quiet, returned }
    }

    /// Applies rows, and notes what we have if they connect to it; rows from before that are old news.
    fn take_rows(&mut self, peer: usize, header: &Header, rows: Rows<'_>) -> bool {
        match self.peers[peer].copy.admit(header, self.setup.mutants) {
            Admission::Refused => return false,
            Admission::Known => return self.take_known_rows(peer, rows),
            Admission::Told => {}
        }
        let mut news = self.peers[peer].is_complete();
        for row in rows {
            let Some(at) = self.index.place(row.group) else { continue };
            let row = self.prepare_row(at, peer, row);
            news |= self.peers[peer].copy.take(at, row);
        }
        self.peers[peer].copy.settle();
        let rows = self.peers[peer].copy.rows().iter().zip(&self.groups);
        self.peers[peer].rows_differ = rows
            .filter_map(|(row, group)| row.as_ref().map(|row| (row, &group.row)))
            .any(|(row, ours)| row.addresses != ours.addresses || row.policy != ours.policy);
        news
    }

    /// Rows that do not make the table whole. A deaf peer's claim may be among them.
    fn take_known_rows(&mut self, peer: usize, rows: Rows<'_>) -> bool {
        let mut news = false;
        for row in rows {
            let Some(at) = self.index.place(row.group) else { continue };
            if self.peers[peer].copy.row(at).is_some() {
                let row = self.prepare_row(at, peer, row);
                news |= self.peers[peer].copy.take_known(at, row);
            }
        }
        news
    }

    /// What follows from a row, before it is kept.
    fn prepare_row(&mut self, at: usize, peer: usize, mut row: Row) -> Row {
        if row.mac.is_zero() {
            // An agent that has just been restarted does not know it yet; whose answer a probe gets must stay known.
            row.mac = self.peers[peer].copy.row(at).map_or(row.mac, |known| known.mac);
        } else {
            for segment in &mut self.segments {
                segment.forget(row.mac);
            }
        }
        self.note_row(at, peer, &row);
        row
    }

    fn compare_config(&mut self, peer: usize, out: &mut Actions) {
        let differs = self.is_different(peer);
        let known = &mut self.peers[peer];
        if std::mem::replace(&mut known.differs, differs) != differs {
            out.notice(Notice::Differs { peer: known.id, differs });
        }
    }

    pub(super) fn handle_refused(&mut self, link: LinkId) {
        if let Some(peer) = self.peer_at(link.peer)
            && self.peers[peer].heard.is_some()
        {
            self.peers[peer].hint = true;
            self.peers[peer].left |= self.is_mutant(Mutant::RefusedIsGoodbye);
            self.dirty = true;
        }
    }

    pub(super) fn handle_link(&mut self, link: LinkId, open: bool) {
        if let Some(peer) = self.peer_at(link.peer)
            && let Some(known) = self.peers[peer].link_mut(link)
        {
            known.open = open;
        }
    }

    /// A frame on the clients' segment: evidence that someone is there, or that an address is answered.
    pub(super) fn handle_sighting(
        &mut self,
        interface: InterfaceId,
        sighting: Sighting,
        now: MonoTime,
        out: &mut Actions,
    ) {
        let at = usize::from(interface.0);
        let (mac, address) = match sighting {
            Sighting::Claim { address, mac } => (mac, Some(address)),
            Sighting::Presence { mac } => (mac, None),
        };
        if mac == self.interfaces[at].facts.mac || mac.is_multicast() {
            return;
        }
        let of_group = address.and_then(|address| self.index.group_of(address));
        let of_peer = self.peers.iter().any(|peer| peer.has_mac(mac));
        if let (Some(group), Some(address)) = (of_group, address) {
            self.note_answer(usize::from(group.0), interface, mac, now, out);
            if !of_peer && self.groups[usize::from(group.0)].is_open() {
                self.defend(usize::from(group.0), address, mac, now, out);
            }
        } else if !of_peer {
            self.segments[at].note_traffic(mac, address, now);
        }
    }

    /// A stranger claims our address: say again who has it, and tell people. Never yield to it (S6).
    fn defend(
        &mut self,
        at: usize,
        address: crate::types::Vip,
        mac: crate::types::MacAddr,
        now: MonoTime,
        out: &mut Actions,
    ) {
        let due = self.groups[at].defended.is_none_or(|last| now.since(last) >= DEFEND_INTERVAL);
        if !due {
            return;
        }
        self.groups[at].defended = Some(now);
        out.push(Action::Announce { group: group_id(at), address: Some(address) });
        out.notice(Notice::Stranger { group: group_id(at), address, mac });
    }
}
