//! Frames we see: what an ARP or neighbour discovery frame says about a service address, or about
//! the presence of its sender. The frame is hostile input; one that does not obey its RFC's rules
//! for receipt tells nothing.

use super::{ETHERNET_HEADER, IPV6_HEADER, Sighting, from_pnet};
use crate::types::{MacAddr, Vip};
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket};
use pnet::packet::ethernet::{EtherTypes, EthernetPacket};
use pnet::packet::icmpv6::ndp::{NdpOptionType, NdpOptionTypes, NeighborAdvertPacket, NeighborSolicitPacket};
use pnet::packet::icmpv6::{Icmpv6Packet, Icmpv6Types, checksum};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::Ipv6Packet;
use std::net::Ipv6Addr;

/// Bytes of a solicitation or advertisement before its options.
const NEIGHBOUR_SIZE: usize = 24;

/// The meaning of `frame`, which begins with its Ethernet header. `None` for everything that is not
/// valid ARP, neighbour solicitation or advertisement, and for a sender whose hardware address is
/// zero or a multicast address.
///
/// The hardware address of a claim is the one that neighbours would learn: ARP's sender field, the
/// option of the neighbour message, and only without an option the frame's source.
#[must_use]
pub fn sight(frame: &[u8]) -> Option<Sighting> {
    let ethernet = EthernetPacket::new(frame)?;
    let payload = frame.get(ETHERNET_HEADER..)?;
    let source = from_pnet(ethernet.get_source());
    let ethertype = ethernet.get_ethertype();
    let sighting = if ethertype == EtherTypes::Arp {
        sight_arp(payload)
    } else if ethertype == EtherTypes::Ipv6 {
        sight_neighbour(source, payload)
    } else {
        None
    }?;
    let (Sighting::Claim { mac, .. } | Sighting::Presence { mac }) = sighting;
    (!mac.is_zero() && !mac.is_multicast()).then_some(sighting)
}

/// The meaning of an ARP message: a claim of its sender's address, or the sender's presence if that
/// address is 0.0.0.0. `None` for anything but ARP for IPv4 over Ethernet.
fn sight_arp(payload: &[u8]) -> Option<Sighting> {
    let arp = ArpPacket::new(payload)?;
    let is_ours = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && arp.get_hw_addr_len() == 6
        && arp.get_proto_addr_len() == 4
        && [ArpOperations::Request, ArpOperations::Reply].contains(&arp.get_operation());
    if !is_ours {
        return None;
    }
    let mac = from_pnet(arp.get_sender_hw_addr());
    let sender = arp.get_sender_proto_addr();
    if sender.is_unspecified() {
        return Some(Sighting::Presence { mac });
    }
    let answers = arp.get_operation() == ArpOperations::Reply && arp.get_target_proto_addr().is_unspecified();
    let nameless = answers.then(|| from_pnet(arp.get_target_hw_addr()));
    Some(Sighting::Claim { address: Vip::V4(sender), mac, nameless })
}

/// The meaning of a neighbour discovery packet (RFC 4861 sections 7.1.1 and 7.1.2). Extension
/// headers are not followed: no implementation sends them, and the kernel's filter does not let
/// them through.
fn sight_neighbour(source: MacAddr, payload: &[u8]) -> Option<Sighting> {
    let ip = Ipv6Packet::new(payload)?;
    let from_here = ip.get_version() == 6
        && ip.get_next_header() == IpNextHeaderProtocols::Icmpv6
        && ip.get_hop_limit() == u8::MAX;
    if !from_here {
        return None;
    }
    // Bytes after the packet are Ethernet's padding.
    let message = payload.get(IPV6_HEADER..)?.get(..usize::from(ip.get_payload_length()))?;
    let options = message.get(NEIGHBOUR_SIZE..)?;
    let icmp = Icmpv6Packet::new(message)?;
    let (sender, destination) = (ip.get_source(), ip.get_destination());
    let (found, right) = (icmp.get_checksum(), checksum(&icmp, &sender, &destination));
    // Zero has two forms in one's complement (RFC 1071); no sender writes the other one, every
    // kernel takes it.
    if icmp.get_icmpv6_code().0 != 0 || found != right && (found, right) != (u16::MAX, 0) {
        return None;
    }
    if icmp.get_icmpv6_type() == Icmpv6Types::NeighborAdvert {
        let target = NeighborAdvertPacket::new(message)?.get_target_addr();
        let option = link_option(NdpOptionTypes::TargetLLAddr, options).ok()?;
        return claim(target, option.unwrap_or(source));
    }
    if icmp.get_icmpv6_type() == Icmpv6Types::NeighborSolicit {
        let target = NeighborSolicitPacket::new(message)?.get_target_addr();
        let option = link_option(NdpOptionTypes::SourceLLAddr, options).ok()?;
        return match option {
            _ if target.is_multicast() => None,
            Some(_) if sender.is_unspecified() => None,
            None if sender.is_unspecified() => Some(Sighting::Presence { mac: source }),
            option => claim(sender, option.unwrap_or(source)),
        };
    }
    None
}

/// A claim of `address`; `None` if no host can have that address. The answer to a solicitation
/// without a source goes to all nodes (RFC 4861 section 7.2.4): it looks like any announcement.
fn claim(address: Ipv6Addr, mac: MacAddr) -> Option<Sighting> {
    let is_host = !address.is_multicast() && !address.is_unspecified();
    is_host.then_some(Sighting::Claim { address: Vip::V6(address), mac, nameless: None })
}

/// An option of length zero, or one that is cut: the whole packet is to be discarded.
struct BadOption;

/// The hardware address in the first option of this kind. Read by hand: pnet 0.35 computes the
/// length of an option in eight bits, which overflows at 32 units.
fn link_option(kind: NdpOptionType, mut options: &[u8]) -> Result<Option<MacAddr>, BadOption> {
    let mut found = None;
    while let [option, units, ..] = *options {
        let size = usize::from(units) * 8;
        if size == 0 || size > options.len() {
            return Err(BadOption);
        }
        let (this, rest) = options.split_at(size);
        if found.is_none()
            && option == kind.0
            && let [_, _, address @ ..] = this
        {
            // Longer than an Ethernet address: of another kind of link.
            found = Some(MacAddr(address.try_into().map_err(|_| BadOption)?));
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(BadOption) }
}
