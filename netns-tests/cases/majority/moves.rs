//! Planned moves, moves that the witness asks for, and faults too short to move anything.

use super::{FAST_BOUND, SLACK, assert_nothing_moves, config, let_pass};
use crate::lab::voters::{ALPHA, BETA, WITNESS, between};
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::probe::socket::at_real_time;
use crate::scene::{GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;
use vipair::types::MonoTime;

/// Line of a group's table: the word of a witness alone promotes.
const PROMOTE_BY_WITNESS: &str = "promote = \"witness\"";
/// Line of a group's table: the word of a witness and the standby's own evidence promote together.
const PROMOTE_BY_BOTH: &str = "promote = \"both\"";

// L3 S1
#[test]
fn planned_switch_with_a_witness_under_load_loses_no_request() {
    let mut scene = Scene::start(Setup::witnessed("fast").services().alone());
    let web = scene.start_web(1_000);
    let_pass(Duration::from_millis(500));
    for to in [Server::Beta, Server::Alpha] {
        scene.lab.note(format!("vipair switch {GROUP}, to {}", to.name()));
        scene.agent(to.other()).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
        scene.wait_role(to, GROUP, "active");
        scene.wait_answered_by(to);
        scene.wait_ready(to.other(), GROUP);
        // Longer than the drain time.
        let_pass(Duration::from_millis(1_200));
    }
    crate::cases::planned::assert_nothing_lost(web, 2_000);
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}

// FJ-10: a fault shorter than the silence and than the lease has no consequence
#[test]
fn fault_that_heals_within_the_condition_moves_nothing() {
    let shows = |_| {
        let mut scene = Scene::start(Setup::witnessed("lan"));
        if !at_real_time(|| short_faults(&mut scene)) {
            return false;
        }
        scene.wait_ready(Server::Beta, GROUP);
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
        scene.finish(&Expected::owner(Server::Alpha));
        true
    };
    assert!((0..5).any(shows), "five times one of the faults was not as short as it was to be");
}

/// Cuts the active off eight times and freezes it five times, and asserts that it stays active.
/// False when one of these faults took longer than 100 ms, because the tools were slow: then the
/// run says nothing about short faults.
fn short_faults(scene: &mut Scene) -> bool {
    let cut = |scene: &Scene| scene.lab.sever(&[between(ALPHA, BETA), between(ALPHA, WITNESS)].concat());
    let was_short = |from: MonoTime, until: MonoTime| until.since(from) < Duration::from_millis(100);
    let mut all = true;
    for _ in 0..8 {
        let from = clock::now();
        let fault = cut(scene);
        scene.lab.lift(fault);
        all &= was_short(from, clock::now());
        let_pass(Duration::from_millis(200));
        assert!(!all || scene.role(Server::Alpha, GROUP) == "active", "a short cut moved the group");
    }
    for _ in 0..5 {
        let (alpha, lab) = scene.agent_mut(Server::Alpha);
        let stopped = alpha.signal(lab, Signal::SIGSTOP);
        let_pass(Duration::from_millis(50));
        all &= was_short(stopped, alpha.signal(lab, Signal::SIGCONT));
        let_pass(Duration::from_millis(200));
        assert!(!all || scene.role(Server::Alpha, GROUP) == "active", "a short stop moved the group");
    }
    all
}

// FJ-3 FJ-4 FJ-5 FJ-10: the service hangs on a healthy server; fewer failures than `fall` have no
// consequence
#[test]
fn check_of_the_witness_that_fails_moves_the_group_in_order() {
    let setup = Setup::with_witnesses(config("fast", PROMOTE_BY_WITNESS), 1).services().checked();
    let mut scene = Scene::start(setup);
    let_pass(Duration::from_millis(500));
    // Some checks may fail, but fewer than `fall`.
    scene.stop_service(Server::Alpha);
    scene.start_service(Server::Alpha);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    let hung = scene.stop_service(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    scene.wait_role(Server::Beta, GROUP, "active");
    let gap = scene.answers(hung).longest_gap().length();
    assert!(gap < Duration::from_millis(50), "a handover left clients without an answer for {gap:?}");
    scene.start_service(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// FJ-4 FJ-5: the holder's carrier and links are well, but no client reaches it; a witness among the
// clients finds out
#[test]
fn holder_that_clients_cannot_reach_gives_the_group_away() {
    let setup = Setup::with_witnesses(config("fast", PROMOTE_BY_WITNESS), 1).services().checked();
    let mut scene = Scene::start(setup);
    let_pass(Duration::from_millis(500));
    scene.lab.cut(&[Server::Alpha.port()]);
    scene.wait_answered_by(Server::Beta);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.lab.join(&[Server::Alpha.port()]);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// FJ-4 FJ-5 L1: the witness's word promotes, alone or with the standby's own evidence, and comes
// when the witness's promise ends
#[test]
fn lost_host_is_replaced_on_the_word_of_the_witness() {
    for promote in [PROMOTE_BY_WITNESS, PROMOTE_BY_BOTH] {
        let mut scene = Scene::start(Setup::with_witnesses(config("fast", promote), 1));
        let lost = scene.power_off(Server::Alpha);
        scene.wait_answered_by(Server::Beta);
        let gap = scene.answers(lost).longest_gap().length();
        assert!(gap < FAST_BOUND + SLACK, "{promote}: clients were not answered for {gap:?}");
        scene.power_on(Server::Alpha);
        scene.wait_ready(Server::Alpha, GROUP);
        assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(300));
        scene.finish(&Expected::owner(Server::Alpha).takeover());
    }
}

// FJ-5: without the witness's word the standby takes nothing, even if it sees the active silent
#[test]
fn standby_that_waits_for_the_word_of_the_witness_does_not_act_on_its_own() {
    let mut scene = Scene::start(Setup::with_witnesses(config("fast", PROMOTE_BY_WITNESS), 1));
    let fault = scene.lab.sever(&between(ALPHA, BETA));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}
