//! Header and rows ↔ bytes, as the tables of [`super`] say. Decoding allocates nothing: rows are
//! checked once, then read from the datagram one by one.

use super::{Digests, Flags, HEADER_SIZE, Header, ROW_SIZE, ROWS_PER_PULSE, Reason, Role, Row};
use crate::types::{Epoch, GroupKey, MacAddr, NodeId};
use crate::wire::auth::{KeyRing, MAX_DATAGRAM, PREFIX_SIZE, Reject};

const FLAG_QUERY: u8 = 1;
const FLAG_GOODBYE: u8 = 2;
const FLAG_DEAF: u8 = 4;
const FLAG_ALONE: u8 = 8;
const FLAG_OPEN: u8 = 16;
const ROW_FLAG_WANTS: u8 = 1;
const ROW_FLAG_FAULTY: u8 = 2;

/// Offset of the number of rows in the datagram.
const COUNT_OFFSET: usize = 96;
/// Offset of the cluster's number in the datagram.
const CLUSTER_OFFSET: usize = PREFIX_SIZE + 4;

/// Writes a whole sealed datagram to `out`, replacing what was there. With a capacity of
/// [`MAX_DATAGRAM`] nothing is allocated.
///
/// # Panics
/// If there are more than [`ROWS_PER_PULSE`] rows: leaving some out would make `upto_version` a
/// lie.
pub fn encode(ring: &KeyRing, header: &Header, rows: impl Iterator<Item = Row>, out: &mut Vec<u8>) {
    out.reserve(MAX_DATAGRAM.saturating_sub(out.len()));
    ring.begin(out);
    put_header(header, out);
    let mut count: u8 = 0;
    for row in rows {
        assert!(usize::from(count) < ROWS_PER_PULSE, "invariant: a pulse has at most {ROWS_PER_PULSE} rows");
        put_row(&row, out);
        count += 1;
    }
    out[COUNT_OFFSET] = count;
    ring.seal(out);
}

/// Reads the body of a datagram that [`KeyRing::open`] has opened.
///
/// # Errors
/// [`Reject::Malformed`] if a length or value is outside the layout.
pub fn decode(body: &[u8]) -> Result<(Header, Rows<'_>), Reject> {
    let (head, bytes) = body.split_first_chunk::<HEADER_SIZE>().ok_or(Reject::Malformed)?;
    let (header, count) = get_header(head).ok_or(Reject::Malformed)?;
    if usize::from(count) > ROWS_PER_PULSE || bytes.len() != usize::from(count) * ROW_SIZE {
        return Err(Reject::Malformed);
    }
    let rows = Rows { bytes };
    if rows.clone().count() != usize::from(count) {
        return Err(Reject::Malformed);
    }
    Ok((header, rows))
}

/// The number of the cluster that a datagram names, if it is long enough. Nothing is authenticated
/// yet: the number serves to choose the key ring that may open the datagram, and for nothing else.
#[must_use]
pub fn peek_cluster(datagram: &[u8]) -> Option<u32> {
    let number = datagram.get(CLUSTER_OFFSET..)?.first_chunk()?;
    Some(u32::from_be_bytes(*number))
}

/// The rows of a decoded pulse, read from the datagram as they are asked for.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    bytes: &'a [u8],
}

