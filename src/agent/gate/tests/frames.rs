//! Frames as bytes, for the tests of the gate.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::types::MacAddr;

pub(super) const REQUEST: u16 = 1;
pub(super) const REPLY: u16 = 2;
pub(super) const SOLICITATION: u8 = 135;
pub(super) const ADVERTISEMENT: u8 = 136;
const ALL_NODES: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 1]);

/// An Ethernet frame with EtherType `kind`, padded to 60 bytes.
pub(super) fn ethernet(destination: MacAddr, source: MacAddr, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [destination.0, source.0].concat();
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Puts a VLAN tag into a frame.
pub(super) fn tagged(frame: &[u8], vid: u16) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend_from_slice(&[0x81, 0]);
    tagged.extend_from_slice(&vid.to_be_bytes());
    tagged.extend_from_slice(&frame[12..]);
    tagged
}

/// A broadcast ARP frame.
pub(super) fn arp(operation: u16, mac: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4];
    body.extend_from_slice(&operation.to_be_bytes());
    body.extend_from_slice(&mac.0);
    body.extend_from_slice(&sender.octets());
    body.extend_from_slice(&[0; 6]);
    body.extend_from_slice(&target.octets());
    ethernet(MacAddr::BROADCAST, mac, 0x0806, &body)
}

/// True for an ARP reply of `sender`.
pub(super) fn is_arp_reply(frame: &[u8], sender: Ipv4Addr) -> bool {
    arp_sender(frame) == Some(sender) && frame[20..22] == REPLY.to_be_bytes()
}

/// The sender's protocol address in an ARP frame.
pub(super) fn arp_sender(frame: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
    (frame[12..14] == [8, 6]).then(|| Ipv4Addr::from(bytes))
}

/// Internet checksum (RFC 1071).
fn folded(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| (*b).into())).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

/// Checksum of an ICMPv6 message (RFC 4443, 2.3).
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> u16 {
    let mut pseudo = [source.octets(), destination.octets()].concat();
    pseudo.extend_from_slice(&u32::try_from(body.len()).expect("short").to_be_bytes());
    pseudo.extend_from_slice(&[0, 0, 0, 58]);
    pseudo.extend_from_slice(body);
    folded(&pseudo)
}

/// An IPv6 packet to all nodes in a frame; `next` is the number of the header that `body` begins
/// with.
fn ipv6(mac: MacAddr, source: Ipv6Addr, destination: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&u16::try_from(body.len()).expect("short").to_be_bytes());
    packet.extend_from_slice(&[next, 255]);
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(body);
    ethernet(ALL_NODES, mac, 0x86dd, &packet)
}

/// A neighbour solicitation or advertisement as an ICMPv6 message without its checksum; an
/// unspecified source brings no option with the hardware address.
fn discovery_body(kind: u8, mac: MacAddr, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0];
    body.extend_from_slice(if kind == ADVERTISEMENT { &[0x20, 0, 0, 0] } else { &[0; 4] });
    body.extend_from_slice(&target.octets());
    if !source.is_unspecified() {
        body.extend_from_slice(&[if kind == ADVERTISEMENT { 2 } else { 1 }, 1]);
        body.extend_from_slice(&mac.0);
    }
    body
}

/// Destination of neighbour discovery about `target`: RFC 4291 2.7.1 for questions, all nodes for
/// announcements.
fn discovery_destination(kind: u8, target: Ipv6Addr) -> Ipv6Addr {
    let [.., x, y, z] = target.octets();
    if kind == SOLICITATION {
        Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z])
    } else {
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
    }
}

/// A neighbour solicitation or unsolicited advertisement.
pub(super) fn discovery(kind: u8, mac: MacAddr, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let destination = discovery_destination(kind, target);
    let mut body = discovery_body(kind, mac, source, target);
    let sum = checksum(source, destination, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ipv6(mac, source, destination, 58, &body);
    if kind == SOLICITATION {
        let [.., w, x, y, z] = destination.octets();
        frame[..6].copy_from_slice(&[0x33, 0x33, w, x, y, z]);
    }
    frame
}

/// A neighbour solicitation or advertisement behind a destination options header.
pub(super) fn hidden_discovery(kind: u8, mac: MacAddr, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let destination = discovery_destination(kind, target);
    let mut body = discovery_body(kind, mac, source, target);
    let sum = checksum(source, destination, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![58, 0, 1, 4, 0, 0, 0, 0];
    packet.extend_from_slice(&body);
    ipv6(mac, source, destination, 60, &packet)
}

/// Type and target of a neighbour solicitation or advertisement without extension headers.
pub(super) fn discovery_target(frame: &[u8]) -> Option<(u8, Ipv6Addr)> {
    let bytes: [u8; 16] = frame.get(62..78)?.try_into().ok()?;
    let is_discovery =
        frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && matches!(frame[54], SOLICITATION | ADVERTISEMENT);
    is_discovery.then(|| (frame[54], Ipv6Addr::from(bytes)))
}

/// A UDP packet of IPv6.
pub(super) fn udp6(mac: MacAddr, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    ipv6(mac, source, destination, 17, &[0, 9, 0, 9, 0, 8, 0, 0])
}

/// A UDP packet of IPv4. The header's checksum must be right: a switch with br_netfilter drops it
/// otherwise.
pub(super) fn udp4(mac: MacAddr, to: MacAddr, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    let sum = folded(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(&[0, 9, 0, 9, 0, 8, 0, 0]);
    ethernet(to, mac, 0x0800, &packet)
}

/// A TCP segment of a connection that nobody knows.
pub(super) fn tcp4_ack(mac: MacAddr, to: MacAddr, source: Ipv4Addr, destination: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    let sum = folded(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(&4242_u16.to_be_bytes());
    packet.extend_from_slice(&port.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    ethernet(to, mac, 0x0800, &packet)
}
