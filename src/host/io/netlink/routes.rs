//! The kernel's own word on where a packet would go, and the routes through an interface.
//!
//! Owns: look-ups (RTM_GETROUTE), which pass all tables and rules as a packet does. Never does:
//! change a route, or keep one: an answer is of the moment it was given in.

use super::message;
use super::requests::Netlink;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::io;
use std::net::IpAddr;

/// Flag of an interface without ARP: IFF_NOARP, <linux/if.h>.
const IFF_NOARP: u32 = 0x80;
/// Most routes of one interface and family that are looked at.
const ROUTES: usize = 256;

/// What the kernel would do with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is for this machine.
    Local,
    /// It leaves by the interface of this number.
    Leaves(u32),
    /// It is dropped: there is no route, or one that says so.
    Dropped,
}

/// A route that leads through an interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteInfo {
    /// Length of the prefix, in bits; 0 for a default route.
    pub prefix: u8,
    /// The network.
    pub network: IpAddr,
    /// Whether a routing daemon put it there, which takes routes back as a matter of course.
    pub is_dynamic: bool,
}

impl Netlink {
    /// Where a packet of this machine would go, from one of its addresses to `to`.
    ///
    /// # Errors
    /// When the kernel could not be asked.
    pub fn way_out(&mut self, from: IpAddr, to: IpAddr) -> io::Result<Verdict> {
        self.look_up(from, to, None)
    }

    /// Where a packet goes that comes in by the interface `index`. Source validation (`rp_filter`)
    /// has its word as well.
    ///
    /// # Errors
    /// When the kernel could not be asked.
    pub fn way_in(&mut self, from: IpAddr, to: IpAddr, index: u32) -> io::Result<Verdict> {
        self.look_up(from, to, Some(index))
    }

    /// Asks the kernel. What it says with an errno of its routing is an answer.
    fn look_up(&mut self, from: IpAddr, to: IpAddr, incoming: Option<u32>) -> io::Result<Verdict> {
        let mut request = RouteMessage::default();
        let bits = if to.is_ipv4() { 32 } else { 128 };
        request.header.address_family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        (request.header.source_prefix_length, request.header.destination_prefix_length) = (bits, bits);
        request.attributes.push(RouteAttribute::Source(route_address(from)));
        request.attributes.push(RouteAttribute::Destination(route_address(to)));
        request.attributes.extend(incoming.map(RouteAttribute::Iif));
        let mut verdict = Verdict::Dropped;
        let result = self.ask(RouteNetlinkMessage::GetRoute(request), NLM_F_ACK, |answer| {
            if answer.kind == libc::RTM_NEWROUTE {
                verdict = message::verdict(answer.payload);
            }
        });
        match result.map_err(|cause| (cause.raw_os_error(), cause)) {
            Ok(()) => Ok(verdict),
            // Without a route, prohibited, blackhole, a source that would not come from there.
            Err((
                Some(
                    libc::ENETUNREACH
                    | libc::EHOSTUNREACH
                    | libc::EACCES
                    | libc::EINVAL
                    | libc::EXDEV
                    | libc::EAGAIN
                    | libc::EADDRNOTAVAIL,
                ),
                _,
            )) => Ok(Verdict::Dropped),
            Err((_, cause)) => Err(cause),
        }
    }

    /// The unicast routes through an interface, of both families, the widest first; without those
    /// of link-local and multicast addresses. At most 256 of each family.
    ///
    /// # Errors
    /// ENODEV when the interface is gone.
    pub fn routes(&mut self, index: u32) -> io::Result<Vec<RouteInfo>> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            request.attributes.push(RouteAttribute::Oif(index));
            let mut found = self.dump(RouteNetlinkMessage::GetRoute(request), |answer| {
                (answer.kind == libc::RTM_NEWROUTE).then(|| message::route(answer.payload, index)).flatten()
            })?;
            found.sort_unstable();
            found.dedup();
            found.truncate(ROUTES);
            all.append(&mut found);
        }
        Ok(all)
    }

    /// Whether an interface was told to do without ARP.
    ///
    /// # Errors
    /// ENODEV when the interface is gone.
    pub fn has_no_arp(&mut self, name: &str) -> io::Result<bool> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.to_string()));
        let mut flags = 0;
        self.ask(RouteNetlinkMessage::GetLink(request), NLM_F_ACK, |answer| {
            if answer.kind == libc::RTM_NEWLINK {
                flags = message::link_flags(answer.payload).unwrap_or(0);
            }
        })?;
        Ok(flags & IFF_NOARP != 0)
    }
}

/// An address as a request for a route carries it.
fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}
