//! Input to the mirror's port: an introduction, and frames behind it.
//!
//! - An introduction is admitted exactly if a second account of docs/protocol.md, with HMAC written
//!   out after RFC 2104, says so; refusing it allocates nothing.
//! - Frames of an authentic session are opened exactly if that account says so, in order; what
//!   comes after one that is not is worth nothing.
//! - What is sealed opens as what it says, once; one flipped bit, and it does not.

use super::Taken;
use super::auth::hmac;
use super::input::Input;
use crate::types::{GroupKey, NodeId};
use crate::wire::mirror::{
    Connection, Frame, Greeting, INTRODUCTION_SIZE, Introduction, MirrorKeys, Session, TAG_SIZE, greeting,
};
use std::net::Ipv6Addr;
use vipair_host::testing::{Usage, measured};

const ME: NodeId = NodeId(2);
const CLUSTER: u32 = 0x0102_0304;

/// The mirror's keys of the node under test.
fn keys() -> MirrorKeys {
    MirrorKeys::new(("web", CLUSTER), &[(1, [0x11; 32])])
}

/// The greeting that the node under test has sent to a caller.
fn hello() -> Greeting {
    greeting([7; 32])
}

/// The key of the mirror as docs/protocol.md derives it.
fn mirror_key() -> [u8; 32] {
    hmac(&[0x11; 32], b"vipair mirror 1web")
}

/// The proof of having the key, as docs/protocol.md writes it: of whom, over the greeting and what
/// else was said.
fn proof(of: &[u8], said: &[u8]) -> [u8; 32] {
    hmac(&mirror_key(), &[of, &hello(), said].concat())
}

/// An introduction of node `from` to the node under test, right in every byte.
fn introduction(from: u8) -> Introduction {
    let mut bytes = [0; INTRODUCTION_SIZE];
    bytes[..4].copy_from_slice(&[0x76, 0xaa, 1, 1]);
    bytes[4..8].copy_from_slice(&CLUSTER.to_be_bytes());
    bytes[8..10].copy_from_slice(&[from, ME.0]);
    bytes[12..44].fill(9);
    let tag = proof(b"caller", &bytes[..44]);
    bytes[44..].copy_from_slice(&tag);
    bytes
}

/// The second account of docs/protocol.md: whether an introduction is to be admitted.
fn is_admitted(bytes: &Introduction) -> bool {
    let ours = bytes[..4] == [0x76, 0xaa, 1, 1] && bytes[4..8] == CLUSTER.to_be_bytes();
    let named = bytes[9] == ME.0 && bytes[8] != ME.0 && bytes[8] < 241;
    ours && named && bytes[44..] == proof(b"caller", &bytes[..44])
}

/// The second account of docs/protocol.md: kind and length in bytes of the frame that `bytes` begin
/// with, as frame `number` of this session. `Ok(None)`: more bytes are needed. `Err`: the frame is
/// to be refused.
fn account(session: &[u8; 32], number: u64, bytes: &[u8]) -> Result<Option<(u8, usize)>, ()> {
    if bytes.len() < 4 {
        return Ok(None);
    }
    let body = usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    if body > 8 + 400 * 36 {
        return Err(());
    }
    let whole = 4 + body + TAG_SIZE;
    if bytes.len() < whole {
        return Ok(None);
    }
    let (said, tag) = bytes[..whole].split_at(4 + body);
    if hmac(session, &[&[1], &number.to_be_bytes()[..], said].concat()) != tag {
        return Err(());
    }
    let fits = match said[2] {
        1 | 4 => body == 8,
        2 | 3 => body >= 8 && (body - 8) % 36 == 0,
        _ => false,
    };
    if fits && said[3] == 0 { Ok(Some((said[2], whole))) } else { Err(()) }
}

/// Checks one input: `bytes` are an introduction and frames behind it, or, if no introduction is
/// admitted, the frames alone; and again what frames are drawn from, sealed and damaged. Accepted:
/// an introduction was admitted, or a frame opened.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let admitted = bytes.first_chunk().is_some_and(check_introduction);
    let mut caller = introduction(1);
    let frames = if admitted {
        let (first, rest) = bytes.split_at(INTRODUCTION_SIZE);
        caller.copy_from_slice(first);
        check_frames(&caller, rest)
    } else {
        check_frames(&caller, bytes)
    };
    check_sealed(bytes);
    Taken::of(admitted || frames > 0)
}

/// Checks an introduction against the second account; true if it is admitted.
fn check_introduction(bytes: &Introduction) -> bool {
    let (keys, hello) = (keys(), hello());
    let (admitted, usage) = measured(|| keys.admit(&hello, bytes, ME).map(|(from, ..)| from));
    assert_eq!(admitted.ok(), is_admitted(bytes).then_some(NodeId(bytes[8])), "who has the key gets in, nobody else");
    assert_eq!(usage, Usage::default(), "a stranger costs no memory");
    is_admitted(bytes)
}

