//! Tests of the proof by effect: a gate that works passes it in every state of its interface, and
//! one that does not fails it without a claim on the segment.

use super::frames;
use super::lab::{self, Host, Lab, SOON, Tap, VIP4, VIP6, WEB, open_web};
use crate::gate::place::{Direction, Place, Site};
use crate::gate::{Gate, GateError, adopt};
use crate::testing::stranger::{Hook, PASS, Stranger};
use crate::types::{GroupKey, Vip};

/// The table of a gate with the group `web` alone.
fn web() -> Vec<(GroupKey, Vec<Vip>)> {
    vec![(WEB, vec![VIP4.into(), VIP6.into()])]
}

/// Frames about the addresses that no host has, which `tap` saw before the sentinel of `node`.
fn escaped(tap: &Tap, node: &Tap) -> Vec<Vec<u8>> {
    node.sentinel();
    tap.until_sentinel().into_iter().filter(|frame| frame[12..14] == [8, 6] && frame[38..41] == [192, 0, 0]).collect()
}

/// Asserts that the gate fails the proof, and that the frames which escaped claim nothing.
fn assert_unproven(node: &Host, gate: &mut Gate, tap: &Tap) -> usize {
    let own = node.tap();
    let error = node.prove(gate).expect_err("it does not work");
    assert!(matches!(error, GateError::Unproven { .. }), "{error}");
    let escaped = escaped(tap, &own);
    assert!(escaped.iter().all(|frame| frames::arp_sender(frame).is_some_and(|from| from.is_unspecified())));
    assert!(escaped.iter().all(|frame| frame[..6] == [0x01, 0x80, 0xc2, 0, 0, 0x0e]));
    escaped.len()
}

// S3
#[test]
fn a_gate_that_works_stops_the_frames_of_its_proof() {
    for place in lab::places() {
        let lab = Lab::new(1);
        let node = lab.host(1);
        let (switch, own) = (lab.port_tap(1), node.tap());
        let mut gate = node.install_in(place, adopt::CURRENT, &web());
        node.add(VIP4.into());
        for turn in 0..3 {
            assert!(node.prove(&mut gate).expect("it works"), "{place:?}, turn {turn}");
        }
        // An open group changes nothing, and is not touched.
        let handle = open_web(&gate, 1, SOON);
        let view = (handle.lease(), handle.slot_view(1));
        assert!(node.prove(&mut gate).expect("it works"));
        assert_eq!((handle.lease(), handle.slot_view(1)), view);
        assert_eq!(escaped(&switch, &own), Vec::<Vec<u8>>::new());
        assert!(gate.retired().is_empty());
        let adopted = node.install_in(place, adopt::CURRENT, &web());
        assert!(adopted.adopted() && adopted.retired().is_empty(), "nothing of the proof stays");
    }
}

#[test]
fn a_proof_needs_no_carrier_and_waits_for_an_interface_that_is_off() {
    let lab = Lab::new(1);
    let node = lab.host(1);
    let mut gate = node.install_web();
    lab.port(1, "down");
    assert!(node.prove(&mut gate).expect("it works without a carrier"));
    node.ip("link set eth0 down");
    assert!(!node.prove(&mut gate).expect("nothing to try"));
    lab.port(1, "up");
    node.ip("link set eth0 up");
    assert!(node.prove(&mut gate).expect("it works"));
}

#[test]
fn a_proof_works_on_interfaces_that_are_no_cards() {
    let lab = Lab::new(1);
    let node = lab.host(1);
    for (name, words) in
        [("br0", "link add name br0 type bridge"), ("mac0", "link add link eth0 name mac0 type macvlan mode bridge")]
    {
        node.ip(words);
        node.ip(&format!("link set {name} up"));
        let proven = node.inside(|| {
            let index = nix::net::if_::if_nametoindex(name).expect("it is there");
            Gate::install(index, name, &web())?.prove(node.mac())
        });
        assert!(proven.expect("it works"), "{name}");
    }
}

// S3
#[test]
fn a_gate_that_is_passed_by_fails_the_proof_without_a_claim() {
    if !lab::places().contains(&Place::Tcx) {
        return;
    }
    for (hook, leaves) in [(Hook::Egress, true), (Hook::Ingress, false)] {
        let lab = Lab::new(1);
        let node = lab.host(1);
        let switch = lab.port_tap(1);
        let mut gate = node.install_web();
        let index = node.ifindex();
        let stranger = node.inside(|| Stranger::load(PASS));
        node.inside(|| stranger.attach_first(index, hook));
        assert_eq!(assert_unproven(&node, &mut gate, &switch) > 0, leaves, "{hook:?}");
        node.inside(|| stranger.detach(index, hook));
        assert!(node.prove(&mut gate).expect("it works again"));
    }
}

// S3
#[test]
fn half_a_gate_fails_the_proof() {
    for place in lab::places() {
        for direction in Direction::BOTH {
            let lab = Lab::new(1);
            let node = lab.host(1);
            let switch = lab.port_tap(1);
            let mut gate = node.install_in(place, adopt::CURRENT, &web());
            let site = Site { ifindex: node.ifindex(), name: "eth0" };
            let id = gate.object.program(direction).id;
            node.inside(|| place.take_away(site, direction, id)).expect("taken away");
            assert_unproven(&node, &mut gate, &switch);
        }
    }
}
