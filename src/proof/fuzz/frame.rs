//! Frames of the clients' segment: what ARP and neighbour discovery tell, and what the kernel's
//! filter lets through.
//!
//! - [`sight`] says what a second reading by offsets from RFC 826, 4861 and 8200 says. Every input
//!   is read twice: as it is, and with its ICMPv6 checksum put right, or nothing random would ever
//!   come so far.
//! - Whatever tells something, or carries a pulse, passes the filter whole.
//! - A frame cut before the end of its message tells nothing; Ethernet's padding changes nothing.
//! - Nobody with a zero or multicast hardware address is ever seen. Nothing is allocated.

use super::Taken;
use crate::types::{MacAddr, Vip};
use crate::wire::frame::passes;
use crate::wire::frame::{
    SEGMENT_ETHERTYPE, Sighting, arp_announce_reply, arp_announce_request, arp_probe, frame_source, na_announce,
    ns_probe, ns_request, segment_frame, segment_payload, sight,
};
use std::net::{Ipv4Addr, Ipv6Addr};
use vipair_host::testing::{Usage, measured};

const ARP_END: usize = 42;
const ICMPV6: usize = 54;

/// Checks one input: a frame as a packet socket hands it over. A frame that tells nothing is
/// checked a second time with its ICMPv6 checksum put right. Accepted: the frame told something or
/// carried a pulse, either time.
pub(super) fn run(frame: &[u8]) -> Taken {
    let plain = check(frame);
    match with_right_checksum(frame) {
        Some(frame) if plain == Taken::Refused => check(&frame),
        Some(_) | None => plain,
    }
}

/// Checks a frame against the second reading, and that the kernel's filter passes the frame whole
/// if it means anything. Accepted: the frame told something or carried a pulse.
fn check(frame: &[u8]) -> Taken {
    let ((sighting, payload), usage) = measured(|| (sight(frame), segment_payload(frame)));
    assert_eq!(usage, Usage::default(), "looking at a frame allocates nothing");
    assert_eq!(sighting, reading(frame).map(|(sighting, _)| sighting), "two readings of one frame");
    assert_eq!(payload, payload_by_offset(frame), "two readings of one segment frame");
    assert_eq!(frame_source(frame).map(|mac| mac.0), frame.get(6..12).filter(|_| frame.len() >= 14).map(six));
    assert!(sighting.is_none() || payload.is_none(), "a frame is one thing");
    if sighting.is_some() || payload.is_some() {
        let given = usize::try_from(passes(frame)).expect("64 bits");
        assert!(given >= frame.len(), "the filter hands over {given} of {} bytes", frame.len());
    }
    if let Some((sighting, end)) = reading(frame) {
        check_sighting(frame, sighting, end);
    }
    if let Some(payload) = payload {
        let end = 16 + payload.len();
        assert_eq!(segment_payload(&frame[..end]), Some(payload), "what follows is padding");
        assert_eq!(segment_payload(&frame[..end - 1]), None, "a segment frame cut short");
    }
    Taken::of(sighting.is_some() || payload.is_some())
}

/// Checks what a frame tells: only whole, with any padding, and in the same words that we would
/// use. `end` is where the frame's message ends and the padding begins.
fn check_sighting(frame: &[u8], sighting: Sighting, end: usize) {
    let (Sighting::Claim { mac, .. } | Sighting::Presence { mac }) = sighting;
    assert!(!mac.is_zero() && !mac.is_multicast(), "{mac} is nobody");
    if let Sighting::Claim { address, .. } = sighting {
        assert!(!address.is_unspecified(), "nobody claims the unspecified address");
        assert!(address.is_ipv4() || !address.is_multicast(), "{address} is no host");
    }
    for length in [end - 1, end / 2, 14, 13, 0] {
        assert_eq!(sight(&frame[..length]), None, "cut to {length} of {end} bytes");
    }
    let mut padded = frame[..end].to_vec();
    assert_eq!(sight(&padded), Some(sighting), "without its padding");
    padded.extend([0xcc; 18]);
    assert_eq!(sight(&padded), Some(sighting), "with other padding");
    let mut ours = Vec::new();
    match sighting {
        Sighting::Claim { address: Vip::V4(address), mac, .. } => arp_announce_reply(mac, address, &mut ours),
        Sighting::Claim { address: Vip::V6(address), mac, .. } => na_announce(mac, address, false, &mut ours),
        Sighting::Presence { mac } => arp_probe(mac, Ipv4Addr::LOCALHOST, MacAddr::BROADCAST, &mut ours),
    }
    assert_eq!(sight(&ours).map(claim_of), Some(claim_of(sighting)), "what we would send to say the same");
}

