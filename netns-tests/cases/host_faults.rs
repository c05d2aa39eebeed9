//! A whole server fails, or its interface does.

use super::{LAN_BOUND, SLACK, assert_nothing_moves, let_pass, wait_client_corrected};
use crate::lab::Server;
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use std::time::Duration;

// HP-7 HP-9 HP-10 L1 L4
#[test]
fn lost_host_is_replaced_within_the_bound_and_clients_are_corrected() {
    let mut scene = Scene::start(Setup::of("lan").services());
    let web = scene.start_web(100);
    let_pass(Duration::from_millis(300));
    let lost = scene.power_off(Server::Alpha);
    let served = scene.wait_answered_by(Server::Beta);
    for asker in &scene.askers {
        let gap = asker.since(lost).longest_gap().length();
        assert!(gap < LAN_BOUND + SLACK, "L1: {} went unanswered for {gap:?}", asker.target());
    }
    wait_client_corrected(&mut scene, Server::Beta, served);
    drop(web);
    // Alpha comes back and moves nothing.
    scene.power_on(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// HP-7 L1
#[test]
fn lost_standby_is_no_event_for_clients() {
    let mut scene = Scene::start(Setup::of("lan"));
    let from = scene.power_off(Server::Beta);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    scene.power_on(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    super::assert_served_throughout(&scene.answers(from), Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}

// HP-8 L1: the active gives the group away without waiting for silence
#[test]
fn carrier_loss_hands_over_on_the_link_that_is_left() {
    let mut scene = Scene::start(Setup::of("lan"));
    let down = scene.lab.carrier_down(&[Server::Alpha.port()]);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(down).longest_gap().length();
    assert!(gap < SLACK, "clients were not answered for {gap:?}");
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait("alpha to say why it cannot serve", |s| {
        let status = s.agent(Server::Alpha).status();
        status.is_ok_and(|status| status.text(GROUP, "role") == "fault" && !status.text(GROUP, "reason").is_empty())
    });
    scene.lab.carrier_up(&[Server::Alpha.port()]);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// HP-11. Known from other programs of this kind: when the interface below goes down and up, the
// standby answers.
#[test]
fn flapping_standby_never_answers() {
    let mut scene = Scene::start(Setup::of("lan"));
    for _ in 0..5 {
        scene.lab.admin_down(Server::Beta.port());
        let_pass(Duration::from_millis(100));
        scene.lab.admin_up(Server::Beta.port());
        let_pass(Duration::from_millis(200));
    }
    scene.wait_ready(Server::Beta, GROUP);
    scene.wait_addresses(Server::Beta);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// S2 L5: epochs survive the reboot of both
#[test]
fn reboot_of_both_servers_ends_with_one_active() {
    let mut scene = Scene::start(Setup::of("lan"));
    for server in Server::BOTH {
        scene.power_off(server);
    }
    let_pass(Duration::from_millis(300));
    for server in Server::BOTH {
        scene.power_on(server);
    }
    let owner = scene.wait_one_active(GROUP);
    scene.wait_answered_by(owner);
    scene.finish(&match owner {
        Server::Alpha => Expected::owner(Server::Alpha),
        Server::Beta => Expected::owner(Server::Alpha).takeover(),
    });
}
