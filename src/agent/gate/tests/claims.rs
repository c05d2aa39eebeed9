//! Tests of frames that leave a node: none claims a closed group's address, whichever program sends
//! it.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use proptest::prop_assert_eq;
use proptest::test_runner::TestRunner;

use super::frames::{self, ADVERTISEMENT, REPLY, REQUEST, SOLICITATION};
use super::lab::{Host, Lab, SOON, Tap, VIP4, VIP6, WEB, open_web};
use crate::gate::bpf;
use crate::gate::place::Program;
use crate::types::{MacAddr, MonoTime};
use crate::wire::frame::{Sighting, sight};

/// TC_ACT_UNSPEC and TC_ACT_SHOT.
const PASS: i32 = -1;
const SHOT: i32 = 2;

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

/// Sends a frame from one host; returns whether it arrived at `tap` on another.
fn seen_by(tap: &Tap, sender: &Tap, frame: &[u8]) -> bool {
    sender.send(frame);
    sender.sentinel();
    contains(&tap.until_sentinel(), frame)
}

/// True if `frame` is among those seen. Packet sockets show the first tag elsewhere; a switch with
/// br_netfilter cuts the padding off.
fn contains(seen: &[Vec<u8>], frame: &[u8]) -> bool {
    let rest = if frame[12..14] == [0x81, 0] { &frame[16..] } else { &frame[12..] };
    seen.iter().any(|seen| {
        let end = seen.len().min(rest.len() + 12);
        end > 40 && seen[12..end] == rest[..end - 12]
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
    let handle = open_web(&gate, 1, SOON);
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
    let _handle = open_web(&gate, 1, SOON);
    for (name, frame) in claims(&node, &client) {
        let is_sane = !name.contains("sense");
        assert_eq!(seen_by(&tap, &own, &frame), is_sane, "{name} at an open gate");
    }
    // Another VLAN is another segment, where the address may be somebody's.
    assert!(seen_by(&tap, &own, &frames::tagged(&frames::arp(REQUEST, node.mac(), VIP4, VIP4), 5)));
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
        ("claim in another VLAN", frames::tagged(&frames::arp(REQUEST, mac, VIP4, VIP4), 5)),
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
    let _handle = open_web(&gate, 1, SOON);
    assert_eq!(announced(), (true, true, true, true), "an open gate lets the kernel announce");
}

// HP-1
#[test]
fn two_nodes_hold_the_same_ipv6_address() {
    let lab = Lab::new(3);
    let (alpha, beta, client) = (lab.host(1), lab.host(2), lab.host(3));
    let first = alpha.install_web();
    let _handle = open_web(&first, 1, SOON);
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
    let mac = client.mac();
    let (other4, other6) = (Ipv4Addr::new(10, 7, 0, 50), Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 0x50));
    let frames = |vip4, vip6| {
        [
            frames::arp(REQUEST, mac, vip4, vip4),
            frames::arp(REPLY, mac, vip4, vip4),
            frames::arp(REQUEST, mac, vip4, node.address4()),
            frames::discovery(ADVERTISEMENT, mac, vip6, vip6),
            frames::discovery(ADVERTISEMENT, mac, client.address6(), vip6),
            frames::discovery(SOLICITATION, mac, vip6, node.address6()),
        ]
    };
    let heard = |frame: &Vec<u8>| verdict(&gate.object.ingress, frame) == PASS;
    assert!(!frames(VIP4, VIP6).iter().any(heard));
    assert!(frames(other4, other6).iter().all(heard), "strangers' claims are nobody's business");
    let counters = gate.counters(gate.slot(WEB).expect("the group")).expect("counters");
    assert_eq!(counters.answers_refused, 1, "only the gratuitous request is a question, too");
    let _handle = open_web(&gate, 1, SOON);
    assert!(frames(VIP4, VIP6).iter().all(heard), "an active node hears of conflicts");
}

/// Verdict of a program in the kernel on a frame, which is not sent.
fn verdict(program: &Program, frame: &[u8]) -> i32 {
    bpf::test_run(program.fd.as_fd(), frame, 1).expect("a run").0
}

// S3: whatever our own decoder would believe to be a claim does not leave, however bent the frame
// is.
#[test]
fn no_frame_that_reads_as_a_claim_leaves_a_closed_node() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let frames: Vec<Vec<u8>> = claims(&node, &client).into_iter().map(|(_, frame)| frame).collect();
    let changes = proptest::collection::vec((0..100_usize, proptest::num::u8::ANY), 0..4);
    let strategy = (0..frames.len(), changes, 20..100_usize);
    let believed = Cell::new(0);
    let config = proptest::test_runner::Config { cases: 20_000, failure_persistence: None, ..Default::default() };
    let run = TestRunner::new(config).run(&strategy, |(which, changes, length)| {
        let mut frame = frames[which].clone();
        for (offset, value) in changes {
            if let Some(byte) = frame.get_mut(offset) {
                *byte = value;
            }
        }
        frame.truncate(length);
        let is_claim = matches!(
            sight(&frame),
            Some(Sighting::Claim { address, .. }) if address == IpAddr::from(VIP4) || address == IpAddr::from(VIP6)
        );
        if is_claim {
            believed.set(believed.get() + 1);
            prop_assert_eq!(verdict(&gate.object.egress, &frame), SHOT);
        }
        Ok(())
    });
    run.expect("every claim is dropped");
    assert!(believed.get() > 1000, "only {} frames were claims: the test proves little", believed.get());
}
