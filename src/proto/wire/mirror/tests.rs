//! Tests of the mirror: only an end with the cluster's key is admitted and believed, and no frame
//! counts twice.

use super::*;
use crate::types::GroupKey;
use proptest::prelude::*;

const ALPHA: NodeId = NodeId(1);
const BETA: NodeId = NodeId(2);

/// The mirror's keys of a cluster, from key numbers and the byte that fills each key.
fn keys(cluster: &str, list: &[(u8, u8)]) -> MirrorKeys {
    let keys: Vec<(u8, [u8; 32])> = list.iter().map(|(id, byte)| (*id, [*byte; 32])).collect();
    MirrorKeys::new((cluster, 7), &keys)
}

/// The mirror's keys of the tests' own cluster.
fn ours() -> MirrorKeys {
    keys("web", &[(1, 0x11)])
}

/// A connection, told apart from others by `n`.
fn connection(n: u16) -> Connection {
    Connection::new("10.0.0.100:80".parse().unwrap(), SocketAddr::new("10.0.0.7".parse().unwrap(), n))
}

/// Caller and listener after the handshake.
fn pair(caller: &MirrorKeys, listener: &MirrorKeys) -> Result<(Session, Session), Refusal> {
    let hello = greeting([1; 32]);
    let (said, expected) = caller.introduce(&hello, (ALPHA, BETA), [2; 32])?;
    let (from, confirmation, there) = listener.admit(&hello, &said, BETA)?;
    assert_eq!(from, ALPHA);
    Ok((expected.confirm(&confirmation)?, there))
}

/// The bytes of a frame, sealed by a session.
fn sealed(session: &mut Session, frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    session.seal(frame, &mut out);
    out
}

#[test]
fn every_frame_arrives_as_it_was_sent() {
    let (mut caller, mut listener) = pair(&ours(), &ours()).unwrap();
    let group = GroupKey(u64::MAX - 3);
    let many: Vec<Connection> = (0..400).map(connection).collect();
    for frame in [
        Frame::Begin(group),
        Frame::Add(group, many.clone()),
        Frame::Remove(group, vec![Connection::new("[2001:db8::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap())]),
        Frame::Add(group, Vec::new()),
        Frame::Complete(9),
    ] {
        let bytes = sealed(&mut caller, &frame);
        assert_eq!(listener.open(&bytes), Ok(Some((frame, bytes.len()))));
    }
    let bytes = sealed(&mut listener, &Frame::Held(9, 400));
    assert_eq!(caller.open(&bytes), Ok(Some((Frame::Held(9, 400), bytes.len()))));
}

// S6
#[test]
fn without_the_key_nobody_is_admitted_and_nobody_is_believed() {
    let refused = |caller: &MirrorKeys, listener: &MirrorKeys| pair(caller, listener).err();
    assert_eq!(refused(&keys("web", &[(1, 0x12)]), &ours()), Some(Refusal::Tag), "another key");
    assert_eq!(refused(&keys("www", &[(1, 0x11)]), &ours()), Some(Refusal::Tag), "another cluster");
    assert_eq!(refused(&keys("web", &[(3, 0x11)]), &ours()), Some(Refusal::KeyId), "another number");
    // A listener without the key confirms with any tag.
    let hello = greeting([1; 32]);
    let (_, expected) = ours().introduce(&hello, (ALPHA, BETA), [2; 32]).unwrap();
    assert_eq!(expected.confirm(&[0; 32]).err(), Some(Refusal::Tag));
}

#[test]
fn both_keys_admit_during_a_rotation() {
    let (old, both, new) = (ours(), keys("web", &[(2, 0x22), (1, 0x11)]), keys("web", &[(2, 0x22)]));
    assert!(pair(&old, &both).is_ok() && pair(&both, &new).is_ok() && pair(&old, &new).is_err());
}

// S6
#[test]
fn a_recorded_introduction_is_worthless_to_another_greeting() {
    let (first, second) = (greeting([1; 32]), greeting([3; 32]));
    let (said, _) = ours().introduce(&first, (ALPHA, BETA), [2; 32]).unwrap();
    assert!(ours().admit(&first, &said, BETA).is_ok());
    assert_eq!(ours().admit(&second, &said, BETA).err(), Some(Refusal::Tag));
    assert_eq!(ours().admit(&first, &said, ALPHA).err(), Some(Refusal::Addressee), "meant for another node");
}

// S6
#[test]
fn a_frame_counts_once_in_its_place_and_direction() {
    let (mut caller, mut listener) = pair(&ours(), &ours()).unwrap();
    let first = sealed(&mut caller, &Frame::Complete(1));
    let second = sealed(&mut caller, &Frame::Complete(2));
    assert_eq!(pair(&ours(), &ours()).unwrap().1.open(&second), Err(Refusal::Tag), "out of order");
    assert!(listener.open(&first).is_ok());
    assert_eq!(listener.open(&first), Err(Refusal::Tag), "again");
    let (mut other, _) = pair(&ours(), &ours()).unwrap();
    assert_eq!(other.open(&first), Err(Refusal::Tag), "back to who sent it");
    let held = sealed(&mut pair(&ours(), &ours()).unwrap().0, &Frame::Held(1, 1));
    assert_eq!(pair(&ours(), &ours()).unwrap().1.open(&held), Err(Refusal::Malformed), "only a listener says it");
}

#[test]
fn what_is_too_long_is_refused_before_it_has_arrived() {
    let (_, mut listener) = pair(&ours(), &ours()).unwrap();
    let length = u16::try_from(MAX_BODY + 1).unwrap().to_be_bytes();
    assert_eq!(listener.open(&[length[0], length[1], 2, 0]), Err(Refusal::Malformed));
    assert_eq!(listener.open(&[0, 8, 2]), Ok(None));
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", ours()), "MirrorKeys { key_ids: [1], .. }");
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (mut caller, mut listener) = pair(&ours(), &ours()).unwrap();
        for session in [&mut caller, &mut listener] {
            prop_assert!(!matches!(session.open(&bytes), Ok(Some(_))));
        }
        let mut introduction = [0; INTRODUCTION_SIZE];
        let length = bytes.len().min(INTRODUCTION_SIZE);
        introduction[..length].copy_from_slice(&bytes[..length]);
        prop_assert!(ours().admit(&greeting([1; 32]), &introduction, BETA).is_err());
    }

    #[test]
    fn one_bit_is_enough_to_be_refused(position in 0_usize..(4 + 8 + 36 + 32) * 8) {
        let (mut caller, mut listener) = pair(&ours(), &ours()).unwrap();
        let mut bytes = sealed(&mut caller, &Frame::Add(GroupKey(1), vec![connection(1)]));
        bytes[position / 8] ^= 1 << (position % 8);
        prop_assert!(!matches!(listener.open(&bytes), Ok(Some(_))));
    }
}
