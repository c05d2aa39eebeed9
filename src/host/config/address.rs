//! Which IP addresses may be a link's end, a service address or a witness's.
//!
//! Owns: the rules about one address. Never does: compare addresses with each other. On failure the
//! error is a pair of texts: what is wrong and what would be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The use of an address, which decides what the address may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// One end of a link.
    Link,
    /// An address that clients know.
    Service,
    /// The address on which a witness listens.
    Witness,
}

/// Parses and validates one address.
///
/// # Errors
/// The text is no address, or no address for this use: what is wrong, and what would be right.
pub(crate) fn parse(text: &str, used_as: Use) -> Result<IpAddr, (String, String)> {
    let example = match used_as {
        Use::Link => "10.0.0.1 or fd00::1",
        Use::Service => "10.0.0.100 or 2001:db8::100",
        Use::Witness => "10.0.9.9 or fd00:9::9",
    };
    let Ok(address) = text.parse::<IpAddr>() else {
        let right = if text.contains('/') {
            "write the address without a prefix length; it is always configured as /32 or /128".to_owned()
        } else if text.contains('%') {
            "write an address without a zone, from a global or unique local prefix".to_owned()
        } else {
            format!("write an address such as {example}; names are not looked up")
        };
        return Err((format!("\"{}\" is no IP address", text.chars().take(60).collect::<String>()), right));
    };
    let wrong = match address {
        IpAddr::V4(address) => wrong_v4(address),
        IpAddr::V6(address) => wrong_v6(address, used_as),
    };
    match wrong {
        None => Ok(address),
        Some(what) => Err((format!("{address} is {what}"), format!("write a unicast address such as {example}"))),
    }
}

/// Reason for which an IPv4 address cannot be used for anything; `None` if it can.
fn wrong_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("no host's address (0.0.0.0/8)"),
        [127, ..] => Some("a loopback address, which no other machine can reach"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a broadcast or reserved address (240.0.0.0/4)"),
        [_, _, _, _] => None,
    }
}

/// Reason for which an IPv6 address cannot be used for this; `None` if it can.
fn wrong_v6(address: Ipv6Addr, used_as: Use) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address, which no other machine can reach")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.to_ipv4_mapped().is_some() {
        Some("an IPv4 address in IPv6 clothes")
    } else if address.is_unicast_link_local() && used_as != Use::Service {
        // A link-local address needs an interface beside it, which only a group names.
        Some("a link-local address, which means nothing without an interface")
    } else {
        None
    }
}
