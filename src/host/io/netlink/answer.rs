//! Whether this machine's kernel would answer a client that asks for an address, gate or no gate.
//!
//! For IPv4 this repeats what the kernel does with an ARP request (net/ipv4/arp.c: `arp_process`,
//! `arp_ignore`, `arp_filter`; net/ipv4/devinet.c: `inet_confirm_addr`): source validation and
//! routes are asked of the kernel itself, settings are read. For IPv6 (net/ipv6/ndisc.c:
//! `ndisc_recv_ns`) an address that is no longer tentative is answered for on its interface, and
//! what is left is whether the client's packets are taken. A test compares the verdict with what
//! the kernel does, for each setting.
//!
//! Owns: the verdict. Never does: change a setting. Filters of nftables and arptables are not seen.

use super::message;
use super::requests::Netlink;
use super::routes::Verdict;
use crate::types::Vip;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// The scope of addresses that are valid on their link: RT_SCOPE_LINK.
const SCOPE_LINK: u8 = 253;
/// Flags of an IPv6 address that is not answered for: IFA_F_DADFAILED and IFA_F_TENTATIVE.
const NOT_YET: u32 = 0x08 | 0x40;
/// Flag of an address that is used while it is still tentative: IFA_F_OPTIMISTIC.
const OPTIMISTIC: u32 = 0x04;

/// An address of an interface, as far as answers depend on it.
#[derive(Clone, Copy, Debug)]
struct Held {
    address: IpAddr,
    bits: u8,
    scope: u8,
    flags: u32,
}

/// The settings of one interface on which answers depend, read at one moment.
#[derive(Clone, Debug)]
pub struct Answering {
    index: u32,
    held: Vec<Held>,
    no_arp: bool,
    arp_ignore: u32,
    arp_filter: bool,
}

/// Why a client would get no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mute {
    /// The interface does without ARP.
    NoArp,
    /// `arp_ignore` has this value.
    Ignored(u32),
    /// `arp_filter` is set, and packets to the client do not leave by the interface.
    Filtered,
    /// The kernel does not take packets from the client here: by `rp_filter`, a route or a rule.
    NotTaken,
    /// The address is still being tested for duplicates, or has failed the test.
    Tentative,
}

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mute::NoArp => f.write_str("the interface is set to do without ARP (`ip link set … arp on`)"),
            Mute::Ignored(value) => write!(f, "net.ipv4.conf.*.arp_ignore is {value}"),
            Mute::Filtered => {
                f.write_str("net.ipv4.conf.*.arp_filter is set, and the route to the client is another one")
            }
            Mute::NotTaken => f.write_str("its packets are not taken there (rp_filter, a route or a rule)"),
            Mute::Tentative => f.write_str("the kernel tests the address for duplicates, or has found one"),
        }
    }
}

impl Answering {
    /// Reads the settings of an interface.
    ///
    /// # Errors
    /// ENODEV when the interface is gone.
    pub fn read(netlink: &mut Netlink, index: u32, name: &str) -> io::Result<Answering> {
        let setting = |of: &str, key: &str| -> u32 {
            let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{of}/{key}"));
            // What cannot be read is taken for the kernel's default.
            text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        };
        // As IN_DEV_MAXCONF and IN_DEV_ORCONF of <linux/inetdevice.h> join them.
        let largest = |key: &str| setting("all", key).max(setting(name, key));
        Ok(Answering {
            index,
            held: held(netlink, index)?,
            no_arp: netlink.has_no_arp(name)?,
            arp_ignore: largest("arp_ignore"),
            arp_filter: largest("arp_filter") != 0,
        })
    }

    /// Whether an address is this interface's own.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.held.iter().any(|held| held.address == address)
    }

    /// Whether a host with the address `client` asks for `vip` on this segment: a network of the
    /// interface holds both.
    #[must_use]
    pub fn is_neighbour(&self, client: IpAddr, vip: Vip) -> bool {
        self.held.iter().any(|held| held.holds(client) && held.holds(vip))
    }

    /// Why a client with the address `client` would get no answer when it asks for `vip` on this
    /// interface; `None` if it would. An address that is not there is somebody else's concern.
    ///
    /// # Errors
    /// When the kernel could not be asked.
    pub fn refuses(&self, netlink: &mut Netlink, vip: Vip, client: IpAddr) -> io::Result<Option<Mute>> {
        let address = vip;
        let Some(held) = self.held.iter().find(|held| held.address == address) else { return Ok(None) };
        if address.is_ipv6() {
            if held.flags & NOT_YET != 0 && held.flags & OPTIMISTIC == 0 {
                return Ok(Some(Mute::Tentative));
            }
        } else if self.no_arp {
            return Ok(Some(Mute::NoArp));
        } else if self.is_ignored(address, held.scope, client) {
            return Ok(Some(Mute::Ignored(self.arp_ignore)));
        }
        if netlink.way_in(client, address, self.index)? != Verdict::Local {
            return Ok(Some(Mute::NotTaken));
        }
        let filtered = address.is_ipv4() && self.arp_filter;
        if filtered && netlink.way_out(address, client)? != Verdict::Leaves(self.index) {
            return Ok(Some(Mute::Filtered));
        }
        Ok(None)
    }

    /// Whether `arp_ignore` forbids the answer for an address of this interface.
    fn is_ignored(&self, address: IpAddr, scope: u8, client: IpAddr) -> bool {
        match self.arp_ignore {
            2 => !self.held.iter().any(|held| held.holds(address) && held.holds(client)),
            3 => scope > SCOPE_LINK,
            8 => true,
            // 1 asks that the address is the interface's own, which it is; 4 to 7 are reserved.
            _ => false,
        }
    }
}

impl Held {
    /// Whether the network of the address holds `other`.
    fn holds(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The addresses of an interface.
fn held(netlink: &mut Netlink, index: u32) -> io::Result<Vec<Held>> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = AddressMessage::default();
        request.header.family = family;
        request.header.index = index;
        found.extend(netlink.dump(RouteNetlinkMessage::GetAddress(request), |answer| {
            let read = (answer.kind == libc::RTM_NEWADDR).then(|| message::address_message(answer.payload)).flatten();
            let scope = message::address_scope(answer.payload)?;
            read.filter(|read| read.index == index).map(|read| Held {
                address: read.address,
                bits: read.prefix,
                scope,
                flags: read.flags,
            })
        })?);
    }
    Ok(found)
}

/// An address outside of all networks of this machine, to ask for the way there: of a block that is
/// kept for documentation (RFC 5737, RFC 9637).
#[must_use]
pub fn outside(ipv6: bool) -> IpAddr {
    if ipv6 { [0x3fff, 0, 0, 0, 0, 0, 0, 1].into() } else { Ipv4Addr::new(198, 51, 100, 1).into() }
}

#[cfg(test)]
mod tests;
