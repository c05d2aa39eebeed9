//! Which group addresses stand where the kernel would choose them as the source of what the server
//! itself sends: multicast, broadcast, IGMP, MLD, router solicitations, routes without a source.
//!
//! IPv4 takes the first primary address of the list (kernel, devinet.c, `inet_select_addr`), and a
//! new one goes to the end: an own address that comes later than ours stands behind it. IPv6 does
//! not choose a deprecated address, as ours are, for what is routed; but MLD and router
//! solicitations take the oldest usable link-local address, deprecated or not, and a new link-local
//! address does not make the kernel send either while there is another one (addrconf.c,
//! `ipv6_lonely_lladdr`). So a link-local group address waits until the server's own is usable.
//!
//! Owns: nothing of the machine; pure. Never does: decide whether an address may be touched now.

use crate::io::netlink::AddressInfo;
use crate::types::Vip;
use std::net::{IpAddr, Ipv6Addr};

/// What is to be done so that the kernel prefers the server's own addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Precedence {
    /// IPv4 group addresses before one of the server's own: they are to be moved behind it.
    pub ahead: Vec<Vip>,
    /// Link-local group addresses that are older than the server's own: they are to be taken away,
    /// and added again when the own one is usable.
    pub early: Vec<Vip>,
    /// Whether the server has no usable link-local address yet, for which group addresses wait.
    pub waits: bool,
    /// The server's own link-local address, if one is usable.
    pub own: Option<Ipv6Addr>,
    /// Whether the server has an IPv4 address of its own here.
    pub has_own4: bool,
}

impl Precedence {
    /// Looks at the addresses of an interface, those of each family in the kernel's order.
    /// `is_ours`: whether an address is, or was, one of a group.
    pub fn of(found: &[AddressInfo], is_ours: impl Fn(&IpAddr) -> bool) -> Precedence {
        let first = found.iter().filter(|info| info.address.is_ipv4() && !info.is_secondary);
        let first: Vec<&AddressInfo> = first.collect();
        let last_own = first.iter().rposition(|info| !is_ours(&info.address));
        let before = first.iter().take(last_own.unwrap_or(0));
        let ahead = before.filter(|info| info.is_ours && is_ours(&info.address)).map(|info| info.address).collect();

        let locals: Vec<&AddressInfo> = found.iter().filter(|info| is_link_local(&info.address)).collect();
        let usable = |info: &&&AddressInfo| !info.is_unusable && !is_ours(&info.address);
        // The newest is listed first, and the kernel takes the oldest.
        let oldest = locals.iter().rposition(|info| usable(&info));
        let older = locals.iter().skip(oldest.map_or(0, |at| at + 1));
        let early = older.filter(|info| is_ours(&info.address)).map(|info| info.address).collect();
        let own = oldest.map(|at| locals[at].address).and_then(|address| match address {
            IpAddr::V6(own) => Some(own),
            IpAddr::V4(_) => None,
        });
        Precedence { ahead, early, waits: own.is_none(), own, has_own4: last_own.is_some() }
    }
}

/// Whether an address is valid on its link alone, which IPv4 does not treat in another way.
pub(super) fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V6(address) => address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    }
}

#[cfg(test)]
mod tests;
