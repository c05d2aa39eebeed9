//! Tests of grants: which requests of nodes a voter that votes grants, which it does not, and whom
//! it answers.

use super::*;
use crate::voter::answer::BURST;

#[test]
fn who_claims_is_granted_and_told_so_in_the_answer() {
    let mut scene = Scene::voting();
    let claim = epoch(7, ALPHA);
    scene.claim(ALPHA, claim);
    assert!(scene.pulse(ALPHA, 400));
    assert_eq!(scene.promised(400), Some((ALPHA, claim)));
    let row = scene.alpha.witness(GROUP);
    assert_eq!((row.consent, row.role, row.reason, row.claim), (claim, Role::Witness, Reason::None, Epoch::NONE));
    assert!(scene.notices.contains(&Notice::Granted(GROUP, ALPHA, claim)));
}

// FJ-3: every status check of the one is an answer to the other
#[test]
fn every_pulse_is_answered_with_the_counter_it_had() {
    let mut scene = Scene::voting();
    for ms in [410, 420, 430] {
        let before = scene.alpha.heard;
        scene.pulse(ALPHA, ms);
        assert_eq!(scene.alpha.heard, before + 1, "one answer");
    }
    scene.claim(ALPHA, epoch(7, ALPHA));
    scene.pulse(ALPHA, 440);
    scene.pulse(ALPHA, 450);
    assert_eq!(scene.alpha.grant(GROUP), Some(scene.alpha.counter), "each answer grants from the pulse it answers");
}

// FJ-1 FJ-4: two that claim, one that is chosen
#[test]
fn of_two_that_claim_the_first_one_is_granted() {
    let mut scene = Scene::voting();
    scene.claim(ALPHA, epoch(7, ALPHA));
    scene.claim(BETA, epoch(9, BETA));
    assert!(scene.pulse(ALPHA, 400));
    assert!(!scene.pulse(BETA, 401), "the higher one is too late");
    assert!(scene.pulse(ALPHA, 402));
    assert_eq!(scene.beta.witness(GROUP).consent, epoch(7, ALPHA), "and is told who was first");
}

#[test]
fn a_claim_must_be_above_what_was_seen_and_granted() {
    let mut scene = Scene::voting();
    scene.beta.change(GROUP, |row| row.epoch = epoch(20, BETA));
    scene.pulse(BETA, 400);
    scene.claim(ALPHA, epoch(20, ALPHA));
    assert!(!scene.pulse(ALPHA, 401), "a higher one was in use");
    assert_eq!(scene.alpha.witness(GROUP).epoch, epoch(20, BETA), "the node is told how high to go");
    scene.claim(ALPHA, epoch(21, ALPHA));
    assert!(scene.pulse(ALPHA, 402));
    scene.close(ALPHA);
    scene.alpha.change(GROUP, |row| row.reserve = epoch(22, ALPHA));
    scene.pulse(ALPHA, 403);
    assert_eq!(scene.promised(403), None, "given up before it was used");
    scene.claim(BETA, epoch(20, BETA));
    assert!(!scene.pulse(BETA, 404), "lower than what was granted");
    scene.claim(BETA, epoch(22, BETA));
    assert!(scene.pulse(BETA, 405));
}

#[test]
fn a_claim_that_others_have_met_is_granted_all_the_same() {
    let mut scene = Scene::voting();
    // The node consented to the claim and was restarted: what it promised counts as seen.
    scene.beta.change(GROUP, |row| row.epoch = epoch(20, ALPHA));
    scene.pulse(BETA, 400);
    scene.claim(ALPHA, epoch(20, ALPHA));
    assert!(scene.pulse(ALPHA, 401), "only its node can open with it, and has not");
}

#[test]
fn nobody_is_granted_the_epoch_of_another() {
    let mut scene = Scene::voting();
    scene.claim(ALPHA, epoch(7, BETA));
    assert!(!scene.pulse(ALPHA, 400));
    scene.open(ALPHA, epoch(7, BETA));
    scene.pulse(ALPHA, 401);
    assert_eq!(scene.promised(401), None);
}

