//! The witness itself is lost, is started again, or remembers wrongly.

use super::{
    ALONE, FAST_BOUND, NO_TAKEOVER, SLACK, assert_nothing_moves, assert_served_throughout, config, let_pass,
};
use crate::lab::voters::{ALPHA, BETA, Party, WITNESS, between};
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use std::time::Duration;

// S1 FJ-1: a majority is left, and people are told
#[test]
fn lost_witness_changes_nothing_and_is_alarmed() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let from = scene.kill_witness();
    scene.wait_both_say(NO_TAKEOVER);
    for server in Server::BOTH {
        let events = scene.agent(server).events();
        assert!(events.contains("witness"), "{} has no event about its witness:\n{events}", server.name());
    }
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    scene.start_witness();
    scene.wait_neither_says(NO_TAKEOVER);
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    assert_served_throughout(&scene.answers(from), Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S1 S7: one of three is no majority
#[test]
fn without_the_witness_and_the_active_nobody_takes_over_until_one_is_back() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    scene.kill_witness();
    scene.wait_both_say(NO_TAKEOVER);
    let lost = scene.power_off(Server::Alpha);
    let_pass(Duration::from_secs(2));
    assert!(scene.last_claim(Server::Beta).is_none(), "S1: beta opened with one vote of three");
    assert_ne!(scene.role(Server::Beta, GROUP), "active");
    let events = scene.agent(Server::Beta).events();
    assert!(events.contains("witness"), "no event says why nobody serves:\n{events}");
    scene.wait("an alarm that nobody serves", |s| {
        s.agent(Server::Beta).events().contains("web is served by nobody: no majority")
    });
    let status = scene.agent(Server::Beta).status().unwrap_or_else(|cause| panic!("{cause}"));
    assert!(!status.is_ready(GROUP), "it would not serve: {}", status.text(GROUP, "reason"));
    let back = scene.start_witness();
    scene.wait_role(Server::Beta, GROUP, "active");
    let served = scene.wait_answered_by(Server::Beta);
    assert!(served.since(back) < Duration::from_secs(10) + SLACK, "L5");
    scene.wait("the alarm to be taken back", |s| s.agent(Server::Beta).events().contains("web is served again"));
    assert!(scene.answers(lost).longest_gap().length() > Duration::from_secs(2));
    // The other node's return, without any witness, makes a majority, too.
    scene.kill_witness();
    scene.wait_unanswered(Duration::from_millis(300));
    scene.power_on(Server::Alpha);
    let owner = scene.wait_one_active(GROUP);
    scene.wait_answered_by(owner);
    scene.finish_by_chance();
}

