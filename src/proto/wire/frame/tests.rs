//! Tests of frames on a clients' segment: bytes known from the RFCs, what a receiver learns from
//! each frame of ours, and the segment link. Frames that break the rules are in `hostile`.

use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

mod hostile;
mod kernel_filter;

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0b]);
const VIP4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x0a);

/// The frame that a function of `build` writes.
fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xee; 200];
    build(&mut out);
    out
}

/// The bytes of hexadecimal digits; white space between them means nothing.
fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|offset| &digits[offset..offset + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// One's complement sum over pseudo-header and message, in a second account: 0xffff for a valid
/// packet.
fn icmpv6_sum(frame: &[u8]) -> u32 {
    let length = u32::from(u16::from_be_bytes([frame[18], frame[19]]));
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low))).sum()
    };
    let mut sum = words(&frame[22..54]) + length + 58 + words(&frame[54..]);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum
}

/// Every kind of frame that we send, with the sighting that a receiver gets from it.
fn all_frames() -> Vec<(Vec<u8>, Option<Sighting>)> {
    let claim = |address| Some(Sighting::Claim { address, mac: OWN, nameless: None });
    let presence = Some(Sighting::Presence { mac: OWN });
    let (vip4, vip6) = (Vip::V4(VIP4), Vip::V6(VIP6));
    vec![
        (built(|out| arp_probe(OWN, VIP4, MacAddr::BROADCAST, out)), presence),
        (built(|out| arp_probe(OWN, VIP4, PEER, out)), presence),
        (built(|out| ns_probe(OWN, VIP6, None, out)), presence),
        (built(|out| ns_probe(OWN, VIP6, Some(PEER), out)), presence),
        (built(|out| arp_request(OWN, VIP4, Ipv4Addr::new(10, 0, 0, 1), PEER, out)), claim(vip4)),
        (built(|out| ns_request(OWN, VIP6, OWN6, None, out)), claim(vip6)),
        (built(|out| ns_request(OWN, VIP6, OWN6, Some(PEER), out)), claim(vip6)),
        (built(|out| arp_announce_request(OWN, VIP4, out)), claim(vip4)),
        (built(|out| arp_announce_reply(OWN, VIP4, out)), claim(vip4)),
        (built(|out| na_announce(OWN, VIP6, false, out)), claim(vip6)),
        (built(|out| na_announce(OWN, VIP6, true, out)), claim(vip6)),
        (built(|out| segment_frame(OWN, PEER, b"pulse", out)), None),
    ]
}

#[test]
fn receivers_learn_what_the_frame_was_built_for() {
    for (number, (frame, expected)) in all_frames().into_iter().enumerate() {
        assert_eq!(sight(&frame), expected, "frame {number}");
        assert_eq!(frame_source(&frame), Some(OWN), "frame {number}");
    }
}

// Known answers: written by hand from RFC 826, RFC 5227, RFC 4861; checksums computed apart with
// Python.

