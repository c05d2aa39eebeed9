//! Numbers and addresses of the things in a simulation.

use crate::types::{GroupId, GroupKey, InterfaceId, LinkPath, MacAddr, NodeId, Vip};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Hardware address of a machine that nobody knows.
pub const STRANGER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xfe]);

/// The span of so many milliseconds.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A number of the simulation as a byte.
fn byte(number: usize) -> u8 {
    u8::try_from(number).expect("invariant: the simulation has few of everything")
}

/// Hardware address that a node has on one of its interfaces at first.
pub fn mac(node: usize, interface: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, byte(interface), byte(node) + 1])
}

/// Hardware address of a host on the clients' segment.
pub fn host_mac(host: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, 0x80 + byte(host)])
}

/// Hardware address of a machine inside a node, on the segment of one of its interfaces.
pub fn inside_mac(node: usize, interface: usize) -> MacAddr {
    MacAddr([2, 0, 0, 1, byte(interface), byte(node) + 1])
}

/// The address of the machine inside a node.
pub fn inside_address(node: usize) -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 2, 1 + byte(node)))
}

/// The address of a host on the clients' segment.
pub fn host_address(host: usize) -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 200 + byte(host)))
}

/// The own address of a node on its interfaces.
pub fn own_address(node: usize) -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 150 + byte(node)))
}

/// The first address of a group.
pub fn vip(group: usize) -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1 + byte(group)))
}

/// The second address of a group, which is not in every node's file.
pub fn second_vip(group: usize) -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1 + byte(group)))
}

/// The group that has an address as its first, if any has.
pub fn group_of(address: Vip) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    let [10, 0, 0, last] = address.octets() else { return None };
    (1..100).contains(&last).then(|| usize::from(last) - 1)
}

/// The host that has an address, if any has.
pub fn host_of(address: Vip) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    let [10, 0, 0, last] = address.octets() else { return None };
    (200..255).contains(&last).then(|| usize::from(last) - 200)
}

/// The number of a node on the wire.
pub fn id(node: usize) -> NodeId {
    NodeId(byte(node) + 1)
}

/// The number of a witness on the wire.
pub fn witness_id(witness: usize) -> NodeId {
    NodeId(NodeId::FIRST_WITNESS.0 + byte(witness))
}

/// The witness that has an identity on the wire, if any has.
pub fn witness_of(id: NodeId) -> Option<usize> {
    id.0.checked_sub(NodeId::FIRST_WITNESS.0).map(usize::from)
}

/// The node that has an identity on the wire.
pub fn position(id: NodeId) -> usize {
    usize::from(id.0) - 1
}

/// The group at a place in an engine's table.
pub fn group_id(group: usize) -> GroupId {
    GroupId(u16::from(byte(group)))
}

/// What the second name of a group adds to its key.
const RENAMED: u64 = 64;

/// The key of a group of the simulation by its first name.
pub fn key(group: usize) -> GroupKey {
    GroupKey(u64::from(byte(group)) + 1)
}

/// The key of a group by its first name, or by its second if it is `renamed`.
pub fn key_of(group: usize, renamed: bool) -> GroupKey {
    GroupKey(key(group).0 + RENAMED * u64::from(renamed))
}

/// The group of the simulation that has a key, by either name.
pub fn group_of_key(key: GroupKey) -> usize {
    usize::try_from((key.0 - 1) % RENAMED).unwrap_or(0)
}

/// An interface as engines number it.
pub fn interface_id(interface: usize) -> InterfaceId {
    InterfaceId(byte(interface))
}

/// The path of a UDP link.
pub fn udp(link: usize) -> LinkPath {
    LinkPath::Udp(byte(link))
}