#[test]
fn a_handover_goes_over_as_soon_as_the_first_has_closed() {
    let mut scene = Scene::voting();
    let (first, second) = (epoch(7, ALPHA), epoch(8, BETA));
    scene.claim(ALPHA, first);
    scene.pulse(ALPHA, 400);
    scene.open(ALPHA, first);
    scene.pulse(ALPHA, 401);
    scene.alpha.change(GROUP, |row| (row.role, row.claim) = (Role::Handover, second));
    assert!(scene.pulse(ALPHA, 402), "it is active until it has closed");
    scene.claim(BETA, second);
    assert!(!scene.pulse(BETA, 403));
    scene.alpha.change(GROUP, |row| (row.role, row.claim, row.consent) = (Role::Standby, Epoch::NONE, second));
    scene.pulse(ALPHA, 404);
    assert!(scene.pulse(BETA, 405));
    assert!(scene.notices.contains(&Notice::Released(GROUP, ALPHA, first)));
}

#[test]
fn a_voter_that_was_away_learns_of_the_active_whatever_the_bar() {
    let ceiling = Ceiling { group: GROUP, epoch: epoch(70, NodeId(255)) };
    let mut scene = Scene::begin(Loaded::Memory(Memory { lease_us: LEASE_US, ceilings: vec![ceiling] }));
    scene.open(ALPHA, epoch(9, ALPHA));
    scene.both(0);
    assert_eq!(scene.promised(0), None, "not yet");
    assert!(scene.pulse(ALPHA, 400));
    assert_eq!(scene.promised(400), Some((ALPHA, epoch(9, ALPHA))));
}

#[test]
fn what_the_disk_does_not_know_yet_is_not_granted() {
    let mut scene = Scene::voting();
    scene.disk = false;
    scene.claim(ALPHA, epoch(900, ALPHA));
    assert!(!scene.pulse(ALPHA, 400));
    let version = scene.out.persist.expect("the disk is asked");
    let ceiling = scene.voter.memory().ceilings[0];
    assert_eq!((ceiling.group, ceiling.epoch), (GROUP, epoch(964, NodeId(255))));
    assert!(!scene.pulse(ALPHA, 401), "not before it has answered");
    assert_eq!(scene.out.persist, None, "it was asked");
    scene.voter.stored(version);
    assert!(scene.pulse(ALPHA, 402));
}

#[test]
fn the_disk_is_asked_ahead_of_need() {
    let mut scene = Scene::voting();
    scene.alpha.change(GROUP, |row| row.reserve = epoch(900, ALPHA));
    scene.pulse(ALPHA, 400);
    scene.disk = false;
    scene.claim(ALPHA, epoch(900, ALPHA));
    assert!(scene.pulse(ALPHA, 401), "a reserve was told before the claim, and the disk knows");
    scene.open(ALPHA, epoch(947, ALPHA));
    assert!(scene.pulse(ALPHA, 402));
    assert_eq!(scene.out.persist, None, "room for sixteen more");
    scene.alpha.change(GROUP, |row| row.reserve = epoch(949, ALPHA));
    scene.pulse(ALPHA, 403);
    assert!(scene.out.persist.is_some());
}

#[test]
fn a_longer_lease_is_answered_for_once_the_disk_knows() {
    let mut scene = Scene::voting();
    scene.claim(ALPHA, epoch(7, ALPHA));
    assert!(scene.pulse(ALPHA, 400));
    let before = scene.voter.promises(instant(400)).next().expect("promised").until;
    scene.disk = false;
    scene.alpha.lease_us = 400_000;
    assert!(!scene.pulse(ALPHA, 410), "the answer grants nothing …");
    assert_eq!(
        scene.voter.promises(instant(410)).next().expect("it runs").until,
        before,
        "… and promises nothing more"
    );
    let version = scene.out.persist.expect("the disk is asked");
    assert_eq!(scene.voter.memory().lease_us, 400_000);
    scene.voter.stored(version);
    assert!(scene.pulse(ALPHA, 420));
    assert_eq!(scene.promised(420 + 400), Some((ALPHA, epoch(7, ALPHA))));
}

