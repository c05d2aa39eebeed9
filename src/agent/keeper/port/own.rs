//! The addresses of the server's own on an interface, with which others on the segment are asked.
//!
//! Owns: the choice among them. Never does: choose an address of a group, present or former: a
//! question that names it would claim it.

use crate::engine::OwnAddress;
use crate::io::netlink::AddressInfo;
use crate::types::Vip;

/// Most addresses that are told: a few networks share a segment at most.
const MOST: usize = 8;

/// The server's own among the addresses of an interface: those with a network, and the link-local
/// ones of IPv6. `of_group`: whether an address is a group's.
pub(super) fn among(found: &[AddressInfo], of_group: impl Fn(&Vip) -> bool) -> Box<[OwnAddress]> {
    let usable = |info: &&AddressInfo| {
        let asks = match info.address {
            Vip::V4(_) => info.prefix < 32,
            Vip::V6(address) => address.is_unicast_link_local(),
        };
        asks && !info.is_unusable && !of_group(&info.address)
    };
    let own = found.iter().filter(usable).take(MOST);
    own.map(|info| OwnAddress { address: info.address, prefix: info.prefix }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address with a network, or a group's if its prefix is the longest.
    fn info(address: &str, prefix: u8) -> AddressInfo {
        AddressInfo {
            address: address.parse().unwrap(),
            prefix,
            is_ours: prefix == 32,
            is_secondary: false,
            is_unusable: false,
        }
    }

    // S3: a question with a group's address as sender would claim it
    #[test]
    fn an_address_of_a_group_is_never_asked_with() {
        let group: Vip = "10.0.0.100".parse().unwrap();
        let group6: Vip = "fe80::100".parse().unwrap();
        let of_group = |address: &Vip| *address == group || *address == group6;
        let found = [info("10.0.0.100", 24), info("fe80::100", 64)];
        assert_eq!(among(&found, of_group), Box::from([]));
        let found = [info("10.0.0.100", 32), info("10.0.0.9", 32), info("10.0.0.2", 24), info("fe80::2", 64)];
        let own: Vec<String> = among(&found, of_group).iter().map(|own| own.address.to_string()).collect();
        assert_eq!(own, ["10.0.0.2", "fe80::2"], "one without a network is nobody's neighbour");
    }

    #[test]
    fn an_address_that_may_be_somebody_elses_is_not_asked_with() {
        let tentative = AddressInfo { is_unusable: true, ..info("fe80::2", 64) };
        assert_eq!(among(&[tentative], |_| false), Box::from([]));
    }
}
