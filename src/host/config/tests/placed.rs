//! Tests of which addresses of this server a group cannot have.

use super::*;
use crate::io::local::LocalAddress;

/// The file [`GOOD`] with this address of its group.
fn with(address: &str) -> ClusterFile {
    parse(&good_with("10.0.0.100", address)).expect("it is right")
}

/// An address of this server.
fn local(interface: &str, address: &str, prefix: u8) -> LocalAddress {
    LocalAddress { interface: interface.to_owned(), address: address.parse().expect("an address"), prefix }
}

/// What node beta is told of its group's address when it has `own`; empty if nothing.
fn told(address: &str, own: &[LocalAddress]) -> String {
    with(address).check_placed(NodeId(2), own).err().map(|errors| errors.to_string()).unwrap_or_default()
}

#[test]
fn an_address_of_the_server_itself_is_refused_with_its_line_and_prefix() {
    let v4 = told("10.0.0.5", &[local("eth0", "10.0.0.2", 24), local("eth0", "10.0.0.5", 24)]);
    let begins = "v.toml:15: group.addresses: 10.0.0.5 is this server's own address on eth0 (10.0.0.5/24); as a /32 ";
    assert!(v4.starts_with(begins) && v4.contains("; write an address that no server has"), "{v4}");
    let v6 = told("2001:db8::5", &[local("eth0", "2001:db8::5", 64)]);
    assert!(v6.contains("2001:db8::5 is this server's own address on eth0 (2001:db8::5/64); as a /128 "), "{v6}");
}

#[test]
fn an_address_as_an_agent_leaves_it_or_of_another_interface_or_subnet_is_right() {
    let own = [local("eth0", "10.0.0.2", 24), local("eth0", "10.0.0.100", 32), local("eth1", "10.0.0.99", 24)];
    for address in ["10.0.0.100", "10.0.0.99", "10.0.0.7", "10.0.1.255", "192.0.2.0"] {
        let told = with(address).check_placed(NodeId(2), &own);
        assert_eq!(told, Ok(()), "{address}");
    }
    let own = [local("eth0", "2001:db8::2", 64), local("eth0", "2001:db8::100", 128)];
    assert_eq!(told("2001:db8::100", &own), "");
    assert_eq!(told("2001:db8::", &own), "", "IPv6 has no broadcast, and a host may answer for the first address");
}

#[test]
fn the_two_ends_of_a_subnet_are_no_hosts_addresses() {
    let own = [local("eth0", "10.0.0.2", 24)];
    for (address, what) in [("10.0.0.0", "network"), ("10.0.0.255", "broadcast")] {
        let told = told(address, &own);
        let begins =
            format!("v.toml:15: group.addresses: {address} is the {what} address of 10.0.0.0/24 on eth0, which");
        assert!(told.starts_with(&begins), "{told}");
    }
    assert_eq!(told("10.0.0.255", &[local("eth0", "10.0.0.2", 16)]), "");
    for address in ["10.0.0.2", "10.0.0.3"] {
        let edge = local("eth0", if address.ends_with('2') { "10.0.0.3" } else { "10.0.0.2" }, 31);
        let file = good_with("links = [\"10.0.0.2\"]", "links = [\"10.0.7.2\"]").replace("10.0.0.100", address);
        let told = parse(&file).expect("it is right").check_placed(NodeId(2), &[edge]);
        assert_eq!(told, Ok(()), "a subnet of two has no ends to spare: {address}");
    }
}

#[test]
fn loading_refuses_what_the_server_has_of_its_own() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("v.toml");
    std::fs::write(&path, GOOD).expect("it can be written");
    keyfile::generate(&directory.path().join("cluster.key"), 1).expect("it can be made");
    let own = local("eth0", "10.0.0.100", 24);
    let errors = load(&path, Some("beta"), &[own]).expect_err("it is beta's own");
    assert_eq!((errors.errors.len(), errors.errors[0].line), (1, Some(15)), "{errors}");
    let kept = local("eth0", "10.0.0.100", 32);
    assert_eq!(load(&path, Some("beta"), &[kept]).expect("an agent has left it").config.me, NodeId(2));
}