/// Checks the frames behind the introduction `caller` against the second account; the number of
/// frames that were opened.
fn check_frames(caller: &Introduction, mut bytes: &[u8]) -> usize {
    let (_, confirmation, mut session) = keys().admit(&hello(), caller, ME).expect("it was admitted before");
    assert_eq!(confirmation, proof(b"listener", caller));
    let key = proof(b"session", caller);
    let mut number = 0;
    loop {
        let expected = account(&key, number, bytes);
        let (opened, usage) = measured(|| session.open(bytes));
        match (opened, expected) {
            (Ok(None), Ok(None)) => {
                assert_eq!(usage, Usage::default(), "waiting costs nothing");
                break;
            }
            (Err(_), Err(())) => break,
            (Ok(Some((frame, length))), Ok(Some((kind, expected)))) => {
                assert_eq!((kind_of(&frame), length), (kind, expected));
                let bound = 2 * length as u64;
                assert!(usage.peak <= bound, "{} bytes for {length}", usage.peak);
                bytes = &bytes[length..];
                number += 1;
            }
            (opened, expected) => panic!("opened {opened:?}, should be {expected:?}"),
        }
    }
    usize::try_from(number).expect("a small number")
}

/// The kind of a frame as docs/protocol.md numbers it.
fn kind_of(frame: &Frame) -> u8 {
    match frame {
        Frame::Begin(_) => 1,
        Frame::Add(..) => 2,
        Frame::Remove(..) => 3,
        Frame::Complete(_) => 4,
        Frame::Held(..) => 5,
    }
}

/// Both ends of one session: the caller's, which seals, and the listener's, which opens.
fn pair() -> (Session, Session) {
    let (said, expected) = keys().introduce(&hello(), (NodeId(1), ME), [9; 32]).expect("the greeting is ours");
    let (_, confirmation, listener) = keys().admit(&hello(), &said, ME).expect("the introduction is ours");
    (expected.confirm(&confirmation).expect("the confirmation is ours"), listener)
}

/// A frame of any kind that a caller sends, drawn from an input.
fn drawn(input: &mut Input<'_>) -> Frame {
    let group = GroupKey(input.long());
    let mut connections = |count: usize| -> Vec<Connection> {
        let connection = |_| Connection {
            local: Ipv6Addr::from(input.array::<16>()),
            remote: Ipv6Addr::from(input.array::<16>()),
            local_port: input.short(),
            remote_port: input.short(),
        };
        (0..count).map(connection).collect()
    };
    match group.0 % 4 {
        0 => Frame::Begin(group),
        1 => Frame::Add(group, connections(3)),
        2 => Frame::Remove(group, connections(1)),
        _ => Frame::Complete(group.0),
    }
}

/// Checks frames that are drawn from `bytes` and sealed: each opens once, whole and undamaged.
fn check_sealed(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let bit = usize::from(input.short());
    let (mut caller, mut listener) = pair();
    for _ in 0..3 {
        let frame = drawn(&mut input);
        let mut sealed = Vec::new();
        caller.seal(&frame, &mut sealed);
        let mut flipped = sealed.clone();
        let position = bit % (sealed.len() * 8);
        flipped[position / 8] ^= 1 << (position % 8);
        assert!(!matches!(listener.open(&flipped), Ok(Some(_))), "bit {position} is flipped");
        assert_eq!(listener.open(&sealed[..sealed.len() - 1]), Ok(None), "a byte is missing");
        assert_eq!(listener.open(&sealed), Ok(Some((frame, sealed.len()))));
        assert!(listener.open(&sealed).is_err(), "it counts once");
    }
}

/// Introductions and frames that are right, and some with one thing wrong.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let frames = |which: &[u64]| {
        let mut sealed = Vec::new();
        let (mut caller, _) = pair();
        for kind in which {
            let bytes: Vec<u8> = [kind.to_be_bytes().as_slice(), &[0x20; 120]].concat();
            caller.seal(&drawn(&mut Input::new(&bytes)), &mut sealed);
        }
        sealed
    };
    let with = |offset: usize, value: u8| {
        let mut changed = introduction(1).to_vec();
        changed[offset] = value;
        changed
    };
    vec![
        ("introduction", introduction(1).to_vec()),
        ("introduction-and-frames", [introduction(1).to_vec(), frames(&[0, 1, 2, 3])].concat()),
        ("frames", frames(&[4, 5, 6, 7])),
        ("frames-cut", frames(&[1, 3])[..150].to_vec()),
        ("frame-twice", [frames(&[3]), frames(&[3])].concat()),
        ("of-a-witness", introduction(241).to_vec()),
        ("of-ourselves", introduction(2).to_vec()),
        ("other-version", with(2, 2)),
        ("other-key", with(3, 9)),
        ("other-cluster", with(4, 0xff)),
        ("other-tag", with(75, 0)),
        ("too-long", vec![0xff; 90]),
        ("nothing", Vec::new()),
    ]
}
