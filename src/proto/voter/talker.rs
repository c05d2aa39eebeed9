//! A node's side of the wire with nothing behind it, for tests and fuzzing. Owns: session, rows,
//! and the count of grants as a node makes it. Never does: decide anything; it says what it is told
//! to say. An answer that cannot be opened is a panic, because the voter under test has sent it.

use crate::mutant::Mutants;
use crate::rules::vote::ask;
use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::wire::auth::KeyRing;
use crate::wire::pulse::{Digests, Flags, Header, ROWS_PER_PULSE, Reason, Role, Row, decode, encode};
use crate::wire::session::{Sessions, Verdict};
use crate::wire::table::{Admission, Excerpt, TableCopy};
use std::collections::VecDeque;
use std::sync::Arc;

/// Number of sent datagrams that are remembered. An answer that echoes an older one grants nothing.
const KEPT: usize = 64;

/// A cluster, as all of its members know it.
#[derive(Clone)]
pub struct Home {
    /// Number of the cluster.
    pub cluster: u32,
    /// Keys of the cluster.
    pub keys: Arc<KeyRing>,
}

/// A node as the wire sees it.
#[derive(Clone)]
pub struct Talker {
    home: Home,
    /// Number of the node.
    pub id: NodeId,
    /// Session of the process.
    pub session: u64,
    /// Counter of the last datagram sent.
    pub counter: u64,
    sessions: Sessions,
    /// The witness's table.
    copy: TableCopy,
    /// Its own rows, each with the version of its last change.
    pub rows: Vec<(u64, Row)>,
    table: u64,
    acked: u64,
    /// Lease that the next pulse states, in µs.
    pub lease_us: u32,
    /// Digest of the set of groups, here their number.
    pub groups: u32,
    /// Time of sending and stated lease in µs of each datagram, the newest first.
    pub sent: VecDeque<(MonoTime, u32)>,
    /// The witness's newest answer: the counter that it echoes, and the version of our table that
    /// it acknowledges.
    newest: Option<(u64, u64)>,
    /// Number of answers that were believed.
    pub heard: usize,
}

impl Talker {
    /// A node with one group that stands by.
    pub fn new(home: &Home, id: NodeId, session: u64, group: GroupKey, lease_us: u32) -> Talker {
        Talker {
            home: home.clone(),
            id,
            session,
            counter: 0,
            sessions: Sessions::new(session),
            copy: TableCopy::new(1),
            rows: vec![(1, standby(group))],
            table: 1,
            acked: 0,
            lease_us,
            groups: 1,
            sent: VecDeque::new(),
            newest: None,
            heard: 0,
        }
    }

    /// Begins another process of the same node. It listens, and knows its groups but no epoch.
    pub fn restart(&mut self, session: u64) {
        let group = self.rows[0].1.group;
        let mut next = Talker::new(&self.home, self.id, session, group, self.lease_us);
        next.rows = self.rows.clone();
        next.copy.grow(next.rows.len());
        next.rows.iter_mut().for_each(|(version, row)| {
            next.table += 1;
            *version = next.table;
            (row.role, row.reason) = (Role::Starting, Reason::NoGate);
            (row.reserve, row.claim, row.consent) = (Epoch::NONE, Epoch::NONE, Epoch::NONE);
        });
        *self = next;
    }

    /// Adds a group from now on.
    pub fn add(&mut self, group: GroupKey) {
        self.table += 1;
        self.groups += 1;
        self.rows.push((self.table, standby(group)));
        self.copy.grow(self.rows.len());
        self.copy.fetch(self.counter + 1);
    }

    /// Changes the row of a group, which gets a new version if it differs.
    pub fn change(&mut self, group: GroupKey, change: impl FnOnce(&mut Row)) {
        let (version, row) = self.rows.iter_mut().find(|(_, row)| row.group == group).expect("its group");
        let before = *row;
        change(row);
        if *row != before {
            self.table += 1;
            *version = self.table;
        }
    }

    /// The witness's row of a group.
    #[cfg(test)]
    pub fn witness(&self, group: GroupKey) -> Row {
        self.known(group).expect("the witness has told")
    }

