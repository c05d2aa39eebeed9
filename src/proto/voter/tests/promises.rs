//! Tests of a voter's promises: how long one holds, what ends it, and what its end means.

use super::*;
use crate::timing::stretch;

/// The length of a promise: the stated lease, stretched for clock drift.
fn promise_span() -> Duration {
    stretch(Duration::from_micros(u64::from(LEASE_US)), 500)
}

/// A scene in which alpha is active with the group; its newest pulse was received at 400 ms.
fn alpha_is_active() -> Scene {
    let mut scene = Scene::voting();
    scene.claim(ALPHA, epoch(7, ALPHA));
    scene.pulse(ALPHA, 400);
    scene.open(ALPHA, epoch(7, ALPHA));
    assert!(scene.pulse(ALPHA, 400));
    scene
}

// S5
#[test]
fn a_promise_holds_for_the_lease_and_what_clocks_may_differ() {
    let mut scene = alpha_is_active();
    let until = instant(400) + promise_span();
    scene.claim(BETA, epoch(8, BETA));
    let before = MonoTime(until.0 - 1);
    let pulse = scene.beta.pulse(before);
    scene.out.clear();
    scene.voter.handle(before, &pulse, &mut scene.out);
    assert_eq!(scene.voter.promises(before).next().map(|promised| promised.to), Some(ALPHA));
    let pulse = scene.beta.pulse(until);
    scene.voter.handle(until, &pulse, &mut scene.out);
    assert_eq!(scene.voter.promises(until).next().map(|promised| promised.to), Some(BETA));
}

#[test]
fn every_pulse_renews_a_promise() {
    let mut scene = alpha_is_active();
    for ms in (450..2_000).step_by(50) {
        assert!(scene.pulse(ALPHA, ms));
        assert_eq!(
            scene.voter.promises(instant(ms)).next().map(|promised| promised.until),
            Some(instant(ms) + promise_span())
        );
    }
}

#[test]
fn an_overtaken_pulse_does_not_shorten_a_promise() {
    let mut scene = alpha_is_active();
    scene.alpha.lease_us = 60_000;
    let late = scene.alpha.pulse(instant(410));
    scene.alpha.lease_us = LEASE_US;
    scene.pulse(ALPHA, 411);
    scene.deliver(ALPHA, &late, 412);
    let until = scene.voter.promises(instant(412)).next().expect("promised").until;
    assert!(until >= instant(412) + promise_span(), "the answer speaks of the newest, which stated the longer lease");
}

// FJ-4
#[test]
fn an_active_that_is_heard_no_more_has_a_fault() {
    let mut scene = alpha_is_active();
    scene.pulse(BETA, 500);
    assert!(!scene.beta.witness(GROUP).faulty);
    scene.pulse(BETA, 600);
    assert!(scene.beta.witness(GROUP).faulty, "told with the first answer after the promise is over");
    assert!(scene.notices.contains(&Notice::Lapsed(GROUP, ALPHA, epoch(7, ALPHA))));
    assert!(scene.notices.contains(&Notice::Faulty(GROUP, true)));
}

// FJ-10
#[test]
fn a_fault_that_heals_is_none() {
    let mut scene = alpha_is_active();
    scene.pulse(BETA, 500);
    scene.pulse(BETA, 600);
    assert!(scene.beta.witness(GROUP).faulty);
    assert!(scene.pulse(ALPHA, 610), "it is active, and nobody else was granted");
    scene.pulse(BETA, 620);
    assert!(!scene.beta.witness(GROUP).faulty);
    assert_eq!(scene.promised(620), Some((ALPHA, epoch(7, ALPHA))));
}

// FJ-10: the node that is heard first after a stop of our own says nothing about the others
#[test]
fn a_voter_that_was_stopped_blames_nobody() {
    let mut scene = alpha_is_active();
    scene.pulse(BETA, 1_000);
    assert_eq!(scene.promised(1_000), None, "the promise is over all the same");
    assert!(!scene.beta.witness(GROUP).faulty);
    scene.pulse(BETA, 1_100);
    assert!(!scene.beta.witness(GROUP).faulty);
    scene.pulse(BETA, 1_200);
    assert!(scene.beta.witness(GROUP).faulty, "by now it would have been heard");
}

// S2: what was promised counts as used as soon as it is over, not when it is told that it has
// lapsed
#[test]
fn nothing_below_a_promise_that_is_over_is_granted() {
    let mut scene = alpha_is_active();
    scene.claim(BETA, epoch(6, BETA));
    assert!(!scene.pulse(BETA, 1_000));
    assert!(!scene.pulse(BETA, 1_010));
}

/// A scene after a restart of the voter: the voter believes alpha, but alpha does not know, because
/// the answer to its proof was lost.
fn answer_to_a_proof_is_lost() -> Scene {
    let mut scene = alpha_is_active();
    let loaded = Loaded::Memory(Memory { lease_us: LEASE_US, ceilings: Vec::new() });
    scene.voter = Voter::new(setup(loaded, 1), instant(410));
    scene.out.clear();
    let introduced = scene.alpha.pulse(instant(410));
    scene.voter.handle(instant(410), &introduced, &mut scene.out);
    let answer = scene.out.datagrams().next().expect("answered").to_vec();
    let proof = scene.alpha.hear(instant(410), &answer).expect("it proves itself");
    scene.out.clear();
    scene.voter.handle(instant(411), &proof, &mut scene.out);
    assert!(scene.out.notices.contains(&Notice::Session(ALPHA)));
    scene
}

