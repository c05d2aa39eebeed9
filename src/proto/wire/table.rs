//! A table with versions, told in excerpts: what a sender puts into a datagram, and what a receiver makes of it.
//!
//! Every state of a table has a number, and every row the number with which it last changed, which is its alone where
//! the rows are too many for one datagram. An [`Excerpt`] is the rows that changed after a base, oldest change first, as
//! many as fit. A [`TableCopy`] is a receiver's picture of somebody
//! else's table; it knows up to which version it is whole. Owns nothing but that. Never does: decide who is believed
//! ([`super::session`]), or what rows mean.

use super::pulse::{Header, ROWS_PER_PULSE, Reason, Role, Row};
use crate::mutant::{Mutant, Mutants};

#[cfg(any(test, feature = "proof"))]
mod canon;
#[cfg(test)]
mod tests;

/// The rows of one's own table that go into a datagram. Kept from one datagram to the next for its room.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// Version and position of what changed, oldest change first.
    changed: Vec<(u64, usize)>,
    upto: u64,
}

impl Excerpt {
    /// Chooses the rows that changed after `base` in a table of version `newest`, given each row's version by position.
    /// At rest, when there are none, nothing is searched.
    pub fn choose(&mut self, base: u64, newest: u64, versions: impl Iterator<Item = u64>) {
        self.changed.clear();
        self.upto = newest;
        if base >= newest {
            return;
        }
        self.changed.extend(versions.zip(0..).filter(|(version, _)| *version > base));
        self.changed.sort_unstable();
        if self.changed.len() > ROWS_PER_PULSE {
            self.changed.truncate(ROWS_PER_PULSE);
            self.upto = self.changed[ROWS_PER_PULSE - 1].0;
        }
    }

    /// The version up to which the datagram tells the table.
    #[must_use]
    pub fn upto(&self) -> u64 {
        self.upto
    }

    /// The positions of its rows.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.changed.iter().map(|(_, position)| *position)
    }
}

/// What the rows of a datagram are good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Nothing: they are old.
    Refused,
    /// Something before them is missing, or their sender has not heard yet that its table is to be told anew. What they
    /// say of groups that it has told us of before is true all the same; they do not make the table whole.
    Known,
    /// They connect to what is here.
    Told,
}

/// Somebody else's table, as far as it has been told. Rows stand where the receiver's own groups stand.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct TableCopy {
    rows: Vec<Option<Row>>,
    /// Which rows belong to the table that is being told or was told last; others are from before.
    told: Vec<bool>,
    /// It counts only from datagrams that echo at least this counter of ours.
    fetch: u64,
    /// The version that is here completely.
    have: u64,
    /// The newest version that was named.
    newest: u64,
}

impl TableCopy {
    /// Nothing is known of any of `groups` groups.
    #[must_use]
    pub fn new(groups: usize) -> TableCopy {
        TableCopy { rows: vec![None; groups], told: vec![false; groups], fetch: 0, have: 0, newest: 0 }
    }

    /// What was last said about the group at a position.
    #[must_use]
    pub fn row(&self, position: usize) -> Option<&Row> {
        self.rows[position].as_ref()
    }

    /// All rows, by position.
    #[must_use]
    pub fn rows(&self) -> &[Option<Row>] {
        &self.rows
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

    /// True when every row of the newest table has arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.newest != 0 && self.have == self.newest
    }

    /// Room for this many groups, and for every one that was there before.
    pub fn grow(&mut self, groups: usize) {
        let groups = groups.max(self.rows.len());
        self.rows.resize(groups, None);
        self.told.resize(groups, false);
    }

    /// Takes note of the versions in a datagram, and says what its rows are good for.
    pub fn admit(&mut self, header: &Header, mutants: Mutants) -> Admission {
        let newest = header.table_version >= self.newest;
        self.newest = self.newest.max(header.table_version);
        let gap = header.base_version > self.have && !mutants.is_on(Mutant::RowGapsIgnored);
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

    /// After the rows of a datagram that told us something: groups that a whole table does not name do not exist there any more.
    pub fn settle(&mut self) {
        if self.is_complete() {
            for (row, _) in self.rows.iter_mut().zip(&self.told).filter(|(_, told)| !**told) {
                *row = None;
            }
        }
    }

    /// It is to be told again, from the first row on. What was said last counts until then.
    pub fn forget(&mut self) {
        self.have = 0;
        self.told.fill(false);
    }

    /// The same, and only what is said after `counter` of ours was received counts.
    pub fn fetch(&mut self, counter: u64) {
        self.forget();
        self.fetch = counter;
    }

    /// A new life of its owner: nothing it said before counts, except its hardware addresses, which still tell whose
    /// answer a probe gets.
    pub fn begin_session(&mut self) {
        self.forget();
        self.newest = 0;
        for row in self.rows.iter_mut().flatten() {
            let Row { group, epoch, mac, addresses, policy, .. } = *row;
            *row = Row { epoch, mac, addresses, policy, ..Row::new(group, Role::Starting, Reason::Listening) };
        }
    }

    /// Groups have other positions: for each of them the one it had before, if it was known.
    pub fn renumber(&mut self, before: &[Option<usize>]) {
        self.rows = before.iter().map(|position| position.and_then(|position| self.rows[position])).collect();
        self.told = before.iter().map(|position| position.is_some_and(|position| self.told[position])).collect();
    }

    /// It fits the number of groups.
    #[must_use]
    pub fn is_whole(&self, groups: usize) -> bool {
        self.rows.len() == groups && self.told.len() == groups
    }
}
