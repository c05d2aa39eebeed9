//! Findings about other machines that answer for a service address.
//!
//! Owns: one probe per address. Never does: announce, or change a neighbour's cache. Without the
//! privilege to probe, that is the finding.

use super::Finding;
use crate::config::Config;
use crate::control::protocol::StatusReport;
use crate::io::segment::PacketSocket;
use pnet::packet::Packet;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};
use pnet::util::MacAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Most addresses that are asked about on one interface: enough to meet a stranger, few enough for
/// any switch.
const MAX_ASKED: usize = 32;
/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time between two readings of the socket.
const PAUSE: Duration = Duration::from_millis(5);
/// Length of a probe in bytes: Ethernet header and ARP for IPv4.
const FRAME: usize = 14 + 28;

/// Findings about the interface `name`: sends one ARP probe per address (RFC 5227: sender 0.0.0.0,
/// from which no cache learns) and collects answers. `status`: what the agent says, if it runs.
pub(super) fn examine(config: &Config, name: &str, status: Option<&StatusReport>) -> Vec<Finding> {
    let groups = config.groups.iter().filter(|group| group.interface == name);
    let asked: Vec<Ipv4Addr> = groups
        .flat_map(|group| &group.addresses)
        .filter_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        })
        .take(MAX_ASKED)
        .collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let answers = match ask(name, &asked) {
        Ok(answers) => answers,
        Err(error) => return vec![Finding::warn(format!("cannot probe on {name}: {error}"), "run as root")],
    };
    if answers.is_empty() {
        return vec![Finding::ok("nobody else on the segment answers for the service addresses")];
    }
    let mut by_answerer: BTreeMap<MacAddr, Vec<Ipv4Addr>> = BTreeMap::new();
    for (address, mac) in answers {
        by_answerer.entry(mac).or_default().push(address);
    }
    let several = by_answerer.len() > 1;
    let active = status.and_then(|status| active_there(config, status, name));
    let active = active.as_deref().filter(|_| !several);
    by_answerer.into_iter().map(|(mac, addresses)| answerer(mac, &addresses, several, active)).collect()
}

/// The other node, if it is active for all groups of an interface as this agent hears.
fn active_there(config: &Config, status: &StatusReport, name: &str) -> Option<String> {
    let names: Vec<&str> =
        config.groups.iter().filter(|group| group.interface == name).map(|group| group.name.as_str()).collect();
    let mut groups = status.groups.iter().filter(|group| names.contains(&group.name.as_str()));
    let first = groups.next()?.active.clone()?;
    (first != status.node && groups.all(|group| group.active.as_ref() == Some(&first))).then_some(first)
}

/// The finding about one machine that answers. `several`: other machines answer as well; `active`: the
/// node that is known to be active there.
fn answerer(mac: MacAddr, addresses: &[Ipv4Addr], several: bool, active: Option<&str>) -> Finding {
    let shown = addresses.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = if addresses.len() > 4 { ", …" } else { "" };
    let text = format!("{mac} answers for {shown}{more}");
    if let Some(active) = active {
        Finding::ok(format!("{text}: {active} is active there"))
    } else if several {
        Finding::warn(
            text,
            "more than one machine answers on this segment: one may be the other node, see `vipair status`",
        )
    } else {
        Finding::warn(text, "right if that is the other node and it is active there; otherwise find who it is")
    }
}

/// Probes for the addresses in `asked`. Returns those that were answered for, each with the
/// answering hardware address.
fn ask(name: &str, asked: &[Ipv4Addr]) -> std::io::Result<BTreeSet<(Ipv4Addr, MacAddr)>> {
    let index = nix::net::if_::if_nametoindex(name)?;
    let own: MacAddr = std::fs::read_to_string(format!("/sys/class/net/{name}/address"))?
        .trim()
        .parse()
        .map_err(|_| std::io::Error::other("it has no Ethernet address"))?;
    let socket = PacketSocket::open(index, &arp_only())?;
    for address in asked {
        let _unsent = socket.send(&probe(own, *address))?;
    }
    let mut answers = BTreeSet::new();
    let mut frame = [0; 256];
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match socket.recv(&mut frame)? {
            Some(length) => {
                if let Some(answer) = frame.get(..length).and_then(answer_in)
                    && asked.contains(&answer.0)
                    && answer.1 != own
                {
                    answers.insert(answer);
                }
            }
            None => std::thread::sleep(PAUSE),
        }
    }
    Ok(answers)
}

/// A filter in classic BPF that accepts ethertype ARP and drops all else.
fn arp_only() -> [libc::sock_filter; 4] {
    const LOAD_HALF: u16 = 0x28;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    [op(LOAD_HALF, 0, 0, 12), op(JUMP_EQUAL, 0, 1, 0x0806), op(RETURN, 0, 0, u32::MAX), op(RETURN, 0, 0, 0)]
}

/// The bytes of an ARP probe for `address`.
fn probe(own: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let mut payload = [0; 28];
    let mut arp = MutableArpPacket::new(&mut payload).expect("28 bytes are an ARP packet");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(own);
    arp.set_target_proto_addr(address);
    let mut bytes = vec![0; FRAME];
    let mut frame = MutableEthernetPacket::new(&mut bytes).expect("42 bytes are an Ethernet frame");
    frame.set_destination(MacAddr::broadcast());
    frame.set_source(own);
    frame.set_ethertype(EtherTypes::Arp);
    frame.set_payload(arp.packet());
    bytes
}

/// The address that an ARP reply claims, and the hardware address that claims it; `None` for any
/// other frame.
fn answer_in(frame: &[u8]) -> Option<(Ipv4Addr, MacAddr)> {
    let frame = EthernetPacket::new(frame).filter(|frame| frame.get_ethertype() == EtherTypes::Arp)?;
    let arp = ArpPacket::new(frame.payload())?;
    (arp.get_operation() == ArpOperations::Reply).then(|| (arp.get_sender_proto_addr(), arp.get_sender_hw_addr()))
}
