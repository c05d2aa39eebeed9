//! Records in little space: one second of profile `fast` with two links takes some 5 KB.
//!
//! A record is its kind (1 byte), the time since the record before (LEB128, ns), and what its kind needs. A datagram is
//! written as what differs from the one before on its link: pairs of a number of equal bytes and a number of others,
//! which follow. Pulses at rest differ in a few bytes of their counters. Everything here is bounded by the bytes given:
//! reading allocates no more than what is there, and stops at the first byte that makes no sense.

use super::happened::{Decision, Happened};
use super::queue::{Kind, RECORD, Taken, link_of};
use crate::engine::Reconfiguration;
use crate::types::{LinkId, MonoTime};
use crate::wire::auth::MAX_DATAGRAM;
use crate::wire::auth::PREFIX_SIZE;

/// One record of a segment.
#[derive(Debug)]
pub(super) enum Record {
    Tick,
    /// Without its tag.
    Datagram {
        link: LinkId,
        bytes: Vec<u8>,
    },
    Unopened {
        link: LinkId,
        length: usize,
        first: Vec<u8>,
    },
    Happened(Happened),
    Decision(Decision),
    Reconfigured(Box<Reconfiguration>),
}

/// The datagram before on each link.
#[derive(Debug, Default)]
struct Before(Vec<([u8; 3], Vec<u8>)>);

impl Before {
    fn on(&mut self, link: [u8; 3]) -> &mut Vec<u8> {
        let at = self.0.iter().position(|(known, _)| *known == link).unwrap_or_else(|| {
            self.0.push((link, Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

/// Writes the records of one segment.
#[derive(Debug, Default)]
pub(super) struct Packer {
    pub bytes: Vec<u8>,
    last: MonoTime,
    before: Before,
}

impl Packer {
    pub fn new(begin: MonoTime) -> Packer {
        Packer { last: begin, ..Packer::default() }
    }

    /// Appends a record of the queue; false if it is none that has a place in a segment.
    pub fn push(&mut self, taken: &Taken<'_>) -> bool {
        let change = match &taken.parcel {
            Some(super::queue::Parcel::Reconfigured(change)) => Some(change),
            Some(super::queue::Parcel::Segment { .. }) | None => None,
        };
        match taken.kind {
            Kind::Parcel => return false,
            Kind::Reconfigured => {
                let Some(Ok(change)) = change.map(postcard::to_allocvec) else { return false };
                self.begin(taken);
                self.counted(&change);
            }
            Kind::Tick => self.begin(taken),
            Kind::Unopened | Kind::Happened | Kind::Decision => {
                self.begin(taken);
                self.counted(taken.payload);
            }
            Kind::Datagram => {
                let Some((link, bytes)) = taken.payload.split_first_chunk::<3>() else { return false };
                self.begin(taken);
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

    fn begin(&mut self, taken: &Taken<'_>) {
        self.bytes.push(taken.kind as u8);
        put_number(&mut self.bytes, taken.now.0.saturating_sub(self.last.0));
        self.last = self.last.max(taken.now);
    }

    fn counted(&mut self, payload: &[u8]) {
        put_number(&mut self.bytes, payload.len() as u64);
        self.bytes.extend_from_slice(payload);
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// What `bytes` has otherwise than `before`; beyond its end `before` counts as zeros.
fn put_difference(out: &mut Vec<u8>, before: &[u8], bytes: &[u8]) {
    let same = |at: usize| bytes[at] == before.get(at).copied().unwrap_or(0);
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while at < bytes.len() && same(at) {
            at += 1;
        }
        put_number(out, (at - start) as u64);
        let start = at;
        // Two equal bytes are worth a new pair, one is not.
        while at < bytes.len() && !(same(at) && (at + 1 >= bytes.len() || same(at + 1))) {
            at += 1;
        }
        put_number(out, (at - start) as u64);
        out.extend_from_slice(&bytes[start..at]);
    }
}

/// Reads the records of one segment, and says where they make no sense.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    at: usize,
    last: MonoTime,
    before: Before,
}

impl<'a> Unpacker<'a> {
    pub fn new(bytes: &'a [u8], begin: MonoTime) -> Unpacker<'a> {
        Unpacker { bytes, at: 0, last: begin, before: Before::default() }
    }

    /// The next record and its time; `None` at the end.
    ///
    /// # Errors
    /// The position of what is no record.
    pub fn next(&mut self) -> Result<Option<(MonoTime, Record)>, usize> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let record = self.record().ok_or(start)?;
        Ok(Some((self.last, record)))
    }

    /// How many bytes have been read.
    #[cfg(test)]
    pub fn position(&self) -> usize {
        self.at
    }

    fn record(&mut self) -> Option<Record> {
        let [kind] = self.take::<1>()?;
        let kind = Kind::of(kind)?;
        self.last = MonoTime(self.last.0.checked_add(self.number()?)?);
        match kind {
            Kind::Tick => Some(Record::Tick),
            Kind::Datagram => self.datagram(),
            Kind::Unopened => {
                let payload = self.counted()?;
                let (link, rest) = payload.split_first_chunk::<3>()?;
                let (length, first) = rest.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_le_bytes(*length));
                let right = length <= MAX_DATAGRAM + 1 && first.len() == length.min(PREFIX_SIZE);
                right.then_some(Record::Unopened { link: link_of(*link)?, length, first: first.to_vec() })
            }
            Kind::Happened => decode(self.counted()?).map(Record::Happened),
            Kind::Decision => decode(self.counted()?).map(Record::Decision),
            Kind::Reconfigured => decode(self.counted()?).map(|change| Record::Reconfigured(Box::new(change))),
            Kind::Parcel => None,
        }
    }

    fn datagram(&mut self) -> Option<Record> {
        let link = self.take::<3>()?;
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= RECORD)?;
        let mut bytes = std::mem::take(self.before.on(link));
        bytes.resize(length, 0);
        let mut at = 0;
        while at < length {
            at = at.checked_add(usize::try_from(self.number()?).ok()?)?;
            let other = usize::try_from(self.number()?).ok()?;
            let place = bytes.get_mut(at..at.checked_add(other)?)?;
            place.copy_from_slice(self.bytes.get(self.at..self.at.checked_add(other)?)?);
            self.at += other;
            at += other;
        }
        self.before.on(link).clone_from(&bytes);
        Some(Record::Datagram { link: link_of(link)?, bytes })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
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

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let payload = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(payload)
    }
}

/// A value that uses up all of its bytes.
fn decode<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}
