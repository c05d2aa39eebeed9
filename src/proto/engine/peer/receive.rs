//! Everything that comes in from peers: pulses (authenticate, judge freshness, believe), refused
//! datagrams, links that open, and frames seen on the clients' segment.
//!
//! Owns: the order of trust: key, addressee, session, then header and rows. Never does: decide what
//! a group does next. A datagram that is not for us is counted and dropped (S6).

use super::{Heard, Learned, PeerAt};
use crate::engine::Engine;
use crate::engine::action::Actions;
use crate::engine::group::Claimant;
use crate::engine::notice::Notice;
use crate::types::{GroupId, InterfaceId, LinkId, LinkPath, MonoTime, NodeId};
use crate::wire::auth::Reject;
use crate::wire::frame::Sighting;
use crate::wire::pulse::{self, Header, Row, Rows};
use crate::wire::session::Verdict;
use crate::wire::table::Admission;
use std::sync::Arc;

impl Engine {
    /// Takes in a datagram, whoever sent it: counts and drops it, answers it, or believes it.
    pub(in crate::engine) fn handle_datagram(
        &mut self,
        link: LinkId,
        bytes: &[u8],
        now: MonoTime,
        out: &mut Actions,
    ) {
        // The segment is shared: our peers' pulses to each other pass here as well. The key and the
        // header tell.
        let keys = Arc::clone(&self.setup.keys);
        let read = keys.open(bytes).and_then(pulse::decode);
        let (header, rows) = match read {
            Ok(read) => read,
            Err(reject) => return self.reject(link, reject.of_cluster(bytes, self.setup.cluster), now),
        };
        match header.check_addressee(self.setup.cluster, self.setup.me) {
            Ok(()) => {}
            Err(Reject::OwnNumber) => return self.handle_own_number(link, &header, now, out),
            Err(reject) => return self.reject(link, reject, now),
        }
        let segment = matches!(link.path, LinkPath::Segment(_));
        let sender = self.peers.find(header.sender).filter(|_| segment || header.sender == link.peer);
        let Some(peer) = sender else {
            self.note_stranger(link, header.sender, now);
            return self.reject(link, Reject::Sender, now);
        };
        let link = LinkId { peer: header.sender, path: link.path };
        match self.peers[peer].sessions.check(&header) {
            Verdict::Rejected(reject) => self.reject(link, reject, now),
            Verdict::Unproven { learned } => {
                // Its content is not believed, but it learns our session from the answer and can
                // prove itself.
                self.post(now).introduce(peer, link, learned, header.flags.deaf, out);
            }
            Verdict::Fresh { new_session } => {
                if new_session {
                    self.begin_peer_session(peer, now, out);
                }
                let regrouped = self.believe(peer, link, &header, rows, now, out);
                let asked = header.flags.query;
                let anywhere = new_session || asked && !segment;
                if anywhere && header.flags.deaf {
                    // The peer hears us on no link, perhaps not on this one either: it is answered
                    // on all.
                    self.post(now).send(peer, false, out);
                } else if asked || new_session || regrouped {
                    self.post(now).send_on(peer, link, false, out);
                }
            }
        }
    }

    /// Counts a datagram that is turned away.
    fn reject(&mut self, link: LinkId, reject: Reject, now: MonoTime) {
        self.turned_away.note(reject, link, now);
        if let Some(peer) = self.peers.find(link.peer)
            && let Some(known) = self.peers[peer].link_mut(link)
        {
            known.rejected += 1;
        }
    }

    /// Takes in an authentic datagram that has our own number: our own, or that of a double.
    fn handle_own_number(&mut self, link: LinkId, header: &Header, now: MonoTime, out: &mut Actions) {
        if header.session == self.outbox.session {
            return self.reject(link, Reject::Reflected, now);
        }
        self.reject(link, Reject::OwnNumber, now);
        if !self.setup.rules().heeds_doubles() {
            return;
        }
        let met = self.double.meet(link, header, &self.setup.timing, now);
        if let Some(session) = met.answer {
            self.post(now).answer_double(link, session, met.everywhere, out);
        }
        self.groups.look_again |= met.news;
        if met.news && met.contested {
            let rules = self.setup.rules();
            self.groups.iter_mut().filter(|group| group.is_open()).for_each(|group| group.announce_anew(rules, now));
        }
    }

