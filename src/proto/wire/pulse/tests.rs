//! Tests of the pulse's layout: bytes written by hand from the tables, what is malformed, and the
//! round trip of any header and rows.

use super::*;
use crate::wire::auth::{KeyRing, VERSION};
use proptest::prelude::*;

/// The key ring of the tests.
fn ring() -> KeyRing {
    KeyRing::new("web", &[(1, [0x11; 32])])
}

/// A header whose fields all differ, from node 1 to node 2.
fn header() -> Header {
    Header {
        sender: NodeId(1),
        receiver: NodeId(2),
        session: 0x0102_0304_0506_0708,
        counter: 9,
        echo_session: 0x1112_1314_1516_1718,
        echo_counter: 7,
        flags: Flags { query: true, goodbye: false, deaf: true, alone: true, open: false },
        cluster: 0x6162_6364,
        pulse_us: 50_000,
        silence_us: 180_000,
        lease_us: 250_000,
        digests: Digests { nodes: 0xaabb_ccdd, groups: 0x1122_3344 },
        table_version: 6,
        base_version: 4,
        upto_version: 5,
        ack_version: 3,
    }
}

/// A row of a group, whose fields all differ.
fn row(group: u64) -> Row {
    Row {
        group: GroupKey(group),
        epoch: Epoch(0x0201),
        reserve: Epoch(0x0301),
        claim: Epoch(0x0401),
        consent: Epoch(0x0502),
        mac: MacAddr([2, 0, 0, 0, 0, 5]),
        role: Role::Handover,
        reason: Reason::NoCarrier,
        wants: true,
        faulty: true,
        health: 0x2a,
        addresses: 0xdead_beef,
        policy: 0x0bad_cafe,
    }
}

/// The sealed datagram of a header and rows.
fn encoded(header: &Header, rows: &[Row]) -> Vec<u8> {
    let mut datagram = Vec::new();
    encode(&ring(), header, rows.iter().copied(), &mut datagram);
    datagram
}

/// The header and rows of a sealed datagram, or why it is rejected.
fn decoded(datagram: &[u8]) -> Result<(Header, Vec<Row>), Reject> {
    let (header, rows) = decode(ring().open(datagram)?)?;
    Ok((header, rows.collect()))
}

