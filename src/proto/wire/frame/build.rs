//! Frames we send: probes, requests to neighbours, announcements. Each function replaces what was
//! in `out` by one whole frame, beginning with the Ethernet header; nothing is allocated once `out`
//! has grown to 86 bytes.

use super::{ETHERNET_HEADER, IPV6_HEADER, ethernet, to_pnet};
use crate::types::{MacAddr, Vip};
use pnet::packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, MutableArpPacket};
use pnet::packet::ethernet::EtherTypes;
use pnet::packet::icmpv6::ndp::{
    MutableNdpOptionPacket, MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NdpOptionType, NdpOptionTypes,
    NeighborAdvertFlags,
};
use pnet::packet::icmpv6::{Icmpv6Packet, Icmpv6Type, Icmpv6Types, MutableIcmpv6Packet, checksum};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::MutableIpv6Packet;
use std::net::{Ipv4Addr, Ipv6Addr};

const ARP_SIZE: usize = 28;
/// A solicitation or advertisement without options.
const NEIGHBOUR_SIZE: usize = 24;
/// A link-layer address option: type, length, six bytes.
const LINK_OPTION_SIZE: usize = 8;
/// Hop limit of every neighbour discovery packet (RFC 4861), so that it cannot have passed a
/// router.
const HOP_LIMIT: u8 = 255;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Asks who answers for `address` without claiming it. `sender` is an address of our own, as any
/// host that wants to send names it ([`arp_request`], [`ns_request`]); without one of the family of
/// `address` nothing is named ([`arp_probe`], [`ns_probe`]). `to` is the last known hardware
/// address, `None` asks everybody.
pub fn question(source: MacAddr, sender: Option<Vip>, address: Vip, to: Option<MacAddr>, out: &mut Vec<u8>) {
    let all = MacAddr::BROADCAST;
    match (address, sender) {
        (Vip::V4(target), Some(Vip::V4(sender))) => arp_request(source, sender, target, to.unwrap_or(all), out),
        (Vip::V4(target), Some(Vip::V6(_)) | None) => arp_probe(source, target, to.unwrap_or(all), out),
        (Vip::V6(target), Some(Vip::V6(sender))) => ns_request(source, sender, target, to, out),
        (Vip::V6(target), Some(Vip::V4(_)) | None) => ns_probe(source, target, to, out),
    }
}

/// ARP probe, RFC 5227 section 1.1: sender address 0.0.0.0, so nobody learns anything from it.
/// Linux answers it.
pub fn arp_probe(source: MacAddr, target: Ipv4Addr, to: MacAddr, out: &mut Vec<u8>) {
    let sender = (source, Ipv4Addr::UNSPECIFIED);
    arp(ArpOperations::Request, sender, (MacAddr::ZERO, target), to, out);
}

/// NDP probe: a solicitation from the unspecified address, as in duplicate address detection (RFC
/// 4862 section 5.4.2). The packet goes to the solicited-node address in any case; `to` only
/// directs the frame. Linux answers to all nodes.
pub fn ns_probe(source: MacAddr, target: Ipv6Addr, to: Option<MacAddr>, out: &mut Vec<u8>) {
    solicitation(source, Ipv6Addr::UNSPECIFIED, target, to, None, out);
}

/// ARP request of the ordinary form. With our own address as sender it asks a neighbour whether the
/// segment is alive; with a service address as sender it corrects an entry of the gateway that
/// ignores announcements.
pub fn arp_request(source: MacAddr, sender: Ipv4Addr, target: Ipv4Addr, to: MacAddr, out: &mut Vec<u8>) {
    arp(ArpOperations::Request, (source, sender), (MacAddr::ZERO, target), to, out);
}

/// Neighbour solicitation of the ordinary form, with our hardware address in it.
pub fn ns_request(source: MacAddr, sender: Ipv6Addr, target: Ipv6Addr, to: Option<MacAddr>, out: &mut Vec<u8>) {
    solicitation(source, sender, target, to, Some(source), out);
}

/// Gratuitous ARP, request form: the announcement of RFC 5227 section 2.3, sender and target the
/// address itself.
pub fn arp_announce_request(source: MacAddr, address: Ipv4Addr, out: &mut Vec<u8>) {
    arp(ArpOperations::Request, (source, address), (MacAddr::ZERO, address), MacAddr::BROADCAST, out);
}

/// Gratuitous ARP, reply form. The target hardware address is the sender's: by that Linux knows it
/// as gratuitous and lets it change an entry that changed less than `locktime` ago (net/ipv4/arp.c,
/// `arp_is_garp`).
pub fn arp_announce_reply(source: MacAddr, address: Ipv4Addr, out: &mut Vec<u8>) {
    arp(ArpOperations::Reply, (source, address), (source, address), MacAddr::BROADCAST, out);
}

