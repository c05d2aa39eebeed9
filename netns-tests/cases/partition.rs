//! The servers cannot reach each other at all.

use super::{SLACK, assert_nothing_moves, let_pass, wait_client_corrected};
use crate::lab::{Port, Server, clock};
use crate::probe::oracle::{Expected, has_claimed};
use crate::scene::{GROUP, Scene, Setup};
use std::time::Duration;

// S8 L4 L5
#[test]
fn healed_partition_leaves_the_higher_epoch_within_two_pulses() {
    let mut scene = Scene::start(Setup::of("lan").services());
    let web = scene.start_web(50);
    let cut = scene.cut_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_role(Server::Beta, GROUP, "active");
    let joined = scene.rejoin(Server::Alpha, cut);
    // The oracle holds against alpha what it claims later than two pulses after this moment.
    scene.wait_ready(Server::Alpha, GROUP);
    wait_client_corrected(&mut scene, Server::Beta, joined);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    drop(web);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S8 L4: a client that was on the loser's side all the time
#[test]
fn client_on_the_losing_side_of_a_split_is_corrected_within_a_second() {
    let mut scene = Scene::start(Setup::of("lan").services());
    let web = scene.start_web(50);
    let_pass(Duration::from_millis(300));
    // Beta and the gateway are on one side: beta is not alone there, and promotes.
    let split = scene.lab.split(&[Port::Beta, Port::Gateway]);
    scene.lab.cut(&[Port::BetaSecondLink]);
    scene.wait_role(Server::Beta, GROUP, "active");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.lab.join(&[Port::BetaSecondLink]);
    let healed = scene.lab.heal(&[Port::Beta, Port::Gateway]);
    // Beta claimed unheard until now; alpha has two pulses to close.
    scene.excuse_claims(Server::Beta, split, healed);
    scene.wait_answered_by(Server::Beta);
    wait_client_corrected(&mut scene, Server::Beta, healed);
    let late = healed + Duration::from_millis(110);
    assert!(!has_claimed(&scene.heard(), Port::Alpha, late, clock::now()), "S8: alpha still claims two pulses later");
    scene.wait_ready(Server::Alpha, GROUP);
    // Longer than the two pulses, so that the oracle sees beta's own tenure.
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    drop(web);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// Design 4, anchors: a server that no client hears does not serve
#[test]
fn standby_that_hears_nobody_on_the_segment_does_not_promote() {
    let mut scene = Scene::start(Setup::of("lan"));
    let cut = scene.cut_off(Server::Beta);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    scene.wait("beta to say why it is not ready", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| !status.is_ready(GROUP) && status.text(GROUP, "role") != "active")
    });
    assert!(
        !has_claimed(&scene.heard(), Port::Beta, cut, clock::now()),
        "beta claimed the address on an empty segment"
    );
    scene.lab.join(&[Port::Beta, Port::BetaSecondLink]);
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// L2: when it is back, the first that it hears is a client, and not yet the active
#[test]
fn standby_that_was_away_for_long_takes_nothing_over_when_it_is_back() {
    let mut scene = Scene::start(Setup::of("lan"));
    for away in [3, 5] {
        scene.cut_off(Server::Beta);
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(away));
        scene.lab.join(&[Port::Beta, Port::BetaSecondLink]);
        scene.wait_ready(Server::Beta, GROUP);
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    }
    scene.finish(&Expected::owner(Server::Alpha));
}

// S8: while one link is left, the pair is not apart
#[test]
fn split_segment_with_a_heartbeat_link_keeps_one_active() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.split(&[Port::Beta, Port::Gateway]);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    let healed = scene.lab.heal(&[Port::Beta, Port::Gateway]);
    scene.wait_ready(Server::Beta, GROUP);
    assert!(clock::now().since(healed) < Duration::from_secs(10) + SLACK, "L5");
    scene.finish(&Expected::owner(Server::Alpha));
}