/// Who claims what, whether it answers a question or not.
fn claim_of(sighting: Sighting) -> (Option<Vip>, MacAddr) {
    match sighting {
        Sighting::Claim { address, mac, nameless: _ } => (Some(address), mac),
        Sighting::Presence { mac } => (None, mac),
    }
}

/// A hardware address out of exactly six bytes.
fn six(bytes: &[u8]) -> [u8; 6] {
    bytes.try_into().expect("six bytes")
}

/// The big-endian number of 16 bits at `offset`.
fn short(bytes: &[u8], offset: usize) -> usize {
    usize::from(bytes[offset]) << 8 | usize::from(bytes[offset + 1])
}

/// The second reading of a segment frame: the pulse in it, `None` in any other frame.
fn payload_by_offset(frame: &[u8]) -> Option<&[u8]> {
    (frame.len() >= 16 && short(frame, 12) == usize::from(SEGMENT_ETHERTYPE))
        .then(|| frame.get(16..16 + short(frame, 14)))
        .flatten()
}

/// The second reading: what a frame tells, and where its message ends.
fn reading(frame: &[u8]) -> Option<(Sighting, usize)> {
    let ethertype = if frame.len() < 14 { 0 } else { short(frame, 12) };
    let (sighting, end) = match ethertype {
        0x0806 if frame.len() >= ARP_END => (arp(frame)?, ARP_END),
        0x86dd if frame.len() >= ICMPV6 + 24 => neighbour(frame)?,
        _ => return None,
    };
    let (Sighting::Claim { mac, .. } | Sighting::Presence { mac }) = sighting;
    (mac.0 != [0; 6] && mac.0[0] % 2 == 0).then_some((sighting, end))
}

/// The second reading of an ARP frame, which has at least [`ARP_END`] bytes.
fn arp(frame: &[u8]) -> Option<Sighting> {
    let is_ordinary = frame[14..20] == [0, 1, 8, 0, 6, 4] && frame[20] == 0 && [1, 2].contains(&frame[21]);
    let mac = MacAddr(six(&frame[22..28]));
    let sender = <[u8; 4]>::try_from(&frame[28..32]).expect("four bytes");
    let nameless = (frame[21] == 2 && frame[38..42] == [0; 4]).then(|| MacAddr(six(&frame[32..38])));
    let claim = Sighting::Claim { address: Vip::V4(Ipv4Addr::from(sender)), mac, nameless };
    is_ordinary.then_some(if sender == [0; 4] { Sighting::Presence { mac } } else { claim })
}

/// The second reading of a frame of neighbour discovery: what the frame tells, and where its
/// message ends. The frame has at least a header of ICMPv6 and 24 bytes more.
fn neighbour(frame: &[u8]) -> Option<(Sighting, usize)> {
    let end = ICMPV6 + short(frame, 18);
    let kind = frame[54];
    let is_ordinary = frame[14] >> 4 == 6
        && frame[20] == 58
        && frame[21] == 255
        && frame.len() >= end
        && end >= ICMPV6 + 24
        && [135, 136].contains(&kind)
        && frame[55] == 0
        && sum(frame, end) == 0xffff;
    if !is_ordinary {
        return None;
    }
    let address =
        |offset: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&frame[offset..offset + 16]).expect("sixteen bytes"));
    let (sender, target) = (address(22), address(62));
    let option = link_layer_option(&frame[78..end], if kind == 135 { 1 } else { 2 })?;
    let mac = MacAddr(option.unwrap_or_else(|| six(&frame[6..12])));
    let claimed = if kind == 136 { target } else { sender };
    if kind == 135 && (target.octets()[0] == 0xff || (sender.is_unspecified() && option.is_some())) {
        return None;
    }
    if kind == 135 && sender.is_unspecified() {
        return Some((Sighting::Presence { mac }, end));
    }
    let is_host = claimed.octets()[0] != 0xff && claimed != Ipv6Addr::UNSPECIFIED;
    is_host.then_some((Sighting::Claim { address: Vip::V6(claimed), mac, nameless: None }, end))
}

