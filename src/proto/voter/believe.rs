//! A pulse taken in: authenticated, checked for freshness, believed.

use super::group::Group;
use super::node::{Node, Times};
use super::{MAX_GROUPS, MAX_NODES, Notice, Output, Voter};
use crate::mutant::Mutants;
use crate::rules::vote::gives_up;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::wire::auth::Reject;
use crate::wire::pulse::{self, Header, Row, Rows};
use crate::wire::session::{Sessions, Verdict};
use crate::wire::table::Admission;
use std::time::Duration;

impl Voter {
    /// Opens and decodes a datagram, and checks that it is for us. With the reason to drop it goes
    /// the header of a node's datagram for another witness.
    pub(super) fn read<'b>(&self, bytes: &'b [u8]) -> Result<(Header, Rows<'b>), (Reject, Option<Header>)> {
        let read = self.setup.keys.open(bytes).and_then(pulse::decode);
        let (header, rows) = read.map_err(|reject| (reject, None))?;
        match header.check_addressee(self.setup.cluster, self.setup.me) {
            Ok(()) if header.sender.is_witness() => Err((Reject::Sender, None)),
            Ok(()) => Ok((header, rows)),
            Err(reject) => {
                let node = !header.sender.is_witness() && header.receiver.is_witness();
                Err((reject, Some(header).filter(|_| node && reject == Reject::Addressee)))
            }
        }
    }

    /// Decides whether an authentic datagram for us is fresh, believes it if so, and answers it.
    pub(super) fn take(&mut self, header: &Header, rows: Rows<'_>, now: MonoTime, out: &mut Output) {
        let Some(node) = self.node_of(header.sender) else {
            self.rejects.count(Reject::Sender);
            return;
        };
        match self.nodes[node].sessions.check(header) {
            Verdict::Rejected(reject) => {
                self.rejects.count(reject);
                self.answer_unaware(node, header, out);
            }
            // Its content is not believed, but it learns our session from the answer and can prove
            // itself.
            Verdict::Unproven { learned } => self.answer_unproven(node, learned, out),
            Verdict::Fresh { new_session } => {
                if new_session {
                    self.begin_session(node, out);
                }
                self.believe(node, header, rows, now, out);
                self.publish(out);
                self.answer(node, out);
            }
        }
    }

    /// A node that we believe does not believe us yet: the answer that it waits for was lost, and
    /// we say nothing of our own accord. Each of its datagrams is answered once.
    fn answer_unaware(&mut self, node: usize, header: &Header, out: &mut Output) {
        let known = &mut self.nodes[node];
        if known.sessions.is_unaware(header) && header.counter > known.unaware {
            known.unaware = header.counter;
            self.answer_unproven(node, header.session, out);
        }
    }

    /// The position of a node, which is added if it was never heard of; `None` if there is no room.
    fn node_of(&mut self, id: NodeId) -> Option<usize> {
        let known = self.nodes.iter().position(|node| node.id == id);
        known.or_else(|| {
            let sessions = Sessions::new(self.setup.session);
            let room = self.nodes.len() < MAX_NODES;
            room.then(|| {
                self.nodes.push(Node::new(id, sessions, self.groups.len()));
                self.nodes.len() - 1
            })
        })
    }

    /// Notes another process of a node. Its kernel's gate may still be open as the former process
    /// left it, so promises run on and are not renewed.
    fn begin_session(&mut self, node: usize, out: &mut Output) {
        if !self.rules().promises_outlive_sessions() {
            let ours = |place: &usize| self.groups[*place].promise.is_some_and(|promise| promise.node == node);
            let ours: Vec<usize> = (0..self.groups.len()).filter(ours).collect();
            ours.into_iter().for_each(|place| self.release(place, out));
        }
        self.freeze_all(node);
        let known = &mut self.nodes[node];
        known.copy.begin_session();
        (known.acked, known.unaware) = (0, 0);
        out.notices.push(Notice::Session(known.id));
    }

    /// Takes in what a fresh pulse says: rows, lease, acknowledgement; then promises and grants.
    fn believe(&mut self, node: usize, header: &Header, rows: Rows<'_>, now: MonoTime, out: &mut Output) {
        let known = &mut self.nodes[node];
        // A pulse that was overtaken says how things were, not how they are. The lease that it
        // states must be promised all the same, and the one that the newest stated, for the answer
        // speaks of the newest.
        let mut stated = header.lease_us.max(known.times.lease_us);
        if known.sessions.newest() == Some(header.counter) {
            stated = header.lease_us;
            let times = Times {
                pulse_us: header.pulse_us,
                silence_us: header.silence_us,
                lease_us: header.lease_us,
                digests: header.digests,
            };
            let before = std::mem::replace(&mut known.times, times);
            known.acked = header.ack_version.min(self.table);
            known.fit.note_word(header.echo_counter, known.acked, now);
            if before.digests.groups != header.digests.groups && known.copy.have() != 0 {
                // The node has another set of groups: it tells its table anew.
                known.copy.forget();
            }
        }
        self.take_rows(node, header, rows, out);
        self.note_lease(stated);
        self.end_lapse(node);
        if self.is_blocked(node) {
            // The disk does not know this lease yet, so nothing is promised and nothing may be
            // granted.
            self.freeze_all(node);
            self.nodes[node].waiting = true;
        } else {
            let span = self.promised_for(stated);
            let once = !self.rules().pulses_renew_promises();
            let known = &mut self.nodes[node];
            if !once || now >= known.until {
                known.until = known.until.max(now + span);
            }
        }
        self.note_told(now, out);
        if std::mem::take(&mut self.nodes[node].waiting) {
            (0..self.groups.len()).for_each(|place| self.consider(place, node, now, out));
        }
    }

    /// The span of a promise to a node that states this lease.
    pub(super) fn promised_for(&self, lease_us: u32) -> Duration {
        self.rules().witness_promises_for(lease_us, self.setup.drift_ppm)
    }

    /// Takes in the rows of a pulse.
    fn take_rows(&mut self, node: usize, header: &Header, rows: Rows<'_>, out: &mut Output) {
        if self.nodes[node].copy.admit(header, Mutants::NONE) != Admission::Told {
            return;
        }
        for row in rows {
            let Some(place) = self.place(row.group, out) else {
                self.nodes[node].skipped = true;
                continue;
            };
            if self.nodes[node].copy.take(place, row) {
                self.note_row(place, node, &row, out);
            }
        }
        if self.nodes[node].copy.is_complete() {
            self.nodes[node].copy.settle();
            // A node does not ask for a group that it has no more, but its gate may be open until
            // it has closed it.
            let gone = |place: &usize| self.nodes[node].copy.row(*place).is_none();
            let gone: Vec<usize> = (0..self.groups.len()).filter(gone).collect();
            gone.into_iter().for_each(|place| self.freeze(place, node));
            if self.nodes[node].skipped && self.unused().is_some() {
                // There is room by now for the rows that were left out: they must be told again.
                self.nodes[node].skipped = false;
                self.nodes[node].copy.forget();
            }
        }
    }

    /// Notes a new row of a node about a group: releases, freezes or keeps its promise.
    fn note_row(&mut self, place: usize, node: usize, row: &Row, out: &mut Output) {
        let id = self.nodes[node].id;
        let asked = self.asked(place, node);
        let group = &mut self.groups[place];
        if row.epoch > group.seen {
            group.seen = row.epoch;
            self.touched.push(place);
        }
        if let Some(promise) = group.promise.filter(|promise| promise.node == node) {
            let starter = self.rules().starter_releases(row);
            let reserved = self.rules().reserve_releases(row, promise.epoch);
            let asks = asked.is_some_and(|ask| ask.epoch() == promise.epoch);
            if starter || (reserved && !asks) || gives_up(id, row, promise.epoch) {
                self.release(place, out);
            } else if asked.map(|ask| ask.epoch()) != Some(promise.epoch) {
                self.freeze(place, node);
            } else if let Some(promise) = self.groups[place].promise.as_mut() {
                promise.held |= matches!(asked, Some(crate::rules::vote::Ask::Holds(_)));
            }
        }
        self.nodes[node].waiting |= asked.is_some();
        // The ceiling is raised ahead of need, so that a grant seldom waits for the disk.
        let own = |epoch: Epoch| if epoch.node() == id { epoch } else { Epoch::NONE };
        self.expect(place, own(row.reserve).max(own(row.claim)));
    }

    /// The position of a group, which is added if it was never heard of; `None` if there is no
    /// room.
    pub(super) fn place(&mut self, key: GroupKey, out: &mut Output) -> Option<usize> {
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        let group = Group::new(key, self.table + 1);
        let place = if self.groups.len() < MAX_GROUPS {
            self.groups.push(group);
            self.groups.len() - 1
        } else {
            let Some(place) = self.unused() else {
                if !std::mem::replace(&mut self.crowded, true) {
                    out.notices.push(Notice::Crowded);
                }
                return None;
            };
            self.places.remove(&self.groups[place].key);
            self.groups[place] = group;
            place
        };
        self.table += 1;
        self.places.insert(key, place);
        self.touched.push(place);
        let count = self.groups.len();
        self.nodes.iter_mut().for_each(|node| node.copy.grow(count));
        Some(place)
    }

    /// The position of a group that no node has any more and that is promised to nobody.
    fn unused(&self) -> Option<usize> {
        let told = self.nodes.len() >= self.setup.nodes && self.nodes.iter().all(|node| node.copy.is_complete());
        let unused = |place: &usize| {
            let named = self.nodes.iter().any(|node| node.copy.row(*place).is_some());
            let running = self.groups[*place].promise.is_some_and(|promise| promise.end(&self.nodes) > self.last);
            !named && !running
        };
        (0..self.groups.len()).find(unused).filter(|_| told)
    }
}
