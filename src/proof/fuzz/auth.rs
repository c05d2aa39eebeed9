//! Whole datagrams before anything is believed: the tag, and what a ring opens.
//!
//! - Any bytes open exactly if a second account of the rules, with HMAC written out after RFC 2104,
//!   says so.
//! - What is sealed opens, under its key alone: not under another key, not for another cluster.
//! - One flipped bit, a byte less or a byte more, and it does not open.
//! - Opening allocates nothing, whatever the outcome.

use super::Taken;
use super::input::Input;
use super::pulse::{datagram, draw, ring};
use crate::wire::auth::{KeyRing, MAGIC, MAX_DATAGRAM, PREFIX_SIZE, Reject, TAG_SIZE, VERSION};
use crate::wire::pulse::encode;
use sha2::{Digest, Sha256};
use vipair_host::testing::{Usage, measured};

/// Checks one input: `bytes` are a whole datagram, and again what a sealed pulse is drawn from and
/// damaged by. The ring must open what the second account opens and nothing else. Accepted: the
/// ring opened `bytes` as they are.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let ring = ring();
    let (opened, usage) = measured(|| ring.open(bytes));
    assert_eq!(usage, Usage::default(), "opening allocates nothing");
    match opened {
        Ok(body) => {
            assert_eq!(reason_to_drop(bytes), None, "nothing opens without the key");
            assert_eq!(body, &bytes[PREFIX_SIZE..bytes.len() - TAG_SIZE]);
        }
        Err(reject) => assert_eq!(reason_to_drop(bytes), Some(reject)),
    }
    check_sealed(&ring, bytes);
    Taken::of(opened.is_ok())
}

/// The second account of the rules: why docs/protocol.md has a datagram dropped, or `None` if the
/// datagram is to be opened.
fn reason_to_drop(bytes: &[u8]) -> Option<Reject> {
    if bytes.len() > 1200 {
        return Some(Reject::TooLong);
    }
    if bytes.len() < 36 {
        return Some(Reject::TooShort);
    }
    if bytes[..2] != *b"\x76\xa9" {
        return Some(Reject::Magic);
    }
    let this = bytes[2] == 3;
    let key = match bytes[3] {
        1 => [0x11; 32],
        2 => [0x22; 32],
        _ => return Some(if this { Reject::KeyId } else { Reject::Version }),
    };
    let bound = hmac(&key, b"vipair 1web");
    let (sealed, tag) = bytes.split_at(bytes.len() - 32);
    match (hmac(&bound, sealed) == tag, this) {
        (true, true) => None,
        (true, false) => Some(Reject::Release),
        (false, true) => Some(Reject::Tag),
        (false, false) => Some(Reject::Version),
    }
}

/// HMAC of RFC 2104 with SHA-256 and a key of 32 bytes.
pub(super) fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let padded =
        |pad: u8| -> Vec<u8> { (0..64).map(|position| key.get(position).copied().unwrap_or(0) ^ pad).collect() };
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).into()
}

/// Checks a pulse that is drawn from `bytes` and sealed: the ring opens the pulse whole. Nobody
/// opens it under another key or cluster, with one bit flipped, cut short, or one byte longer.
fn check_sealed(ring: &KeyRing, bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (bit, change) = (input.short(), input.byte());
    let (header, rows) = draw(&mut input);
    let mut whole = Vec::new();
    encode(ring, &header, rows.into_iter(), &mut whole);
    assert_eq!(reason_to_drop(&whole), None, "what we seal is what the protocol says");
    assert!(ring.open(&whole).is_ok(), "what was sealed opens");
    let later = KeyRing::new("web", &[(2, [0x22; 32]), (1, [0x11; 32])]);
    assert!(later.open(&whole).is_ok(), "a key opens wherever it stands in the ring");
    for (cluster, key) in [("web", 0x12), ("wes", 0x11), ("we", 0x11), ("", 0x11)] {
        let stranger = KeyRing::new(cluster, &[(1, [key; 32])]);
        assert_eq!(stranger.open(&whole), Err(Reject::Tag), "cluster {cluster:?}, key {key:#x}");
    }
    let position = usize::from(bit) % (whole.len() * 8);
    let mut flipped = whole.clone();
    flipped[position / 8] ^= 1 << (position % 8);
    let expected = match position / 8 {
        0 | 1 => Reject::Magic,
        2 => Reject::Version,
        // Key 2 is in the ring as well, and is not the one it was sealed with.
        3 if flipped[3] == 2 => Reject::Tag,
        3 => Reject::KeyId,
        _ => Reject::Tag,
    };
    assert_eq!(ring.open(&flipped), Err(expected), "bit {position} is flipped");
    let cut = usize::from(bit) % whole.len();
    assert!(ring.open(&whole[..cut]).is_err(), "cut to {cut} bytes");
    whole.push(change);
    let expected = if whole.len() > MAX_DATAGRAM { Reject::TooLong } else { Reject::Tag };
    assert_eq!(ring.open(&whole), Err(expected), "one byte more");
}

/// A datagram that no key has sealed, of the length that costs most to refuse.
pub(super) fn longest_forgery() -> Vec<u8> {
    let mut forgery = vec![0x55; MAX_DATAGRAM];
    forgery[..4].copy_from_slice(&[MAGIC[0], MAGIC[1], VERSION, 1]);
    forgery
}

/// Datagrams that are sealed, and datagrams with one thing wrong each.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let whole = datagram(1);
    let with = |offset: usize, value: u8| {
        let mut changed = whole.clone();
        changed[offset] = value;
        changed
    };
    let sealed = |mut datagram: Vec<u8>, key: u8| {
        datagram.truncate(whole.len() - TAG_SIZE);
        let tag = hmac(&hmac(&[key; 32], b"vipair 1web"), &datagram);
        datagram.extend(tag);
        datagram
    };
    let second = sealed(with(3, 2), 0x22);
    vec![
        ("sealed", whole.clone()),
        ("sealed-with-the-second-key", second),
        ("sealed-with-all-rows", datagram(18)),
        ("forged", longest_forgery()),
        ("other-magic", with(1, 0)),
        ("other-version", with(2, 1)),
        ("other-release", sealed(with(2, 1), 0x11)),
        ("other-key-number", with(3, 9)),
        ("claims-the-second-key", with(3, 2)),
        ("other-tag", with(whole.len() - 1, 0)),
        ("too-long", [whole.clone(), vec![0; MAX_DATAGRAM]].concat()),
        ("prefix-and-tag-alone", longest_forgery()[..36].to_vec()),
        ("too-short", whole[..35].to_vec()),
        ("nothing", Vec::new()),
    ]
}
