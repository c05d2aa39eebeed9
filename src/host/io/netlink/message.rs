//! Netlink messages: bytes ↔ values.
//!
//! Owns: the layouts of <linux/rtnetlink.h>, <linux/if_link.h>, <linux/if_addr.h> and
//! <linux/neighbour.h>, all in the byte order of the host. Never does: I/O. Unknown attributes and
//! message types are skipped; a message that is cut short ends the reading, and never panics.

use super::bridge::{BridgeEntry, BridgePort, Layer};
use super::routes::{RouteInfo, Verdict};
use super::{InterfaceInfo, Neighbour, NeighbourState};
use crate::types::MacAddr;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use std::net::IpAddr;

/// Size of struct nlmsghdr.
const HEADER: usize = 16;
/// The upper two bits of an attribute's type are flags: <linux/netlink.h>.
const TYPE_MASK: u16 = 0x3fff;
/// Numbers of <linux/if_arp.h>, <linux/if_addr.h> and <linux/rtnetlink.h>.
const ARPHRD_ETHER: u16 = 1;
const IFA_FLAGS: u16 = 8;
/// Numbers of <linux/if_link.h>: the kinds of a device, and of the interface that it is a port of
/// or belongs to.
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_LINK_NETNSID: u16 = 37;
/// Kinds of interfaces whose frames leave through another one as they are.
const UNTAGGED: [&[u8]; 4] = [b"macvlan", b"macvtap", b"ipvlan", b"ipvtap"];
/// Number of <linux/neighbour.h>: the bridge of an entry.
const NDA_MASTER: u16 = 9;
const RTA_VIA: u16 = 18;
/// Who puts routes there that stay: RTPROT_KERNEL, _BOOT, _STATIC, _RA and _DHCP. Others are those
/// of routing daemons.
const STEADY_PROTOCOLS: [u8; 5] = [2, 3, 4, 9, 16];
/// AF_UNSPEC: the family of messages about an interface itself.
const ANY_FAMILY: u8 = 0;

/// One message of a netlink datagram.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Type of the message, such as RTM_NEWLINK.
    pub kind: u16,
    /// Flags of the header, such as NLM_F_DUMP_INTR.
    pub flags: u16,
    /// Sequence number of the request that the message answers.
    pub sequence: u32,
    /// Bytes after the header.
    pub payload: &'a [u8],
}

/// Messages of one datagram, up to the first that is cut short.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(long(bytes, 0)?).ok()?;
        let payload = bytes.get(HEADER..length)?;
        let message = Message { kind: short(bytes, 4)?, flags: short(bytes, 6)?, sequence: long(bytes, 8)?, payload };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

