//! The verdict on answers, beside what a real kernel does: for each setting a client's question
//! goes over a cable, and the kernel answers or does not.

use super::*;
use crate::io::segment::PacketSocket;
use crate::testing::netns::{in_netns, ip, veth};
use crate::types::MacAddr;
use crate::wire::frame::{Sighting, arp_request, ns_request, segment_filter, sight};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
/// A client of the segment.
const NEAR: &str = "10.0.0.50";
/// A host with an address of no network of the segment.
const FAR: &str = "10.9.9.9";
/// A host whose address is one of this machine.
const OWN: &str = "10.0.0.77";
const NEAR6: &str = "2001:db8::50";

/// Whether the kernel answers when `client` asks for the address of its family on `west`.
fn is_answered(client: IpAddr) -> bool {
    let east = crate::io::netlink::Netlink::open().unwrap().interface("east").unwrap().expect("east exists");
    let socket = PacketSocket::open(east.index, &segment_filter()).unwrap();
    let mut frame = Vec::new();
    let vip = match client {
        IpAddr::V4(client) => {
            arp_request(east.mac, client, VIP, MacAddr::BROADCAST, &mut frame);
            IpAddr::V4(VIP)
        }
        IpAddr::V6(client) => {
            ns_request(east.mac, client, VIP6, None, &mut frame);
            IpAddr::V6(VIP6)
        }
    };
    let end = Instant::now() + Duration::from_millis(400);
    let mut buffer = [0; 2048];
    while Instant::now() < end {
        assert!(socket.send(&frame).unwrap(), "the question left");
        std::thread::sleep(Duration::from_millis(20));
        while let Some(length) = socket.recv(&mut buffer).unwrap() {
            if matches!(sight(&buffer[..length]), Some(Sighting::Claim { address, .. }) if address == vip) {
                return true;
            }
        }
    }
    false
}

