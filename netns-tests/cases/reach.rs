//! Segments on which nobody can be reached although the cable has its carrier: the group is where
//! clients can reach it, and readiness says what is so.

use super::{assert_nothing_moves, let_pass};
use crate::lab::{Port, Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use std::time::Duration;

/// Time within which a dead segment is found out and the group has moved: see `reach` in `vipair
/// check`.
const FOUND_OUT: Duration = Duration::from_secs(8);

/// Waits until a server says why it is not ready: nobody is reached.
fn wait_unreached(scene: &mut Scene, server: Server) {
    let said = |s: &mut Scene| {
        let status = s.agent(server).status();
        status.is_ok_and(|s| s.text(GROUP, "reason").starts_with("unreached") && !s.is_ready(GROUP))
    };
    scene.wait(&format!("{} to say that it reaches nobody", server.name()), said);
}

// HP-8 S8: alpha's segment is dead, its cable has carrier, and the other link lives
#[test]
fn an_active_that_nobody_can_reach_hands_over_to_a_standby_that_can_be_reached() {
    let mut scene = Scene::start(Setup::of("lan"));
    let cut = scene.lab.cut(&[Port::Alpha]);
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(cut) < FOUND_OUT, "clients were not answered for {:?}", at.since(cut));
    scene.wait_role(Server::Alpha, GROUP, "standby");
    wait_unreached(&mut scene, Server::Alpha);
    assert!(scene.agent(Server::Alpha).events().contains("\"unreached\""), "no event says so");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(3));
    scene.lab.join(&[Port::Alpha]);
    scene.wait_ready(Server::Alpha, GROUP);
    assert!(scene.agent(Server::Alpha).events().contains("\"reached\""), "no event takes it back");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(3));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8: the same with a majority that goes on granting to the active
#[test]
fn with_a_witness_too_an_active_that_nobody_can_reach_hands_over() {
    let mut setup = Setup::witnessed("lan");
    // Whoever asks at alpha's own port is somebody that alpha reaches.
    setup.knock = false;
    let mut scene = Scene::start(setup);
    let cut = scene.lab.cut(&[Port::Alpha]);
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(cut) < FOUND_OUT, "clients were not answered for {:?}", at.since(cut));
    wait_unreached(&mut scene, Server::Alpha);
    scene.lab.join(&[Port::Alpha]);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8
#[test]
fn a_standby_whose_segment_is_dead_is_not_ready_and_is_not_given_the_group() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.cut(&[Port::Beta]);
    wait_unreached(&mut scene, Server::Beta);
    let refused = scene.agent(Server::Alpha).command(&["switch", GROUP]).expect_err("the switch was carried out");
    assert!(refused.contains("nobody on the clients' segment"), "{refused}");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(3));
    scene.lab.join(&[Port::Beta]);
    scene.wait_ready(Server::Beta, GROUP);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("a standby that is reached takes the group");
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8: nobody was heard in this life of the standby, but an active of which it hears by a link
#[test]
fn a_standby_that_starts_on_a_dead_segment_is_not_ready() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.kill_agent(Server::Beta);
    scene.lab.cut(&[Port::Beta]);
    scene.start_agent(Server::Beta);
    wait_unreached(&mut scene, Server::Beta);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    scene.lab.join(&[Port::Beta]);
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// L2: who is asked does not matter where neither does better
#[test]
fn if_neither_reaches_anybody_nothing_moves() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.cut(&[Port::Alpha, Port::Beta]);
    for server in Server::BOTH {
        wait_unreached(&mut scene, server);
    }
    let_pass(FOUND_OUT);
    assert_eq!(scene.roles(GROUP), ["active", "standby"]);
    scene.lab.join(&[Port::Alpha, Port::Beta]);
    scene.wait_ready(Server::Beta, GROUP);
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}

// L2: a control. All clients and the gateway are gone, and the two servers hear each other
#[test]
fn a_segment_without_clients_is_no_dead_segment() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.cut(&[Port::Client, Port::Gateway]);
    let from = clock::now();
    while clock::now().since(from) < FOUND_OUT {
        for server in Server::BOTH {
            let status = scene.agent(server).status().expect("a status");
            assert!(status.is_ready(GROUP), "{}: {}", server.name(), status.0);
        }
        let_pass(Duration::from_millis(100));
    }
    assert_eq!(scene.roles(GROUP), ["active", "standby"]);
    scene.lab.join(&[Port::Client, Port::Gateway]);
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}
