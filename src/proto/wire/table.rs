//! A table with versions, told in excerpts: what a sender puts into a datagram, and what a receiver
//! makes of it.
//!
//! Every state of a table has a version, and every row the version with which it last changed; no
//! two rows share one, so a datagram may end after any of them. An [`Excerpt`] is the rows that
//! changed after a base, oldest change first, as many as fit. A [`TableCopy`] is a receiver's
//! picture of somebody else's table; it knows up to which version it is whole. Owns nothing but
//! that. Never does: decide who is believed ([`super::session`]), or what rows mean.

use super::pulse::{Header, ROWS_PER_PULSE, Reason, Role, Row};
use crate::mutant::Mutants;
use crate::types::GroupKey;
use std::collections::HashMap;

#[cfg(any(test, feature = "proof"))]
mod canon;
#[cfg(test)]
mod tests;

/// The rows of a sender's own table that go into a datagram. Kept from one datagram to the next for
/// its room.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// Version and position of each changed row, oldest change first.
    changed: Vec<(u64, usize)>,
    upto: u64,
}

impl Excerpt {
    /// Chooses the rows that changed after `base` in a table of version `newest`, given each row's
    /// version by position; at most `room` of them. At rest, when there are none, nothing is
    /// searched.
    pub fn choose(&mut self, base: u64, newest: u64, room: usize, versions: impl Iterator<Item = u64>) {
        self.changed.clear();
        self.upto = newest;
        if base >= newest {
            return;
        }
        self.changed.extend(versions.zip(0..).filter(|(version, _)| *version > base));
        self.changed.sort_unstable();
        let room = room.min(ROWS_PER_PULSE);
        if self.changed.len() > room {
            self.changed.truncate(room);
            self.upto = self.changed.last().map_or(base, |(version, _)| *version);
        }
    }

    /// Number of the rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.changed.len()
    }

    /// The version up to which the datagram tells the table.
    #[must_use]
    pub fn upto(&self) -> u64 {
        self.upto
    }

    /// Positions of the rows.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.changed.iter().map(|(_, position)| *position)
    }
}

/// Most rows that a receiver keeps of groups that it does not know.
const STRANGE: usize = 1024;

/// The use of a datagram's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// None: they are old.
    Refused,
    /// Rows before them are missing, or their sender has not heard yet that it must tell its table
    /// anew. They are true for groups that the copy has, but they do not make the copy whole.
    Known,
    /// All: they connect to what is here.
    Told,
}

/// Somebody else's table, as far as it has been told. Rows stand where the receiver's own groups
/// stand.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct TableCopy {
    rows: Vec<Option<Row>>,
    /// By position: whether the row belongs to the table that is being told, or was told last;
    /// others are from before.
    told: Vec<bool>,
    /// Rows of groups that the receiver does not know, at most [`STRANGE`], and whether they are told
    /// as in `told`.
    strange: Vec<(Row, bool)>,
    /// Counter of ours that a datagram must echo, or a later one, to make the copy whole.
    fetch: u64,
    /// Version that is here completely; 0 for nothing.
    have: u64,
    /// The newest version that was named.
    newest: u64,
}

impl TableCopy {
    /// A copy that knows nothing of any of `groups` groups.
    #[must_use]
    pub fn new(groups: usize) -> TableCopy {
        TableCopy {
            rows: vec![None; groups],
            told: vec![false; groups],
            strange: Vec::new(),
            fetch: 0,
            have: 0,
            newest: 0,
        }
    }

    /// The last row about the group at a position.
    #[must_use]
    pub fn row(&self, position: usize) -> Option<&Row> {
        self.rows[position].as_ref()
    }

    /// All rows, by position.
    #[must_use]
    pub fn rows(&self) -> &[Option<Row>] {
        &self.rows
    }

    /// Whether the row at a position is of the table that is being told, or was told last.
    #[must_use]
    pub fn is_told(&self, position: usize) -> bool {
        self.told[position]
    }

    /// The version that is here completely, to be acknowledged; 0 for nothing.
    #[must_use]
    pub fn have(&self) -> u64 {
        self.have
    }