/// Waits until the kernel has taken its new IPv6 address in: a queue of its own does that after the
/// command has ended.
fn wait_for_own_address() {
    let end = Instant::now() + Duration::from_secs(2);
    let route = VIP6.octets().map(|byte| format!("{byte:02x}")).concat() + " 80";
    while !std::fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap().contains(&route) {
        assert!(Instant::now() < end, "the address has a route");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sets the kernel up with `lines`, one setting or `ip` command each, and asserts that the kernel
/// answers `client` as expected, and that the verdict says the same.
fn assert_same(lines: &[&str], client: &str, expected: Option<Mute>) {
    in_netns(|| {
        for key in ["all/rp_filter", "default/rp_filter", "all/arp_ignore", "all/arp_filter"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{key}"), "0").unwrap();
        }
        veth("west", "east");
        // The client's end is no host of its own: it must answer for nothing.
        std::fs::write("/proc/sys/net/ipv4/conf/east/arp_ignore", "8").unwrap();
        ip("address add 10.0.0.1/24 dev west");
        ip(&format!("address add {VIP}/32 dev west"));
        ip("address add 2001:db8::1/64 dev west nodad");
        ip(&format!("address add {OWN}/32 dev lo"));
        ip("link add name other address 02:00:00:00:00:09 type veth peer name far-away");
        ip("link set dev other up");
        ip("link set dev far-away up");
        if !lines.iter().any(|line| line.contains(&VIP6.to_string())) {
            ip(&format!("address add {VIP6}/128 dev west nodad"));
        }
        for line in lines {
            match line.split_once('=') {
                Some((key, value)) => std::fs::write(format!("/proc/sys/net/{key}"), value).unwrap(),
                None => drop(ip(line)),
            }
        }
        wait_for_own_address();
        let mut netlink = Netlink::open().unwrap();
        let west = netlink.interface("west").unwrap().expect("west exists");
        let client: IpAddr = client.parse().unwrap();
        let vip = if client.is_ipv4() { IpAddr::V4(VIP) } else { IpAddr::V6(VIP6) };
        let read = Answering::read(&mut netlink, west.index, "west").unwrap();
        let verdict = read.refuses(&mut netlink, vip, client).unwrap();
        assert_eq!(verdict, expected, "the verdict after {lines:?} for {client}");
        assert_eq!(is_answered(client), expected.is_none(), "the kernel after {lines:?} for {client}");
    });
}

#[test]
fn the_verdict_on_arp_ignore_is_the_kernels() {
    assert_same(&[], NEAR, None);
    for value in [1, 3, 4] {
        assert_same(&[&format!("ipv4/conf/all/arp_ignore={value}")], NEAR, None);
    }
    assert_same(&["ipv4/conf/all/arp_ignore=2"], NEAR, None);
    assert_same(&["ipv4/conf/all/arp_ignore=2", "route add 10.9.9.0/24 dev west"], FAR, Some(Mute::Ignored(2)));
    assert_same(&["ipv4/conf/all/arp_ignore=8"], NEAR, Some(Mute::Ignored(8)));
    assert_same(&["ipv4/conf/west/arp_ignore=8"], NEAR, Some(Mute::Ignored(8)));
    let host = [&format!("address del {VIP}/32 dev west"), &format!("address add {VIP}/32 dev west scope host")];
    let host = [host[0].as_str(), host[1].as_str(), "ipv4/conf/west/arp_ignore=3"];
    assert_same(&host, NEAR, Some(Mute::Ignored(3)));
    assert_same(&host[..2], NEAR, None);
}

#[test]
fn the_verdict_on_arp_filter_is_the_kernels() {
    let elsewhere = "route add 10.0.0.50/32 dev other";
    assert_same(&["ipv4/conf/all/arp_filter=1"], NEAR, None);
    assert_same(&[elsewhere], NEAR, None);
    assert_same(&["ipv4/conf/all/arp_filter=1", elsewhere], NEAR, Some(Mute::Filtered));
    assert_same(&["ipv4/conf/west/arp_filter=1", elsewhere], NEAR, Some(Mute::Filtered));
    assert_same(&["ipv4/conf/west/arp_filter=1", elsewhere], "10.0.0.51", None);
    assert_same(&["ipv4/conf/west/arp_filter=1"], FAR, Some(Mute::Filtered));
}

#[test]
fn the_verdict_on_source_validation_is_the_kernels() {
    let elsewhere = "route add 10.0.0.50/32 dev other";
    assert_same(&["ipv4/conf/all/rp_filter=1"], NEAR, None);
    assert_same(&["ipv4/conf/all/rp_filter=1", elsewhere], NEAR, Some(Mute::NotTaken));
    assert_same(&["ipv4/conf/west/rp_filter=1", elsewhere], NEAR, Some(Mute::NotTaken));
    assert_same(&["ipv4/conf/west/rp_filter=2", elsewhere], NEAR, None);
    assert_same(&["ipv4/conf/west/rp_filter=1"], FAR, Some(Mute::NotTaken));
    assert_same(&[], OWN, Some(Mute::NotTaken));
    assert_same(&["ipv4/conf/west/accept_local=1", "ipv4/conf/all/accept_local=1"], OWN, None);
}

#[test]
fn the_verdict_on_an_interface_without_arp_is_the_kernels() {
    assert_same(&["link set dev west arp off"], NEAR, Some(Mute::NoArp));
    assert_same(&["link set dev west arp off", "link set dev west arp on"], NEAR, None);
}

#[test]
fn the_verdict_on_neighbour_discovery_is_the_kernels() {
    assert_same(&[], NEAR6, None);
    assert_same(&["ipv4/conf/all/arp_ignore=8"], NEAR6, None);
    let tentative = format!("address add {VIP6}/128 dev west");
    let tentative = ["ipv6/conf/west/dad_transmits=100", tentative.as_str()];
    assert_same(&tentative, NEAR6, Some(Mute::Tentative));
}
