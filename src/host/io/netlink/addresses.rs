//! Group addresses on an interface: alone (/32, /128), without duplicate detection (both nodes have them), without a
//! route of their own, and never chosen as a source.

use super::message;
use super::requests::Netlink;
use crate::types::Vip;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::io;
use std::net::IpAddr;

/// Addresses that fit into one order. IPv4 takes about 20 µs each; IPv6 takes longer the more there are, milliseconds
/// each with 10,000, so callers that must stay responsive order fewer at a time.
pub const ADDRESS_BATCH: usize = 256;

const OURS: AddressFlags = AddressFlags::Nodad.union(AddressFlags::Noprefixroute);
const FOREVER: u32 = u32::MAX;

/// An address on an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressInfo {
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix.
    pub prefix: u8,
    /// It is as we would have added it. Without that a group address must be removed and added again.
    pub is_ours: bool,
}

impl Netlink {
    /// All addresses on an interface, of both families.
    ///
    /// # Errors
    /// ENODEV when the interface is gone.
    pub fn addresses(&mut self, index: u32) -> io::Result<Vec<AddressInfo>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = AddressMessage::default();
            request.header.family = family;
            request.header.index = index;
            found.extend(self.dump(RouteNetlinkMessage::GetAddress(request), |answer| {
                let read = (answer.kind == libc::RTM_NEWADDR).then(|| message::address_message(answer.payload));
                read.flatten().filter(|read| read.index == index).map(|read| info(&read))
            })?);
        }
        Ok(found)
    }

    /// Adds up to [`ADDRESS_BATCH`] addresses (more are cut off by the caller's mistake) and tells the ones that could
    /// not be added, and why. One that exists is no failure.
    ///
    /// # Errors
    /// When the exchange failed as a whole: list what is there and go on from that.
    pub fn add_addresses(&mut self, index: u32, addresses: &[Vip]) -> io::Result<Vec<(Vip, io::Error)>> {
        let requests = addresses.iter().map(|vip| RouteNetlinkMessage::NewAddress(addition(index, *vip))).collect();
        let failed = self.order(requests, NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(blame(addresses, failed, libc::EEXIST))
    }

    /// Removes up to [`ADDRESS_BATCH`] addresses, whatever their flags, and tells the ones that could not be removed.
    /// One that does not exist is no failure.
    ///
    /// # Errors
    /// As with [`Netlink::add_addresses`].
    pub fn remove_addresses(&mut self, index: u32, addresses: &[(Vip, u8)]) -> io::Result<Vec<(Vip, io::Error)>> {
        let removal = |(vip, prefix): &(Vip, u8)| RouteNetlinkMessage::DelAddress(bare(index, *vip, *prefix));
        let failed = self.order(addresses.iter().map(removal).collect(), 0)?;
        let plain: Vec<Vip> = addresses.iter().map(|(vip, _)| *vip).collect();
        Ok(blame(&plain, failed, libc::EADDRNOTAVAIL))
    }
}

/// Failures by address, without the one that means that there was nothing to do.
fn blame(addresses: &[Vip], failed: Vec<(usize, io::Error)>, harmless: i32) -> Vec<(Vip, io::Error)> {
    failed
        .into_iter()
        .filter(|(_, cause)| cause.raw_os_error() != Some(harmless))
        .filter_map(|(position, cause)| Some((*addresses.get(position)?, cause)))
        .collect()
}

fn info(read: &message::AddressMessage) -> AddressInfo {
    let flags = AddressFlags::from_bits_retain(read.flags);
    let (needed, preferred) = match read.address {
        // IPv4 has no duplicate detection and no preferred lifetime.
        IpAddr::V4(_) => (AddressFlags::Noprefixroute, read.preferred),
        IpAddr::V6(_) => (OURS, 0),
    };
    let is_ours = read.prefix == full(read.address) && flags.contains(needed) && read.preferred == preferred;
    AddressInfo { address: read.address, prefix: read.prefix, is_ours }
}

/// The length of a prefix that holds one address.
fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bare(index: u32, vip: Vip, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header = AddressHeader {
        family: if vip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 },
        prefix_len: prefix,
        index,
        ..AddressHeader::default()
    };
    message.attributes = vec![AddressAttribute::Local(vip), AddressAttribute::Address(vip)];
    message
}

fn addition(index: u32, vip: Vip) -> AddressMessage {
    let mut message = bare(index, vip, full(vip));
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Flags(OURS));
    if vip.is_ipv6() {
        let mut lifetime = CacheInfo::default();
        lifetime.ifa_preferred = 0;
        lifetime.ifa_valid = FOREVER;
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
    }
    message
}