    /// Tells people when a double appears or is gone; groups look at it then.
    pub(in crate::engine) fn note_double(&mut self, now: MonoTime, out: &mut Actions) {
        let there = self.double.state(&self.turn, &self.setup.timing, now).there;
        if !there {
            self.double.open = false;
        }
        if std::mem::replace(&mut self.double.told, there) != there {
            self.groups.look_again = true;
            let link = self.double.heard.map(|(_, link)| link).filter(|_| there);
            out.notice(Notice::SameNumber { link });
            if !there {
                // We were silent beside it, so nobody could prove that it lives: silence counts anew.
                self.double.heard = None;
                self.evidence.end_watches();
                self.turn.resume(now, self.outbox.next());
                self.turn.next_pulse = now;
            }
        }
    }

    /// Notes who speaks on a link that is another's.
    fn note_stranger(&mut self, link: LinkId, sender: NodeId, now: MonoTime) {
        if let Some(peer) = self.peers.find(link.peer)
            && let Some(known) = self.peers[peer].link_mut(link)
        {
            known.stranger = Some((sender, now));
        }
    }

    /// Begins a new life of a peer.
    fn begin_peer_session(&mut self, peer: PeerAt, now: MonoTime, out: &mut Actions) {
        // The peer's gate may still be open as its former process left it, so promises run on.
        self.freeze_promises(peer, now);
        self.groups.forget_known(peer);
        self.forget_echo_of_alone(peer);
        self.peers[peer].begin_session(self.setup.rules());
        self.groups.look_again = true;
        if !self.peers[peer].id.is_witness() {
            out.notice(Notice::PeerUp { peer: self.peers[peer].id });
        }
    }

    /// Takes in what a fresh datagram says: that it was heard, its header, its rows. True if the
    /// peer must be told at once that its table is wanted from the beginning.
    fn believe(
        &mut self,
        peer: PeerAt,
        link: LinkId,
        header: &Header,
        rows: Rows<'_>,
        now: MonoTime,
        out: &mut Actions,
    ) -> bool {
        let heard = self.hear(peer, link, now, out);
        let newest = self.peers[peer].sessions.newest() == Some(header.counter);
        let learned = self.learn_header(peer, header, newest, now, out);
        if heard.returned {
            let (groups, around) = self.groups_around(now);
            groups.announce_after_division(around, peer);
        }
        let news = self.take_rows(peer, header, rows, out);
        self.count_votes(peer, header, newest, now);
        let before = self.peers[peer].echoed;
        self.peers[peer].note_echo(header);
        let (echoed, proof) = (self.peers[peer].echoed, self.peers[peer].proven_from(&self.turn));
        let proven = before < proof && echoed >= proof;
        // A group whose hook has ended waits for the next word.
        let asked = before < self.turn.hooked_from && echoed > before;
        // After a stall of our own a peer may be heard again without ever having been quiet.
        let isolated = self.evidence.end_isolation();
        self.groups.look_again |= heard.quiet || learned.changed || news || proven || asked || isolated;
        if !self.peers[peer].id.is_witness() {
            self.compare_config(peer, out);
        }
        learned.regrouped
    }

    /// Notes that a peer was heard, and ends its watch.
    fn hear(&mut self, peer: PeerAt, link: LinkId, now: MonoTime, out: &mut Actions) -> Heard {
        let next = self.outbox.next();
        let heard = self.peers[peer].hear(link, &self.turn, &self.setup.timing, next, now);
        if heard.is_news {
            out.notice(Notice::WitnessHeard { witness: self.peers[peer].id });
        }
        self.evidence.end_watch(peer);
        if let LinkPath::Segment(interface) = link.path {
            self.note_reached(interface, now);
        }
        heard
    }