    /// The newest version that was named.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether every row of the newest table has arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.newest != 0 && self.have == self.newest
    }

    /// Makes room for this many groups; those that are there stay.
    pub fn grow(&mut self, groups: usize) {
        let groups = groups.max(self.rows.len());
        self.rows.resize(groups, None);
        self.told.resize(groups, false);
    }

    /// Notes the versions of a datagram, and tells the use of its rows.
    pub fn admit(&mut self, header: &Header, mutants: Mutants) -> Admission {
        let newest = header.table_version >= self.newest;
        self.newest = self.newest.max(header.table_version);
        let gap = super::rules::is_gap(mutants, header.base_version > self.have);
        if !newest || header.upto_version <= self.have {
            return Admission::Refused;
        }
        if gap || header.echo_counter < self.fetch {
            return Admission::Known;
        }
        self.have = header.upto_version;
        Admission::Told
    }

    /// Notes a row; true if it says something new.
    pub fn take(&mut self, position: usize, row: Row) -> bool {
        self.told[position] = true;
        self.rows[position].replace(row) != Some(row)
    }

    /// Notes a row that is [`Admission::Known`]; true if it says something new.
    pub fn take_known(&mut self, position: usize, row: Row) -> bool {
        self.rows[position].is_some() && self.rows[position].replace(row) != Some(row)
    }

    /// Notes a row of a group that the receiver does not know; true if it says something new.
    pub fn take_strange(&mut self, row: Row) -> bool {
        if let Some(known) = self.strange.iter_mut().find(|(known, _)| known.group == row.group) {
            return std::mem::replace(known, (row, true)).0 != row;
        }
        let room = self.strange.len() < STRANGE;
        if room {
            self.strange.push((row, true));
        }
        room
    }

    /// As [`TableCopy::take_strange`], of a row that is [`Admission::Known`].
    pub fn take_known_strange(&mut self, row: Row) -> bool {
        let mut known = self.strange.iter_mut().map(|(known, _)| known);
        known.find(|known| known.group == row.group).is_some_and(|known| std::mem::replace(known, row) != row)
    }

    /// Rows of groups that the receiver does not know.
    pub fn strange(&self) -> impl Iterator<Item = &Row> {
        self.strange.iter().map(|(row, _)| row)
    }

    /// Drops groups that a whole table no longer names. To be called after the rows of a datagram
    /// that is [`Admission::Told`].
    pub fn settle(&mut self) {
        if self.is_complete() {
            for (row, _) in self.rows.iter_mut().zip(&self.told).filter(|(_, told)| !**told) {
                *row = None;
            }
            self.strange.retain(|(_, told)| *told);
        }
    }

    /// Makes the owner tell its table again from the first row on. The last rows count until then.
    pub fn forget(&mut self) {
        self.have = 0;
        self.told.fill(false);
        self.strange.iter_mut().for_each(|(_, told)| *told = false);
    }

    /// Makes the owner tell its table again; only datagrams that echo `counter` of ours or a later
    /// one count.
    pub fn fetch(&mut self, counter: u64) {
        self.forget();
        self.fetch = counter;
    }

    /// Begins a new life of the owner: no row of the former one counts, but for its hardware
    /// addresses, which still tell whose answer a probe gets, and its epochs and digests.
    pub fn begin_session(&mut self) {
        self.forget();
        self.newest = 0;
        let strange = self.strange.iter_mut().map(|(row, _)| row);
        for row in self.rows.iter_mut().flatten().chain(strange) {
            let Row { group, epoch, mac, addresses, policy, .. } = *row;
            *row = Row { epoch, mac, addresses, policy, ..Row::new(group, Role::Starting, Reason::Listening) };
        }
    }

    /// Moves rows to other positions: `before` has, by new position, the one that the group had, if
    /// any. What is left behind is a group that the receiver does not know any more; `keys` are those
    /// that it knows now, by new position.
    pub fn renumber(&mut self, before: &[Option<usize>], keys: impl Iterator<Item = GroupKey>) {
        let mut left = std::mem::take(&mut self.rows);
        self.rows = before.iter().map(|position| position.and_then(|position| left[position].take())).collect();
        let told: Vec<bool> = before.iter().map(|position| position.is_some_and(|was| self.told[was])).collect();
        let was_told = std::mem::replace(&mut self.told, told);
        let left = left.into_iter().zip(was_told).filter_map(|(row, told)| Some((row?, told)));
        self.strange.extend(left);
        // What was strange may be known now.
        let places: HashMap<GroupKey, usize> = keys.zip(0..).collect();
        let (rows, told) = (&mut self.rows, &mut self.told);
        self.strange.retain(|(row, is_told)| {
            let known = places.get(&row.group);
            if let Some(place) = known.filter(|place| rows[**place].is_none()) {
                (rows[*place], told[*place]) = (Some(*row), *is_told);
            }
            known.is_none()
        });
        self.strange.truncate(STRANGE);
    }

    /// Whether the copy fits the number of groups.
    #[must_use]
    pub fn is_whole(&self, groups: usize) -> bool {
        self.rows.len() == groups && self.told.len() == groups
    }
}
