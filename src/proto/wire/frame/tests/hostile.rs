//! Tests of frames that nobody should have sent, built by hand or at random: what a receiver makes
//! of them, if anything.

use super::*;
use proptest::prelude::*;

/// Puts the right ICMPv6 checksum into a changed neighbour message.
fn sum_again(frame: &mut [u8]) {
    frame[56] = 0;
    frame[57] = 0;
    let sum = 0xffff - icmpv6_sum(frame);
    frame[56..58].copy_from_slice(&u16::try_from(sum).expect("16 bits").to_be_bytes());
}

/// An advertisement from the peer with other bytes at `offset`, its checksum right.
fn advert_with(offset: usize, bytes: &[u8]) -> Option<Sighting> {
    let mut frame = built(|out| na_announce(PEER, VIP6, false, out));
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    sum_again(&mut frame);
    sight(&frame)
}

/// A solicitation from a host with other bytes at `offset`, its checksum right.
fn solicit_with(offset: usize, bytes: &[u8]) -> Option<Sighting> {
    let mut frame = built(|out| ns_request(PEER, OWN6, VIP6, None, out));
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    sum_again(&mut frame);
    sight(&frame)
}

/// The sighting of a claim of `address` by `mac`.
fn claimed(address: Ipv6Addr, mac: MacAddr) -> Option<Sighting> {
    Some(Sighting::Claim { address: Vip::V6(address), mac, nameless: None })
}

#[test]
fn every_truncation_tells_nothing() {
    for (frame, _) in all_frames() {
        for length in 0..frame.len() {
            assert_eq!(sight(&frame[..length]), None, "length {length}");
        }
    }
}

#[test]
fn ethernet_padding_is_ignored() {
    for (mut frame, sighting) in all_frames() {
        frame.extend([0xcc; 30]);
        assert_eq!(sight(&frame), sighting);
    }
}

#[test]
fn arp_that_is_not_ethernet_and_ipv4_tells_nothing() {
    let good = built(|out| arp_announce_request(PEER, VIP4, out));
    for (offset, value) in [(12, 0x81), (15, 6), (16, 9), (18, 8), (19, 6), (20, 1), (21, 0), (21, 3), (21, 8)] {
        let mut frame = good.clone();
        frame[offset] = value;
        assert_eq!(sight(&frame), None, "byte {offset} = {value}");
    }
}

#[test]
fn arp_claim_names_the_sender_inside_not_the_frames_source() {
    let mut frame = built(|out| arp_announce_reply(PEER, VIP4, out));
    frame[6..12].copy_from_slice(&OWN.0);
    assert_eq!(sight(&frame), Some(Sighting::Claim { address: Vip::V4(VIP4), mac: PEER, nameless: None }));
}

#[test]
fn a_claim_for_an_impossible_hardware_address_tells_nothing() {
    for mac in [MacAddr::ZERO, MacAddr::BROADCAST, MacAddr([0x33, 0x33, 0, 0, 0, 1])] {
        assert_eq!(sight(&built(|out| arp_announce_request(mac, VIP4, out))), None);
        assert_eq!(sight(&built(|out| arp_probe(mac, VIP4, PEER, out))), None);
        assert_eq!(sight(&built(|out| na_announce(mac, VIP6, false, out))), None);
        assert_eq!(sight(&built(|out| ns_probe(mac, VIP6, None, out))), None);
    }
}

#[test]
fn a_solicited_answer_is_a_claim() {
    assert_eq!(advert_with(58, &[0x60]), claimed(VIP6, PEER));
}

#[test]
fn neighbour_messages_that_may_have_passed_a_router_tell_nothing() {
    assert_eq!(advert_with(21, &[254]), None);
    assert_eq!(solicit_with(21, &[254]), None);
}