    /// Takes in a header. One that was overtaken on the way says how things were, not how they are.
    fn learn_header(
        &mut self,
        peer: PeerAt,
        header: &Header,
        newest: bool,
        now: MonoTime,
        out: &mut Actions,
    ) -> Learned {
        let rules = self.setup.rules();
        let acked = self.peers[peer].acked;
        let mut learned = Learned::default();
        if rules.is_current(newest) {
            learned = self.peers[peer].learn(header, self.outbox.table, rules, now);
            if learned.left {
                out.notice(Notice::PeerLeft { peer: self.peers[peer].id });
            }
        }
        if self.peers[peer].acked < acked {
            self.groups.forget_known(peer);
        }
        if newest {
            self.note_alone(peer, header, now, out);
        }
        learned
    }

    /// Takes the rows of a datagram into our copy of the peer's table, as far as they connect to
    /// it. True if groups have to be stepped: a row says something new, or the copy is whole now.
    fn take_rows(&mut self, peer: PeerAt, header: &Header, rows: Rows<'_>, out: &mut Actions) -> bool {
        match self.peers[peer].copy.admit(header, self.setup.mutants) {
            Admission::Refused => return false,
            Admission::Known => return self.take_known_rows(peer, rows),
            Admission::Told => {}
        }
        let mut news = self.peers[peer].is_complete();
        for row in rows {
            let Some(group) = self.index.group_named(row.group) else {
                news |= self.peers[peer].copy.take_strange(row);
                continue;
            };
            let row = self.prepare_row(group, peer, row);
            news |= self.peers[peer].copy.take(usize::from(group.0), row);
        }
        let known = &mut self.peers[peer];
        known.copy.settle();
        let rows = known.copy.rows().iter().zip(self.groups.iter());
        known.rows_differ = rows
            .filter_map(|(row, group)| row.as_ref().map(|row| (row, &group.row)))
            .any(|(row, ours)| row.addresses != ours.addresses || row.policy != ours.policy);
        known.note_elsewhere(&self.index);
        self.note_same_mac(peer, out);
        news
    }

    /// Tells people when a peer has our hardware address on the interface of a group, or has it no
    /// more.
    pub(in crate::engine) fn note_same_mac(&mut self, peer: PeerAt, out: &mut Actions) {
        let shared = self.groups.iter().find(|group| group.shares_mac(peer, &self.peers, &self.leases));
        let interface = shared.map(|group| group.interface);
        let known = &mut self.peers[peer];
        if std::mem::replace(&mut known.same_mac, interface.is_some()) != interface.is_some() {
            out.notice(Notice::SameMac { peer: known.id, interface });
        }
    }

    /// Takes rows that do not connect to our copy, for groups that the copy has: a deaf peer's
    /// claim may be among them. True if one says something new.
    fn take_known_rows(&mut self, peer: PeerAt, rows: Rows<'_>) -> bool {
        let mut news = false;
        for row in rows {
            let Some(group) = self.index.group_named(row.group) else {
                news |= self.peers[peer].copy.take_known_strange(row);
                continue;
            };
            if self.peers[peer].row(group).is_some() {
                let row = self.prepare_row(group, peer, row);
                news |= self.peers[peer].copy.take_known(usize::from(group.0), row);
            }
        }
        self.peers[peer].note_elsewhere(&self.index);
        news
    }

    /// Completes a row's hardware address from the row before, and tells the group's ballot and the
    /// segment's neighbours what follows from the row. Returns the row to keep.
    fn prepare_row(&mut self, group: GroupId, peer: PeerAt, mut row: Row) -> Row {
        let known = &self.peers[peer];
        if row.mac.is_zero() {
            // An agent that has just been restarted does not know it yet; whose answer a probe gets
            // must stay known.
            row.mac = known.row(group).map_or(row.mac, |known| known.mac);
        } else {
            self.evidence.forget_neighbour(row.mac);
        }
        self.groups[group].note_row((peer, known.id), &row, known.promised);
        row
    }