    /// The witness's row of a group, if it has told one.
    #[cfg(test)]
    pub fn known(&self, group: GroupKey) -> Option<Row> {
        let position = self.rows.iter().position(|(_, row)| row.group == group)?;
        self.copy.row(position).copied()
    }

    /// A pulse with every row that is not acknowledged, sent at `now`.
    pub fn pulse(&mut self, now: MonoTime) -> Vec<u8> {
        self.speak(now, self.acked, None)
    }

    /// A pulse with what changed after `base`, to the session that is believed, or to one that is
    /// `learned`.
    fn speak(&mut self, now: MonoTime, base: u64, learned: Option<u64>) -> Vec<u8> {
        self.counter += 1;
        self.sent.push_front((now, self.lease_us));
        self.sent.truncate(KEPT);
        let counter = self.counter;
        let echo = match learned {
            Some(learned) => self.sessions.answer(learned, counter),
            None => self.sessions.echo(counter),
        };
        let mut excerpt = Excerpt::default();
        excerpt.choose(base, self.table, ROWS_PER_PULSE, self.rows.iter().map(|(version, _)| *version));
        let header = Header {
            sender: self.id,
            receiver: NodeId::FIRST_WITNESS,
            cluster: self.home.cluster,
            session: self.session,
            counter: self.counter,
            echo_session: echo.session,
            echo_counter: echo.counter,
            flags: Flags::default(),
            pulse_us: 50_000,
            silence_us: 180_000,
            lease_us: self.lease_us,
            digests: Digests { nodes: 1, groups: self.groups },
            table_version: self.table,
            base_version: base,
            upto_version: excerpt.upto(),
            ack_version: self.copy.have(),
        };
        let mut datagram = Vec::new();
        encode(&self.home.keys, &header, excerpt.positions().map(|position| self.rows[position].1), &mut datagram);
        datagram
    }

    /// Takes an answer in. Returns the datagram that it calls for: to a session that is not proven,
    /// or the first to a new one.
    pub fn hear(&mut self, now: MonoTime, datagram: &[u8]) -> Option<Vec<u8>> {
        let (header, rows) =
            decode(self.home.keys.open(datagram).expect("the witness has the key")).expect("a pulse");
        assert_eq!((header.sender, header.receiver), (NodeId::FIRST_WITNESS, self.id));
        let new_session = match self.sessions.check(&header) {
            Verdict::Fresh { new_session } => new_session,
            Verdict::Unproven { learned } => return Some(self.speak(now, self.table, Some(learned))),
            Verdict::Rejected(_) => return None,
        };
        self.heard += 1;
        if new_session {
            self.copy.begin_session();
            (self.acked, self.newest) = (0, None);
        }
        if self.sessions.newest() == Some(header.counter) {
            self.newest = Some((header.echo_counter, header.ack_version));
            self.acked = header.ack_version.min(self.table);
        }
        if self.copy.admit(&header, Mutants::NONE) == Admission::Told {
            for row in rows {
                if let Some(position) = self.rows.iter().position(|(_, own)| own.group == row.group) {
                    self.copy.take(position, row);
                }
            }
            self.copy.settle();
        }
        new_session.then(|| self.pulse(now))
    }

    /// Time of sending of a datagram, and the lease that it stated in µs.
    pub fn sent(&self, counter: u64) -> (MonoTime, u32) {
        let back = usize::try_from(self.counter - counter).expect("small");
        self.sent.get(back).copied().unwrap_or((MonoTime::ZERO, 0))
    }

    /// The counter of our datagram that the newest answer grants, as docs/protocol.md defines a
    /// grant; `None` if it grants nothing.
    pub fn grant(&self, group: GroupKey) -> Option<u64> {
        let position = self.rows.iter().position(|(_, row)| row.group == group)?;
        let (version, row) = &self.rows[position];
        let (echo, ack) = self.newest?;
        let asked = ask(self.id, row)?.epoch();
        let consented = self.copy.row(position).is_some_and(|row| row.consent == asked);
        (self.copy.is_complete() && consented && ack >= *version).then_some(echo)
    }
}

/// A row of a node that stands by.
pub fn standby(group: GroupKey) -> Row {
    Row::new(group, Role::Standby, Reason::None)
}
