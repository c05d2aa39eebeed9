//! Frames that the probes send and read, by the byte.
//!
//! Owns: ARP (RFC 826), neighbour discovery (RFC 4861), the addresses of IP packets. Never does:
//! using the product's own codec: a mistake there must not blind the oracle. A frame that cannot be
//! read is `None`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vipair::types::MacAddr;

/// The way in which a frame speaks for an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// ARP reply with the address as sender, to somebody.
    Reply,
    /// ARP request with the address as sender, for another address.
    Request,
    /// ARP request with the address as sender and target.
    AnnounceRequest,
    /// ARP reply with the address as sender and target.
    AnnounceReply,
    /// Neighbour advertisement, sent on request.
    Advertisement,
    /// Neighbour advertisement that nobody asked for.
    AnnounceAdvertisement,
    /// Neighbour solicitation whose source is the address.
    Solicitation,
    /// An IP packet from the address.
    Packet,
}

impl How {
    /// Whether the frame makes others send to the hardware address that it names.
    pub fn is_claim(self) -> bool {
        self != How::Packet
    }
}

/// The address that a frame claims or comes from, and how: all that the oracle reads of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claimed {
    /// The address that the frame speaks for.
    pub address: IpAddr,
    /// The way in which it does.
    pub how: How,
    /// Hardware address that the frame names (claims) or comes from (packets).
    pub mac: MacAddr,
    /// Protocol address that the frame is for.
    pub to: IpAddr,
}

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// What a frame claims; `None` if it cannot be read. A claim for no address (an ARP probe, a
/// solicitation from ::) is `None`.
pub fn read(frame: &[u8]) -> Option<Claimed> {
    let source = read_mac(frame, 6)?;
    let said = match read_word(frame, 12)? {
        ARP => read_arp(frame)?,
        IPV4 => Claimed { address: read_v4(frame, 26)?, how: How::Packet, mac: source, to: read_v4(frame, 30)? },
        IPV6 => read_ipv6(frame, source)?,
        _ => return None,
    };
    (!said.address.is_unspecified()).then_some(said)
}

/// Reads an ARP frame; `None` if it is cut or neither request nor reply.
fn read_arp(frame: &[u8]) -> Option<Claimed> {
    let (address, to) = (read_v4(frame, 28)?, read_v4(frame, 38)?);
    let how = match (read_word(frame, 20)?, address == to) {
        (1, false) => How::Request,
        (1, true) => How::AnnounceRequest,
        (2, false) => How::Reply,
        (2, true) => How::AnnounceReply,
        _ => return None,
    };
    Some(Claimed { address, how, mac: read_mac(frame, 22)?, to })
}

/// Reads an IPv6 frame, which claims an address only as neighbour discovery; `source` is the
/// hardware address that the frame comes from. `None` if the frame is cut.
fn read_ipv6(frame: &[u8], source: MacAddr) -> Option<Claimed> {
    let (from, to) = (read_v6(frame, 22)?, read_v6(frame, 38)?);
    let packet = Claimed { address: from, how: How::Packet, mac: source, to };
    if *frame.get(20)? != 58 {
        return Some(packet);
    }
    match *frame.get(54)? {
        ADVERTISEMENT => {
            let solicited = frame.get(58)? & 0x40 != 0;
            let how = if solicited { How::Advertisement } else { How::AnnounceAdvertisement };
            // The target link-layer option names the hardware address; without it the sender does.
            let named = if frame.get(78) == Some(&2) { read_mac(frame, 80)? } else { source };
            Some(Claimed { address: read_v6(frame, 62)?, how, mac: named, to })
        }
        SOLICITATION => Some(Claimed { how: How::Solicitation, to: read_v6(frame, 62)?, ..packet }),
        _ => Some(packet),
    }
}

/// The big-endian number of 16 bits at `offset`; `None` if it is not there.
fn read_word(frame: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(offset..offset + 2)?.try_into().ok()?))
}

/// The hardware address at `offset`; `None` if it is not there.
fn read_mac(frame: &[u8], offset: usize) -> Option<MacAddr> {
    Some(MacAddr(frame.get(offset..offset + 6)?.try_into().ok()?))
}

/// The IPv4 address at `offset`; `None` if it is not there.
fn read_v4(frame: &[u8], offset: usize) -> Option<IpAddr> {
    let bytes: [u8; 4] = frame.get(offset..offset + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes).into())
}