    /// Tells people when a peer's configuration begins or ceases to differ from ours.
    fn compare_config(&mut self, peer: PeerAt, out: &mut Actions) {
        let differs = self.is_different(peer);
        let known = &mut self.peers[peer];
        if std::mem::replace(&mut known.differs, differs) != differs {
            out.notice(Notice::Differs { peer: known.id, differs });
        }
    }

    /// Takes a refused datagram for a hint that the peer's process is gone; one in a pulse, for the
    /// peer is asked at once then, and where nobody listens on one of its links that is refused, too.
    pub(in crate::engine) fn handle_refused(&mut self, link: LinkId, now: MonoTime) {
        let (goodbye, pulse) = (self.setup.rules().refusal_is_goodbye(), self.setup.timing.pulse);
        if let Some(peer) = self.peers.find(link.peer)
            && self.peers[peer].heard.is_some()
            && self.peers[peer].refused.is_none_or(|refused| now.since(refused) >= pulse)
        {
            self.peers[peer].refused = Some(now);
            self.peers[peer].may_be_gone = true;
            self.peers[peer].left |= goodbye;
            self.groups.look_again = true;
        }
    }

    /// Notes whether datagrams can be sent on a link.
    pub(in crate::engine) fn handle_link(&mut self, link: LinkId, open: bool) {
        if let Some(peer) = self.peers.find(link.peer)
            && let Some(known) = self.peers[peer].link_mut(link)
        {
            known.open = open;
            known.fit.forget();
        }
    }

    /// Notes that a datagram of so many bytes was longer than the link takes, and sends shorter
    /// ones at once.
    pub(in crate::engine) fn handle_too_large(&mut self, link: LinkId, bytes: u16, now: MonoTime, out: &mut Actions) {
        let Some(peer) = self.peers.find(link.peer) else { return };
        let Some(known) = self.peers[peer].link_mut(link) else { return };
        known.too_large += 1;
        let is_news = known.too_large == 1;
        if known.fit.note_too_long(usize::from(bytes), now) && self.setup.rules().minds_narrow_paths() {
            self.post(now).send_on(peer, link, false, out);
        }
        if is_news {
            out.notice(Notice::TooLarge { link, bytes });
        }
    }

    /// Notes a frame on the clients' segment: evidence that someone is there, or that an address is
    /// answered.
    pub(in crate::engine) fn handle_sighting(
        &mut self,
        interface: InterfaceId,
        sighting: Sighting,
        now: MonoTime,
        out: &mut Actions,
    ) {
        let (mac, address, nameless) = match sighting {
            Sighting::Claim { address, mac, nameless } => (mac, Some(address), nameless),
            Sighting::Presence { mac } => (mac, None, None),
        };
        if mac == self.leases[interface].facts.mac || mac.is_multicast() {
            return;
        }
        let of_group = address.and_then(|address| self.index.group_of(address));
        let of_peer = self.peers.iter().any(|peer| peer.has_mac(mac));
        // Another card of ours is nobody. A peer with the same hardware address stays a peer.
        if !of_peer && self.evidence.is_own_mac(mac) {
            return;
        }
        // Whoever is inside this server is heard without any cable, but may claim an address as
        // anybody may.
        let inside = !of_peer && self.setup.rules().life_is_outside() && self.evidence[interface].is_inside(mac);
        if !inside {
            self.note_reached(interface, now);
            if nameless == Some(self.leases[interface].facts.mac) {
                self.evidence[interface].nameless = Some(now);
            }
        }
        if let (Some(group), Some(address)) = (of_group, address) {
            self.groups[group].claimant = Some(Claimant { mac, seen: now });
            self.evidence.note_answer(group, (interface, mac), &self.peers, (&self.setup, now), out);
            if !of_peer && self.groups[group].is_open() {
                self.groups[group].defend(address, mac, now, out);
            }
        } else if !of_peer && !inside {
            self.evidence[interface].note_traffic(mac, address, now);
        }
    }
}
