//! Findings about the clients' interface, the kernel's settings for it, and the links' addresses.

use super::{Finding, Roots, programs};
use crate::config::{ClusterFile, Config};
use crate::io::local::LocalAddress;
use crate::io::netlink::Netlink;
use crate::types::NodeId;
use std::net::IpAddr;

/// Type of an Ethernet interface: linux/if_arp.h
const ARPHRD_ETHER: &str = "1";
/// Flag of an interface that is switched on: linux/if.h
const IFF_UP: u32 = 1;
/// Most names in one line.
const MAX_SHOWN: usize = 5;

/// The findings whether each link address of this node is an address of this machine.
pub(super) fn links(config: &Config, local: &[IpAddr]) -> Vec<Finding> {
    let links = &config.node(config.me).links;
    let mut findings: Vec<Finding> = links
        .iter()
        .map(|link| {
            if local.contains(link) {
                Finding::ok(format!("link address {link} is ours"))
            } else {
                let remedy = "configure it on its interface, or correct links in the configuration";
                Finding::fail(format!("link address {link} is not an address of this machine"), remedy)
            }
        })
        .collect();
    if links.len() == 1 {
        let remedy = "add a second one over another card and switch";
        findings.push(Finding::warn("there is one link: when it is cut, only the clients' segment is left", remedy));
    }
    findings
}

/// The findings about service addresses that are this node's own, or no host's.
pub(super) fn misplaced(cluster: &ClusterFile, me: NodeId, local: &[LocalAddress]) -> Vec<Finding> {
    let Err(found) = cluster.check_placed(me, local) else { return Vec::new() };
    found.errors.into_iter().map(|error| Finding::fail(error.wrong, error.right)).collect()
}

/// Findings about the interface `name`.
pub(super) fn examine(roots: &Roots, config: &Config, name: &str) -> Vec<Finding> {
    if !roots.sys.join("class/net").join(name).exists() {
        let remedy = "correct `interface` in the configuration; it can differ per node";
        return vec![Finding::fail(format!("there is no interface {name}"), remedy)];
    }
    let mut findings = vec![state(roots, name)];
    findings.extend(wrong_kind(roots, name));
    let has =
        |v6: bool| config.groups.iter().any(|g| g.interface == name && g.addresses.iter().any(|a| a.is_ipv6() == v6));
    if has(false) {
        findings.push(arp_ignore(roots, name));
        findings.push(arp_announce(roots, name));
        findings.extend(missing_route(roots, name));
        findings.push(arp_flux(roots, config, name));
    }
    if has(true) {
        findings.extend(ipv6(roots, name));
    }
    findings.push(secondaries(roots, name));
    findings
}

/// The first line of an interface's file in sysfs.
fn attribute(roots: &Roots, name: &str, file: &str) -> Option<String> {
    roots.sys(&format!("class/net/{name}/{file}"))
}

/// Whether the interface is switched on.
fn is_up(roots: &Roots, name: &str) -> bool {
    let flags = attribute(roots, name, "flags").unwrap_or_default();
    u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|flags| flags & IFF_UP != 0)
}

/// The finding whether the interface is switched on and has carrier.
fn state(roots: &Roots, name: &str) -> Finding {
    if !is_up(roots, name) {
        return Finding::fail(format!("{name} is down"), format!("ip link set {name} up"));
    }
    match attribute(roots, name, "carrier").as_deref() {
        Some("1") => Finding::ok(format!("{name} is up and has carrier")),
        Some(_) | None => Finding::fail(format!("{name} has no carrier"), "look at cable and switch port"),
    }
}

/// Whether the interface with this number belongs to a VRF, which leaves frames to it, although it
/// has a master. No file tells the kind of a master.
fn is_in_vrf(index: u32) -> bool {
    let found = Netlink::open().and_then(|mut netlink| netlink.interface_at(index));
    found.is_ok_and(|link| link.is_some_and(|link| link.port_of.is_none()))
}

/// A finding if the interface is not Ethernet, or is a port of another interface.
fn wrong_kind(roots: &Roots, name: &str) -> Option<Finding> {
    if attribute(roots, name, "type").as_deref() != Some(ARPHRD_ETHER) {
        let remedy = "a group needs an Ethernet interface: without ARP and ND there is nothing to gate";
        return Some(Finding::fail(format!("{name} is not an Ethernet interface"), remedy));
    }
    let master = std::fs::read_link(roots.sys.join("class/net").join(name).join("master")).ok()?;
    let master = master.file_name()?.to_string_lossy().into_owned();
    let index = attribute(roots, name, "ifindex").and_then(|index| index.parse().ok());
    if index.is_some_and(is_in_vrf) {
        return None;
    }
    let remedy = format!("name {master} in the configuration, it is what has addresses");
    Some(Finding::fail(format!("{name} is a port of {master}"), remedy))
}

/// An IPv4 setting of an interface. The kernel uses the larger of `all` and the interface
/// (inetdevice.h, IN_DEV_MAXCONF).
fn ipv4_setting(roots: &Roots, name: &str, setting: &str) -> u32 {
    let read = |of: &str| roots.proc(&format!("sys/net/ipv4/conf/{of}/{setting}")).and_then(|v| v.parse().ok());
    read("all").unwrap_or(0).max(read(name).unwrap_or(0))
}

