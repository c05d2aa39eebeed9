//! A pulse sent: always an answer, which goes to where the question came from.

use super::{Notice, Output, Voter};
use crate::types::MonoTime;
use crate::wire::fit::FEW;
use crate::wire::pulse::{self, Flags, Header, ROWS_PER_PULSE};
use crate::wire::session::Echo;
use std::time::Duration;

/// Rows in answer to one datagram, to a node that has many to learn: in four datagrams unless the
/// path is narrow. The rest follows its acknowledgements.
pub(super) const BURST: usize = 4 * ROWS_PER_PULSE;

/// Shortest time between two notices of datagrams for another witness.
const STRAYS: Duration = Duration::from_secs(60);

impl Voter {
    /// Answers a node that is believed with the rows that it has not acknowledged.
    pub(super) fn answer(&mut self, node: usize, out: &mut Output) {
        let mut base = self.nodes[node].acked;
        let room = self.nodes[node].fit.rows(self.last);
        let mut told = 0;
        loop {
            self.excerpt.choose(base, self.table, room, self.groups.iter().map(|group| group.row_version));
            if told == 0 && self.excerpt.count() > FEW {
                // Whatever the path carries, it carries a pulse without rows.
                let echo = self.next_echo(node);
                self.send(node, echo, (self.table, self.table), false, out);
            }
            let echo = self.next_echo(node);
            let upto = self.excerpt.upto();
            self.send(node, echo, (base, upto), true, out);
            self.nodes[node].fit.note_sent(self.counter, upto, self.excerpt.count());
            told += self.excerpt.count();
            if upto == self.table || upto == base || told >= BURST {
                break;
            }
            base = upto;
        }
    }

    /// The echo of the next datagram to a node, whose counter is the present one from now on.
    fn next_echo(&mut self, node: usize) -> Echo {
        self.counter += 1;
        self.nodes[node].sessions.echo(self.counter)
    }

    /// Answers a datagram of a session that has not proven itself, with that session as echo and no
    /// rows.
    pub(super) fn answer_unproven(&mut self, node: usize, learned: u64, out: &mut Output) {
        self.counter += 1;
        let echo = self.nodes[node].sessions.answer(learned, self.counter);
        self.send(node, echo, (self.table, self.table), false, out);
    }

    /// Answers a node's datagram for another witness: our own number tells the node who is here.
    /// Nothing is believed, and nothing granted. Each datagram of a session is answered once.
    pub(super) fn answer_stray(&mut self, stray: &Header, now: MonoTime, out: &mut Output) {
        let (session, counter) = self.stray;
        if stray.session == session && stray.counter <= counter {
            return;
        }
        self.stray = (stray.session, stray.counter);
        if self.stray_told.is_none_or(|told| now.since(told) >= STRAYS) {
            self.stray_told = Some(now);
            out.notices.push(Notice::Stray(stray.sender, stray.receiver));
        }
        self.counter += 1;
        let header = Header {
            sender: self.setup.me,
            receiver: stray.sender,
            session: self.setup.session,
            counter: self.counter,
            echo_session: stray.session,
            echo_counter: stray.counter,
            flags: Flags::default(),
            table_version: self.table,
            base_version: self.table,
            upto_version: self.table,
            ack_version: 0,
            ..*stray
        };
        self.write(&header, false, out);
    }

    /// Writes a pulse that tells the table from one version up to another, with the rows that were
    /// chosen last if `told`.
    fn send(&mut self, node: usize, echo: Echo, (base, upto): (u64, u64), told: bool, out: &mut Output) {
        let known = &self.nodes[node];
        let header = Header {
            sender: self.setup.me,
            receiver: known.id,
            cluster: self.setup.cluster,
            session: self.setup.session,
            counter: self.counter,
            echo_session: echo.session,
            echo_counter: echo.counter,
            flags: Flags::default(),
            // A witness has no times of its own: it returns the node's, so that nothing differs.
            pulse_us: known.times.pulse_us,
            silence_us: known.times.silence_us,
            lease_us: known.times.lease_us,
            digests: known.times.digests,
            table_version: self.table,
            base_version: base,
            upto_version: upto,
            ack_version: known.copy.have(),
        };
        self.write(&header, told, out);
    }

    /// Writes a pulse, with the rows that were chosen last if `told`.
    fn write(&mut self, header: &Header, told: bool, out: &mut Output) {
        let groups = &self.groups;
        let rows = self.excerpt.positions().filter(|_| told).map(|position| groups[position].row);
        pulse::encode(&self.setup.keys, header, rows, &mut self.datagram);
        let start = out.bytes.len();
        out.bytes.extend_from_slice(&self.datagram);
        out.answers.push(start..out.bytes.len());
    }
}