/// The bytes that hexadecimal digits write; white space between them means nothing.
fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|offset| &digits[offset..offset + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// Written by hand from the table in the module's documentation.
#[test]
fn layout_is_the_documented_one() {
    let expected = hex("76a9 03 01  01 02 0d 00  61626364
        0102030405060708 0000000000000009 1112131415161718 0000000000000007
        0000c350 0002bf20 0003d090  aabbccdd 11223344
        0000000000000006 0000000000000004 0000000000000005 0000000000000003  01 00
        0000000000000063 0000000000000201 0000000000000301 0000000000000401 0000000000000502
        020000000005 03 02 03 2a deadbeef 0badcafe");
    let datagram = encoded(&header(), &[row(0x63)]);
    assert_eq!(datagram[..datagram.len() - TAG_SIZE], expected);
}

#[test]
fn fullest_pulse_fits_the_largest_datagram() {
    assert_eq!(ROWS_PER_PULSE, 18);
    let rows: Vec<Row> = (0..18).map(row).collect();
    let datagram = encoded(&header(), &rows);
    assert!(datagram.len() <= MAX_DATAGRAM);
    assert!(datagram.len() + ROW_SIZE > MAX_DATAGRAM);
    assert_eq!(decoded(&datagram), Ok((header(), rows)));
}

#[test]
#[should_panic(expected = "at most 18 rows")]
fn rows_are_never_left_out_silently() {
    encoded(&header(), &(0..19).map(row).collect::<Vec<_>>());
}

#[test]
fn a_reused_buffer_keeps_nothing() {
    let mut datagram = Vec::with_capacity(MAX_DATAGRAM);
    encode(&ring(), &header(), (0..18).map(row), &mut datagram);
    let place = datagram.as_ptr();
    encode(&ring(), &header(), (0..2).map(row), &mut datagram);
    assert_eq!(datagram, encoded(&header(), &[row(0), row(1)]));
    assert_eq!(datagram.as_ptr(), place, "no allocation");
}

#[test]
fn every_tampered_byte_of_a_pulse_is_rejected() {
    let datagram = encoded(&header(), &[row(1), row(2)]);
    for position in 0..datagram.len() {
        let mut tampered = datagram.clone();
        tampered[position] ^= 0x40;
        assert!(decoded(&tampered).is_err(), "byte {position}");
    }
}

#[test]
fn another_version_is_named_as_such() {
    let mut datagram = encoded(&header(), &[]);
    datagram[2] = VERSION + 1;
    assert_eq!(decoded(&datagram), Err(Reject::Version));
}

#[test]
fn every_truncated_or_extended_body_is_malformed() {
    let datagram = encoded(&header(), &[row(1), row(2)]);
    let body = ring().open(&datagram).expect("ours").to_vec();
    for length in 0..body.len() {
        assert_eq!(decode(&body[..length]).map(|_| ()), Err(Reject::Malformed), "length {length}");
    }
    let mut longer = body;
    longer.push(0);
    assert_eq!(decode(&longer).map(|_| ()), Err(Reject::Malformed));
}

/// What decoding makes of a right pulse after the byte at `offset` has become `value`. Offsets
/// count from the beginning of the body, four less than in the table of docs/protocol.md.
fn with_byte(offset: usize, value: u8) -> Result<(Header, Vec<Row>), Reject> {
    let datagram = encoded(&header(), &[row(1), row(2)]);
    let mut body = ring().open(&datagram).expect("ours").to_vec();
    body[offset] = value;
    decode(&body).map(|(header, rows)| (header, rows.collect()))
}

/// The numbers of all reasons.
const REASONS: [u8; 20] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

#[test]
fn values_outside_their_range_are_malformed() {
    for (offset, value) in [(0, 0), (1, 0), (0, 2), (92, 1), (92, 3), (92, 255)] {
        assert_eq!(with_byte(offset, value), Err(Reject::Malformed), "byte {offset} = {value}");
    }
    let last_row = HEADER_SIZE + ROW_SIZE;
    let unknown_reasons = (0..=255).filter(|number| !REASONS.contains(number)).collect();
    for (offset, unknown) in [(46, (7..=255).collect::<Vec<u8>>()), (47, unknown_reasons)] {
        for value in unknown {
            assert_eq!(with_byte(HEADER_SIZE + offset, value), Err(Reject::Malformed));
            assert_eq!(with_byte(last_row + offset, value), Err(Reject::Malformed));
        }
    }
}

#[test]
fn session_and_counter_zero_are_malformed() {
    for header in [Header { session: 0, ..header() }, Header { counter: 0, ..header() }] {
        assert_eq!(decoded(&encoded(&header, &[])), Err(Reject::Malformed));
    }
}

#[test]
fn reserved_bits_are_ignored_on_receipt() {
    let plain = (header(), vec![row(1), row(2)]);
    for (offset, value) in [(2, 0xe0 | 0x0d), (3, 0xff), (93, 0xff), (HEADER_SIZE + 48, 0xff)] {
        assert_eq!(with_byte(offset, value), Ok(plain.clone()), "byte {offset}");
    }
}

#[test]
fn every_flag_travels_alone() {
    for bits in 0..32u8 {
        let [query, goodbye, deaf, alone, open] = [1, 2, 4, 8, 16].map(|bit| bits & bit != 0);
        let flags = Flags { query, goodbye, deaf, alone, open };
        let sent = Header { flags, ..header() };
        assert_eq!(decoded(&encoded(&sent, &[])), Ok((sent, vec![])));
    }
}

#[test]
fn roles_and_reasons_keep_their_numbers() {
    for number in 0..=255u8 {
        assert_eq!(Role::from_wire(number).map(|role| role as u8), (number < 7).then_some(number));
        let known = REASONS.contains(&number).then_some(number);
        assert_eq!(Reason::from_wire(number).map(|reason| reason as u8), known);
    }
}

#[test]
fn only_a_pulse_for_me_from_another_is_mine() {
    let (cluster, me) = (0x6162_6364, NodeId(2));
    assert_eq!(header().check_addressee(cluster, me), Ok(()));
    assert_eq!(header().check_addressee(cluster, NodeId(1)), Err(Reject::OwnNumber));
    assert_eq!(header().check_addressee(cluster, NodeId(3)), Err(Reject::Addressee));
    assert_eq!(header().check_addressee(cluster + 1, me), Err(Reject::Cluster));
    assert_eq!(Header { sender: me, ..header() }.check_addressee(cluster, me), Err(Reject::OwnNumber));
}

#[test]
fn the_cluster_is_found_before_the_datagram_is_opened() {
    let datagram = encoded(&header(), &[row(1)]);
    assert_eq!(peek_cluster(&datagram), Some(0x6162_6364));
    for length in 0..datagram.len() {
        assert_eq!(peek_cluster(&datagram[..length]).is_some(), length >= 12, "length {length}");
    }
}

/// Any row that can be encoded.
fn any_row() -> impl Strategy<Value = Row> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let small = (any::<[u8; 6]>(), 0..7u8, 0..17u8, any::<([bool; 2], u8)>(), any::<u32>(), any::<u32>());
    (numbers, small).prop_map(|((group, epoch, reserve, claim, consent), small)| {
        let (mac, role, reason, ([wants, faulty], health), addresses, policy) = small;
        Row {
            group: GroupKey(group),
            epoch: Epoch(epoch),
            reserve: Epoch(reserve),
            claim: Epoch(claim),
            consent: Epoch(consent),
            mac: MacAddr(mac),
            role: Role::from_wire(role).expect("known"),
            reason: Reason::from_wire(reason).expect("known"),
            wants,
            faulty,
            health,
            addresses,
            policy,
        }
    })
}

/// Any header that can be encoded, except that its sender's number is below its receiver's.
fn any_header() -> impl Strategy<Value = Header> {
    let numbers = (1..u64::MAX, 1..u64::MAX, any::<u64>(), any::<u64>());
    let versions = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let rest = (1..128u8, 128..=255u8, any::<[u32; 6]>(), any::<[bool; 5]>());
    (numbers, versions, rest).prop_map(|(numbers, versions, (sender, receiver, words, flags))| Header {
        sender: NodeId(sender),
        receiver: NodeId(receiver),
        session: numbers.0,
        counter: numbers.1,
        echo_session: numbers.2,
        echo_counter: numbers.3,
        flags: Flags { query: flags[0], goodbye: flags[1], deaf: flags[2], alone: flags[3], open: flags[4] },
        cluster: words[5],
        pulse_us: words[0],
        silence_us: words[1],
        lease_us: words[2],
        digests: Digests { nodes: words[3], groups: words[4] },
        table_version: versions.0,
        base_version: versions.1,
        upto_version: versions.2,
        ack_version: versions.3,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_pulse_survives_the_round_trip(
        header in any_header(),
        rows in proptest::collection::vec(any_row(), 0..=ROWS_PER_PULSE),
    ) {
        let datagram = encoded(&header, &rows);
        prop_assert!(datagram.len() <= MAX_DATAGRAM);
        let (_, lazy) = decode(ring().open(&datagram).expect("ours")).expect("valid");
        prop_assert_eq!(lazy.len(), rows.len());
        prop_assert_eq!(decoded(&datagram), Ok((header, rows)));
    }

    #[test]
    fn random_bodies_are_read_or_refused_and_never_panic(body in proptest::collection::vec(any::<u8>(), 0..1200)) {
        if let Ok((_, rows)) = decode(&body) {
            prop_assert_eq!(rows.len(), rows.count());
        }
    }

    #[test]
    fn random_rows_behind_a_true_header_are_read_whole_or_refused(
        mut bytes in any::<[u8; ROW_SIZE]>(),
        role in 0..=Role::Witness as u8 + 1,
        reason in 0..=Reason::Enslaved as u8 + 2,
    ) {
        (bytes[46], bytes[47]) = (role, reason);
        let datagram = encoded(&header(), &[row(1)]);
        let mut body = ring().open(&datagram).expect("ours").to_vec();
        body[HEADER_SIZE..].copy_from_slice(&bytes);
        let known = role <= Role::Witness as u8 && REASONS.contains(&reason);
        prop_assert_eq!(decode(&body).is_ok(), known);
    }
}

/// A measurement, not a promise: `cargo test --release -- --ignored --nocapture
/// what_a_pulse_costs`.
#[test]
#[ignore = "measures; needs a release build to mean something"]
fn what_a_pulse_costs() {
    const ROUNDS: u32 = 20_000;
    let ring = ring();
    let mut datagram = Vec::new();
    for count in [1, 18] {
        let started = std::time::Instant::now();
        for _ in 0..ROUNDS {
            encode(&ring, &header(), (0..count).map(row), &mut datagram);
        }
        let sealed = started.elapsed() / ROUNDS;
        let started = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let (_, rows) = decode(ring.open(&datagram).expect("ours")).expect("valid");
            assert_eq!(rows.count(), usize::try_from(count).expect("small"));
        }
        let opened = started.elapsed() / ROUNDS;
        println!("{count} rows, {} bytes: sealed in {sealed:?}, opened in {opened:?}", datagram.len());
    }
}
