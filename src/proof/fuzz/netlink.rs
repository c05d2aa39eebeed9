//! Input from the kernel over netlink: any bytes at all, and messages as the kernel writes them.
//!
//! - Every reader of messages takes any bytes: n bytes give at most n/16 events, for a header is 16
//!   bytes. A name has no more letters than the bytes it was read from. The events of a prefix are
//!   a prefix of the events.
//! - A message drawn from the input and written by the library that writes our requests is read as
//!   what it says, whatever unknown attributes stand around it.

use super::Taken;
use super::input::Input;
use crate::io::netlink::NetlinkEvent;
use crate::io::netlink::events::read;
use crate::io::netlink::message::{self, Message, messages};
use netlink_packet_core::DefaultNla;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the header of a message.
const HEADER: usize = 16;
/// An attribute's number that neither the kernel nor a reader of ours has.
const UNKNOWN: u16 = 0x3ffe;

/// Checks one input: `bytes` are a datagram of the kernel, which is read whole, cut short, and by
/// every reader; and again what a right message is drawn from. Accepted: the datagram told at least
/// one event.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let events: Vec<NetlinkEvent> = read(bytes).collect();
    assert!(events.len() <= bytes.len() / HEADER, "{} events in {} bytes", events.len(), bytes.len());
    let mut count = 0;
    for message in messages(bytes) {
        count += 1;
        check_message(&message);
    }
    assert!(count <= bytes.len() / HEADER, "{count} messages in {} bytes", bytes.len());
    let mut input = Input::new(bytes);
    let cut = input.below(bytes.len() + 1);
    let fewer: Vec<NetlinkEvent> = read(&bytes[..cut]).collect();
    assert_eq!(fewer, events[..fewer.len()], "cut to {cut} bytes");
    check_written(&mut input);
    Taken::of(!events.is_empty())
}

/// Checks that every reader takes a message, whichever kind the message says that it is of, and
/// gives no more than the payload has room for.
fn check_message(message: &Message<'_>) {
    let payload = message.payload;
    if let Some(link) = message::link(payload) {
        assert!(link.name.len() <= payload.len() * 3, "each bad byte of a name is shown as three");
        assert!(!link.carrier || link.up, "no carrier without being switched on");
    }
    if let Some(read) = message::address_message(payload) {
        assert_eq!(Some(&read.prefix), payload.get(1));
    }
    let _any = (message::neighbour(payload), message::layer(payload));
    if let Some(entry) = message::bridge_entry(payload) {
        assert!(entry.port != entry.bridge && !entry.mac.is_multicast(), "{entry:?}");
    }
    let index = message::filter_index(payload);
    let gateways = message::gateways(payload, index.unwrap_or(0));
    assert!(gateways.len() <= payload.len() / 4, "{} gateways in {} bytes", gateways.len(), payload.len());
    let _any = message::failure(payload);
}

/// Checks that a message which is drawn from the input and written by the library is read as what
/// it says.
fn check_written(input: &mut Input<'_>) {
    let (kind, index, junk) = (input.byte() % 3, input.word(), input.byte());
    let junk = DefaultNla::new(UNKNOWN, input.take(usize::from(junk)).to_vec());
    let address = if input.byte().is_multiple_of(2) {
        IpAddr::V4(Ipv4Addr::from(input.word()))
    } else {
        IpAddr::V6(Ipv6Addr::from(input.array::<16>()))
    };
    match kind {
        0 => check_link(index, junk, input),
        1 => check_address(index, address, junk, input),
        _ => check_neighbour(index, address, junk, input),
    }
}

/// The datagram that the library writes for a message.
fn written(request: RouteNetlinkMessage) -> Vec<u8> {
    let mut datagram = Vec::new();
    message::append(&mut datagram, request, 0, 7);
    datagram
}

/// Checks that a link drawn from the input is told as it was written, and that its end is told.
fn check_link(index: u32, junk: DefaultNla, input: &mut Input<'_>) {
    let (flags, mac): (u32, [u8; 6]) = (input.word(), input.array());
    let name: String = input.take(15).iter().map(|byte| char::from(byte % 94 + 33)).collect();
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::from_bits_retain(flags);
    link.header.link_layer_type = LinkLayerType::Ether;
    link.attributes = vec![
        LinkAttribute::Other(junk.clone()),
        LinkAttribute::IfName(name.clone()),
        LinkAttribute::Address(mac.to_vec()),
        LinkAttribute::Other(junk),
    ];
    let gone: Vec<NetlinkEvent> = read(&written(RouteNetlinkMessage::DelLink(link.clone()))).collect();
    assert_eq!(gone, [NetlinkEvent::LinkGone { index, name: name.clone() }]);
    let datagram = written(RouteNetlinkMessage::NewLink(link));
    let told: Vec<NetlinkEvent> = read(&datagram).collect();
    let [NetlinkEvent::Link(info)] = told.as_slice() else { panic!("one link, not {told:?}") };
    let up = flags & 1 != 0;
    assert_eq!((info.index, &info.name, info.mac.0), (index, &name, mac));
    assert_eq!((info.up, info.carrier), (up, up && flags & 1 << 16 != 0), "flags {flags:#x}");
    assert_eq!(info.is_ethernet, flags & 8 == 0, "flags {flags:#x}");
}

