//! Links fail, fully or partly; the segment does not.

use super::{LAN_BOUND, SLACK, assert_nothing_moves, assert_served_throughout, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::faults::{Drops, FrameKind};
use crate::lab::{Port, Server};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use std::time::{Duration, Instant};

// L2
#[test]
fn loss_of_the_heartbeat_link_moves_nothing() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.cut(&[Port::AlphaSecondLink]);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    scene.lab.join(&[Port::AlphaSecondLink]);
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// L2
#[test]
fn loss_of_the_link_on_the_segment_moves_nothing() {
    let scene = Scene::start(Setup::of("lan"));
    let fault = scene
        .lab
        .drop_frames(&[Drops::from(Port::Alpha, FrameKind::Pulses), Drops::from(Port::Beta, FrameKind::Pulses)]);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.finish(&Expected::owner(Server::Alpha));
}

// S8: all links are lost, the segment is shared; longer than any unauthenticated veto holds
#[test]
fn loss_of_all_links_moves_nothing_while_the_segment_is_shared() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.cut(&[Port::AlphaSecondLink]);
    let fault = scene
        .lab
        .drop_frames(&[Drops::from(Port::Alpha, FrameKind::Pulses), Drops::from(Port::Beta, FrameKind::Pulses)]);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(5));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.lab.join(&[Port::AlphaSecondLink]);
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S6: without the segment's pulses, too, answered probes hold the standby back while the active's
// kernel lives, but for no longer than `veto`
#[test]
fn answered_probes_veto_a_takeover() {
    let scene = Scene::start(Setup::of("lan"));
    scene.lab.cut(&[Port::AlphaSecondLink]);
    let fault = scene.lab.drop_frames(&[
        Drops::from(Port::Alpha, FrameKind::Pulses),
        Drops::from(Port::Alpha, FrameKind::SegmentPulses),
    ]);
    // Profile lan: silence 180 ms, veto 2.5 s.
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(1_500));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.lab.join(&[Port::AlphaSecondLink]);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

/// Starts a pair, loses all pulses from one server for 3 s, and asserts that nothing moves.
fn assert_lost_pulses_move_nothing(from: Server) {
    let mut scene = Scene::start(Setup::of("lan"));
    let fault = scene.lab.drop_frames(&[
        Drops::from(from.port(), FrameKind::Pulses),
        Drops::from(from.second_link(), FrameKind::Pulses),
    ]);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(3));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// L2 S8
#[test]
fn pulses_of_the_active_lost_on_every_link_move_nothing() {
    assert_lost_pulses_move_nothing(Server::Alpha);
}

// L2 S8
#[test]
fn pulses_of_the_standby_lost_on_every_link_move_nothing() {
    assert_lost_pulses_move_nothing(Server::Beta);
}

// L1 S8: the active hears and is not heard; it closes on the standby's last claim, before the
// standby opens
#[test]
fn active_that_nobody_hears_is_replaced_and_never_both_answer() {
    let mut scene = Scene::start(Setup::of("lan"));
    let fault = scene.lab.drop_frames(&[
        Drops::from(Port::Alpha, FrameKind::Everything),
        Drops::from(Port::AlphaSecondLink, FrameKind::Everything),
    ]);
    let from = scene.lab.note("alpha is mute");
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(from).longest_gap().length();
    assert!(gap < LAN_BOUND + SLACK, "clients were not answered for {gap:?}");
    scene.wait_role(Server::Alpha, GROUP, "standby");
    let_pass(Duration::from_millis(500));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S8 L5: the active hears no pulse and is heard: the standby does not take over, and all is well
// afterwards
#[test]
fn active_that_hears_nobody_never_leads_to_two_that_answer() {
    let mut scene = Scene::start(Setup::of("lan"));
    let fault = scene.lab.drop_frames(&[
        Drops::to(Port::Alpha, FrameKind::Everything),
        Drops::to(Port::AlphaSecondLink, FrameKind::Everything),
    ]);
    let_pass(Duration::from_secs(2));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    let owner = scene.wait_one_active(GROUP);
    scene.wait_answered_by(owner);
    let expected = Expected::owner(Server::Alpha);
    scene.finish(&if owner == Server::Alpha { expected } else { expected.handover() });
}

// L2
#[test]
fn random_loss_of_thirty_percent_on_both_links_moves_nothing() {
    let scene = Scene::start(Setup::of("lan"));
    let lossy = |port| Drops::from(port, FrameKind::Pulses).percent(30);
    let fault = scene.lab.drop_frames(&Port::SERVERS.map(lossy));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(20));
    assert!(scene.lab.lift(fault) > 100, "the fault did not strike");
    scene.finish(&Expected::owner(Server::Alpha));
}

