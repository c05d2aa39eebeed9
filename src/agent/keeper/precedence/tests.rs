//! Tests of what is found to stand before the server's own addresses.

use super::*;

/// An address as the kernel lists it; one with a full prefix is as we add it. A `*` behind it: it
/// is a secondary one, or not usable.
fn info(text: &str) -> AddressInfo {
    let marked = text.ends_with('*');
    let (address, prefix) = text.trim_end_matches('*').split_once('/').unwrap();
    let (address, prefix): (IpAddr, u8) = (address.parse().unwrap(), prefix.parse().unwrap());
    let is_ours = prefix == if address.is_ipv4() { 32 } else { 128 };
    let (is_secondary, is_unusable) = (marked && address.is_ipv4(), marked && address.is_ipv6());
    AddressInfo { address, prefix, is_ours, is_secondary, is_unusable }
}

/// What is found in such a list, in which host parts from 64 on are ours.
fn precedence(list: &[&str]) -> Precedence {
    let found: Vec<AddressInfo> = list.iter().map(|text| info(text)).collect();
    Precedence::of(&found, |address| match address {
        IpAddr::V4(address) => address.octets()[3] >= 64,
        IpAddr::V6(address) => address.octets()[15] >= 64,
    })
}

/// These addresses.
fn vips(texts: &[&str]) -> Vec<Vip> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn ipv4_addresses_before_a_primary_one_of_the_server_are_ahead() {
    let found = precedence(&["10.0.0.100/32", "10.0.0.2/24", "10.0.0.101/32", "10.0.0.3/24*"]);
    assert_eq!((found.ahead, found.has_own4), (vips(&["10.0.0.100"]), true));
    let right = precedence(&["10.0.0.2/24", "10.0.0.100/32", "10.0.0.3/24*"]);
    assert_eq!((right.ahead, right.has_own4), (vec![], true));
    let alone = precedence(&["10.0.0.100/32", "10.0.0.101/32"]);
    assert_eq!((alone.ahead, alone.has_own4), (vec![], false));
}

#[test]
fn link_local_addresses_that_are_older_than_the_servers_own_are_early() {
    let found = precedence(&["2001:db8::80/128", "fe80::2/64", "fe80::80/128"]);
    assert_eq!((found.early, found.own), (vips(&["fe80::80"]), Some("fe80::2".parse().unwrap())));
    let right = precedence(&["fe80::80/128", "fe80::2/64"]);
    assert_eq!((right.early, right.waits), (vec![], false));
}

#[test]
fn link_local_addresses_wait_for_one_of_the_server_that_is_usable() {
    let coming = precedence(&["fe80::2/64*", "fe80::80/128"]);
    assert_eq!((coming.early, coming.waits, coming.own), (vips(&["fe80::80"]), true, None));
    assert!(precedence(&["10.0.0.2/24"]).waits);
}
