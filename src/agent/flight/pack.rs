//! Records in little space: one second of profile `fast` with two links takes some 5 KB.
//!
//! Owns: the bytes of a segment's records. Never does: touch a file. A record is its kind (1 byte),
//! the time since the record before (LEB128, ns), and what its kind needs. A datagram is written as
//! its difference from the one before on its link: pairs of a number of equal bytes and a number of
//! other bytes, which follow. Pulses at rest differ in a few bytes of their counters. Reading
//! allocates no more than the bytes given, and stops at the first byte that is no record.

use super::happened::{Decision, Happened};
use super::queue::{FIRST, Kind, RECORD, Taken, link_of};
use crate::engine::Reconfiguration;
use crate::types::{LinkId, MonoTime};
use crate::wire::auth::MAX_DATAGRAM;

/// One record of a segment.
#[derive(Debug)]
pub(super) enum Record {
    Tick,
    /// A datagram that a key of ours has sealed, without its tag.
    Datagram {
        link: LinkId,
        bytes: Vec<u8>,
    },
    /// A datagram that did not open: its length and its first bytes.
    Unopened {
        link: LinkId,
        length: usize,
        first: Vec<u8>,
    },
    Happened(Happened),
    Decision(Decision),
    Reconfigured(Box<Reconfiguration>),
}

/// Newest datagram on each link.
#[derive(Debug, Default)]
struct Before(Vec<([u8; 3], Vec<u8>)>);