// FJ-1: with `strict = false` the nodes go on as a bare pair once both know that they are alone
#[test]
fn without_strict_the_pair_alone_decides_after_the_witness_is_lost() {
    let mut scene = Scene::start(Setup::with_witnesses(config("fast", ""), 1).without_strict());
    scene.kill_witness();
    scene.wait("both to know that the pair is alone", |s| {
        Server::BOTH.iter().all(|server| s.agent(*server).events().contains(ALONE))
    });
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(lost).longest_gap().length();
    assert!(gap < FAST_BOUND + SLACK, "L1: clients were not answered for {gap:?}");
    // With the witness and the peer back, all three are heard again.
    scene.start_witness();
    scene.power_on(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.wait_neither_says("not heard");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S5: a promise of the witness's former life holds in the next one
#[test]
fn restart_of_the_witness_moves_nothing_while_the_servers_see_each_other() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    for _ in 0..5 {
        scene.kill_witness();
        scene.start_witness();
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(150));
    }
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S1 S5: the witness has promised its vote to a holder that it does not hear any more and whose
// lease still runs, while the other server asks for the vote all the time
#[test]
fn witness_restarted_inside_its_promise_gives_no_second_one() {
    // Longer than a restart of an unoptimized witness takes on a busy machine.
    let config = config("lan", "").timing_toml("lease_ms = 1000");
    let mut scene = Scene::start(Setup::with_witnesses(config, 1));
    let apart = scene.lab.sever(&between(ALPHA, BETA));
    let mut owner = Server::Alpha;
    for _ in 0..3 {
        assert_nothing_moves(&scene, owner, Duration::from_millis(500));
        let fault = scene.lab.sever(&between(Party::Node(owner), WITNESS));
        scene.kill_witness();
        let (witness, lab) = scene.witness(1);
        witness.launch(lab);
        scene.wait_answered_by(owner.other());
        scene.lab.lift(fault);
        owner = owner.other();
    }
    assert!(scene.lab.lift(apart) > 10, "the fault did not strike");
    scene.wait_ready(owner.other(), GROUP);
    assert_nothing_moves(&scene, owner, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover().takeover().takeover());
}

/// Switches the group to `to` and waits until the other server is ready again.
fn switch_to(scene: &mut Scene, to: Server) {
    scene.lab.note(format!("vipair switch {GROUP}, to {}", to.name()));
    scene.agent(to.other()).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(to, GROUP, "active");
    scene.wait_answered_by(to);
    scene.wait_ready(to.other(), GROUP);
}

// S1 S2 S5: a restored backup knows less than it has granted
#[test]
fn witness_with_an_old_copy_of_its_state_grants_nothing_twice() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let (witness, lab) = scene.witness(1);
    witness.copy_state(lab);
    switch_to(&mut scene, Server::Beta);
    switch_to(&mut scene, Server::Alpha);
    let fault = scene.lab.sever(&between(ALPHA, BETA));
    scene.kill_witness();
    let (witness, lab) = scene.witness(1);
    witness.roll_back_state(lab);
    witness.start(lab);
    // While the servers are apart, an earlier grant may run out and the other server be elected.
    let_pass(Duration::from_millis(300));
    scene.wait_one_active(GROUP);
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    let mut owner = Server::Alpha;
    scene.wait("one active and the other ready", |s| {
        let of = |server: Server| s.agent(server).status().map(|now| (now.text(GROUP, "role"), now.is_ready(GROUP)));
        let stands = |server: Server| of(server).is_ok_and(|(role, ready)| role == "standby" && ready);
        let found = Server::BOTH
            .into_iter()
            .find(|server| stands(server.other()) && s.agent(*server).role(GROUP) == "active");
        owner = found.unwrap_or(owner);
        found.is_some()
    });
    scene.wait_answered_by(owner);
    // The witness is still good for a takeover; the scene checks that every epoch rises.
    let lost = scene.cut_off(owner);
    scene.wait_answered_by(owner.other());
    scene.wait_role(owner.other(), GROUP, "active");
    let gap = scene.answers(lost).longest_gap().length();
    assert!(gap < FAST_BOUND + SLACK, "L1: clients were not answered for {gap:?}");
    scene.finish_by_chance();
}

// S5 S7: a witness without its state votes when both servers have told theirs
#[test]
fn witness_whose_state_is_spoiled_votes_again_once_both_servers_have_told_theirs() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    scene.kill_witness();
    let (witness, lab) = scene.witness(1);
    assert!(witness.spoil_state(lab) > 0, "the witness has written no state");
    scene.start_witness();
    scene.wait_neither_says(NO_TAKEOVER);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.cut_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S1 L1: three of five voters are enough
#[test]
fn one_of_three_witnesses_lost_leaves_takeover_possible() {
    let mut scene = Scene::start(Setup::with_witnesses(config("fast", ""), 3));
    let (witness, lab) = scene.witness(2);
    witness.kill(lab);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(700));
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(lost).longest_gap().length();
    assert!(gap < FAST_BOUND + SLACK, "L1: clients were not answered for {gap:?}");
    // A second witness is lost: beta and one witness are two of five.
    let (witness, lab) = scene.witness(3);
    witness.kill(lab);
    scene.wait_unanswered(Duration::from_millis(300));
    // By then the last grant to beta has run out.
    let_pass(Duration::from_millis(100));
    let alone = clock::now();
    let_pass(Duration::from_millis(500));
    assert!(scene.last_claim(Server::Beta).is_some_and(|last| last < alone), "S1: two votes of five");
    let (witness, lab) = scene.witness(2);
    witness.start(lab);
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}
