//! How many rows of a table get through to somebody in one datagram.
//!
//! Most paths carry the longest datagram. One that does not either says so (the kernel refuses to
//! send, EMSGSIZE) or loses it in silence, in a switch on the way. Whoever has rows to tell
//! therefore sends a *plain* pulse before them, one without rows, which every path carries: being
//! alive never waits for what is to be told. Owns: the number of rows, and the signs that they are
//! too many. Never does: send. When it is wrong, rows take longer; after [`AGAIN`] the longest
//! datagrams are tried again.

use super::auth::{PREFIX_SIZE, TAG_SIZE};
use super::pulse::{HEADER_SIZE, ROW_SIZE, ROWS_PER_PULSE};
use crate::types::MonoTime;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Bytes of a datagram without rows.
pub const PLAIN: usize = PREFIX_SIZE + HEADER_SIZE + TAG_SIZE;
/// Most rows that go without a plain pulse before them: 246 bytes, which the smallest link in use
/// carries (RFC 1055: 296).
pub const FEW: usize = 2;
/// Fewer rows are tried after so many losses in a row, so that a lost datagram is not yet a narrow
/// path.
const LOSSES: u8 = 2;
/// For so long fewer rows are sent. A link seldom becomes wider.
const AGAIN: Duration = Duration::from_secs(60);

/// The room in a datagram to somebody, or on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Fit {
    /// Most rows in one datagram.
    rows: u8,
    /// When that became fewer than the most; `None` if it is the most.
    narrow: Option<MonoTime>,
    /// Counter and `upto_version` of a datagram with many rows that has not been heard of since.
    sent: Option<(u64, u64)>,
    /// Datagrams with many rows that were lost in a row.
    lost: u8,
}

impl Default for Fit {
    fn default() -> Fit {
        Fit { rows: MOST, narrow: None, sent: None, lost: 0 }
    }
}

/// Rows of the longest datagram.
#[allow(clippy::cast_possible_truncation, reason = "18")]
const MOST: u8 = ROWS_PER_PULSE as u8;

impl Fit {
    /// Most rows in one datagram at `now`.
    #[must_use]
    pub fn rows(&self, now: MonoTime) -> usize {
        match self.narrow {
            Some(since) if now.since(since) < AGAIN => usize::from(self.rows),
            Some(_) | None => ROWS_PER_PULSE,
        }
    }

    /// Length of the longest datagram at `now`, in bytes; `None` if it is the longest of all.
    #[must_use]
    pub fn bytes(&self, now: MonoTime) -> Option<usize> {
        let rows = self.rows(now);
        (rows < ROWS_PER_PULSE).then_some(PLAIN + rows * ROW_SIZE)
    }

    /// Notes that a datagram of so many bytes was too long; false if none is shorter.
    pub fn note_too_long(&mut self, bytes: usize, now: MonoTime) -> bool {
        let had = bytes.saturating_sub(PLAIN) / ROW_SIZE;
        if had == 0 {
            return false;
        }
        // A refusal of what is not sent any more says nothing new.
        self.narrow_to(had / 2, now);
        true
    }

    /// Notes that a datagram with so many rows leaves, with this counter, and tells the table up to
    /// this version.
    pub fn note_sent(&mut self, counter: u64, upto: u64, rows: usize) {
        if rows > FEW {
            self.sent.get_or_insert((counter, upto));
        }
    }

    /// Notes the newest word of the receiver: which of our counters it has heard, and up to which
    /// version it has our table. If it has heard what we sent later, and not the rows, they are
    /// lost.
    pub fn note_word(&mut self, echo_counter: u64, ack_version: u64, now: MonoTime) {
        let Some((counter, upto)) = self.sent else { return };
        if ack_version >= upto {
            (self.sent, self.lost) = (None, 0);
        } else if echo_counter > counter {
            (self.sent, self.lost) = (None, self.lost + 1);
            if self.lost >= LOSSES {
                self.narrow_to((self.rows(now) / 2).max(FEW), now);
                self.lost = 0;
            }
        }
    }

    /// Forgets all that was learned: another socket, another life.
    pub fn forget(&mut self) {
        *self = Fit::default();
    }

    fn narrow_to(&mut self, rows: usize, now: MonoTime) {
        let rows = rows.min(self.rows(now));
        self.rows = u8::try_from(rows).unwrap_or(MOST);
        self.narrow = Some(now);
    }
}
