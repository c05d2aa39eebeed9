//! What leaves a node: nothing that claims a closed group's address, whoever sends it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::frames::{self, ADVERTISEMENT, REPLY, REQUEST, SOLICITATION};
use super::lab::{Host, Lab, SOON, Tap, VIP4, VIP6, WEB, open};
use crate::types::{MacAddr, MonoTime};

/// Every kind of frame that claims one of the addresses, by name.
fn claims(host: &Host, client: &Host) -> Vec<(&'static str, Vec<u8>)> {
    let mac = host.mac();
    let gratuitous = frames::arp(REQUEST, mac, VIP4, VIP4);
    vec![
        ("gratuitous request", gratuitous.clone()),
        ("gratuitous reply", frames::arp(REPLY, mac, VIP4, VIP4)),
        ("request with the address as sender", frames::arp(REQUEST, mac, VIP4, client.address4())),
        ("the same with a priority tag", frames::tagged(&gratuitous, 0)),
        ("with two priority tags", frames::tagged(&frames::tagged(&gratuitous, 0xe000), 0)),
        ("with more tags than sense", frames::tagged(&frames::tagged(&frames::tagged(&gratuitous, 0), 0), 0)),
        ("advertisement from the address", frames::discovery(ADVERTISEMENT, mac, VIP6, VIP6)),
        ("advertisement from another source", frames::discovery(ADVERTISEMENT, mac, host.address6(), VIP6)),
        ("advertisement behind an option", frames::hidden_discovery(ADVERTISEMENT, mac, host.address6(), VIP6)),
        ("solicitation from the address", frames::discovery(SOLICITATION, mac, VIP6, client.address6())),
        ("IPv4 packet", frames::udp4(mac, client.mac(), VIP4, client.address4())),
        ("IPv6 packet", frames::udp6(mac, VIP6, client.address6())),
    ]
}

fn seen_by(tap: &Tap, sender: &Tap, frame: &[u8]) -> bool {
    sender.send(frame);
    sender.sentinel();
    contains(&tap.until_sentinel(), frame)
}

/// True if `frame` is among those seen. A switch with br_netfilter cuts the padding off.
fn contains(seen: &[Vec<u8>], frame: &[u8]) -> bool {
    seen.iter().any(|seen| {
        let end = seen.len().min(frame.len());
        end > 40 && seen[12..end] == frame[12..end]
    })
}

// HP-11, S3
#[test]
fn no_packet_socket_can_claim_a_closed_address() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let (own, tap) = (node.tap(), client.tap());
    for (name, frame) in claims(&node, &client) {
        assert!(!seen_by(&tap, &own, &frame), "{name} left a closed node");
    }
    let counters = gate.counters(gate.slot(WEB).expect("the group")).expect("counters");
    assert_eq!((counters.claims_refused, counters.carry_refused), (9, 2), "three tags never get as far");
    assert_eq!((counters.carried, counters.answered), (0, 0));

    // The same after an opened gate was closed again.
    let handle = open(&gate, 1, SOON);
    handle.close(gate.slot(WEB).expect("the group"), MonoTime::ZERO);
    for (name, frame) in claims(&node, &client) {
        assert!(!seen_by(&tap, &own, &frame), "{name} left a closed node");
    }
}

// HP-10: the counterpart, without which the test above would prove nothing.
#[test]
fn an_open_gate_lets_every_claim_pass() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let (own, tap) = (node.tap(), client.tap());
    let _handle = open(&gate, 1, SOON);
    for (name, frame) in claims(&node, &client).into_iter().filter(|(name, _)| !name.contains("tag")) {
        assert!(seen_by(&tap, &own, &frame), "{name} did not pass an open gate");
    }
}