#[test]
fn arp_probe_claims_nothing() {
    let expected = hex("ffffffffffff 02000000000a 0806  0001 0800 06 04 0001
        02000000000a 00000000  000000000000 0a000064");
    assert_eq!(built(|out| arp_probe(OWN, VIP4, MacAddr::BROADCAST, out)), expected);
    assert_eq!(built(|out| question(OWN, None, Vip::V4(VIP4), None, out)), expected);
    let to_peer = built(|out| question(OWN, None, Vip::V4(VIP4), Some(PEER), out));
    assert_eq!(to_peer[..6], PEER.0);
    assert_eq!(to_peer[6..], expected[6..]);
}

#[test]
fn arp_request_is_an_ordinary_one() {
    let expected = hex("02000000000b 02000000000a 0806  0001 0800 06 04 0001
        02000000000a 0a000064  000000000000 0a000001");
    assert_eq!(built(|out| arp_request(OWN, VIP4, Ipv4Addr::new(10, 0, 0, 1), PEER, out)), expected);
}

#[test]
fn a_question_names_its_asker_where_there_is_an_address_of_the_family() {
    let own = Ipv4Addr::new(10, 0, 0, 1);
    let named = built(|out| question(OWN, Some(Vip::V4(own)), Vip::V4(VIP4), None, out));
    assert_eq!(named, built(|out| arp_request(OWN, own, VIP4, MacAddr::BROADCAST, out)));
    let named = built(|out| question(OWN, Some(Vip::V6(OWN6)), Vip::V6(VIP6), Some(PEER), out));
    assert_eq!(named, built(|out| ns_request(OWN, OWN6, VIP6, Some(PEER), out)));
}

#[test]
fn a_reply_tells_whether_its_asker_named_an_address() {
    let reply_to = |target: Ipv4Addr| {
        let mut frame = built(|out| arp_request(PEER, VIP4, target, OWN, out));
        frame[21] = 2;
        frame[32..38].copy_from_slice(&OWN.0);
        sight(&frame)
    };
    let claim = |nameless| Some(Sighting::Claim { address: Vip::V4(VIP4), mac: PEER, nameless });
    assert_eq!(reply_to(Ipv4Addr::UNSPECIFIED), claim(Some(OWN)));
    assert_eq!(reply_to(Ipv4Addr::new(10, 0, 0, 1)), claim(None));
    assert_eq!(reply_to(VIP4), claim(None), "an announcement answers nobody");
}

#[test]
fn announcements_have_the_forms_that_stacks_differ_on() {
    // HP-10
    let request = hex("ffffffffffff 02000000000a 0806  0001 0800 06 04 0001
        02000000000a 0a000064  000000000000 0a000064");
    assert_eq!(built(|out| arp_announce_request(OWN, VIP4, out)), request);
    let reply = hex("ffffffffffff 02000000000a 0806  0001 0800 06 04 0002
        02000000000a 0a000064  02000000000a 0a000064");
    assert_eq!(built(|out| arp_announce_reply(OWN, VIP4, out)), reply);
}

#[test]
fn ns_probe_is_like_duplicate_address_detection() {
    let expected = hex("3333ff123456 02000000000a 86dd  60000000 0018 3a ff
        00000000000000000000000000000000 ff0200000000000000000001ff123456
        87 00 e41e 00000000 20010db8000000000000000000123456");
    assert_eq!(built(|out| ns_probe(OWN, VIP6, None, out)), expected);
    let to_peer = built(|out| question(OWN, Some(Vip::V4(VIP4)), Vip::V6(VIP6), Some(PEER), out));
    assert_eq!(to_peer[..6], PEER.0);
    assert_eq!(to_peer[6..], expected[6..], "the packet still goes to the solicited-node address");
}

#[test]
fn ns_request_tells_our_hardware_address() {
    let expected = hex("3333ff123456 02000000000a 86dd  60000000 0020 3a ff
        fe80000000000000000000000000000a ff0200000000000000000001ff123456
        87 00 e280 00000000 20010db8000000000000000000123456  01 01 02000000000a");
    assert_eq!(built(|out| ns_request(OWN, OWN6, VIP6, None, out)), expected);
}

#[test]
fn unsolicited_advertisement_obeys_rfc_4861() {
    // HP-10
    let host = hex("333300000001 02000000000a 86dd  60000000 0020 3a ff
        20010db8000000000000000000123456 ff020000000000000000000000000001
        88 00 9053 20000000 20010db8000000000000000000123456  02 01 02000000000a");
    assert_eq!(built(|out| na_announce(OWN, VIP6, false, out)), host);
    let router = built(|out| na_announce(OWN, VIP6, true, out));
    assert_eq!(router[58], 0xa0, "R and O, not S");
    assert_eq!(router[60..], host[60..]);
}

#[test]
fn checksums_are_right_for_every_target() {
    for last in 0..=u16::MAX {
        let target = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        let frame = built(|out| na_announce(OWN, target, last % 2 == 0, out));
        assert_eq!(icmpv6_sum(&frame), 0xffff, "{target}");
    }
    let probe = built(|out| ns_probe(OWN, VIP6, None, out));
    let request = built(|out| ns_request(OWN, OWN6, VIP6, None, out));
    assert_eq!((icmpv6_sum(&probe), icmpv6_sum(&request)), (0xffff, 0xffff));
}

#[test]
fn building_reuses_the_buffer() {
    let mut out = Vec::with_capacity(86);
    let place = out.as_ptr();
    for round in 0..3 {
        na_announce(OWN, VIP6, true, &mut out);
        ns_request(OWN, OWN6, VIP6, None, &mut out);
        arp_announce_reply(OWN, VIP4, &mut out);
        assert_eq!((out.len(), out.as_ptr()), (42, place), "round {round}");
    }
}

#[test]
fn segment_frame_carries_its_payload_through_padding() {
    for length in [0, 1, 2, 46, 128, 1200] {
        let payload: Vec<u8> = (0..=255u8).cycle().take(length).collect();
        let mut frame = built(|out| segment_frame(OWN, PEER, &payload, out));
        assert_eq!(frame[..14], hex("02000000000b 02000000000a 88b5"));
        assert_eq!(segment_payload(&frame), Some(&payload[..]));
        frame.resize(frame.len() + 46, 0);
        assert_eq!(segment_payload(&frame), Some(&payload[..]));
    }
}

#[test]
fn segment_frame_cut_short_is_refused() {
    let frame = built(|out| segment_frame(OWN, PEER, &[7; 100], out));
    for length in 0..frame.len() {
        assert_eq!(segment_payload(&frame[..length]), None, "length {length}");
    }
}

#[test]
fn other_frames_carry_no_pulse() {
    for (frame, sighting) in all_frames() {
        assert_eq!(segment_payload(&frame).is_some(), sighting.is_none());
    }
}
