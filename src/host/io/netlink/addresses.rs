//! Group addresses on an interface: as /32 or /128, without duplicate detection (both nodes have
//! them), without a route of their own, and never chosen as a source.

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

/// Most addresses of one order. IPv4 takes about 20 µs each. IPv6 takes longer the more addresses
/// there are, milliseconds each with 10,000: a caller that must stay responsive orders fewer at a
/// time.
pub const ADDRESS_BATCH: usize = 256;

/// Flags that we add addresses with.
const OURS: AddressFlags = AddressFlags::Nodad.union(AddressFlags::Noprefixroute);
/// A lifetime without end.
const FOREVER: u32 = u32::MAX;

/// An address on an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressInfo {
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix, in bits.
    pub prefix: u8,
    /// Whether the address is as we would have added it. If not, a group address must be removed
    /// and added again.
    pub is_ours: bool,
    /// Whether it follows another address of its network, so that the kernel never chooses it as a
    /// source by itself. IPv4 only.
    pub is_secondary: bool,
    /// Whether it cannot be used yet, or not at all: duplicate detection runs, or has failed.
    pub is_unusable: bool,
}

impl Netlink {
    /// All addresses on an interface, of both families: those of each family in the kernel's order.
    ///
    /// # Errors
    /// ENODEV when the interface is gone.
    pub fn addresses(&mut self, index: u32) -> io::Result<Vec<AddressInfo>> {
        let all = self.list(index)?.into_iter();
        Ok(all.filter(|(on, _)| *on == index).map(|(_, info)| info).collect())
    }

    /// All addresses of the machine, of both families, each with the number of its interface.
    ///
    /// # Errors
    /// The kernel refused to list them.
    pub fn all_addresses(&mut self) -> io::Result<Vec<(u32, AddressInfo)>> {
        self.list(0)
    }

    /// Addresses of both families, each with the number of its interface. Some kernels heed `index`
    /// and list those of this interface alone; 0 stands for all.
    fn list(&mut self, index: u32) -> io::Result<Vec<(u32, AddressInfo)>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = AddressMessage::default();
            request.header.family = family;
            request.header.index = index;
            found.extend(self.dump(RouteNetlinkMessage::GetAddress(request), |answer| {
                let read = (answer.kind == libc::RTM_NEWADDR).then(|| message::address_message(answer.payload));
                read.flatten().map(|read| (read.index, address_info(&read)))
            })?);
        }
        Ok(found)
    }

    /// Adds addresses, at most [`ADDRESS_BATCH`]. Returns those that could not be added, with the
    /// reason. An address that exists already is no failure.
    ///
    /// # Errors
    /// When the exchange failed as a whole: list the addresses that are there, and go on from that.
    pub fn add_addresses(&mut self, index: u32, addresses: &[Vip]) -> io::Result<Vec<(Vip, io::Error)>> {
        let addition = |vip: &Vip| RouteNetlinkMessage::NewAddress(addition_message(index, *vip, full_prefix(*vip)));
        let failed = self.send_orders(addresses.iter().map(addition).collect(), NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(failures_by_address(addresses, failed, libc::EEXIST))
    }

    /// Moves IPv4 addresses of ours behind all others of the interface, so that the kernel chooses
    /// another one as a source. None is gone for a moment: a copy of another prefix holds the place
    /// meanwhile, and the kernel keeps what depends on the address alone. Returns those that could
    /// not be moved, with the reason; at worst a copy is left, which is replaced like any address
    /// that is not as we would have added it.
    ///
    /// # Errors
    /// As with [`Netlink::add_addresses`].
    pub fn move_behind(&mut self, index: u32, addresses: &[Vip]) -> io::Result<Vec<(Vip, io::Error)>> {
        let mut failed = Vec::new();
        for vip in addresses {
            let full = full_prefix(*vip);
            for (add, prefix) in [(true, full - 1), (false, full), (true, full), (false, full - 1)] {
                let refused = if add {
                    let order = RouteNetlinkMessage::NewAddress(addition_message(index, *vip, prefix));
                    self.send_orders(vec![order], NLM_F_CREATE | NLM_F_EXCL)?
                } else {
                    self.send_orders(vec![RouteNetlinkMessage::DelAddress(bare_message(index, *vip, prefix))], 0)?
                };
                if let Some((_, cause)) = refused.into_iter().next() {
                    failed.push((*vip, cause));
                    break;
                }
            }
        }
        Ok(failed)
    }

    /// Removes addresses with their prefixes, at most [`ADDRESS_BATCH`], whatever their flags.
    /// Returns those that could not be removed, with the reason. An address that does not exist is
    /// no failure.
    ///
    /// # Errors
    /// As with [`Netlink::add_addresses`].
    pub fn remove_addresses(&mut self, index: u32, addresses: &[(Vip, u8)]) -> io::Result<Vec<(Vip, io::Error)>> {
        let removal = |(vip, prefix): &(Vip, u8)| RouteNetlinkMessage::DelAddress(bare_message(index, *vip, *prefix));
        let failed = self.send_orders(addresses.iter().map(removal).collect(), 0)?;
        let plain: Vec<Vip> = addresses.iter().map(|(vip, _)| *vip).collect();
        Ok(failures_by_address(&plain, failed, libc::EADDRNOTAVAIL))
    }
}

/// Failures by address. `harmless` is the error code that means that there was nothing to do.
fn failures_by_address(addresses: &[Vip], failed: Vec<(usize, io::Error)>, harmless: i32) -> Vec<(Vip, io::Error)> {
    failed
        .into_iter()
        .filter(|(_, cause)| cause.raw_os_error() != Some(harmless))
        .filter_map(|(position, cause)| Some((*addresses.get(position)?, cause)))
        .collect()
}

/// The address of a message, and whether it is as we would have added it.
fn address_info(read: &message::AddressMessage) -> AddressInfo {
    let flags = AddressFlags::from_bits_retain(read.flags);
    let (needed, preferred) = match read.address {
        // IPv4 has no duplicate detection and no preferred lifetime.
        IpAddr::V4(_) => (AddressFlags::Noprefixroute, read.preferred),
        IpAddr::V6(_) => (OURS, 0),
    };
    let is_secondary = read.address.is_ipv4() && flags.contains(AddressFlags::Secondary);
    let waits = AddressFlags::Tentative | AddressFlags::Dadfailed;
    let is_unusable = read.address.is_ipv6() && flags.intersects(waits);
    // Nobody looks for duplicates of an address of ours.
    let is_ours = !is_unusable
        && read.prefix == full_prefix(read.address)
        && flags.contains(needed)
        && read.preferred == preferred;
    AddressInfo { address: read.address, prefix: read.prefix, is_ours, is_secondary, is_unusable }
}

/// Length of a prefix that holds one address.
fn full_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A message about an address with this prefix, with nothing else in it.
fn bare_message(index: u32, vip: Vip, prefix: u8) -> AddressMessage {
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

/// The message that adds a group address with this prefix.
fn addition_message(index: u32, vip: Vip, prefix: u8) -> AddressMessage {
    let mut message = bare_message(index, vip, prefix);
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
