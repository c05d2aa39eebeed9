//! The addresses of this machine, with their interfaces.
//!
//! Owns: that one reading. Never does: keep it, or wait for an address. On failure the caller gets
//! the kernel's error and no part of the list.

use super::netlink::Netlink;
use std::io;
use std::net::IpAddr;

/// An address of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalAddress {
    /// Name of the interface that has it; empty for one that is just going away.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix, in bits.
    pub prefix: u8,
}

impl LocalAddress {
    /// An address that counts as this machine's although no interface has it at the moment.
    #[must_use]
    pub fn unplaced(address: IpAddr) -> LocalAddress {
        LocalAddress { interface: String::new(), address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

/// All addresses of all interfaces. Service addresses are among them, as /32 or /128.
///
/// # Errors
/// The kernel refused to list interfaces or addresses.
pub fn addresses() -> io::Result<Vec<LocalAddress>> {
    let names = nix::net::if_::if_nameindex()?;
    let name = |index: u32| {
        let found = names.iter().find(|interface| interface.index() == index);
        found.map(|interface| interface.name().to_string_lossy().into_owned()).unwrap_or_default()
    };
    let found = Netlink::open()?.all_addresses()?;
    let local = |(index, info): (u32, super::netlink::AddressInfo)| LocalAddress {
        interface: name(index),
        address: info.address,
        prefix: info.prefix,
    };
    Ok(found.into_iter().map(local).collect())
}

/// The bare addresses of a list, by which a node finds itself in its configuration.
#[must_use]
pub fn bare(local: &[LocalAddress]) -> Vec<IpAddr> {
    local.iter().map(|local| local.address).collect()
}