/// Figures of link 0 on both servers, alpha first, if both say that it is up: datagrams sent and
/// received.
fn link_figures(scene: &Scene) -> Option<[(u64, u64); 2]> {
    let figures = Server::BOTH.map(|server| {
        let link = scene.agent(server).status().ok()?.link("0");
        (link["state"] == "up").then_some((link["sent"].as_u64()?, link["received"].as_u64()?))
    });
    Some([figures[0]?, figures[1]?])
}

// L1 L2: an administrator destroys the socket of the only link, first on the standby, then on the
// active
#[test]
fn destroyed_socket_of_a_link_is_replaced_within_ticks_and_moves_nothing() {
    let ends = [Port::AlphaSecondLink, Port::BetaSecondLink].map(|port| port.ipv4().to_string());
    let config = ConfigText::pair("lan").links(&[(&ends[0], &ends[1])]).group(GroupText::new(GROUP, &[ADDRESS]));
    let mut scene = Scene::start(Setup::with(config));
    for server in [Server::Beta, Server::Alpha] {
        scene.wait("the link to be up on both", |s| link_figures(s).is_some());
        let from = scene.lab.note(format!("the socket of {}'s link is destroyed", server.name()));
        let end = &ends[server.index()];
        let destroyed = scene.lab.server(server).tool("ss", &["-K", "-H", "-n", "-u", "src", end], "");
        assert!(destroyed.contains(&format!("{end}:7811")), "the fault did not strike: {destroyed:?}");
        let before = Server::BOTH.map(|s| scene.agent(s).status().expect("a status").link("0")["received"].as_u64());
        let begun = Instant::now();
        scene.wait("both to hear each other on the link again", |s| {
            let more = |at: usize, now: u64| now > before[at].expect("a count") + 10;
            link_figures(s).is_some_and(|[(_, alpha), (_, beta)]| more(0, alpha) && more(1, beta))
        });
        let took = begun.elapsed();
        // Eleven pulses of 50 ms, and a tick of 250 ms.
        assert!(took < Duration::from_millis(800) + 2 * SLACK, "the link was up again only after {took:?}");
        let told = scene.agent(server).events();
        assert!(told.contains("link_socket_failed"), "nobody was told: {told}");
        let before = link_figures(&scene).expect("it is up");
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
        let after = link_figures(&scene).expect("it is up");
        for (before, after) in before.iter().zip(after) {
            assert!(after.0 > before.0 + 10 && after.1 > before.1 + 10, "{before:?} became {after:?} in a second");
        }
        assert_served_throughout(&scene.answers(from), Server::Alpha);
    }
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(lost).longest_gap().length();
    assert!(gap < LAN_BOUND + SLACK, "L1: clients were not answered for {gap:?}");
    scene.power_on(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// L2: what is told of a link is true in both directions
#[test]
fn link_on_which_nothing_can_be_sent_is_not_called_up() {
    let mut scene = Scene::start(Setup::of("lan"));
    let nft = |line: &str| scene.lab.server(Server::Alpha).tool("nft", &["-f", "-"], line);
    nft(
        "table ip vipair_lab { chain out { type filter hook output priority 0; oifname eth1 udp dport 7811 drop; }; }",
    );
    scene.lab.note("a rule of alpha forbids pulses on its second link");
    let state = |scene: &Scene, path: &str| {
        let status = scene.agent(Server::Alpha).status().unwrap_or_else(|e| panic!("{e}"));
        (status.link(path)["state"].clone(), status.0["warnings"].to_string())
    };
    scene.wait("alpha to call its second link down", |s| {
        let (word, warnings) = state(s, "1");
        word == "down" && warnings.contains("nothing can be sent")
    });
    assert_eq!(state(&scene, "0").0, "up", "the other link is well");
    scene.lab.server(Server::Alpha).tool("nft", &["delete", "table", "ip", "vipair_lab"], "");
    scene.wait("alpha to call it up again", |s| state(s, "1").0 == "up");
    scene.finish(&Expected::owner(Server::Alpha));
}
