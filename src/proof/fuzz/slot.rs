//! A slot of the state directory: only what was written whole is ever read.
//!
//! - Bytes are accepted only if magic, format and SHA-256 fit; a slot whose checksum does not fit
//!   costs no memory. What is accepted is the same when it is written and read again, also a slot
//!   of format 1, which has no lease.
//! - The input under a right header and checksum is read or refused as damaged, and nothing else
//!   happens.
//! - A state drawn from the input comes back as it was; a slot with a flipped bit, or cut short, is
//!   refused.

use super::Taken;
use super::input::Input;
use crate::durable::GroupState;
use crate::store::State;
use crate::store::slot::{SlotError, decode, encode};
use crate::types::{Epoch, GroupKey, NodeId};
use sha2::{Digest, Sha256};
use std::time::Duration;
use vipair_host::testing::{Usage, measured};

/// Bytes before the payload of a slot: magic, format, sequence and the payload's length.
const HEADER: usize = 24;
/// Bytes of node, cluster, lease and number of groups; format 1 has no lease.
const PAYLOAD: usize = 15;
/// Place of the lease in a slot of format 2.
const LEASE: std::ops::Range<usize> = HEADER + 9..HEADER + 13;
/// Bytes of the checksum behind the payload.
const DIGEST: usize = 32;
/// Most groups of a drawn state; more only cost time.
const GROUPS: usize = 20;

/// Checks one input three times: as a slot, as the payload of a right slot, and as what a state is
/// drawn from. Accepted: one of the first two was read.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let raw = check(bytes);
    let sealed = check(&with_header_and_checksum(bytes));
    check_written(bytes);
    if raw == Taken::Accepted { raw } else { sealed }
}

/// Checks what is read from any bytes as a slot. Accepted: the bytes were decoded.
fn check(bytes: &[u8]) -> Taken {
    let (decoded, usage) = measured(|| decode(bytes));
    let whole = covered(bytes);
    match &decoded {
        Err(SlotError::Damaged(why)) => {
            assert!(!why.is_empty());
            if whole.is_none() {
                assert_eq!(usage, Usage::default(), "what is not whole costs no memory");
            }
        }
        Err(SlotError::Format(format)) => {
            assert!(!(1..=2).contains(format), "a format of ours is refused");
            assert!(whole.is_some(), "a format is believed without its checksum");
        }
        Ok((sequence, state)) => {
            let covered = whole.expect("a slot whose checksum does not fit is accepted");
            let first = covered[8..12] == 1_u32.to_be_bytes();
            let length = state.groups.len() * 33 + if first { PAYLOAD - LEASE.len() } else { PAYLOAD };
            assert!(length <= covered.len() - HEADER, "a group that is not there");
            assert!(!first || state.lease.is_none(), "a lease that is not there");
            let again = encode(*sequence, state).expect("it came from a slot");
            assert_eq!(decode(&again).as_ref(), Ok(&(*sequence, state.clone())), "written and read again");
            if length == covered.len() - HEADER && !first {
                check_canonical(covered, &again);
            }
        }
    }
    Taken::of(decoded.is_ok())
}

/// The bytes that the checksum of a slot covers, if it fits.
fn covered(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(bytes.get(20..HEADER)?.try_into().ok()?);
    let end = HEADER + usize::try_from(length).ok()?;
    let covered = bytes.get(..end).filter(|covered| covered.starts_with(b"vipairS\n"))?;
    (bytes.get(end..end + DIGEST)? == Sha256::digest(covered).as_slice()).then_some(covered)
}

/// Checks that encoding again gave the bytes back, but for the unused bits of a group's flags.
fn check_canonical(covered: &[u8], again: &[u8]) {
    let mut canonical = covered.to_vec();
    for group in canonical[HEADER + PAYLOAD..].chunks_mut(33) {
        group[32] &= 1;
    }
    assert_eq!(canonical, again[..covered.len()], "encoding gives back what was decoded");
}

