//! A group as a voter knows it: the promise, the epochs, the fault of its active.

use super::node::Node;
use super::{Notice, Output, Voter};
use crate::rules::vote::{Ask, ask};
use crate::types::{Epoch, GroupKey, MonoTime};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

/// A promise, running or over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Promise {
    /// Position of the node that it was made to.
    pub node: usize,
    /// The epoch that was granted.
    pub epoch: Epoch,
    /// End of a promise that is renewed no more. `None` while the node goes on asking: then the
    /// promise ends with [`Node::until`].
    pub ends: Option<MonoTime>,
    /// Whether the node was active with it.
    pub held: bool,
    /// Whether its end has been noticed.
    pub over: bool,
}

impl Promise {
    /// End of the promise on the voter's clock.
    pub fn end(&self, nodes: &[Node]) -> MonoTime {
        self.ends.unwrap_or(nodes[self.node].until)
    }

    /// Whether the promise is still renewed.
    fn is_live(&self) -> bool {
        self.ends.is_none()
    }
}

/// One group of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub key: GroupKey,
    /// The last promise, running or over.
    pub promise: Option<Promise>,
    /// The highest epoch that is known to be in use, or that was granted before.
    pub seen: Epoch,
    /// The highest epoch that an earlier life may have granted: claims must be above it.
    pub bar: Epoch,
    /// The highest epoch that may be granted: the disk knows that none above it was.
    pub ceiling: Epoch,
    /// A higher ceiling on its way to the disk, with the version that carries it.
    pub rising: Option<(Epoch, u64)>,
    /// Whether the promise to an active ran out without being given up.
    pub lapsed: bool,
    /// The row that is told of the group.
    pub row: Row,
    /// Version of the table with which the row last changed.
    pub row_version: u64,
}

impl Group {
    /// A group that was never heard of. `version` is that of its row.
    pub fn new(key: GroupKey, version: u64) -> Group {
        let row = Row::new(key, Role::Witness, crate::wire::pulse::Reason::Listening);
        Group {
            key,
            promise: None,
            seen: Epoch::NONE,
            bar: Epoch::NONE,
            ceiling: Epoch::NONE,
            rising: None,
            lapsed: false,
            row,
            row_version: version,
        }
    }
}

impl Voter {
    /// Grants what a node asks for, if it may be granted. Its `until` already covers the pulse that
    /// was just received.
    pub(super) fn consider(&mut self, place: usize, node: usize, now: MonoTime, out: &mut Output) {
        let Some(asked) = self.asked(place, node) else { return };
        let epoch = asked.epoch();
        let group = &self.groups[place];
        let same = group.promise.filter(|promise| promise.node == node && promise.epoch == epoch);
        if same.is_some_and(|promise| promise.is_live()) {
            return;
        }
        if !self.may_grant(place, node, asked, now) {
            self.nodes[node].waiting = true;
            return;
        }
        self.expect(place, epoch);
        if epoch > self.groups[place].ceiling && self.rules().ceiling_comes_first() {
            self.nodes[node].waiting = true;
            return;
        }
        let group = &mut self.groups[place];
        if let Some(before) = group.promise.filter(|before| before.epoch != epoch) {
            group.seen = group.seen.max(before.epoch);
        }
        let other = group.promise.is_none_or(|before| before.node != node);
        let held = matches!(asked, Ask::Holds(_));
        group.promise = Some(Promise { node, epoch, ends: None, held, over: false });
        group.lapsed = false;
        if other {
            let key = group.key;
            self.checks.iter_mut().filter(|check| check.group() == key).for_each(super::check::Check::begin_again);
        }
        self.next_lapse = self.next_lapse.min(self.nodes[node].until);
        self.touched.push(place);
        out.notices.push(Notice::Granted(self.groups[place].key, self.nodes[node].id, epoch));
    }

    /// Whether a request may be granted now: the voter votes, no promise to another node runs, and
    /// the epoch is high enough.
    fn may_grant(&self, place: usize, node: usize, asked: Ask, now: MonoTime) -> bool {
        let group = &self.groups[place];
        if !self.is_voting() || self.is_blocked(node) {
            return false;
        }
        let other = group.promise.filter(|promise| promise.node != node && self.end_of(promise) > now);
        if other.is_some() && self.rules().keeps_promises() {
            return false;
        }
        let again = group.promise.is_some_and(|promise| promise.node == node && promise.epoch == asked.epoch());
        let seen = group.seen.max(group.promise.map_or(Epoch::NONE, |promise| promise.epoch));
        match asked {
            // A node that is active proves that none was with a higher epoch, whatever we have
            // forgotten.
            Ask::Holds(_) => true,
            // A node has never opened with what it claims; where another has met the same epoch, it
            // knows it from the claim.
            Ask::Claims(epoch) => {
                again
                    || (epoch >= seen
                        && epoch > group.bar
                        && !self.rules().is_elsewhere(self.is_elsewhere(place, node)))
            }
        }
    }

    /// Whether another node that may hold a promise may have the addresses of a group in a group of
    /// another name: the same ones, or it lacks the group and has one that `node` lacks.
    fn is_elsewhere(&self, place: usize, node: usize) -> bool {
        let ours = &self.nodes[node].copy;
        let digest = ours.row(place).map(|row| row.addresses).filter(|digest| *digest != 0);
        let others = self.nodes.iter().enumerate().filter(|(other, known)| *other != node && known.until > self.last);
        others.map(|(_, other)| &other.copy).any(|theirs| {
            let rows = || theirs.rows().iter().enumerate().filter_map(|(at, row)| Some((at, row.as_ref()?)));
            let there = theirs.row(place).map(|row| row.addresses);
            let renamed = digest.is_some_and(|digest| {
                there != Some(digest) && rows().any(|(at, row)| at != place && row.addresses == digest)
            });
            renamed || there.is_none() && rows().any(|(at, _)| ours.row(at).is_none())
        })
    }