/// The IPv6 address at `offset`; `None` if it is not there.
fn read_v6(frame: &[u8], offset: usize) -> Option<IpAddr> {
    let bytes: [u8; 16] = frame.get(offset..offset + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

/// The frame that asks who has `target`, from the address `from` at `mac`. Both addresses are of
/// one family.
pub fn question(mac: MacAddr, from: IpAddr, target: IpAddr) -> Vec<u8> {
    match (from, target) {
        (IpAddr::V4(from), IpAddr::V4(target)) => arp(1, mac, from, target),
        (IpAddr::V6(from), IpAddr::V6(target)) => solicitation(mac, from, target),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("{from} cannot ask for {target}"),
    }
}

/// A broadcast ARP frame with operation `op` whose target hardware address is not filled in.
pub fn arp(op: u8, mac: MacAddr, from: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet_header(MacAddr::BROADCAST, mac, ARP);
    frame.extend([0, 1, 0x08, 0, 6, 4, 0, op]);
    frame.extend(mac.0);
    frame.extend(from.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

/// A neighbour solicitation for `target`, to its solicited-node multicast group.
fn solicitation(mac: MacAddr, from: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let last = target.octets();
    let group: Ipv6Addr = {
        let mut bytes = [0; 16];
        bytes[..13].copy_from_slice(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
        bytes[13..].copy_from_slice(&last[13..]);
        bytes.into()
    };
    let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    body.extend(target.octets());
    body.extend([1, 1]);
    body.extend(mac.0);
    let sum = icmpv6_checksum(from, group, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ethernet_header(MacAddr([0x33, 0x33, 0xff, last[13], last[14], last[15]]), mac, IPV6);
    frame.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame.extend(from.octets());
    frame.extend(group.octets());
    frame.extend(body);
    frame
}

/// A UDP datagram in an IPv4 packet in a frame, from and to any address; without a UDP checksum,
/// which IPv4 allows.
pub fn datagram(macs: (MacAddr, MacAddr), ends: (Ipv4Addr, Ipv4Addr), port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).expect("a datagram fits").to_be_bytes();
    let mut body = [port.to_be_bytes(), port.to_be_bytes(), length, [0, 0]].concat();
    body.extend(payload);
    packet(macs, ends, 17, &body)
}

/// An echo request (RFC 792) in a frame, from and to any address: the server that answers it
/// carries traffic for the address.
pub fn echo(macs: (MacAddr, MacAddr), ends: (Ipv4Addr, Ipv4Addr)) -> Vec<u8> {
    let mut body = vec![8, 0, 0, 0, 0x7a, 0x11, 0, 1];
    let sum = internet_checksum(body.chunks(2));
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(macs, ends, 1, &body)
}

/// An IPv4 packet without options, in a frame.
fn packet(macs: (MacAddr, MacAddr), (from, to): (Ipv4Addr, Ipv4Addr), protocol: u8, body: &[u8]) -> Vec<u8> {
    let size = u16::try_from(body.len() + 20).expect("a packet fits").to_be_bytes();
    let mut header = vec![0x45, 0];
    header.extend(size);
    header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = internet_checksum(header.chunks(2));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ethernet_header(macs.1, macs.0, IPV4);
    frame.extend(header);
    frame.extend(body);
    frame
}

/// The payload of a UDP datagram over IPv4, if the frame is one to `port`.
pub fn payload(frame: &[u8], port: u16) -> Option<&[u8]> {
    let is_udp = read_word(frame, 12)? == IPV4 && *frame.get(14)? == 0x45 && *frame.get(23)? == 17;
    let end = 34 + usize::from(read_word(frame, 38)?);
    (is_udp && read_word(frame, 36)? == port).then(|| frame.get(42..end)).flatten()
}

/// The header of a frame, with room behind it for a short one.
fn ethernet_header(to: MacAddr, from: MacAddr, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(86);
    frame.extend(to.0);
    frame.extend(from.0);
    frame.extend(kind.to_be_bytes());
    frame
}

/// The checksum of an ICMPv6 message (RFC 4443 2.3).
fn icmpv6_checksum(from: Ipv6Addr, to: Ipv6Addr, body: &[u8]) -> u16 {
    let length = u16::try_from(body.len()).expect("a short message").to_be_bytes();
    let pseudo = [from.octets(), to.octets()].concat();
    let all = pseudo.chunks(2).chain([&length[..], &[0, 58]]).chain(body.chunks(2));
    internet_checksum(all)
}

/// The Internet checksum (RFC 1071).
fn internet_checksum<'a>(pairs: impl Iterator<Item = &'a [u8]>) -> u16 {
    let sum: u32 = pairs.map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from)).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded & 0xffff).expect("16 bits")
}
