//! A pulse sent: always an answer, which goes to where the question came from.

use super::{Output, Voter};
use crate::wire::pulse::{self, Flags, Header};
use crate::wire::session::Echo;

/// Most datagrams in answer to one, to a node that has many rows to learn; the rest follows its
/// acknowledgements.
pub(super) const BURST: usize = 4;

impl Voter {
    /// Answers a node that is believed with the rows that it has not acknowledged.
    pub(super) fn answer(&mut self, node: usize, out: &mut Output) {
        let mut base = self.nodes[node].acked;
        for _ in 0..BURST {
            self.counter += 1;
            let echo = self.nodes[node].sessions.echo(self.counter);
            base = self.send(node, echo, base, out);
            if base == self.table {
                break;
            }
        }
    }

    /// Answers a datagram of a session that has not proven itself, with that session as echo and no
    /// rows.
    pub(super) fn answer_unproven(&mut self, node: usize, learned: u64, out: &mut Output) {
        self.counter += 1;
        let echo = self.nodes[node].sessions.answer(learned, self.counter);
        self.send(node, echo, self.table, out);
    }

    /// Writes a pulse with the rows that changed after `base`; returns the version up to which it
    /// tells the table.
    fn send(&mut self, node: usize, echo: Echo, base: u64, out: &mut Output) -> u64 {
        let groups = &self.groups;
        self.excerpt.choose(base, self.table, groups.iter().map(|group| group.row_version));
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
            upto_version: self.excerpt.upto(),
            ack_version: known.copy.have(),
        };
        let rows = self.excerpt.positions().map(|position| groups[position].row);
        pulse::encode(&self.setup.keys, &header, rows, &mut self.datagram);
        let start = out.bytes.len();
        out.bytes.extend_from_slice(&self.datagram);
        out.answers.push(start..out.bytes.len());
        self.excerpt.upto()
    }
}
