//! Tests of abstention: how long a voter that has just started grants nothing, by what it finds on
//! its disk, and what it may grant then.

use super::*;
use crate::rules::vote::abstention;

/// A memory with the longest lease and the ceiling of the group.
fn memory(lease_us: u32, counter: u64) -> Loaded {
    let ceiling = Ceiling { group: GROUP, epoch: epoch(counter, NodeId(255)) };
    Loaded::Memory(Memory { lease_us, ceilings: vec![ceiling] })
}

// S5
#[test]
fn a_voter_that_starts_abstains_for_the_longest_lease_it_ever_answered_for() {
    let mut scene = Scene::begin(memory(900_000, 70));
    let over = abstention(900_000, 500).as_millis();
    let over = u64::try_from(over).expect("short") + 1;
    scene.open(ALPHA, epoch(9, ALPHA));
    scene.both(0);
    assert_eq!(scene.alpha.witness(GROUP).reason, Reason::Listening);
    assert!(!scene.pulse(ALPHA, over - 2));
    assert_eq!(scene.promised(over - 2), None);
    assert!(scene.pulse(ALPHA, over));
    assert_eq!(scene.alpha.witness(GROUP).reason, Reason::None);
    assert!(scene.notices.contains(&Notice::Votes));
}

#[test]
fn a_longer_lease_that_a_node_states_counts_as_well() {
    let mut scene = Scene::begin(memory(50_000, 70));
    scene.both(0);
    scene.claim(ALPHA, epoch(71, ALPHA));
    assert!(!scene.pulse(ALPHA, 170), "what it forgot may have been for this lease");
    assert!(scene.pulse(ALPHA, 175));
}

#[test]
fn claims_must_be_above_the_bar() {
    let mut scene = Scene::begin(memory(LEASE_US, 70));
    scene.both(0);
    scene.both(400);
    assert_eq!(scene.alpha.witness(GROUP).reserve, epoch(70, NodeId(255)), "which is told");
    scene.claim(ALPHA, epoch(70, ALPHA));
    assert!(!scene.pulse(ALPHA, 401));
    scene.claim(ALPHA, epoch(71, ALPHA));
    assert!(scene.pulse(ALPHA, 402));
}

#[test]
fn a_restart_keeps_to_the_lease_and_the_ceiling_that_were_written() {
    let mut scene = Scene::voting();
    scene.claim(ALPHA, epoch(30, ALPHA));
    assert!(scene.pulse(ALPHA, 400));
    let left = scene.voter.memory();
    assert_eq!((left.lease_us, left.ceilings.len()), (LEASE_US, 1));
    scene.voter = Voter::new(setup(Loaded::Memory(left), 1), instant(410));
    scene.claim(BETA, epoch(31, BETA));
    (0..3).for_each(|_| {
        scene.pulse(BETA, 410);
    });
    assert!(!scene.pulse(BETA, 560), "a restart within the promise");
    assert!(!scene.pulse(BETA, 900), "not above the bar: may have been granted to the other");
    scene.claim(BETA, epoch(95, BETA));
    scene.pulse(BETA, 901);
    assert!(scene.pulse(BETA, 902), "above the bar");
}

#[test]
fn damaged_memory_votes_for_nobody_until_all_have_told_everything() {
    let mut scene = Scene::begin(Loaded::Damaged);
    scene.open(ALPHA, epoch(9, ALPHA));
    for ms in [0, 1, 2, 100_000] {
        scene.pulse(ALPHA, ms);
    }
    assert_eq!(scene.alpha.witness(GROUP).reason, Reason::StateDamaged);
    assert_eq!(scene.promised(100_000), None);
    scene.beta.change(GROUP, |row| row.consent = epoch(12, ALPHA));
    (0..3).for_each(|_| {
        scene.pulse(BETA, 100_001);
    });
    scene.pulse(ALPHA, 100_010);
    assert_eq!(scene.alpha.witness(GROUP).reason, Reason::Listening, "and a promise's time more");
    assert_eq!(scene.alpha.witness(GROUP).reserve, epoch(12, ALPHA), "the highest epoch told");
    assert!(!scene.pulse(ALPHA, 100_150));
    assert!(scene.pulse(ALPHA, 100_180));
}

#[test]
fn no_memory_at_all_is_the_longest_lease_there_can_be_unless_all_have_told() {
    let mut scene = Scene::begin(Loaded::Fresh);
    scene.claim(ALPHA, epoch(9, ALPHA));
    for ms in [0, 1, 2, 59_000] {
        assert!(!scene.pulse(ALPHA, ms));
    }
    assert!(scene.pulse(ALPHA, 60_200), "alone: a minute");
    let mut scene = Scene::begin(Loaded::Fresh);
    scene.both(0);
    scene.claim(ALPHA, epoch(9, ALPHA));
    assert!(!scene.pulse(ALPHA, 170));
    assert!(scene.pulse(ALPHA, 180), "both have told: their lease");
}
