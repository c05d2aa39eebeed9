//! Ways between the three are cut, whole or in one direction.

use super::{FAST_BOUND, FAST_LEASE, SLACK, assert_nothing_moves, let_pass};
use crate::lab::voters::{ALPHA, BETA, WAYS, WITNESS, Way, between};
use crate::lab::{Port, Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use std::time::Duration;

// S1 S4 S7 L1: the holder goes on answering at its own port until its lease ends, and then no more
#[test]
fn holder_cut_off_from_everyone_is_closed_before_the_other_opens() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let cut = scene.cut_off(Server::Alpha);
    let done = clock::now();
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(cut).longest_gap().length();
    assert!(gap < FAST_BOUND + SLACK, "L1: clients were not answered for {gap:?}");
    let last = scene.last_claim(Server::Alpha).expect("it had the group");
    let on_the_way = Duration::from_millis(2);
    assert!(last < done + FAST_LEASE + on_the_way, "S4: alpha answered {:?} after it was cut off", last.since(done));
    scene.wait("alpha to know that it is not active", |s| s.role(Server::Alpha, GROUP) != "active");
    scene.lab.join(&scene.lab.ports(Server::Alpha));
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S1 S7: both servers serve their clients and reach the witness; a bare pair would divide here
#[test]
fn pair_that_is_cut_while_both_see_the_witness_moves_nothing() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let fault = scene.lab.sever(&between(ALPHA, BETA));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// The same cut and the same oracle without a witness: both servers answer, and the oracle sees it.
#[test]
fn pair_that_is_cut_without_a_witness_divides_and_the_judge_sees_it() {
    let mut setup = Setup::of("fast");
    setup.knock = true;
    let mut scene = Scene::start(setup);
    let fault = scene.lab.sever(&between(ALPHA, BETA));
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_role(Server::Beta, GROUP, "active");
    let_pass(Duration::from_millis(100));
    let verdict = scene.verdict_by_chance();
    assert!(verdict.is_err_and(|text| text.contains("two at once")), "two that answered went unnoticed");
    scene.lab.lift(fault);
}

// S1 FJ-3 FJ-4 FJ-5: what the standby cannot know by itself, the witness knows
#[test]
fn holder_that_dies_while_the_pair_is_cut_is_replaced_by_the_word_of_the_witness() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let fault = scene.lab.sever(&between(ALPHA, BETA));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    let killed = scene.kill_agent(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(killed).longest_gap().length();
    assert!(gap < FAST_BOUND + SLACK, "clients were not answered for {gap:?}");
    assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
    scene.start_agent(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

/// Starts a scene, severs these ways in it one after the other, and asserts each time that nothing
/// moves.
fn assert_nothing_moves_without(ways: &[Way]) {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    for way in ways {
        let fault = scene.lab.sever(&[*way]);
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(700));
        assert!(scene.lab.lift(fault) > 10, "{way:?} did not strike");
        scene.wait_ready(Server::Beta, GROUP);
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(100));
    }
    scene.finish(&Expected::owner(Server::Alpha));
}

// S1 S7: one direction of one way is lost; two parties that hear each other are always left
#[test]
fn one_direction_lost_between_the_servers_moves_nothing() {
    assert_nothing_moves_without(&WAYS[..2]);
}

// S1 S7
#[test]
fn one_direction_lost_between_the_holder_and_the_witness_moves_nothing() {
    assert_nothing_moves_without(&WAYS[2..4]);
}

// S1 S7
#[test]
fn one_direction_lost_between_the_standby_and_the_witness_moves_nothing() {
    assert_nothing_moves_without(&WAYS[4..]);
}

// S1 S7 L5: each party hears one other and is heard by the third, so no party gets an answer from
// any
#[test]
fn ring_of_cuts_leaves_nobody_open_and_heals() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let ring = [(ALPHA, BETA), (BETA, WITNESS), (WITNESS, ALPHA)];
    for ways in [ring, ring.map(|(from, to)| (to, from))] {
        let fault = scene.lab.sever(&ways);
        scene.wait_unanswered(Duration::from_millis(500));
        let_pass(Duration::from_millis(500));
        scene.wait_unanswered(Duration::from_millis(500));
        assert!(scene.lab.lift(fault) > 10, "the fault did not strike");
        let healed = clock::now();
        let owner = scene.wait_one_active(GROUP);
        assert!(clock::now().since(healed) < Duration::from_secs(10) + SLACK, "L5");
        scene.wait_answered_by(owner);
        scene.wait_ready(owner.other(), GROUP);
    }
    scene.finish_by_chance();
}

// S1 S7: a holder that is cut off from the clients' segment loses the witness there, too, and
// closes
#[test]
fn witness_on_the_segment_decides_against_a_holder_that_is_cut_off_there() {
    let mut scene = Scene::start(Setup::witnessed("fast").witness_on_the_segment());
    let cut = scene.lab.cut(&[Server::Alpha.port(), Server::Alpha.second_link()]);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(cut).longest_gap().length();
    assert!(gap < FAST_BOUND + SLACK, "L1: clients were not answered for {gap:?}");
    scene.lab.join(&[Server::Alpha.port(), Server::Alpha.second_link()]);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S1 S7: clients beside the holder reach it all the time, but it has lost the majority and closes
// before the other opens
#[test]
fn half_with_the_witness_serves_and_the_other_is_closed() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let split = scene.lab.split(&[Port::Beta, Port::Gateway]);
    let fault = scene.lab.sever(&[between(ALPHA, BETA), between(ALPHA, WITNESS)].concat());
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait("alpha to know that it is not active", |s| s.role(Server::Alpha, GROUP) != "active");
    let closed = clock::now();
    let_pass(Duration::from_millis(500));
    assert!(scene.last_claim(Server::Alpha).is_some_and(|last| last < closed), "S1: alpha serves its half");
    assert!(scene.last_claim(Server::Beta).is_some_and(|last| last > closed), "beta serves nobody");
    assert!(closed.since(split) < Duration::from_secs(10) + SLACK, "L5");
    scene.lab.lift(fault);
    scene.lab.heal(&[Port::Beta, Port::Gateway]);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.wait_answered_by(Server::Beta);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S1 L2: the witness and one link are lost in the same moment; the pair keeps its other link
#[test]
fn place_of_the_witness_lost_whole_moves_nothing() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let place = [Port::AlphaSecondLink, Port::BetaSecondLink, Port::AlphaVoters, Port::BetaVoters, Port::Witness];
    scene.lab.cut(&place);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    scene.lab.join(&place);
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}
