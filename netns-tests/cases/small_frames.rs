//! Links that carry small frames only, and more groups than fit into one of them.

use super::{LAN_BOUND, SLACK, assert_nothing_moves, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::faults::{Drops, FrameKind};
use crate::lab::{Port, Server};
use crate::probe::oracle::Expected;
use crate::scene::{Scene, Setup};
use std::time::Duration;

/// More groups than fit into one datagram, whatever carries it.
const GROUPS: usize = 20;

/// Name of the first group.
const FIRST: &str = "g0";

/// A pair of 20 groups, over the second link alone.
fn setup() -> Setup {
    setup_with(0)
}

/// The same with so many witnesses.
fn setup_with(witnesses: u8) -> Setup {
    let ends = [Port::AlphaSecondLink, Port::BetaSecondLink].map(|port| port.ipv4().to_string());
    let mut config = ConfigText::pair("lan").links(&[(&ends[0], &ends[1])]);
    for n in 0..GROUPS {
        config = config.group(GroupText::new(&format!("g{n}"), &[&format!("10.0.0.{}", 100 + n)]));
    }
    let mut setup = if witnesses > 0 { Setup::with_witnesses(config, witnesses) } else { Setup::with(config) };
    setup.asked.truncate(2);
    setup
}

/// Sets the MTU of both servers' ends of the second link.
fn set_mtu(scene: &Scene, mtu: u32) {
    scene.lab.note(format!("the MTU of the second link becomes {mtu}"));
    for server in Server::BOTH {
        scene.lab.server(server).ip(&format!("link set dev eth1 mtu {mtu}"));
    }
}

/// Takes the path of last resort away.
fn without_segment(scene: &Scene) -> crate::lab::faults::Fault {
    scene.lab.drop_frames(&[
        Drops::from(Port::Alpha, FrameKind::SegmentPulses),
        Drops::from(Port::Beta, FrameKind::SegmentPulses),
    ])
}

/// Starts the pair and asserts that it is one: both hear each other, every group is active on alpha
/// and ready on beta, and a switch of one works.
fn assert_a_pair(scene: &mut Scene) {
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, &format!("g{}", GROUPS - 1), "active");
    scene.start_agent(Server::Beta);
    for n in 0..GROUPS {
        scene.wait_role(Server::Alpha, &format!("g{n}"), "active");
        scene.wait_ready(Server::Beta, &format!("g{n}"));
    }
    assert_nothing_moves(scene, Server::Alpha, Duration::from_secs(3));
    for server in Server::BOTH {
        let status = scene.agent(server).status().expect("a status");
        assert_eq!(status.link("0")["state"], "up", "{status:?}");
    }
    // S8, L1: lost is the host of the active, and nothing else.
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(lost).longest_gap().length();
    assert!(gap < LAN_BOUND + SLACK, "clients were not answered for {gap:?}");
    for n in 0..GROUPS {
        scene.wait_role(Server::Beta, &format!("g{n}"), "active");
    }
    let_pass(Duration::from_millis(500));
}

/// Ends a scene: alpha had every group, then beta.
fn finish(scene: Scene) {
    let expected = Expected::owner(Server::Alpha).takeover();
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n}")).collect();
    let all: Vec<(&str, &Expected)> = names.iter().map(|name| (name.as_str(), &expected)).collect();
    scene.finish_groups(&all);
}

/// Plays a pair whose only link has this MTU at both ends.
fn play(mtu: u32) {
    let mut scene = Scene::build(setup());
    let _fault = without_segment(&scene);
    set_mtu(&scene, mtu);
    assert_a_pair(&mut scene);
    let status = scene.agent(Server::Beta).status().expect("a status");
    let link = status.link("0");
    assert!(link["too_large"].as_u64() > Some(0), "nothing was too large: {link}");
    finish(scene);
}

// S8 L1
#[test]
fn a_pair_with_many_groups_lives_on_a_link_of_600_bytes() {
    play(600);
}

// S8 L1: the least that every host of IPv4 must take
#[test]
fn a_pair_with_many_groups_lives_on_a_link_of_576_bytes() {
    play(576);
}

// S8 L1: one row fits
#[test]
fn a_pair_with_many_groups_lives_on_a_link_of_256_bytes() {
    play(256);
}

// S1 L1: the way to the witness is as narrow as the link
#[test]
fn a_pair_with_a_witness_and_many_groups_lives_on_links_of_600_bytes() {
    let mut scene = Scene::start(setup_with(1));
    let fault = without_segment(&scene);
    set_mtu(&scene, 600);
    for server in Server::BOTH {
        scene.lab.server(server).ip("link set dev eth2 mtu 600");
    }
    scene.kill_agent(Server::Beta);
    scene.start_agent(Server::Beta);
    for n in 0..GROUPS {
        scene.wait_ready(Server::Beta, &format!("g{n}"));
    }
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    scene.power_off(Server::Alpha);
    for n in 0..GROUPS {
        scene.wait_role(Server::Beta, &format!("g{n}"), "active");
    }
    let_pass(Duration::from_millis(500));
    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
    finish(scene);
}

// L2: the link shrinks while it is in use, and a change of all groups is to be told
#[test]
fn a_link_that_shrinks_while_it_is_in_use_moves_nothing() {
    let mut scene = Scene::start(setup());
    let fault = without_segment(&scene);
    set_mtu(&scene, 300);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    scene.kill_agent(Server::Beta);
    scene.start_agent(Server::Beta);
    for n in 0..GROUPS {
        scene.wait_ready(Server::Beta, &format!("g{n}"));
    }
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    scene.agent(Server::Alpha).command(&["switch", FIRST]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Beta, FIRST, "active");
    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
    let handed = Expected::owner(Server::Alpha).handover();
    let kept = Expected::owner(Server::Alpha);
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n}")).collect();
    let of = |name: &str| if name == FIRST { &handed } else { &kept };
    let all: Vec<(&str, &Expected)> = names.iter().map(|name| (name.as_str(), of(name))).collect();
    scene.finish_groups(&all);
}

// S8 L1: a switch in the middle loses large frames and says nothing
#[test]
fn a_switch_that_loses_large_frames_silently_does_not_make_a_pair_deaf() {
    let mut scene = Scene::build(setup());
    let _fault = without_segment(&scene);
    for port in [Port::AlphaSecondLink, Port::BetaSecondLink] {
        scene.lab.switch().ip(&format!("link set dev {} mtu 600", port.name()));
    }
    assert_a_pair(&mut scene);
    finish(scene);
}
