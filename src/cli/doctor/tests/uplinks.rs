//! Tests of what is said of a bridge's ports.

use crate::cli::doctor::uplinks::judge;
use crate::cli::doctor::{Finding, Level};
use crate::io::netlink::BridgePort;

/// A port with this name and kind.
fn port(name: &str, kind: &str, carrier: bool) -> BridgePort {
    BridgePort { index: 1, name: name.to_owned(), kind: kind.to_owned(), carrier }
}

/// What is found of these ports, with these uplinks in the configuration: level and text of each.
fn found(named: &[&str], ports: &[BridgePort]) -> Vec<(Level, String)> {
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    judge("br0", &named, ports).into_iter().map(|Finding { level, text, .. }| (level, text)).collect()
}

#[test]
fn the_ports_that_lead_out_are_told_and_by_what_they_are() {
    let ports = [port("eth0", "", true), port("vnet0", "tun", true)];
    let by_kind = "uplinks of br0, by their kind: eth0; behind vnet0 is this server";
    assert_eq!(found(&[], &ports), [(Level::Ok, by_kind.to_owned())]);
    let by_name = "uplinks of br0, as the configuration says: vnet0; behind eth0 is this server";
    assert_eq!(found(&["vnet0"], &ports), [(Level::Ok, by_name.to_owned())]);
    assert_eq!(found(&[], &[]), [], "a bridge without ports has no carrier, which is told elsewhere");
}

#[test]
fn uplinks_that_are_none_are_told() {
    let ports = [port("eth0", "", true), port("vnet0", "tun", true)];
    let wrong = found(&["eth9"], &ports);
    assert_eq!((wrong.len(), wrong[0].0), (2, Level::Fail), "{wrong:?}");
    assert!(wrong[0].1.contains("eth9") && wrong[1].1.contains("by their kind: eth0"), "{wrong:?}");
    let inner = found(&[], &[port("veth1", "veth", true)]);
    assert!(inner.len() == 1 && inner[0].0 == Level::Warn && inner[0].1.contains("veth1"), "{inner:?}");
    let dark = found(&[], &[port("eth0", "", false), port("vnet0", "tun", true)]);
    assert!(dark.len() == 2 && dark[1].0 == Level::Fail && dark[1].1.contains("carrier"), "{dark:?}");
}