#[test]
fn two_groups_are_granted_to_two_nodes() {
    let mut scene = Scene::voting();
    let other = GroupKey(6);
    scene.alpha.add(other);
    scene.beta.add(other);
    scene.both(400);
    scene.claim(ALPHA, epoch(7, ALPHA));
    let claim = epoch(7, BETA);
    scene.beta.change(other, |row| (row.reserve, row.claim) = (claim, claim));
    scene.both(401);
    assert!(scene.alpha.grant(GROUP).is_some() && scene.beta.grant(other).is_some());
    assert_eq!(scene.voter.promises(instant(401)).count(), 2);
}

#[test]
fn every_claim_in_a_table_larger_than_a_burst_is_granted() {
    let mut scene = Scene::voting();
    let keys = 100..100 + BURST as u64 + 8;
    keys.clone().for_each(|key| scene.alpha.add(GroupKey(key)));
    for key in keys.clone() {
        let claim = epoch(key, ALPHA);
        scene.alpha.change(GroupKey(key), |row| (row.reserve, row.claim) = (claim, claim));
    }
    for ms in 400..420 {
        scene.pulse(ALPHA, ms);
    }
    assert!(keys.clone().all(|key| scene.alpha.grant(GroupKey(key)).is_some()));
}

#[test]
fn groups_beyond_the_limit_are_left_out_until_others_go_away() {
    let mut scene = Scene::voting();
    (100..100 + MAX_GROUPS as u64 + 76).for_each(|key| scene.alpha.add(GroupKey(key)));
    for ms in 400..600 {
        scene.pulse(ALPHA, ms);
    }
    assert_eq!(scene.voter.groups.len(), MAX_GROUPS);
    assert_eq!(scene.notices.iter().filter(|notice| **notice == Notice::Crowded).count(), 1);
    // Groups that no node has any more make room.
    scene.alpha.rows.truncate(1);
    scene.alpha.groups = 1;
    scene.alpha.add(GroupKey(9_999));
    for ms in 600..610 {
        scene.both(ms);
    }
    assert!(scene.voter.places.contains_key(&GroupKey(9_999)));
    assert_eq!(scene.voter.groups.len(), MAX_GROUPS);
}

// S6
#[test]
fn what_nobody_with_the_key_has_said_is_not_answered() {
    let mut scene = Scene::voting();
    let whole = scene.alpha.pulse(instant(400));
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        scene.out.clear();
        scene.voter.handle(instant(400), &damaged, &mut scene.out);
        assert_eq!(scene.out.answers.len(), 0, "byte {place}");
    }
    assert!(scene.voter.rejects().total() >= whole.len() as u64);
    scene.deliver(ALPHA, &whole, 401);
    assert_eq!(scene.out.answers.len(), 1);
    let before = scene.voter.rejects().replay;
    scene.deliver(ALPHA, &whole, 402);
    assert_eq!((scene.out.answers.len(), scene.voter.rejects().replay), (0, before + 1), "a copy is not answered");
}

#[test]
fn only_nodes_of_the_cluster_are_answered() {
    let mut scene = Scene::voting();
    let mut other = talker(NodeId(242), 33);
    let pulse = other.pulse(instant(400));
    scene.out.clear();
    scene.voter.handle(instant(400), &pulse, &mut scene.out);
    assert_eq!(scene.out.answers.len(), 0, "another witness");
    for number in 3..=60 {
        let pulse = talker(NodeId(number), 33).pulse(instant(400));
        scene.voter.handle(instant(400), &pulse, &mut scene.out);
    }
    assert_eq!(scene.voter.nodes.len(), MAX_NODES);
    assert_eq!(scene.voter.rejects().sender, 1 + 60 - MAX_NODES as u64);
}
