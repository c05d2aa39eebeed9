//! What the things of a simulated segment are called.

use crate::types::{GroupId, InterfaceId, MacAddr, NodeId, Vip};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The clients' interface of every node.
pub const ETH: InterfaceId = InterfaceId(0);

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A number of the simulation as a byte: there are few of everything.
fn byte(number: usize) -> u8 {
    u8::try_from(number).expect("invariant: the simulation has few of everything")
}

pub fn mac(node: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, byte(node) + 1])
}

pub fn vip(group: usize) -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + byte(group)))
}

pub fn id(at: usize) -> NodeId {
    NodeId(byte(at) + 1)
}

pub fn group_id(at: usize) -> GroupId {
    GroupId(u16::from(byte(at)))
}