/// Unsolicited neighbour advertisement, RFC 4861 section 7.2.6: from the address to all nodes, not
/// solicited, override, with our hardware address. `router` must say what the host really is: a
/// host that sees R go away drops its routes through us (section 7.2.5).
pub fn na_announce(source: MacAddr, address: Ipv6Addr, router: bool, out: &mut Vec<u8>) {
    let size = NEIGHBOUR_SIZE + LINK_OPTION_SIZE;
    neighbour(source, multicast(ALL_NODES), address, ALL_NODES, size, out);
    let message = &mut out[ETHERNET_HEADER + IPV6_HEADER..];
    let mut advert = MutableNeighborAdvertPacket::new(message).expect("invariant: the buffer was sized for it");
    let router_flag = if router { NeighborAdvertFlags::Router } else { 0 };
    advert.set_flags(NeighborAdvertFlags::Override | router_flag);
    advert.set_target_addr(address);
    link_option(NdpOptionTypes::TargetLLAddr, source, &mut message[NEIGHBOUR_SIZE..]);
    finish(Icmpv6Types::NeighborAdvert, address, ALL_NODES, message);
}

/// Writes an ARP message. `sender` and `target`: hardware and protocol address in its fields; `to`:
/// where the frame goes.
fn arp(
    operation: ArpOperation,
    sender: (MacAddr, Ipv4Addr),
    target: (MacAddr, Ipv4Addr),
    to: MacAddr,
    out: &mut Vec<u8>,
) {
    ethernet(sender.0, to, EtherTypes::Arp.0, ARP_SIZE, out);
    let message = &mut out[ETHERNET_HEADER..];
    let mut arp = MutableArpPacket::new(message).expect("invariant: the buffer was sized for it");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(operation);
    arp.set_sender_hw_addr(to_pnet(sender.0));
    arp.set_sender_proto_addr(sender.1);
    arp.set_target_hw_addr(to_pnet(target.0));
    arp.set_target_proto_addr(target.1);
}

/// Writes a neighbour solicitation for `target` from the address `sender`. `to`: where the frame
/// goes, `None` for the solicited-node group; `option`: the hardware address that it tells, if any.
fn solicitation(
    source: MacAddr,
    sender: Ipv6Addr,
    target: Ipv6Addr,
    to: Option<MacAddr>,
    option: Option<MacAddr>,
    out: &mut Vec<u8>,
) {
    let group = solicited_node(target);
    let size = NEIGHBOUR_SIZE + option.map_or(0, |_| LINK_OPTION_SIZE);
    neighbour(source, to.unwrap_or(multicast(group)), sender, group, size, out);
    let message = &mut out[ETHERNET_HEADER + IPV6_HEADER..];
    let mut solicit = MutableNeighborSolicitPacket::new(message).expect("invariant: the buffer was sized for it");
    solicit.set_target_addr(target);
    if let Some(mac) = option {
        link_option(NdpOptionTypes::SourceLLAddr, mac, &mut message[NEIGHBOUR_SIZE..]);
    }
    finish(Icmpv6Types::NeighborSolicit, sender, group, message);
}

/// Writes the Ethernet and IPv6 headers of a neighbour discovery message, and `size` zero bytes in
/// the place of the message.
fn neighbour(source: MacAddr, to: MacAddr, sender: Ipv6Addr, destination: Ipv6Addr, size: usize, out: &mut Vec<u8>) {
    ethernet(source, to, EtherTypes::Ipv6.0, IPV6_HEADER + size, out);
    let mut ip = MutableIpv6Packet::new(&mut out[ETHERNET_HEADER..]).expect("invariant: the buffer was sized for it");
    ip.set_version(6);
    ip.set_payload_length(u16::try_from(size).expect("invariant: a neighbour message is short"));
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(HOP_LIMIT);
    ip.set_source(sender);
    ip.set_destination(destination);
}

/// Writes a link-layer address option of this kind into the eight bytes of `bytes`.
fn link_option(kind: NdpOptionType, mac: MacAddr, bytes: &mut [u8]) {
    let mut option = MutableNdpOptionPacket::new(bytes).expect("invariant: the buffer was sized for it");
    option.set_option_type(kind);
    option.set_length(1); // in units of eight bytes
    option.set_data(&mac.0);
}

/// Sets the ICMPv6 type of a message, then its checksum. The checksum field must be zero before.
fn finish(kind: Icmpv6Type, sender: Ipv6Addr, destination: Ipv6Addr, message: &mut [u8]) {
    let mut icmp = MutableIcmpv6Packet::new(message).expect("invariant: the buffer was sized for it");
    icmp.set_icmpv6_type(kind);
    let sum = checksum(&Icmpv6Packet::new(message).expect("invariant: as above"), &sender, &destination);
    let mut icmp = MutableIcmpv6Packet::new(message).expect("invariant: as above");
    icmp.set_checksum(sum);
}

/// Solicited-node address, RFC 4291 section 2.7.1.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Hardware address of an IPv6 multicast group, RFC 2464 section 7.
fn multicast(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}