/// Checks that an address is told as added and as removed. `junk` is an unknown attribute that
/// stands around the others.
fn check_address(index: u32, address: IpAddr, junk: DefaultNla, input: &mut Input<'_>) {
    let mut wanted = AddressMessage::default();
    wanted.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    wanted.header.index = index;
    wanted.header.prefix_len = input.byte();
    // The other end of a point-to-point interface is told beside our own address, before or after
    // it.
    let other = if address.is_ipv4() { Ipv4Addr::BROADCAST.into() } else { IpAddr::from(Ipv6Addr::LOCALHOST) };
    wanted.attributes = vec![
        AddressAttribute::Other(junk.clone()),
        AddressAttribute::Address(other),
        AddressAttribute::Local(address),
        AddressAttribute::Address(other),
        AddressAttribute::Other(junk),
    ];
    let added: Vec<NetlinkEvent> = read(&written(RouteNetlinkMessage::NewAddress(wanted.clone()))).collect();
    assert_eq!(added, [NetlinkEvent::AddressAdded { index, address }]);
    let removed: Vec<NetlinkEvent> = read(&written(RouteNetlinkMessage::DelAddress(wanted))).collect();
    assert_eq!(removed, [NetlinkEvent::AddressRemoved { index, address }]);
}

/// Checks that a neighbour is told with its address, hardware address and state. `junk` is an
/// unknown attribute that stands before the others.
fn check_neighbour(index: u32, address: IpAddr, junk: DefaultNla, input: &mut Input<'_>) {
    let mac: [u8; 6] = input.array();
    let mut wanted = NeighbourMessage::default();
    wanted.header.ifindex = index;
    wanted.header.state = NeighbourState::Reachable;
    wanted.attributes = vec![
        NeighbourAttribute::Other(junk),
        NeighbourAttribute::Destination(match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        }),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    let datagram = written(RouteNetlinkMessage::NewNeighbour(wanted));
    let payload = messages(&datagram).next().expect("one message").payload;
    let (on, neighbour) = message::neighbour(payload).expect("a neighbour");
    assert_eq!((on, neighbour.address, neighbour.mac.map(|mac| mac.0)), (index, address, Some(mac)));
    assert_eq!(neighbour.state, crate::io::netlink::NeighbourState::Reachable);
}

/// Messages as the kernel writes them, and messages with wrong lengths.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let datagram = |kind: u16, length: u32, payload: &[u8]| {
        let mut datagram = Vec::new();
        datagram.extend(length.to_ne_bytes());
        datagram.extend(kind.to_ne_bytes());
        datagram.extend([0; 10]);
        datagram.extend(payload);
        datagram
    };
    let whole =
        |kind: u16, payload: &[u8]| datagram(kind, u32::try_from(HEADER + payload.len()).expect("short"), payload);
    let attribute = |kind: u16, value: &[u8]| {
        let mut bytes = Vec::new();
        bytes.extend(u16::try_from(4 + value.len()).expect("short").to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let link = [vec![0, 0, 1, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0], attribute(3, b"eth0\0"), attribute(1, &[2; 6])];
    let address = [vec![2, 32, 0x80, 0, 3, 0, 0, 0], attribute(1, &[10, 0, 0, 9]), attribute(2, &[10, 0, 0, 1])];
    let hops = [vec![16, 0, 0, 0, 3, 0, 0, 0], attribute(5, &[10, 0, 0, 254])].concat();
    let route = [vec![2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0], attribute(9, &hops)].concat();
    let both = [whole(16, &link.concat()), whole(20, &address.concat())].concat();
    vec![
        ("link", whole(16, &link.concat())),
        ("link-gone", whole(17, &link.concat())),
        ("address", whole(20, &address.concat())),
        ("address-gone", whole(21, &address.concat())),
        ("filter", whole(44, &[0; 20])),
        ("multipath-route", whole(24, &route)),
        ("two-messages", both),
        ("longer-than-it-is", datagram(16, 0xffff_fffc, &link.concat())),
        ("of-length-zero", datagram(16, 0, &link.concat())),
        ("attribute-of-length-zero", whole(16, &[&link[0][..], &[0; 8]].concat())),
        ("overrun", whole(4, &[])),
        ("nothing", Vec::new()),
    ]
}
