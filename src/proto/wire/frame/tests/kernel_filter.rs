//! Tests of the filter that the kernel runs on frames, here run by an interpreter of the
//! instructions it uses.

use super::*;
use crate::wire::frame::passes;
use proptest::prelude::*;

#[test]
fn everything_we_understand_gets_through_whole() {
    for (number, (frame, _)) in all_frames().into_iter().enumerate() {
        assert!(passes(&frame) >= 65_536, "frame {number}");
    }
}

#[test]
fn other_traffic_does_not_wake_us() {
    let ipv4 = hex("02000000000a 02000000000b 0800 45000028 00000000 40060000 0a000001 0a000064");
    assert_eq!(passes(&ipv4), 0);
    let mut tcp6 = built(|out| na_announce(PEER, VIP6, false, out));
    tcp6[20] = 6;
    assert_eq!(passes(&tcp6), 0);
    let mut echo6 = built(|out| na_announce(PEER, VIP6, false, out));
    for kind in (0..=255).filter(|kind| ![135, 136].contains(kind)) {
        echo6[54] = kind;
        assert_eq!(passes(&echo6), 0, "ICMPv6 type {kind}");
    }
}

#[test]
fn tagged_frames_are_another_interfaces_business() {
    for (frame, _) in all_frames() {
        let mut tagged = frame[..12].to_vec();
        tagged.extend([0x81, 0, 0, 5]);
        tagged.extend(&frame[12..]);
        assert_eq!(passes(&tagged), 0);
        assert_eq!(sight(&tagged), None);
    }
}

#[test]
fn frames_too_short_to_tell_are_refused() {
    for (frame, _) in all_frames() {
        for length in 0..14 {
            assert_eq!(passes(&frame[..length]), 0);
        }
    }
}

proptest! {
    #[test]
    fn whatever_tells_something_gets_through(
        which in 0..12usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let (mut frame, _) = all_frames().swap_remove(which);
        for (index, value) in changes {
            let position = index.index(frame.len());
            frame[position] = value;
        }
        if sight(&frame).is_some() || segment_payload(&frame).is_some() {
            prop_assert!(passes(&frame) > 0);
        }
    }
}