#[test]
fn neighbour_messages_that_break_their_rfc_tell_nothing() {
    let version = (14, vec![0x40]);
    let extension_header = (20, vec![0]);
    let longer_than_the_frame = (19, vec![0x21]);
    let shorter_than_the_message = (19, vec![0x17]);
    let code = (55, vec![1]);
    let other_type = (54, vec![137]);
    let multicast_target = (62, vec![0xff]);
    let option_of_length_zero = (79, vec![0]);
    let option_cut_short = (79, vec![2]);
    let option_that_overflows_eight_bits = (79, vec![32]);
    let longest_option = (79, vec![255]);
    let all = [
        version,
        extension_header,
        longer_than_the_frame,
        shorter_than_the_message,
        code,
        other_type,
        multicast_target,
        option_of_length_zero,
        option_cut_short,
        option_that_overflows_eight_bits,
        longest_option,
    ];
    for (offset, bytes) in all {
        assert_eq!(advert_with(offset, &bytes), None, "advertisement, byte {offset} = {bytes:?}");
        assert_eq!(solicit_with(offset, &bytes), None, "solicitation, byte {offset} = {bytes:?}");
    }
}

#[test]
fn a_wrong_checksum_tells_nothing() {
    let good = built(|out| na_announce(PEER, VIP6, false, out));
    for byte in (22..good.len()).filter(|byte| *byte != 54) {
        let mut frame = good.clone();
        frame[byte] ^= 1;
        assert_eq!(sight(&frame), None, "byte {byte}");
    }
}

#[test]
fn without_its_option_the_frames_source_counts() {
    for (good, address) in [
        (built(|out| na_announce(PEER, VIP6, false, out)), VIP6),
        (built(|out| ns_request(PEER, OWN6, VIP6, None, out)), OWN6),
    ] {
        let mut frame = good;
        frame.truncate(78);
        frame[19] = 24;
        sum_again(&mut frame);
        assert_eq!(sight(&frame), claimed(address, PEER));
    }
}

#[test]
fn options_of_other_kinds_are_passed_over() {
    let mut frame = built(|out| na_announce(PEER, VIP6, false, out));
    let option = frame.split_off(78);
    frame.extend([14, 1, 1, 2, 3, 4, 5, 6]); // nonce, RFC 3971
    frame.extend([24, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend(option);
    frame[19] = 56;
    frame[6..12].copy_from_slice(&OWN.0);
    sum_again(&mut frame);
    assert_eq!(sight(&frame), claimed(VIP6, PEER));
}

#[test]
fn a_probe_that_names_its_sender_is_malformed() {
    assert_eq!(solicit_with(22, &[0; 16]), None, "RFC 4861 section 7.1.1");
}

#[test]
fn an_advertisement_for_the_unspecified_address_tells_nothing() {
    assert_eq!(advert_with(62, &[0; 16]), None);
}

#[test]
fn solicitation_claims_its_sender_not_its_target() {
    assert_eq!(solicit_with(0, &[]), claimed(OWN6, PEER));
}

proptest! {
    #[test]
    fn random_frames_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (sight(&frame), segment_payload(&frame), frame_source(&frame));
    }

    #[test]
    fn random_neighbour_messages_never_panic(
        kind in 133..138u8,
        flags in any::<u32>(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut frame = built(|out| na_announce(PEER, VIP6, false, out));
        frame.truncate(54);
        frame.extend([kind, 0, 0, 0]);
        frame.extend(flags.to_be_bytes());
        frame.extend(&body);
        frame[18..20].copy_from_slice(&u16::try_from(body.len() + 8).expect("short").to_be_bytes());
        sum_again(&mut frame);
        if sight(&frame).is_some() {
            prop_assert!([135, 136].contains(&kind) && body.len() >= 16);
        }
    }

    #[test]
    fn random_changes_never_panic(
        which in 0..12usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (mut frame, _) = all_frames().swap_remove(which);
        for (index, value) in changes {
            let position = index.index(frame.len());
            frame[position] = value;
        }
        let _ = (sight(&frame), segment_payload(&frame), frame_source(&frame));
    }
}