/// The hardware address in the first option of this kind. `None`: the options are not whole, and
/// the packet counts for nothing. `Some(None)`: no option is of this kind.
#[allow(clippy::option_option, reason = "no options at all, and options that forbid the packet, are two things")]
fn link_layer_option(options: &[u8], kind: u8) -> Option<Option<[u8; 6]>> {
    let (mut offset, mut found) = (0, None);
    while offset < options.len() {
        let size = usize::from(*options.get(offset + 1)?) * 8;
        let option = options.get(offset..offset + size).filter(|option| !option.is_empty())?;
        if option[0] == kind && found.is_none() {
            found = Some(option[2..].try_into().ok()?);
        }
        offset += size;
    }
    Some(found)
}

/// One's complement sum over pseudo-header and message: 0xffff when the checksum is right.
fn sum(frame: &[u8], end: usize) -> usize {
    let words = |bytes: &[u8]| -> usize {
        bytes.chunks(2).map(|pair| usize::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| usize::from(*low))).sum()
    };
    let mut sum = words(&frame[22..ICMPV6]) + (end - ICMPV6) + 58 + words(&frame[ICMPV6..end]);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum
}

/// The frame with a right ICMPv6 checksum; `None` if it is no IPv6 frame or too short for one.
fn with_right_checksum(frame: &[u8]) -> Option<Vec<u8>> {
    let end = ICMPV6 + frame.get(18..20).map(|length| short(length, 0))?;
    if short(frame, 12) != 0x86dd || end < ICMPV6 + 4 || frame.len() < end {
        return None;
    }
    let mut frame = frame.to_vec();
    frame[56..58].fill(0);
    let checksum = u16::try_from(0xffff - sum(&frame, end)).expect("16 bits");
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    Some(frame)
}

/// Frames as this program and ordinary hosts send them, and frames that tell nothing.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let (ours, peer) = (MacAddr([2, 0, 0, 0, 0, 0x0a]), MacAddr([2, 0, 0, 0, 0, 0x0b]));
    let (vip4, vip6) = (Ipv4Addr::new(10, 0, 0, 100), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456));
    let built = |build: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        build(&mut out);
        out
    };
    let mut without_option = built(&|out| na_announce(peer, vip6, false, out));
    without_option.truncate(78);
    without_option[19] = 24;
    let mut tagged = built(&|out| arp_probe(ours, vip4, peer, out));
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    vec![
        ("arp-probe", built(&|out| arp_probe(ours, vip4, MacAddr::BROADCAST, out))),
        ("arp-request", built(&|out| arp_announce_request(peer, vip4, out))),
        ("arp-reply", built(&|out| arp_announce_reply(peer, vip4, out))),
        ("solicitation-of-nobody", built(&|out| ns_probe(ours, vip6, None, out))),
        ("solicitation", built(&|out| ns_request(ours, vip6, vip6, Some(peer), out))),
        ("advertisement", built(&|out| na_announce(peer, vip6, true, out))),
        ("advertisement-without-option", without_option),
        ("segment", built(&|out| segment_frame(ours, peer, b"pulse", out))),
        ("segment-empty", built(&|out| segment_frame(ours, peer, b"", out))),
        ("tagged", tagged),
        ("nothing", Vec::new()),
    ]
}
