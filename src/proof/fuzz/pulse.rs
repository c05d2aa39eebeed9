//! The body of an authentic datagram: decoding it, and encoding again what was decoded.
//!
//! - It is accepted exactly if it obeys the table in docs/protocol.md, as read here from the
//!   offsets.
//! - Encoding what was decoded gives the body back, but for the reserved bits and bytes, which come
//!   out as zero.
//! - Decoding allocates nothing, whatever the outcome.

use super::Taken;
use super::input::Input;
use crate::types::{Epoch, GroupKey, MacAddr, NodeId};
use crate::wire::auth::{KeyRing, MAX_DATAGRAM, PREFIX_SIZE, Reject, TAG_SIZE};
use crate::wire::pulse::{Digests, Flags, Header, ROW_SIZE, ROWS_PER_PULSE, Reason, Role, Row, Rows, decode, encode};
use vipair_host::testing::{Usage, measured};

const HEADER: usize = 94;
/// Offsets in the body: those of the datagram without the four bytes before it.
const COUNT: usize = 96 - PREFIX_SIZE;
const FLAGS: usize = 6 - PREFIX_SIZE;
/// Bytes with bits that are "zero, ignored on receipt": offset, and the bits that mean something.
const PARTLY_READ: [(usize, u8); 3] = [(FLAGS, 0b1_1111), (FLAGS + 1, 0), (COUNT + 1, 0)];
/// The same bytes within a row.
const PARTLY_READ_OF_ROW: [(usize, u8); 1] = [(48, 0b11)];

/// The ring under test: two keys of the cluster `web`.
pub(super) fn ring() -> KeyRing {
    KeyRing::new("web", &[(1, [0x11; 32]), (2, [0x22; 32])])
}

/// Checks one input: `body` is a datagram without its prefix and tag. Accepted: the body was
/// decoded as a pulse.
pub(super) fn run(body: &[u8]) -> Taken {
    let (decoded, usage) = measured(|| decode(body).map(|(header, rows)| (header, rows.clone().count(), rows)));
    assert_eq!(usage, Usage::default(), "decoding allocates nothing");
    assert_eq!(decoded.is_ok(), obeys_the_layout(body), "exactly what obeys the layout is accepted");
    match &decoded {
        Ok((header, count, rows)) => {
            assert_eq!(*count, usize::from(body[COUNT]), "all rows are read");
            check_encoding(body, header, rows);
        }
        Err(reject) => assert_eq!(*reject, Reject::Malformed),
    }
    Taken::of(decoded.is_ok())
}

/// Whether a body obeys docs/protocol.md, read from the offsets.
fn obeys_the_layout(body: &[u8]) -> bool {
    let byte = |offset: usize| body.get(offset).copied().unwrap_or(0);
    let is_zero = |offset: usize| (offset..offset + 8).all(|offset| byte(offset) == 0);
    let rows = usize::from(byte(COUNT));
    let known = |row: usize| {
        let (role, reason) = (byte(HEADER + row * ROW_SIZE + 46), byte(HEADER + row * ROW_SIZE + 47));
        role <= 6 && reason <= 19
    };
    body.len() == HEADER + rows * ROW_SIZE
        && rows <= 18
        && byte(0) != 0
        && byte(1) != 0
        && byte(0) != byte(1)
        && !is_zero(8)
        && !is_zero(16)
        && (0..rows).all(known)
}

/// Checks that encoding a decoded pulse gives the body back.
fn check_encoding(body: &[u8], header: &Header, rows: &Rows<'_>) {
    let mut canonical = body.to_vec();
    for (offset, read) in PARTLY_READ {
        canonical[offset] &= read;
    }
    for row in canonical[HEADER..].chunks_mut(ROW_SIZE) {
        PARTLY_READ_OF_ROW.iter().for_each(|(offset, read)| row[*offset] &= read);
    }
    let (ring, mut datagram) = (ring(), Vec::with_capacity(MAX_DATAGRAM));
    let ((), usage) = measured(|| encode(&ring, header, rows.clone(), &mut datagram));
    assert_eq!(usage, Usage::default(), "encoding into a buffer that is large enough allocates nothing");
    assert_eq!(datagram.len(), PREFIX_SIZE + body.len() + TAG_SIZE);
    let again = ring.open(&datagram).expect("what was sealed opens");
    assert_eq!(again, canonical, "encoding gives back what was decoded");
    let (second, second_rows) = decode(again).expect("what was encoded is accepted");
    assert_eq!(second, *header);
    assert!(second_rows.eq(rows.clone()), "the same rows");
}