impl Before {
    /// Newest datagram on a link; empty before the first.
    fn on(&mut self, link: [u8; 3]) -> &mut Vec<u8> {
        let place = self.0.iter().position(|(known, _)| *known == link).unwrap_or_else(|| {
            self.0.push((link, Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

/// Writer of one segment's records.
#[derive(Debug, Default)]
pub(super) struct Packer {
    /// Records written so far.
    pub bytes: Vec<u8>,
    /// Time of the newest record.
    last: MonoTime,
    before: Before,
}

impl Packer {
    /// A writer for a segment that begins at `begin`.
    pub fn new(begin: MonoTime) -> Packer {
        Packer { last: begin, ..Packer::default() }
    }

    /// Appends a record of the queue; false if it has no place in a segment.
    pub fn push(&mut self, taken: &Taken<'_>) -> bool {
        let change = match &taken.parcel {
            Some(super::queue::Parcel::Reconfigured(change)) => Some(change),
            Some(super::queue::Parcel::Segment { .. }) | None => None,
        };
        match taken.kind {
            Kind::Parcel => return false,
            Kind::Reconfigured => {
                let Some(Ok(change)) = change.map(postcard::to_allocvec) else { return false };
                self.put_head(taken);
                self.put_counted(&change);
            }
            Kind::Tick => self.put_head(taken),
            Kind::Unopened | Kind::Happened | Kind::Decision => {
                self.put_head(taken);
                self.put_counted(taken.payload);
            }
            Kind::Datagram => {
                let Some((link, bytes)) = taken.payload.split_first_chunk::<3>() else { return false };
                self.put_head(taken);
                self.bytes.extend_from_slice(link);
                put_number(&mut self.bytes, bytes.len() as u64);
                let before = self.before.on(*link);
                put_difference(&mut self.bytes, before, bytes);
                before.clear();
                before.extend_from_slice(bytes);
            }
        }
        true
    }

    /// Appends a record's kind and time.
    fn put_head(&mut self, taken: &Taken<'_>) {
        self.bytes.push(taken.kind as u8);
        put_number(&mut self.bytes, taken.now.0.saturating_sub(self.last.0));
        self.last = self.last.max(taken.now);
    }

    /// Appends a payload and, before it, its length.
    fn put_counted(&mut self, payload: &[u8]) {
        put_number(&mut self.bytes, payload.len() as u64);
        self.bytes.extend_from_slice(payload);
    }
}

/// Appends a number in LEB128.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// Appends the difference of `bytes` from `before`, which counts as zeros beyond its end.
fn put_difference(out: &mut Vec<u8>, before: &[u8], bytes: &[u8]) {
    let same = |offset: usize| bytes[offset] == before.get(offset).copied().unwrap_or(0);
    let mut offset = 0;
    while offset < bytes.len() {
        let start = offset;
        while offset < bytes.len() && same(offset) {
            offset += 1;
        }
        put_number(out, (offset - start) as u64);
        let start = offset;
        // Two equal bytes are worth a new pair, one is not.
        while offset < bytes.len() && !(same(offset) && (offset + 1 >= bytes.len() || same(offset + 1))) {
            offset += 1;
        }
        put_number(out, (offset - start) as u64);
        out.extend_from_slice(&bytes[start..offset]);
    }
}

/// Reader of one segment's records, which finds the first byte that is no record.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    /// Number of bytes read.
    offset: usize,
    /// Time of the newest record.
    last: MonoTime,
    before: Before,
}

impl<'a> Unpacker<'a> {
    /// A reader for a segment that begins at `begin`.
    pub fn new(bytes: &'a [u8], begin: MonoTime) -> Unpacker<'a> {
        Unpacker { bytes, offset: 0, last: begin, before: Before::default() }
    }

    /// The next record and its time; `None` at the end.
    ///
    /// # Errors
    /// Offset of the bytes that are no record.
    pub fn next(&mut self) -> Result<Option<(MonoTime, Record)>, usize> {
        if self.offset == self.bytes.len() {
            return Ok(None);
        }
        let start = self.offset;
        let record = self.read_record().ok_or(start)?;
        Ok(Some((self.last, record)))
    }

    /// Number of bytes that have been read.
    #[cfg(test)]
    pub fn position(&self) -> usize {
        self.offset
    }

    /// Reads one record, and moves the time on to it; `None` if the bytes are no record.
    fn read_record(&mut self) -> Option<Record> {
        let [kind] = self.take::<1>()?;
        let kind = Kind::of(kind)?;
        self.last = MonoTime(self.last.0.checked_add(self.read_number()?)?);
        match kind {
            Kind::Tick => Some(Record::Tick),
            Kind::Datagram => self.read_datagram(),
            Kind::Unopened => {
                let payload = self.read_counted()?;
                let (link, rest) = payload.split_first_chunk::<3>()?;
                let (length, first) = rest.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_le_bytes(*length));
                let right = length <= MAX_DATAGRAM + 1 && first.len() == length.min(FIRST);
                right.then_some(Record::Unopened { link: link_of(*link)?, length, first: first.to_vec() })
            }
            Kind::Happened => decode(self.read_counted()?).map(Record::Happened),
            Kind::Decision => decode(self.read_counted()?).map(Record::Decision),
            Kind::Reconfigured => decode(self.read_counted()?).map(|change| Record::Reconfigured(Box::new(change))),
            Kind::Parcel => None,
        }
    }

    /// Reads a datagram: the one before on its link, and the difference.
    fn read_datagram(&mut self) -> Option<Record> {
        let link = self.take::<3>()?;
        let length = usize::try_from(self.read_number()?).ok().filter(|length| *length <= RECORD)?;
        let mut bytes = std::mem::take(self.before.on(link));
        bytes.resize(length, 0);
        let mut done = 0;
        while done < length {
            done = done.checked_add(usize::try_from(self.read_number()?).ok()?)?;
            let other = usize::try_from(self.read_number()?).ok()?;
            let place = bytes.get_mut(done..done.checked_add(other)?)?;
            place.copy_from_slice(self.bytes.get(self.offset..self.offset.checked_add(other)?)?);
            self.offset += other;
            done += other;
        }
        self.before.on(link).clone_from(&bytes);
        Some(Record::Datagram { link: link_of(link)?, bytes })
    }

    /// Reads `N` bytes; `None` if fewer are left.
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.offset..)?.first_chunk::<N>()?;
        self.offset += N;
        Some(taken)
    }

    /// Reads a number in LEB128.
    fn read_number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take::<1>()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Reads a length and a payload of that length.
    fn read_counted(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.read_number()?).ok()?;
        let payload = self.bytes.get(self.offset..self.offset.checked_add(length)?)?;
        self.offset += length;
        Some(payload)
    }
}

/// A value encoded in exactly these bytes.
fn decode<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}