/// A slot with a right header and checksum around the input, so that a search reaches what lies
/// behind the checksum. The input's first byte chooses the format: 3, which nobody knows, for 0xff;
/// 1 for 0xfe; otherwise 2, which is written today.
fn with_header_and_checksum(bytes: &[u8]) -> Vec<u8> {
    let (first, payload) = bytes.split_first().unwrap_or((&0, &[]));
    let format: u32 = match *first {
        0xff => 3,
        0xfe => 1,
        _ => 2,
    };
    let mut slot = b"vipairS\n".to_vec();
    slot.extend(format.to_be_bytes());
    slot.extend(u64::from(*first).to_be_bytes());
    slot.extend(u32::try_from(payload.len()).expect("inputs are short").to_be_bytes());
    slot.extend(payload);
    let digest = Sha256::digest(&slot);
    slot.extend(digest);
    slot
}

/// Checks that a state drawn from the input comes back from its slot, and that a damaged slot is
/// refused.
fn check_written(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (bit, cut, sequence) = (input.word(), input.short(), input.long());
    let (node, cluster, count) = (NodeId(input.byte()), input.long(), input.below(GROUPS + 1));
    let lease = Some(Duration::from_micros(input.word().into())).filter(|lease| !lease.is_zero());
    let groups = (0..count).map(|_| GroupState {
        key: GroupKey(input.long()),
        seen: Epoch(input.long()),
        reserve: Epoch(input.long()),
        held: Epoch(input.long()),
        paused: input.byte() & 1 != 0,
    });
    let state = State { node, cluster, lease, groups: groups.collect() };
    let slot = encode(sequence, &state).expect("a few groups");
    assert_eq!(decode(&slot), Ok((sequence, state)), "what was written is read");
    let end = HEADER + PAYLOAD + 33 * count + DIGEST;
    let position = usize::try_from(bit).expect("64 bits") % (end * 8);
    let mut flipped = slot.clone();
    flipped[position / 8] ^= 1 << (position % 8);
    assert!(matches!(decode(&flipped), Err(SlotError::Damaged(_))), "bit {position} is flipped");
    let cut = usize::from(cut) % end;
    assert!(matches!(decode(&slot[..cut]), Err(SlotError::Damaged(_))), "cut to {cut} bytes");
    let torn = [&slot[..cut], &vec![0; slot.len() - cut]].concat();
    assert!(torn == slot || decode(&torn).is_err(), "torn after {cut} bytes");
}

/// Slots and payloads that are right, and some with one thing wrong.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let group = |number: u64| GroupState {
        key: GroupKey(number),
        seen: Epoch(0x0301),
        reserve: Epoch(0x0401),
        held: Epoch(0x0201),
        paused: number % 2 == 1,
    };
    let slot = |groups: u64| {
        let lease = Some(Duration::from_millis(250));
        let state = State { node: NodeId(1), cluster: 77, lease, groups: (0..groups).map(group).collect() };
        let mut bytes = encode(9, &state).expect("a few groups");
        bytes.truncate(HEADER + PAYLOAD + 33 * usize::try_from(groups).expect("a few") + DIGEST);
        bytes
    };
    let payload = |groups: u64| {
        let slot = slot(groups);
        [&[3], &slot[HEADER..slot.len() - DIGEST]].concat()
    };
    let without_lease = |groups: u64| {
        let slot = slot(groups);
        [&[0xfe], &slot[HEADER..LEASE.start], &slot[LEASE.end..slot.len() - DIGEST]].concat()
    };
    vec![
        ("no-groups", slot(0)),
        ("three-groups", slot(3)),
        ("payload", payload(2)),
        ("payload-and-more", [payload(2), vec![7; 5]].concat()),
        ("payload-cut", payload(2)[..50].to_vec()),
        ("payload-of-the-first-format", without_lease(2)),
        ("first-format", with_header_and_checksum(&without_lease(3))),
        ("payload-of-another-format", [&[0xff], &payload(1)[1..]].concat()),
        ("more-groups-than-there-are", [&[3; 10], &[0xff; 40][..]].concat()),
        ("nothing", Vec::new()),
    ]
}
