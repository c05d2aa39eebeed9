//! Tests of a peer whose disk has forgotten what it had told.

use super::votes::settled;
use super::world::{World, group_setup, ms};
use crate::engine::Command;
use crate::timing::Profile;
use crate::types::GroupId;
use std::time::Duration;

const GROUP: GroupId = GroupId(0);

// S2: a vote for an active with a lower epoch than a claim that was granted undoes nothing
#[test]
fn what_was_granted_stays_durable_when_its_claimant_comes_back_with_an_old_disk_and_wins_with_less() {
    let mut world = settled(Profile::Fast, 1);
    let old = world.nodes[1].disk.clone();
    for _ in 0..2 {
        world.kill(1);
        world.start(1);
        world.run(Duration::from_secs(2));
    }
    // Node 0 releases the group to a heir that has just died.
    world.crash(1);
    world.set_carrier(0, false);
    world.run(Duration::from_secs(2));
    let durable = |world: &World| world.nodes[0].disk.as_ref().unwrap().groups[0].seen;
    let granted = durable(&world);
    world.nodes[1].disk = old;
    world.start(1);
    world.run_until_answered_by(1, Duration::from_secs(5));
    world.run(Duration::from_secs(1));
    let own = world.nodes[1].kernel.open[&GROUP];
    assert!(own < granted, "{own} is as high as {granted}: this is no such history");
    world.command(0, 5, Command::Pause(GROUP));
    world.run(ms(20));
    assert!(world.nodes[0].disk.as_ref().unwrap().groups[0].paused, "it is written anew");
    assert_eq!(durable(&world), granted);
}

// L5: the other consents to nothing below what it has promised
#[test]
fn node_whose_disk_forgot_a_claim_learns_of_it_from_the_consent_that_it_was_given() {
    let mut world = super::world::settled(Profile::Fast);
    let old = world.nodes[0].disk.clone();
    world.command(0, 1, Command::Switch(GROUP));
    world.run_until_answered_by(1, Duration::from_secs(1));
    for _ in 0..2 {
        world.kill(0);
        world.start(0);
        world.run(Duration::from_secs(2));
    }
    // Node 1 releases the group to a heir that has just died.
    world.crash(0);
    world.set_carrier(1, false);
    world.run(Duration::from_secs(2));
    world.nodes[0].disk = old;
    world.start(0);
    world.run(Duration::from_secs(5));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// L5: what the peer told once was written down, and a group that is new since then is new
#[test]
fn a_group_that_is_added_after_the_state_was_lost_and_told_anew_waits_for_nobody() {
    let mut world = super::world::settled(Profile::Fast);
    world.crash(0);
    (world.nodes[0].disk, world.nodes[0].damaged) = (None, true);
    world.start(0);
    world.run(Duration::from_secs(5));
    assert!(world.nodes[0].disk.is_some(), "the peer has told what it knows");
    world.crash(1);
    world.reload(0, vec![group_setup(0, false), group_setup(1, false)]);
    world.place_addresses(0);
    world.run(Duration::from_secs(20));
    let kernel = &world.nodes[0].kernel;
    assert!(kernel.answers(GROUP, world.now) && kernel.answers(GroupId(1), world.now));
}