impl Iterator for Rows<'_> {
    type Item = Row;

    /// Ends early at a row with an unknown role or reason; [`decode`] has made sure that there is
    /// none.
    fn next(&mut self) -> Option<Row> {
        let (first, rest) = self.bytes.split_first_chunk::<ROW_SIZE>()?;
        self.bytes = rest;
        get_row(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.bytes.len() / ROW_SIZE;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Rows<'_> {}

/// Appends a header; the number of rows, which is not known yet, is written as zero.
fn put_header(header: &Header, out: &mut Vec<u8>) {
    out.push(header.sender.0);
    out.push(header.receiver.0);
    out.push(flag_bits(header.flags));
    out.push(0);
    out.extend_from_slice(&header.cluster.to_be_bytes());
    for number in [header.session, header.counter, header.echo_session, header.echo_counter] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    let digests = [header.digests.nodes, header.digests.groups];
    for number in [header.pulse_us, header.silence_us, header.lease_us].into_iter().chain(digests) {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for number in [header.table_version, header.base_version, header.upto_version, header.ack_version] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&[0, 0]); // the number of rows, not known yet, and the reserved byte
}

/// Reads a header, and the number of rows that follow. `None` if sender, receiver, session or
/// counter is outside the layout.
fn get_header(bytes: &[u8; HEADER_SIZE]) -> Option<(Header, u8)> {
    let mut reader = Reader(bytes);
    let [sender, receiver, flags, _reserved] = reader.take()?;
    let header = Header {
        sender: NodeId(sender),
        receiver: NodeId(receiver),
        flags: flags_of(flags),
        cluster: reader.u32()?,
        session: reader.u64()?,
        counter: reader.u64()?,
        echo_session: reader.u64()?,
        echo_counter: reader.u64()?,
        pulse_us: reader.u32()?,
        silence_us: reader.u32()?,
        lease_us: reader.u32()?,
        digests: Digests { nodes: reader.u32()?, groups: reader.u32()? },
        table_version: reader.u64()?,
        base_version: reader.u64()?,
        upto_version: reader.u64()?,
        ack_version: reader.u64()?,
    };
    let [count, _reserved] = reader.take()?;
    let numbered = sender != 0 && receiver != 0 && sender != receiver;
    (numbered && header.session != 0 && header.counter != 0).then_some((header, count))
}

/// Appends a row.
fn put_row(row: &Row, out: &mut Vec<u8>) {
    for number in [row.group.0, row.epoch.0, row.reserve.0, row.claim.0, row.consent.0] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&row.mac.0);
    out.push(row.role as u8);
    out.push(row.reason as u8);
    out.push(bit(row.wants, ROW_FLAG_WANTS) | bit(row.faulty, ROW_FLAG_FAULTY));
    out.push(row.health);
    out.extend_from_slice(&row.addresses.to_be_bytes());
    out.extend_from_slice(&row.policy.to_be_bytes());
}

/// Reads a row; `None` if its role or reason has no meaning.
fn get_row(bytes: &[u8; ROW_SIZE]) -> Option<Row> {
    let mut reader = Reader(bytes);
    let group = GroupKey(reader.u64()?);
    let epoch = Epoch(reader.u64()?);
    let reserve = Epoch(reader.u64()?);
    let claim = Epoch(reader.u64()?);
    let consent = Epoch(reader.u64()?);
    let mac = MacAddr(reader.take()?);
    let [role, reason, flags, health] = reader.take()?;
    Some(Row {
        group,
        epoch,
        reserve,
        claim,
        consent,
        mac,
        role: Role::from_wire(role)?,
        reason: Reason::from_wire(reason)?,
        wants: flags & ROW_FLAG_WANTS != 0,
        faulty: flags & ROW_FLAG_FAULTY != 0,
        health,
        addresses: reader.u32()?,
        policy: reader.u32()?,
    })
}

/// The byte of the header's flags.
fn flag_bits(flags: Flags) -> u8 {
    bit(flags.query, FLAG_QUERY)
        | bit(flags.goodbye, FLAG_GOODBYE)
        | bit(flags.deaf, FLAG_DEAF)
        | bit(flags.alone, FLAG_ALONE)
        | bit(flags.open, FLAG_OPEN)
}

fn bit(set: bool, value: u8) -> u8 {
    if set { value } else { 0 }
}

/// The header's flags from their byte; the reserved bits are ignored.
fn flags_of(bits: u8) -> Flags {
    Flags {
        query: bits & FLAG_QUERY != 0,
        goodbye: bits & FLAG_GOODBYE != 0,
        deaf: bits & FLAG_DEAF != 0,
        alone: bits & FLAG_ALONE != 0,
        open: bits & FLAG_OPEN != 0,
    }
}

/// A reader that takes numbers from the front; `None` when the bytes run out.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
}