    /// The end of a promise, as the rules want it: [`Promise::end`], in all that ships.
    fn end_of(&self, promise: &Promise) -> MonoTime {
        let end = promise.end(&self.nodes);
        if self.rules().promises_outlast_silence() {
            return end;
        }
        let times = &self.nodes[promise.node].times;
        let silence = Duration::from_micros(u64::from(times.silence_us));
        end.back(self.promised_for(times.lease_us).saturating_sub(silence))
    }

    /// The request of a node for a group, as it said last.
    pub(super) fn asked(&self, place: usize, node: usize) -> Option<Ask> {
        let node = &self.nodes[node];
        node.copy.row(place).and_then(|row| ask(node.id, row))
    }

    /// Ends the renewal of a promise to a node: it runs out when it would without another pulse.
    pub(super) fn freeze(&mut self, place: usize, node: usize) {
        let until = self.nodes[node].until;
        if let Some(promise) = self.groups[place].promise.as_mut().filter(|promise| promise.node == node)
            && promise.is_live()
        {
            promise.ends = Some(until);
            self.next_lapse = self.next_lapse.min(until);
            self.touched.push(place);
        }
    }

    /// Ends the renewal of every promise to a node.
    pub(super) fn freeze_all(&mut self, node: usize) {
        (0..self.groups.len()).for_each(|place| self.freeze(place, node));
    }

    /// Ends the promise of a group at once: its node has given it up.
    pub(super) fn release(&mut self, place: usize, out: &mut Output) {
        let group = &mut self.groups[place];
        if let Some(promise) = group.promise.take() {
            group.seen = group.seen.max(promise.epoch);
            group.lapsed = false;
            self.touched.push(place);
            out.notices.push(Notice::Released(group.key, self.nodes[promise.node].id, promise.epoch));
        }
    }

    /// Notes a gap in what the voter hears: while it was stopped, or cut off from everybody, the
    /// silence of a node is no fault.
    pub(super) fn note_gap(&mut self, now: MonoTime) {
        let pulse = self.nodes.iter().map(|node| node.times.pulse_us).max().unwrap_or_default();
        let patience = Duration::from_micros(u64::from(pulse)) * 3;
        if now.since(self.last) >= patience {
            self.resumed = now;
        }
    }

    /// The instant at which it is certain that a promise has run out because its holder says
    /// nothing.
    fn lapse_of(&self, promise: &Promise) -> MonoTime {
        let span = self.promised_for(self.nodes[promise.node].times.lease_us);
        promise.end(&self.nodes).max(self.resumed + span)
    }

    /// Notes promises that have run out since the last event.
    pub(super) fn note_lapses(&mut self, now: MonoTime, out: &mut Output) {
        if now < self.next_lapse {
            return;
        }
        self.next_lapse = MonoTime::FOREVER;
        for place in 0..self.groups.len() {
            let Some(promise) = self.groups[place].promise.filter(|promise| !promise.over) else { continue };
            let known = self.lapse_of(&promise);
            if known > now {
                self.next_lapse = self.next_lapse.min(known);
                continue;
            }
            let group = &mut self.groups[place];
            let Some(promise) = group.promise.as_mut() else { continue };
            let end = promise.end(&self.nodes);
            (promise.ends, promise.over) = (Some(end), true);
            let node = &mut self.nodes[promise.node];
            node.lapsed = true;
            // The next epoch must be above this one, although it was perhaps never opened with.
            group.seen = group.seen.max(promise.epoch);
            group.lapsed = promise.held;
            self.touched.push(place);
            out.notices.push(Notice::Lapsed(group.key, node.id, promise.epoch));
        }
    }

    /// Ends the faults that came from a node's silence: it is heard again.
    pub(super) fn end_lapse(&mut self, node: usize) {
        if !std::mem::take(&mut self.nodes[node].lapsed) {
            return;
        }
        for place in 0..self.groups.len() {
            let group = &mut self.groups[place];
            if group.lapsed && group.promise.is_some_and(|promise| promise.node == node) {
                group.lapsed = false;
                self.touched.push(place);
            }
        }
        self.nodes[node].waiting = true;
    }

    /// Updates the rows of touched groups, each with a new version if it changes.
    pub(super) fn publish(&mut self, out: &mut Output) {
        for place in std::mem::take(&mut self.touched) {
            let reason = self.reason();
            let group = &mut self.groups[place];
            let failing = self.checks.iter().any(|check| check.tally.is_failing() && check.group() == group.key);
            let live = group.promise.filter(Promise::is_live);
            let row = Row {
                epoch: group.seen,
                reserve: group.bar,
                consent: live.map_or(Epoch::NONE, |promise| promise.epoch),
                reason,
                faulty: group.lapsed || failing,
                ..group.row
            };
            if row == group.row {
                continue;
            }
            if row.faulty != group.row.faulty {
                out.notices.push(Notice::Faulty(group.key, row.faulty));
            }
            self.table += 1;
            group.row = row;
            group.row_version = self.table;
        }
    }
}
