//! A group as a voter knows it: to whom it is promised, which epochs it has met, whether its active has a fault.

use super::node::Node;
use super::{Notice, Output, Voter};
use crate::mutant::Mutant;
use crate::rules::vote::{Ask, ask};
use crate::types::{Epoch, GroupKey, MonoTime};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

/// A promise, running or over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Promise {
    /// Position of the node it was made to.
    pub node: usize,
    pub epoch: Epoch,
    /// It is renewed no more, and ends then. `None` while the node goes on asking: then it ends with
    /// [`Node::until`].
    pub ends: Option<MonoTime>,
    /// The node was active with it.
    pub held: bool,
    /// It has run out, which has been taken note of.
    pub over: bool,
}

impl Promise {
    pub fn end(&self, nodes: &[Node]) -> MonoTime {
        self.ends.unwrap_or(nodes[self.node].until)
    }

    fn is_live(&self) -> bool {
        self.ends.is_none()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub key: GroupKey,
    pub promise: Option<Promise>,
    /// The highest epoch known to be in use, or granted and over.
    pub seen: Epoch,
    /// An earlier life may have granted up to this: claims must be above it.
    pub bar: Epoch,
    /// It is on the disk that nothing above this was granted.
    pub ceiling: Epoch,
    /// A higher one on its way there, with the version that carries it.
    pub rising: Option<(Epoch, u64)>,
    /// The promise to an active ran out and was not given up.
    pub lapsed: bool,
    pub row: Row,
    pub row_version: u64,
}

impl Group {
    /// A group that was never heard of. Its row is told with `version`.
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
    /// Grants what a node asks for, if it may be granted. `node.until` already covers the pulse that was just received.
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
        if epoch > self.groups[place].ceiling && !self.is_mutant(Mutant::CeilingNotAwaited) {
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

    fn may_grant(&self, place: usize, node: usize, asked: Ask, now: MonoTime) -> bool {
        let group = &self.groups[place];
        if !self.is_voting() || self.is_blocked(node) {
            return false;
        }
        let other = group.promise.filter(|promise| promise.node != node && self.end_of(promise) > now);
        if other.is_some() && !self.is_mutant(Mutant::PromiseIgnored) {
            return false;
        }
        let again = group.promise.is_some_and(|promise| promise.node == node && promise.epoch == asked.epoch());
        let seen = group.seen.max(group.promise.map_or(Epoch::NONE, |promise| promise.epoch));
        match asked {
            // Who is active now proves that nobody was with a higher epoch, whatever we have forgotten.
            Ask::Holds(_) => true,
            // What a node claims it has never opened with: that somebody has met the same epoch tells of the claim alone.
            Ask::Claims(epoch) => again || (epoch >= seen && epoch > group.bar),
        }
    }

    /// When a promise is over.
    fn end_of(&self, promise: &Promise) -> MonoTime {
        let end = promise.end(&self.nodes);
        if !self.is_mutant(Mutant::PromiseEndsWithSilence) {
            return end;
        }
        let times = &self.nodes[promise.node].times;
        let silence = Duration::from_micros(u64::from(times.silence_us));
        end.back(self.promised_for(times.lease_us).saturating_sub(silence))
    }

    /// What a node asks for, as it said last.
    pub(super) fn asked(&self, place: usize, node: usize) -> Option<Ask> {
        let node = &self.nodes[node];
        node.copy.row(place).and_then(|row| ask(node.id, row))
    }

    /// A promise to a node is renewed no more.
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

    /// The same for everything that was promised to it.
    pub(super) fn freeze_all(&mut self, node: usize) {
        (0..self.groups.len()).for_each(|place| self.freeze(place, node));
    }

    /// A node has given a group up.
    pub(super) fn release(&mut self, place: usize, out: &mut Output) {
        let group = &mut self.groups[place];
        if let Some(promise) = group.promise.take() {
            group.seen = group.seen.max(promise.epoch);
            group.lapsed = false;
            self.touched.push(place);
            out.notices.push(Notice::Released(group.key, self.nodes[promise.node].id, promise.epoch));
        }
    }

    /// A voter that was stopped, or cut off from everybody, has heard nothing of anybody: that is nobody's fault.
    pub(super) fn note_gap(&mut self, now: MonoTime) {
        let pulse = self.nodes.iter().map(|node| node.times.pulse_us).max().unwrap_or_default();
        let patience = Duration::from_micros(u64::from(pulse)) * 3;
        if now.since(self.last) >= patience {
            self.resumed = now;
        }
    }

    /// When it is known that a promise has run out because its holder says nothing.
    fn lapse_of(&self, promise: &Promise) -> MonoTime {
        let span = self.promised_for(self.nodes[promise.node].times.lease_us);
        promise.end(&self.nodes).max(self.resumed + span)
    }

    /// Takes note of promises that have run out since the last event.
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
            // Perhaps it was never opened with. The next one must be above it all the same.
            group.seen = group.seen.max(promise.epoch);
            group.lapsed = promise.held;
            self.touched.push(place);
            out.notices.push(Notice::Lapsed(group.key, node.id, promise.epoch));
        }
    }

    /// A node is heard again: what it holds has no fault on that account.
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

    /// Brings the rows of touched groups up to date.
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