// L5: a voter says nothing of its own accord
#[test]
fn a_node_that_missed_the_answer_to_its_proof_is_answered_again() {
    let mut scene = answer_to_a_proof_is_lost();
    let before = scene.alpha.heard;
    scene.pulse(ALPHA, 460);
    assert!(scene.alpha.heard > before, "the next pulse leads to a conversation");
}

// S6
#[test]
fn what_was_said_to_an_earlier_life_is_answered_once() {
    let mut scene = answer_to_a_proof_is_lost();
    let kept = scene.alpha.pulse(instant(420));
    let answers = |scene: &mut Scene| {
        scene.out.clear();
        scene.voter.handle(instant(430), &kept, &mut scene.out);
        scene.out.datagrams().count()
    };
    assert_eq!([answers(&mut scene), answers(&mut scene)], [1, 0]);
}

#[test]
fn a_claim_that_is_heard_again_is_granted_again() {
    let mut scene = Scene::voting();
    scene.claim(ALPHA, epoch(7, ALPHA));
    assert!(scene.pulse(ALPHA, 400));
    scene.pulse(BETA, 700);
    assert!(!scene.beta.witness(GROUP).faulty, "nobody was active");
    assert_eq!(scene.promised(700), None);
    assert!(scene.pulse(ALPHA, 710));
}

#[test]
fn what_a_node_reserves_it_may_still_open_with() {
    let mut scene = Scene::voting();
    scene.claim(ALPHA, epoch(7, ALPHA));
    scene.pulse(ALPHA, 400);
    scene.close(ALPHA);
    scene.pulse(ALPHA, 410);
    assert_eq!(scene.alpha.witness(GROUP).consent, Epoch::NONE, "it asks for nothing");
    scene.claim(BETA, epoch(8, BETA));
    assert!(!scene.pulse(BETA, 420), "it has withdrawn, and could claim the same again");
    scene.pulse(ALPHA, 430);
    assert_eq!(scene.promised(580), None, "what it does not ask for is not renewed");
    assert!(scene.pulse(BETA, 580));
}

// S5: the gate of a dead agent answers for its lease
#[test]
fn a_node_that_starts_gives_nothing_up() {
    let mut scene = alpha_is_active();
    scene.alpha.restart(12);
    (0..3).for_each(|_| {
        scene.pulse(ALPHA, 420);
    });
    assert_eq!(scene.promised(420), Some((ALPHA, epoch(7, ALPHA))));
    scene.claim(BETA, epoch(8, BETA));
    assert!(!scene.pulse(BETA, 425));
    // The agent finds the gate open, and goes on.
    scene.open(ALPHA, epoch(7, ALPHA));
    assert!(scene.pulse(ALPHA, 430));
    assert_eq!(scene.promised(580), Some((ALPHA, epoch(7, ALPHA))));
}

#[test]
fn a_node_that_started_and_stands_by_has_given_its_promise_up() {
    let mut scene = alpha_is_active();
    scene.alpha.restart(12);
    (0..3).for_each(|_| {
        scene.pulse(ALPHA, 420);
    });
    scene.alpha.change(GROUP, |row| (row.role, row.reserve) = (Role::Standby, epoch(9, ALPHA)));
    scene.pulse(ALPHA, 430);
    assert_eq!(scene.promised(430), None);
    assert!(!scene.row().faulty);
}

#[test]
fn a_group_that_a_node_has_no_more_is_promised_to_the_end() {
    let mut scene = alpha_is_active();
    scene.alpha.add(GroupKey(6));
    scene.alpha.rows.remove(0);
    scene.alpha.groups = 9;
    (0..3).for_each(|_| {
        scene.pulse(ALPHA, 410);
    });
    assert_eq!(scene.promised(410), Some((ALPHA, epoch(7, ALPHA))));
    scene.pulse(ALPHA, 560);
    assert_eq!(scene.promised(600), None, "and not renewed");
}

// FJ-4
#[test]
fn a_service_that_fails_so_often_in_a_row_is_a_fault() {
    let mut scene = alpha_is_active();
    for healthy in [false, false, true, false, false] {
        scene.check(healthy);
        assert!(!scene.row().faulty);
    }
    scene.check(false);
    assert!(scene.row().faulty);
    scene.pulse(BETA, 410);
    assert!(scene.beta.witness(GROUP).faulty);
    scene.check(true);
    scene.check(false);
    scene.check(true);
    assert!(scene.row().faulty, "not two in a row");
    scene.check(true);
    assert!(!scene.row().faulty);
}

#[test]
fn the_next_active_is_not_judged_by_the_last_ones_checks() {
    let mut scene = alpha_is_active();
    (0..3).for_each(|_| scene.check(false));
    assert!(scene.row().faulty);
    scene.close(ALPHA);
    scene.pulse(ALPHA, 410);
    scene.claim(BETA, epoch(8, BETA));
    assert!(scene.pulse(BETA, 411));
    assert!(!scene.row().faulty);
    (0..2).for_each(|_| scene.check(false));
    assert!(!scene.row().faulty);
    scene.check(false);
    assert!(scene.row().faulty);
}

#[test]
fn a_late_wake_up_promises_more_and_never_less() {
    let mut scene = alpha_is_active();
    // Read from the socket after a stall of five seconds, sent before it.
    let old = scene.alpha.pulse(instant(410));
    assert!(scene.deliver(ALPHA, &old, 5_400));
    assert_eq!(scene.alpha.grant(GROUP), Some(scene.alpha.counter), "counted from when it was sent");
    assert_eq!(scene.promised(5_500), Some((ALPHA, epoch(7, ALPHA))));
}