/// The finding whether the kernel answers ARP for service addresses.
fn arp_ignore(roots: &Roots, name: &str) -> Finding {
    let value = ipv4_setting(roots, name, "arp_ignore");
    let remedy =
        format!("sysctl net.ipv4.conf.{name}.arp_ignore=1 (or 0), and net.ipv4.conf.all.arp_ignore no higher than 1");
    match value {
        // Measured on 6.18: a /32 is in no subnet, and yet it is answered for if another address of
        // the interface has a subnet that holds both the address and the asker.
        2 => Finding::warn("arp_ignore is 2: the kernel answers only askers in a subnet of the interface", remedy),
        8 => Finding::fail("arp_ignore is 8: the kernel answers no ARP request at all", remedy),
        0 | 1 | 3 => Finding::ok(format!("arp_ignore is {value}: the kernel answers for service addresses")),
        other => Finding::warn(format!("arp_ignore is {other}, which is reserved"), remedy),
    }
}

/// A finding for each family in which the interface has group addresses and none of the server's own.
pub(super) fn own_addresses(config: &Config, name: &str, local: &[LocalAddress]) -> Vec<Finding> {
    let groups = || config.groups.iter().filter(|group| group.interface == name);
    let ours = |address: &IpAddr| groups().any(|group| group.addresses.contains(address));
    let is_local = |address: &IpAddr| matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
    let lacks = |family: &dyn Fn(&IpAddr) -> bool| {
        let own = |found: &LocalAddress| found.interface == name && family(&found.address) && !ours(&found.address);
        groups().any(|group| group.addresses.iter().any(family)) && !local.iter().any(own)
    };
    let finding = |family: &str| {
        let text = format!(
            "{name} has no {family} address of its own: what the server itself sends there has a service address as \
             its source, and a standby's gate drops it"
        );
        Finding::warn(text, format!("give {name} an address of its own"))
    };
    let mut findings = Vec::new();
    if lacks(&IpAddr::is_ipv4) {
        findings.push(finding("IPv4"));
    }
    if lacks(&is_local) {
        findings.push(finding("link-local IPv6"));
    }
    findings
}

/// The finding whether the kernel asks its neighbours with the interface's own address as sender.
fn arp_announce(roots: &Roots, name: &str) -> Finding {
    match ipv4_setting(roots, name, "arp_announce") {
        2 => Finding::ok("arp_announce is 2: the kernel asks with the interface's own address"),
        value => Finding::warn(
            format!(
                "arp_announce is {value}: without a running agent, which sets it to 2, the kernel asks its neighbours with a service address as sender"
            ),
            format!("sysctl net.ipv4.conf.{name}.arp_announce=2"),
        ),
    }
}

/// A finding if no route leads over the interface: service addresses are /32 and bring none, and
/// answers need one.
fn missing_route(roots: &Roots, name: &str) -> Option<Finding> {
    let routes = std::fs::read_to_string(roots.proc.join("net/route")).ok()?;
    let has = routes.lines().skip(1).any(|line| line.split_whitespace().next() == Some(name));
    (!has).then(|| {
        let remedy = "give the interface an address of its own in the clients' subnet, or a route";
        Finding::warn(format!("no IPv4 route leads over {name}: clients would get no answer"), remedy)
    })
}

/// The finding whether another interface would answer ARP for service addresses. Linux answers for
/// any of its addresses on every interface unless told otherwise; the agent puts a guard on each.
fn arp_flux(roots: &Roots, config: &Config, name: &str) -> Finding {
    let gated = config.interfaces();
    let mut names: Vec<String> = std::fs::read_dir(roots.sys.join("class/net"))
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    let answers = |other: &String| {
        !gated.contains(&other.as_str())
            && attribute(roots, other, "type").as_deref() == Some(ARPHRD_ETHER)
            && is_up(roots, other)
            && !roots.sys.join("class/net").join(other).join("master").exists()
            && ipv4_setting(roots, other, "arp_ignore") == 0
    };
    names.retain(answers);
    let unguarded: Vec<String> = names.iter().filter(|other| !programs::is_guarded(other)).cloned().collect();
    flux(&names, &unguarded, programs::is_gated(name))
}

/// What it means that the kernel answers on these interfaces, some of which have no guard. `gated`:
/// an agent has run here, and should have put one on each.
pub(super) fn flux(answering: &[String], unguarded: &[String], gated: bool) -> Finding {
    let shown = |names: &[String]| {
        let hidden = names.len().saturating_sub(MAX_SHOWN);
        let more = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
        format!("{}{more}", names[..names.len() - hidden].join(", "))
    };
    if answering.is_empty() {
        return Finding::ok("no other interface answers ARP for service addresses");
    }
    if !gated {
        let text = "the kernel answers ARP for service addresses as well, and a running agent holds that back";
        return Finding::ok(format!("on {} {text}", shown(answering)));
    }
    if unguarded.is_empty() {
        return Finding::ok(format!("on {} a guard lets no claim of service addresses out", shown(answering)));
    }
    Finding::fail(
        format!("{} would answer ARP for service addresses: the guard is missing", shown(unguarded)),
        "a running agent puts it there within a second: is it running, and what does its log say?",
    )
}

/// A finding if IPv6 is off.
fn ipv6(roots: &Roots, name: &str) -> Vec<Finding> {
    match roots.proc(&format!("sys/net/ipv6/conf/{name}/disable_ipv6")).as_deref() {
        Some("0") => Vec::new(),
        Some(_) => {
            let remedy = format!("sysctl net.ipv6.conf.{name}.disable_ipv6=0");
            vec![Finding::fail(format!("IPv6 is disabled on {name}, and a group has IPv6 addresses"), remedy)]
        }
        None => {
            let remedy = "boot without ipv6.disable=1, or remove IPv6 addresses from the configuration";
            vec![Finding::fail("this kernel has no IPv6, and a group has IPv6 addresses", remedy)]
        }
    }
}

/// The setting of `promote_secondaries`, which does not matter here.
fn secondaries(roots: &Roots, name: &str) -> Finding {
    let value = ipv4_setting(roots, name, "promote_secondaries");
    Finding::ok(format!("promote_secondaries is {value}: either is right, a /32 is nobody's secondary address"))
}
