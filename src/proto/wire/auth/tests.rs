//! Tests of sealing and opening datagrams: what a key ring opens, what it rejects and as what, and
//! the rotation of keys.

use super::*;
use proptest::prelude::*;

/// The key ring of the tests.
fn ring() -> KeyRing {
    KeyRing::new("web", &[(1, [0x11; 32])])
}

/// A datagram with this body, sealed by the ring's first key.
fn sealed(ring: &KeyRing, body: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    ring.begin(&mut buffer);
    buffer.extend_from_slice(body);
    ring.seal(&mut buffer);
    buffer
}

/// The bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn sealed_datagram_opens_to_its_body() {
    let datagram = sealed(&ring(), b"body");
    assert_eq!(ring().open(&datagram), Ok(&b"body"[..]));
    assert_eq!(ring().open(&sealed(&ring(), b"")), Ok(&b""[..]));
}

/// Computed independently: Python's hmac module, `hmac(hmac(key, b"vipair 1web"),
/// b"\x76\xa9\x03\x01body")`.
#[test]
fn tag_is_the_documented_one() {
    let datagram = sealed(&ring(), b"body");
    assert_eq!(&datagram[..4], &[0x76, 0xa9, 3, 1]);
    assert_eq!(hex(&datagram[8..]), "7d821afdcb27792ac8bc590cc75b3e959ce9138017b00466500316b8e7f12a9c");
}

#[test]
fn every_changed_bit_is_rejected() {
    let datagram = sealed(&ring(), b"body");
    for bit in 0..datagram.len() * 8 {
        let mut tampered = datagram.clone();
        tampered[bit / 8] ^= 1 << (bit % 8);
        let reject = ring().open(&tampered).expect_err("tampered");
        let expected = match bit / 8 {
            0 | 1 => Reject::Magic,
            2 => Reject::Version,
            3 => Reject::KeyId,
            _ => Reject::Tag,
        };
        assert_eq!(reject, expected, "bit {bit}");
    }
}

#[test]
fn every_truncation_is_rejected() {
    let datagram = sealed(&ring(), b"body");
    for length in 0..datagram.len() {
        let reject = ring().open(&datagram[..length]).expect_err("truncated");
        let expected = if length < PREFIX_SIZE + TAG_SIZE { Reject::TooShort } else { Reject::Tag };
        assert_eq!(reject, expected, "length {length}");
    }
}

#[test]
fn too_long_a_datagram_is_not_even_hashed() {
    let mut datagram = sealed(&ring(), &[0; MAX_DATAGRAM - PREFIX_SIZE - TAG_SIZE]);
    assert_eq!(datagram.len(), MAX_DATAGRAM);
    assert!(ring().open(&datagram).is_ok());
    datagram.push(0);
    assert_eq!(ring().open(&datagram), Err(Reject::TooLong));
}

#[test]
fn another_cluster_with_the_same_key_is_not_understood() {
    let other = KeyRing::new("web2", &[(1, [0x11; 32])]);
    assert_eq!(ring().open(&sealed(&other, b"body")), Err(Reject::Tag));
}

#[test]
fn another_key_with_the_same_id_is_not_understood() {
    let other = KeyRing::new("web", &[(1, [0x12; 32])]);
    assert_eq!(ring().open(&sealed(&other, b"body")), Err(Reject::Tag));
}

#[test]
fn rotation_loses_no_datagram_at_any_step() {
    let (old, new) = ((1, [0x11; 32]), (2, [0x22; 32]));
    let steps: Vec<KeyRing> =
        [&[old][..], &[old, new], &[new, old], &[new]].map(|keys| KeyRing::new("web", keys)).to_vec();
    for pair in steps.windows(2) {
        assert_eq!(pair[1].open(&sealed(&pair[0], b"body")), Ok(&b"body"[..]));
        assert_eq!(pair[0].open(&sealed(&pair[1], b"body")), Ok(&b"body"[..]));
    }
    assert_eq!(steps[3].open(&sealed(&steps[0], b"body")), Err(Reject::KeyId));
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?}", KeyRing::new("web", &[(7, [0x11; 32])]));
    assert_eq!(text, "KeyRing { key_ids: [7], .. }");
}

#[test]
#[should_panic(expected = "different ids")]
fn two_keys_with_one_id_are_a_bug() {
    let _ = KeyRing::new("web", &[(1, [1; 32]), (1, [2; 32])]);
}

#[test]
fn every_reject_has_its_own_counter_and_word() {
    let mut sum = Rejects::default();
    for (reject, number) in Reject::ALL.into_iter().zip(1..) {
        let mut one = Rejects::default();
        one.count(reject);
        assert_eq!((one.total(), one.of(reject)), (1, 1));
        assert_eq!(one.unopened(), u64::from(!reject.is_authentic()));
        sum.count(reject);
        assert_eq!(sum.total(), number);
    }
    assert!(Reject::ALL.into_iter().all(|reject| sum.of(reject) == 1));
    let mut words: Vec<&str> = Reject::ALL.into_iter().map(Reject::name).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Reject::COUNT);
}

#[test]
fn only_a_holder_of_the_key_is_told_to_run_another_release() {
    let mut other = vec![MAGIC[0], MAGIC[1], VERSION + 1, 1];
    other.extend_from_slice(b"laid out in another way");
    assert!(ring().seal_again(&mut other));
    assert_eq!(ring().open(&other), Err(Reject::Release));
    let last = other.len() - 1;
    other[last] ^= 1;
    assert_eq!(ring().open(&other), Err(Reject::Version));
}

#[test]
fn what_does_not_open_and_names_another_cluster_is_somebody_elses() {
    let mut datagram = sealed(&ring(), b"1234\x00\x00\x00\x07");
    assert_eq!(Reject::Tag.of_cluster(&datagram, 7), Reject::Tag);
    assert_eq!(Reject::Tag.of_cluster(&datagram, 8), Reject::Cluster);
    assert_eq!(Reject::KeyId.of_cluster(&datagram, 8), Reject::Cluster);
    assert_eq!(Reject::Malformed.of_cluster(&datagram, 8), Reject::Malformed, "it is authentic");
    datagram.truncate(9);
    assert_eq!(Reject::Tag.of_cluster(&datagram, 8), Reject::Tag);
}

proptest! {
    #[test]
    fn random_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..1300)) {
        prop_assert!(ring().open(&bytes).is_err());
    }

    #[test]
    fn random_bytes_after_a_true_prefix_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..1196)) {
        let mut datagram = vec![0x76, 0xa9, VERSION, 1];
        datagram.extend(bytes);
        let reject = ring().open(&datagram).expect_err("no tag");
        prop_assert!(matches!(reject, Reject::TooShort | Reject::Tag));
    }
}
