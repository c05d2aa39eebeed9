//! An administrator meddles: filters, addresses, interfaces, clocks, neighbour entries.

use super::{SLACK, assert_nothing_moves, let_pass};
use crate::lab::faults::ClockStep;
use crate::lab::intruder::{Hook, programs};
use crate::lab::{Server, clock};
use crate::probe::oracle::{Expected, has_claimed};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::time::Duration;

/// Whether a server's eth0 has a gate, for both directions.
fn has_gate(scene: &Scene, server: Server) -> bool {
    let netns = scene.lab.server(server);
    Hook::BOTH.into_iter().zip(["ingress", "egress"]).all(|(hook, side)| match programs(netns, "eth0", hook) {
        Some(all) => !all.is_empty(),
        None => netns.tool("tc", &["filter", "show", "dev", "eth0", side], "").contains("bpf"),
    })
}

// S7, design 3: the agent reinstalls a deleted gate, and removes the addresses before that
#[test]
fn deleted_gate_on_the_standby_is_reinstalled_and_the_standby_stays_silent() {
    let mut scene = Scene::start(Setup::of("lan"));
    assert!(has_gate(&scene, Server::Beta));
    let deleted = scene.lab.delete_gate(Server::Beta);
    scene.wait("the gate to be back", |s| has_gate(s, Server::Beta));
    scene.wait_addresses(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    // Without a gate the kernel answers until the addresses are gone: nothing can prevent that, but
    // it can be short: the agent glances ten times a second.
    let short = Duration::from_millis(250);
    let late = has_claimed(&scene.heard(), Server::Beta.port(), deleted + short, clock::now());
    assert!(!late, "beta still claimed the address {short:?} after its gate was deleted");
    scene.excuse_claims(Server::Beta, deleted, deleted + short);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    assert!(scene.agent(Server::Beta).events().to_lowercase().contains("gate"), "no event tells of it");
    scene.finish(&Expected::owner(Server::Alpha));
}

// S7 L5
#[test]
fn deleted_gate_on_the_active_is_reinstalled() {
    let mut scene = Scene::start(Setup::of("lan"));
    let deleted = scene.lab.delete_gate(Server::Alpha);
    scene.wait("the gate to be back", |s| has_gate(s, Server::Alpha));
    scene.wait_addresses(Server::Alpha);
    let owner = scene.wait_one_active(GROUP);
    scene.wait_ready(owner.other(), GROUP);
    scene.wait_answered_by(owner);
    let gap = scene.answers(deleted).longest_gap().length();
    assert!(gap < SLACK * 2, "clients were not answered for {gap:?}");
    let expected = Expected::owner(Server::Alpha);
    scene.finish(&if owner == Server::Alpha { expected } else { expected.handover() });
}

// Known from other programs of this kind: another program deletes addresses, and nobody notices.
#[test]
fn deleted_address_comes_back() {
    let mut scene = Scene::start(Setup::of("lan"));
    for server in Server::BOTH {
        scene.lab.delete_address(server, &format!("{ADDRESS}/32"));
        scene.lab.delete_address(server, &format!("{ADDRESS6}/128"));
        scene.wait_addresses(server);
        scene.wait_one_active(GROUP);
    }
    let owner = scene.wait_one_active(GROUP);
    scene.wait_ready(owner.other(), GROUP);
    scene.wait_answered_by(owner);
    let owners: Vec<Server> = scene.askers[0].since(vipair::types::MonoTime::ZERO).servers();
    let moves = owners.len() - 1;
    assert!(moves <= 2, "it moved {moves} times");
    let expected = (0..moves).fold(Expected::owner(Server::Alpha), |expected, _| expected.handover());
    scene.finish(&expected);
}

// Known from other programs of this kind: an interface that was deleted and made again answers
// although another server is active.
#[test]
fn recreated_interface_of_the_active_comes_back_as_standby() {
    let mut scene = Scene::start(Setup::of("lan"));
    let gone = scene.lab.delete_interface(Server::Alpha.port());
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(gone).longest_gap().length();
    assert!(gap < SLACK, "clients were not answered for {gap:?}");
    scene.lab.recreate_interface(Server::Alpha.port());
    scene.wait_addresses(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert!(has_gate(&scene, Server::Alpha));
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    // Alpha can serve again, too.
    scene.agent(Server::Beta).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_answered_by(Server::Alpha);
    let_pass(Duration::from_millis(100));
    scene.finish(&Expected::owner(Server::Alpha).takeover().handover());
}

// S3
#[test]
fn recreated_interface_of_the_standby_never_answers() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.delete_interface(Server::Beta.port());
    let_pass(Duration::from_millis(300));
    scene.lab.recreate_interface(Server::Beta.port());
    scene.wait_addresses(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// Known from other programs of this kind: a step of the wall clock moves addresses. Nothing depends
// on the wall clock. The machine has only one, so scripts/test allows stepping it.
#[test]
fn wall_clock_set_back_and_forth_changes_nothing() {
    if std::env::var_os("VIPAIR_STEP_CLOCK").is_none() {
        eprintln!("skipped: it steps the machine's clock for some seconds; VIPAIR_STEP_CLOCK=1 allows it");
        return;
    }
    let scene = Scene::start(Setup::of("lan").alone());
    let wall = ClockStep::new();
    for seconds in [288, -288, 0] {
        scene.lab.note(format!("wall clock is {seconds} s off"));
        wall.step(seconds);
        // Short, because files that others write meanwhile carry wrong times.
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
    }
    drop(wall);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S3 HP-4: the standby answers no client, whatever its neighbour entry says
#[test]
fn static_neighbour_entry_for_the_standby_gets_no_answer_there() {
    let scene = Scene::start(Setup::of("lan").services());
    scene.lab.static_neighbour(ADDRESS, Server::Beta);
    scene.lab.static_neighbour(ADDRESS6, Server::Beta);
    let web = scene.start_web(100);
    let_pass(Duration::from_secs(1));
    let requests = web.finish();
    assert!(requests.0.len() > 10, "only {} requests were sent", requests.0.len());
    for server in Server::BOTH {
        assert_eq!(requests.answered_by(server), 0, "{} answered at the wrong place", server.name());
    }
    scene.finish(&Expected::owner(Server::Alpha));
}