/// A pulse drawn from an input, every value within its range.
pub(super) fn draw(input: &mut Input<'_>) -> (Header, Vec<Row>) {
    let sender = input.byte().max(1);
    let receiver = Some(input.byte().max(1)).filter(|number| *number != sender).unwrap_or(sender % 255 + 1);
    let flags = input.byte();
    let [query, goodbye, deaf, alone, open] = [1, 2, 4, 8, 16].map(|bit| flags & bit != 0);
    let header = Header {
        sender: NodeId(sender),
        receiver: NodeId(receiver),
        flags: Flags { query, goodbye, deaf, alone, open },
        cluster: u32::from(flags) * 0x0101_0101,
        session: input.long().max(1),
        counter: input.long().max(1),
        echo_session: input.long(),
        echo_counter: input.long(),
        pulse_us: input.word(),
        silence_us: input.word(),
        lease_us: input.word(),
        digests: Digests { nodes: input.word(), groups: input.word() },
        table_version: input.long(),
        base_version: input.long(),
        upto_version: input.long(),
        ack_version: input.long(),
    };
    let count = input.below(ROWS_PER_PULSE + 1);
    (header, (0..count).map(|_| draw_row(input)).collect())
}

/// A row drawn from an input, every value within its range.
fn draw_row(input: &mut Input<'_>) -> Row {
    let numbers: [u64; 5] = std::array::from_fn(|_| input.long());
    let [group, epoch, reserve, claim, consent] = numbers;
    let mac = MacAddr(input.array());
    let (role, reason, [flags, health]) = (input.byte() % 7, input.byte(), input.array());
    Row {
        group: GroupKey(group),
        epoch: Epoch(epoch),
        reserve: Epoch(reserve),
        claim: Epoch(claim),
        consent: Epoch(consent),
        mac,
        role: Role::from_wire(role).expect("seven roles"),
        reason: Reason::from_wire(reason % 21).unwrap_or(Reason::Enslaved),
        wants: flags & 1 != 0,
        faulty: flags & 2 != 0,
        health,
        addresses: input.word(),
        policy: input.word(),
    }
}

/// A whole datagram from node 1 to node 2 with `rows` rows.
pub(super) fn datagram(rows: u8) -> Vec<u8> {
    let numbers: Vec<u8> = (1..=255).cycle().take(HEADER).collect();
    let (mut header, _) = draw(&mut Input::new(&numbers));
    (header.sender, header.receiver) = (NodeId(1), NodeId(2));
    let rows = (0..rows).map(|number| draw_row(&mut Input::new(&[number; ROW_SIZE])));
    let mut datagram = Vec::new();
    encode(&ring(), &header, rows, &mut datagram);
    datagram
}

/// Bodies of pulses that are right, and bodies with one thing wrong each.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let body = |rows| {
        let datagram = datagram(rows);
        datagram[PREFIX_SIZE..datagram.len() - TAG_SIZE].to_vec()
    };
    let with = |offset: usize, value: u8| {
        let mut body = body(1);
        body[offset] = value;
        body
    };
    vec![
        ("no-rows", body(0)),
        ("one-row", body(1)),
        ("all-rows", body(18)),
        ("reserved-bits", with(FLAGS, 0xff)),
        ("reserved-bits-of-a-row", with(HEADER + 48, 0xff)),
        ("one-row-too-few", with(COUNT, 2)),
        ("more-rows-than-fit", with(COUNT, 19)),
        ("to-itself", with(1, 1)),
        ("unknown-role", with(HEADER + 46, 7)),
        ("unknown-reason", with(HEADER + 47, 11)),
        ("cut-in-the-header", body(0)[..HEADER - 1].to_vec()),
        ("nothing", Vec::new()),
    ]
}
