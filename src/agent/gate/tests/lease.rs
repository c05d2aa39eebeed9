//! Tests of one gate's answers: open, closed, with a lapsed lease, and latched.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::frames;
use super::lab::{Lab, SOON, VIP4, VIP6, WEB, now, open_web, wait_for};
use crate::types::{Epoch, MacAddr, MonoTime};

// HP-4, S7
#[test]
fn a_fresh_gate_answers_and_carries_nothing() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let tap = client.tap();
    assert!(!gate.adopted());
    assert_eq!(tap.answers(&node), (false, false));
    assert!(!tap.answers4(&node, VIP4, Ipv4Addr::UNSPECIFIED), "a probe is a question, too");

    // The port is closed: an open gate would let the kernel say so.
    tap.send(&frames::udp4(tap.mac, node.mac(), client.address4(), VIP4));
    let slot = gate.slot(WEB).expect("the group");
    wait_for("the packet is refused", || gate.counters(slot).expect("counters").carry_refused == 1);
    let counters = gate.counters(slot).expect("counters");
    assert_eq!((counters.answered, counters.carried), (0, 0));
    assert_eq!(counters.answers_refused, 3);
}

// HP-4
#[test]
fn an_open_gate_answers_and_carries() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let tap = client.tap();
    let _handle = open_web(&gate, 1, SOON);
    assert_eq!(tap.answers(&node), (true, true));
    assert!(tap.answers4(&node, VIP4, Ipv4Addr::UNSPECIFIED), "a probe is answered");
    tap.send(&frames::udp4(tap.mac, node.mac(), client.address4(), VIP4));
    tap.until("port unreachable from the address", |frame| {
        frame[12..14] == [8, 0] && frame[23] == 1 && frame[26..30] == VIP4.octets()
    });
    let counters = gate.counters(gate.slot(WEB).expect("the group")).expect("counters");
    assert_eq!(counters.answered, 3);
    assert!(counters.carried >= 2, "in and out: {counters:?}");
    assert_eq!((counters.answers_refused, counters.carry_refused, counters.claims_refused), (0, 0, 0));
}

// HP-4, S4, S7
// HP-5: what was configured answers and closes by itself
#[test]
fn answers_end_at_the_deadline_without_the_process() {
    // A lease during which the machine stood still tells of its end alone.
    let asked_before = (0..10).map(|_| ask_through_the_deadline()).find(|before| *before > 0);
    assert!(asked_before.is_some(), "no question fell into the lease");
}

/// Asks until well after the deadline of a gate that has no process any more; returns how many
/// questions fell into the lease.
fn ask_through_the_deadline() -> usize {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let tap = client.tap();
    let handle = open_web(&gate, 1, Duration::from_millis(300));
    let deadline = handle.lease().until;
    drop((handle, gate));

    let (mut before, mut after) = (0, 0);
    while after < 20 {
        let asked = now();
        let answered = tap.answers4(&node, VIP4, client.address4());
        if asked >= deadline {
            assert!(!answered, "answered {:?} after the deadline", asked.since(deadline));
            after += 1;
        } else if now() < deadline {
            assert!(answered, "not answered {:?} before the deadline", deadline.since(now()));
            before += 1;
        }
    }
    before
}

#[test]
fn a_refused_probe_ends_the_generation_for_good() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let tap = client.tap();
    let handle = open_web(&gate, 7, SOON);
    assert!(tap.answers4(&node, VIP4, Ipv4Addr::UNSPECIFIED));
    assert!(!handle.lease().is_refused());

    handle.renew(MonoTime(now().0 - 1));
    assert!(!tap.answers4(&node, VIP4, Ipv4Addr::UNSPECIFIED));
    wait_for("the latch", || handle.lease().is_refused());
    // What an agent would do that was stopped for too long.
    handle.renew(now() + SOON);
    assert_eq!(tap.answers(&node), (false, false));

    handle.begin(8);
    assert_eq!(tap.answers(&node), (false, false), "a new generation begins closed");
    handle.renew(now() + SOON);
    assert_eq!(tap.answers(&node), (true, true));
}

#[test]
fn a_refused_solicitation_latches_too() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let tap = client.tap();
    let handle = open_web(&gate, 7, SOON);
    handle.renew(MonoTime(now().0 - 1));
    assert!(!tap.answers6(&node, VIP6));
    assert!(handle.lease().is_refused());
}

#[test]
fn only_a_question_for_an_open_group_latches() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let slot = gate.slot(WEB).expect("the group");
    let tap = client.tap();
    let handle = open_web(&gate, 7, SOON);
    handle.close(slot, MonoTime::ZERO);
    handle.renew(MonoTime(now().0 - 1));
    assert_eq!(tap.answers(&node), (false, false), "closed and lapsed");

    handle.open(slot, Epoch(1), MonoTime::FOREVER);
    // Data and replies are no questions.
    tap.send(&frames::udp4(tap.mac, node.mac(), client.address4(), VIP4));
    tap.send(&frames::arp(frames::REPLY, tap.mac, VIP4, VIP4));
    wait_for("the packet is refused", || gate.counters(slot).expect("counters").carry_refused > 0);
    assert!(!handle.lease().is_refused());
    handle.renew(now() + SOON);
    assert_eq!(tap.answers(&node), (true, true));
}

#[test]
fn a_draining_group_carries_but_does_not_answer() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let gate = node.install_web();
    let slot = gate.slot(WEB).expect("the group");
    let tap = client.tap();
    let handle = open_web(&gate, 1, SOON);
    handle.close(slot, now() + SOON);
    assert_eq!(tap.answers(&node), (false, false));
    tap.send(&frames::udp4(tap.mac, node.mac(), client.address4(), VIP4));
    tap.until("port unreachable from the address", |frame| {
        frame[12..14] == [8, 0] && frame[23] == 1 && frame[26..30] == VIP4.octets()
    });
    let view = handle.slot_view(slot);
    assert_eq!((view.answer_until, view.key, view.forward_to), (MonoTime::ZERO, Some(WEB), MacAddr::ZERO));
}