#[test]
fn questions_and_strangers_frames_pass_a_closed_gate() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let _gate = node.install_web();
    let (own, tap) = (node.tap(), client.tap());
    let mac = node.mac();
    let unspecified = Ipv6Addr::UNSPECIFIED;
    for (name, frame) in [
        ("ARP probe", frames::arp(REQUEST, mac, Ipv4Addr::UNSPECIFIED, VIP4)),
        ("ARP request by the own address", frames::arp(REQUEST, mac, node.address4(), VIP4)),
        ("solicitation from nowhere", frames::discovery(SOLICITATION, mac, unspecified, VIP6)),
        ("solicitation from the own address", frames::discovery(SOLICITATION, mac, node.address6(), VIP6)),
        ("own announcement", frames::arp(REPLY, mac, node.address4(), node.address4())),
        ("own advertisement", frames::discovery(ADVERTISEMENT, mac, node.address6(), node.address6())),
        ("pulse", frames::ethernet(MacAddr::BROADCAST, mac, 0x88b5, b"pulse")),
        ("packet to the address", frames::udp4(mac, client.mac(), node.address4(), VIP4)),
    ] {
        own.send(&frame);
        own.sentinel();
        // The pulse is a sentinel itself: read both.
        let mut seen = tap.until_sentinel();
        if name == "pulse" {
            seen.extend(tap.until_sentinel());
        }
        assert!(contains(&seen, &frame), "{name} did not pass");
    }
}

// HP-11: NETDEV_NOTIFY_PEERS and arp_notify make the kernel announce by itself.
#[test]
fn the_kernels_own_announcements_are_stopped() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let (own, tap) = (node.tap(), client.tap());
    node.sysctl("net/ipv4/conf/eth0/arp_notify", "1");
    node.sysctl("net/ipv6/conf/eth0/ndisc_notify", "1");
    let announced = || {
        // A change of the hardware address announces all addresses of the interface.
        node.ip("link set eth0 address 02:07:00:00:00:99");
        node.ip(&format!("link set eth0 address {}", node.mac()));
        own.sentinel();
        let seen = tap.until_sentinel();
        let four = |address| seen.iter().any(|frame| frames::arp_sender(frame) == Some(address));
        let six =
            |address| seen.iter().any(|frame| frames::discovery_target(frame) == Some((ADVERTISEMENT, address)));
        (four(node.address4()), four(VIP4), six(node.address6()), six(VIP6))
    };
    assert_eq!(announced(), (true, false, true, false));
    let _handle = open(&gate, 1, SOON);
    assert_eq!(announced(), (true, true, true, true), "an open gate lets the kernel announce");
}

// HP-1
#[test]
fn two_nodes_hold_the_same_ipv6_address() {
    let lab = Lab::new(3);
    let (alpha, beta, client) = (lab.host(1), lab.host(2), lab.host(3));
    let first = alpha.install_web();
    let _handle = open(&first, 1, SOON);
    let _second = beta.install_web();
    let tap = client.tap();
    // The active one announces; the standby must neither mark its copy as a duplicate nor answer.
    alpha.tap().send(&frames::discovery(ADVERTISEMENT, alpha.mac(), VIP6, VIP6));
    tap.until("the announcement", |frame| frames::discovery_target(frame) == Some((ADVERTISEMENT, VIP6)));
    assert_eq!(tap.answers(&alpha), (true, true));
    assert_eq!(tap.answers(&beta), (false, false));
    for host in [&alpha, &beta] {
        let shown = host.ip("-6 addr show dev eth0");
        assert!(shown.contains("fd07::100/128"), "{shown}");
        assert!(!shown.contains("dadfailed") && !shown.contains("tentative"), "{shown}");
    }
}

#[test]
fn a_closed_host_does_not_hear_others_claims() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    // The kernel would learn any sender it is told of.
    node.sysctl("net/ipv4/conf/eth0/arp_accept", "1");
    let tap = client.tap();
    tap.send(&frames::arp(REPLY, tap.mac, VIP4, VIP4));
    let elsewhere = Ipv4Addr::new(10, 7, 0, 50);
    tap.send(&frames::arp(REPLY, tap.mac, elsewhere, elsewhere));
    super::lab::wait_for("the other claim is learnt", || node.ip("neigh show dev eth0").contains("10.7.0.50"));
    assert!(!node.ip("neigh show dev eth0").contains("10.7.0.100"));
    let counters = gate.counters(gate.slot(WEB).expect("the group")).expect("counters");
    assert_eq!(counters.answers_refused, 0, "a claim is no question");
}