/// Attributes behind a header of `skip` bytes, up to the first that is cut short: type and value.
fn attributes(payload: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = payload.get(skip..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes, 0)?);
        let kind = short(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The 16-bit number at offset `at`.
fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The 32-bit number at offset `at`.
fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The address that 4 or 16 bytes give.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// The error that an acknowledgement carries; `None` for success.
pub fn failure(payload: &[u8]) -> Option<std::io::Error> {
    let code = long(payload, 0)?.cast_signed();
    (code != 0).then(|| std::io::Error::from_raw_os_error(code.wrapping_neg()))
}

/// The interface of an RTM_NEWLINK or RTM_DELLINK. `None` for a bridge's messages about its ports,
/// which have a family of their own: "deleted" there means that the port left the bridge.
pub fn link(payload: &[u8]) -> Option<InterfaceInfo> {
    if *payload.first()? != ANY_FAMILY {
        return None;
    }
    let flags = long(payload, 8)?;
    let has = |flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    let mut info = InterfaceInfo {
        index: long(payload, 4)?,
        name: String::new(),
        mac: MacAddr::ZERO,
        up: has(libc::IFF_UP),
        carrier: has(libc::IFF_UP) && has(libc::IFF_LOWER_UP),
        is_ethernet: short(payload, 2)? == ARPHRD_ETHER && !has(libc::IFF_LOOPBACK),
        port_of: None,
        lower: None,
    };
    let (mut leaves_frames, mut is_untagged, mut is_elsewhere) = (false, false, false);
    for (kind, value) in attributes(payload, 16) {
        match kind {
            libc::IFLA_IFNAME => {
                info.name = String::from_utf8_lossy(value.split(|byte| *byte == 0).next()?).into_owned();
            }
            libc::IFLA_ADDRESS => info.mac = value.try_into().map_or(MacAddr::ZERO, MacAddr),
            libc::IFLA_MASTER => info.port_of = long(value, 0).filter(|index| *index != 0),
            libc::IFLA_LINK => info.lower = long(value, 0).filter(|index| *index != 0),
            IFLA_LINK_NETNSID => is_elsewhere = true,
            libc::IFLA_LINKINFO => {
                leaves_frames = is_in_vrf(value);
                is_untagged = has_kind(value, IFLA_INFO_KIND, &UNTAGGED);
            }
            _ => {}
        }
    }
    info.port_of = info.port_of.filter(|_| !leaves_frames);
    info.lower = info.lower.filter(|_| is_untagged && !is_elsewhere);
    Some(info)
}

/// Whether the interface belongs to a VRF, by the content of its IFLA_LINKINFO. Every other kind
/// takes the frames of its ports away from them, kinds without a name included.
fn is_in_vrf(info: &[u8]) -> bool {
    has_kind(info, IFLA_INFO_SLAVE_KIND, &[b"vrf"])
}

/// Whether an IFLA_LINKINFO names one of these kinds in this attribute.
fn has_kind(info: &[u8], attribute: u16, kinds: &[&[u8]]) -> bool {
    let mut named = attributes(info, 0).filter(|(kind, _)| *kind == attribute);
    named.any(|(_, name)| kinds.contains(&name.strip_suffix(&[0]).unwrap_or(name)))
}

/// Content of an RTM_NEWADDR or RTM_DELADDR.
pub struct AddressMessage {
    /// Number of the interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix, in bits.
    pub prefix: u8,
    /// Flags of the address, such as IFA_F_NODAD.
    pub flags: u32,
    /// Preferred lifetime in seconds; `u32::MAX` is for ever.
    pub preferred: u32,
}

/// Content of an RTM_NEWADDR or RTM_DELADDR; `None` if it is cut short or has no address.
pub fn address_message(payload: &[u8]) -> Option<AddressMessage> {
    let mut local = None;
    let mut peer = None;
    let mut flags = u32::from(*payload.get(2)?);
    let mut preferred = u32::MAX;
    for (kind, value) in attributes(payload, 8) {
        match kind {
            libc::IFA_LOCAL => local = address(value),
            libc::IFA_ADDRESS => peer = address(value),
            libc::IFA_CACHEINFO => preferred = long(value, 0)?,
            IFA_FLAGS => flags = long(value, 0)?,
            _ => {}
        }
    }
    // IPv6 tells its address as IFA_ADDRESS alone; on point-to-point IPv4 that is the other end.
    let address = local.or(peer)?;
    Some(AddressMessage { index: long(payload, 4)?, address, prefix: *payload.get(1)?, flags, preferred })
}

/// The number of the interface and the entry of an RTM_NEWNEIGH; `None` if it is cut short or has
/// no address.
pub fn neighbour(payload: &[u8]) -> Option<(u32, Neighbour)> {
    let mut destination = None;
    let mut mac = None;
    for (kind, value) in attributes(payload, 12) {
        match kind {
            libc::NDA_DST => destination = address(value),
            libc::NDA_LLADDR => mac = value.try_into().ok().map(MacAddr),
            _ => {}
        }
    }
    let state = match short(payload, 8)? {
        libc::NUD_INCOMPLETE => NeighbourState::Incomplete,
        libc::NUD_REACHABLE => NeighbourState::Reachable,
        libc::NUD_STALE => NeighbourState::Stale,
        libc::NUD_DELAY => NeighbourState::Delay,
        libc::NUD_PROBE => NeighbourState::Probe,
        libc::NUD_FAILED => NeighbourState::Failed,
        libc::NUD_NOARP => NeighbourState::NoArp,
        libc::NUD_PERMANENT => NeighbourState::Permanent,
        _ => NeighbourState::None,
    };
    Some((long(payload, 4)?, Neighbour { address: destination?, mac, state }))
}

/// Gateways of an RTM_NEWROUTE that lead through the interface `index`; none if it is no default
/// route.
pub fn gateways(payload: &[u8], index: u32) -> Vec<IpAddr> {
    const IS_DEFAULT: u8 = 0;
    let kind = payload.get(7).copied();
    if payload.get(1) != Some(&IS_DEFAULT) || kind != Some(libc::RTN_UNICAST) {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(hop_gateway(attributes(payload, 12), None, index));
    for (kind, mut hops) in attributes(payload, 12) {
        if kind != libc::RTA_MULTIPATH {
            continue;
        }
        while let (Some(length), Some(oif)) = (short(hops, 0), long(hops, 4)) {
            let length = usize::from(length);
            let Some(this) = hops.get(..length).filter(|hop| hop.len() >= 8) else { break };
            found.extend(hop_gateway(attributes(this, 8), Some(oif), index));
            hops = hops.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
    }
    found
}

/// The gateway of one next hop, if it leads through the interface `index`.
fn hop_gateway<'a>(
    attributes: impl Iterator<Item = (u16, &'a [u8])>,
    oif: Option<u32>,
    index: u32,
) -> Option<IpAddr> {
    let mut oif = oif;
    let mut gateway = None;
    for (kind, value) in attributes {
        match kind {
            libc::RTA_OIF => oif = long(value, 0),
            libc::RTA_GATEWAY => gateway = address(value),
            // A family of two bytes comes first: an IPv6 gateway of an IPv4 route.
            RTA_VIA => gateway = value.get(2..).and_then(address),
            _ => {}
        }
    }
    gateway.filter(|_| oif == Some(index))
}

/// The flags of the interface of an RTM_NEWLINK, such as IFF_NOARP.
pub fn link_flags(payload: &[u8]) -> Option<u32> {
    long(payload, 8)
}

/// The port that an RTM_NEWLINK tells of, if it is one of the bridge `index`.
pub fn bridge_port(payload: &[u8], index: u32) -> Option<BridgePort> {
    let link = link(payload)?;
    let master = attributes(payload, 16).find(|(kind, _)| *kind == libc::IFLA_MASTER).and_then(|(_, it)| long(it, 0));
    let info = attributes(payload, 16).find(|(kind, _)| *kind == libc::IFLA_LINKINFO).map_or(&[][..], |(_, it)| it);
    let text = |wanted: u16| {
        let value = attributes(info, 0).find(|(kind, _)| *kind == wanted).map_or(&[][..], |(_, value)| value);
        String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
    };
    let is_port = master == Some(index) && text(IFLA_INFO_SLAVE_KIND) == "bridge";
    let (kind, carrier) = (text(IFLA_INFO_KIND), link.carrier);
    is_port.then_some(BridgePort { index: link.index, name: link.name, kind, carrier })
}

/// The kind of the interface of an RTM_NEWLINK, and the one below it.
pub fn layer(payload: &[u8]) -> Option<Layer> {
    if *payload.first()? != ANY_FAMILY {
        return None;
    }
    let find = |wanted: u16| attributes(payload, 16).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let info = find(libc::IFLA_LINKINFO).unwrap_or(&[]);
    let kind = attributes(info, 0).find(|(kind, _)| *kind == IFLA_INFO_KIND).map_or(&[][..], |(_, value)| value);
    let kind = String::from_utf8_lossy(kind.strip_suffix(&[0]).unwrap_or(kind)).into_owned();
    let below = find(libc::IFLA_LINK).and_then(|value| long(value, 0));
    Some(Layer { kind, below: below.filter(|_| find(IFLA_LINK_NETNSID).is_none()) })
}

/// What an RTM_NEWNEIGH tells of a host behind a port of a bridge. `None` for other families, for what
/// the bridge keeps for this machine itself, and for the filters of devices.
pub fn bridge_entry(payload: &[u8]) -> Option<BridgeEntry> {
    let (family, state, flags) = (*payload.first()?, short(payload, 8)?, *payload.get(10)?);
    if i32::from(family) != libc::AF_BRIDGE || state & libc::NUD_PERMANENT != 0 || flags & libc::NTF_SELF != 0 {
        return None;
    }
    let find = |wanted: u16| attributes(payload, 12).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let mac = MacAddr(find(libc::NDA_LLADDR)?.try_into().ok()?);
    let bridge = long(find(NDA_MASTER)?, 0)?;
    let port = long(payload, 4)?;
    (!mac.is_multicast() && !mac.is_zero() && port != bridge).then_some(BridgeEntry { bridge, port, mac })
}

/// The scope of the address of an RTM_NEWADDR, such as RT_SCOPE_LINK.
pub fn address_scope(payload: &[u8]) -> Option<u8> {
    payload.get(3).copied()
}

/// What the route of an RTM_NEWROUTE, the answer to a look-up, does with a packet.
pub fn verdict(payload: &[u8]) -> Verdict {
    let oif = attributes(payload, 12).find(|(kind, _)| *kind == libc::RTA_OIF).and_then(|(_, value)| long(value, 0));
    match payload.get(7).copied() {
        Some(libc::RTN_LOCAL) => Verdict::Local,
        Some(libc::RTN_UNICAST) => oif.map_or(Verdict::Dropped, Verdict::Leaves),
        Some(_) | None => Verdict::Dropped,
    }
}

/// The route of an RTM_NEWROUTE, if it is one for unicast through the interface `index`, and not of
/// link-local addresses.
pub fn route(payload: &[u8], index: u32) -> Option<RouteInfo> {
    let (family, prefix, protocol, kind) = (payload.first()?, *payload.get(1)?, *payload.get(5)?, *payload.get(7)?);
    if kind != libc::RTN_UNICAST || long(payload, 8)? & libc::RTM_F_CLONED != 0 {
        return None;
    }
    let oif = |(kind, value): (u16, &[u8])| (kind == libc::RTA_OIF).then(|| long(value, 0)).flatten();
    let through = attributes(payload, 12).find_map(oif) == Some(index) || hops_lead_through(payload, index);
    let network = attributes(payload, 12).find(|(kind, _)| *kind == libc::RTA_DST).and_then(|(_, to)| address(to));
    let network = network.or_else(|| {
        let ipv6 = i32::from(*family) == libc::AF_INET6;
        Some(if ipv6 { IpAddr::from([0_u16; 8]) } else { IpAddr::from([0_u8; 4]) })
    })?;
    let useless = match network {
        IpAddr::V4(network) => network.is_multicast() || network.is_link_local(),
        IpAddr::V6(network) => network.is_multicast() || network.is_unicast_link_local(),
    };
    let is_dynamic = !STEADY_PROTOCOLS.contains(&protocol);
    (through && !useless).then_some(RouteInfo { prefix, network, is_dynamic })
}

/// Whether one of several next hops leads through the interface `index`.
fn hops_lead_through(payload: &[u8], index: u32) -> bool {
    let several = attributes(payload, 12).filter(|(kind, _)| *kind == libc::RTA_MULTIPATH);
    several.into_iter().any(|(_, mut hops)| {
        while let (Some(length), Some(oif)) = (short(hops, 0), long(hops, 4)) {
            if oif == index || length < 8 {
                return oif == index;
            }
            hops = hops.get(usize::from(length).next_multiple_of(4)..).unwrap_or(&[]);
        }
        false
    })
}

/// Number of the interface that an RTM_…QDISC or RTM_…TFILTER is about.
pub fn filter_index(payload: &[u8]) -> Option<u32> {
    long(payload, 4)
}

/// Appends a request to a datagram.
pub fn append(datagram: &mut Vec<u8>, request: RouteNetlinkMessage, flags: u16, sequence: u32) {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    debug_assert!(matches!(message.payload, NetlinkPayload::InnerMessage(_)));
    message.finalize();
    let start = datagram.len();
    datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut datagram[start..]);
}
