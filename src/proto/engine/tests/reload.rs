//! Tests of reconfiguration: engines that run get other groups, times or keys, and groups that stay
//! are not touched.

use super::world::{ETH, World, group_setup, ms, settled, vip};
use crate::engine::{Cause, Command, GroupSetup, Outcome};
use crate::timing::{Profile, Timing};
use crate::types::{Epoch, GroupId, LinkPath};
use crate::wire::pulse::{Reason, Role};
use std::sync::Arc;
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

/// The configuration with these of the world's groups, in this order.
fn groups(numbers: &[usize]) -> Vec<GroupSetup> {
    numbers.iter().map(|&number| group_setup(number, false)).collect()
}

/// A node's role for the group with this number in its present configuration, and why it is not
/// ready.
fn role(world: &World, at: usize, group: u16) -> (Role, Reason) {
    let report = world.nodes[at].engine.as_ref().unwrap().report(world.now);
    let group = report.groups[usize::from(group)];
    (group.role, group.reason)
}

/// Gives both nodes, one after the other, a configuration with these groups; the addresses are in
/// place 30 ms later.
fn reload_both(world: &mut World, numbers: &[usize]) {
    for at in 0..2 {
        world.reload(at, groups(numbers));
        world.run(ms(30));
        world.place_addresses(at);
    }
}

#[test]
fn fifty_reloads_move_nothing_and_miss_no_pulse() {
    let mut world = settled(Profile::Fast);
    let before = (world.changes(0).len(), world.changes(1).len());
    for turn in 0..50 {
        let mut all = groups(&[0]);
        all[0].drain = ms(100 + turn);
        all[0].policy_digest = u32::try_from(turn).unwrap();
        world.reload(0, all.clone());
        world.run(ms(7));
        world.reload(1, all);
        world.run(ms(13));
        assert_eq!(world.answering(), [0]);
    }
    world.run(ms(100));
    assert_eq!((world.changes(0).len(), world.changes(1).len()), before);
    let report = world.nodes[1].engine.as_ref().unwrap().report(world.now);
    assert!(!report.groups[0].policy_differs, "the new row has travelled");
}

#[test]
fn an_added_group_waits_for_its_addresses_and_is_then_served_by_one() {
    let mut world = settled(Profile::Fast);
    for at in 0..2 {
        world.reload(at, groups(&[0, 1]));
    }
    world.run(Duration::from_secs(1));
    assert_eq!(role(&world, 0, 1).1, Reason::NoAddresses);
    assert!(world.answering_for(1).is_empty());
    for at in 0..2 {
        world.place_addresses(at);
    }
    world.run(Duration::from_secs(1));
    assert_eq!((world.answering_for(1), world.answering()), (vec![0], vec![0]));
    assert_eq!(role(&world, 1, 1), (Role::Standby, Reason::None));
    assert_eq!(world.double_answers, 0);
}

// A row that came before its group was known here must not be missing afterwards.
#[test]
fn a_group_that_one_node_gets_first_is_known_to_both_afterwards_and_is_taken_over() {
    for first in [0, 1] {
        let mut world = settled(Profile::Fast);
        for at in [first, 1 - first] {
            world.reload(at, groups(&[0, 1]));
            world.run(ms(30));
            world.place_addresses(at);
            world.run(Duration::from_secs(1));
            assert_eq!(world.answering(), [0]);
        }
        assert_eq!(world.answering_for(1), [first], "who has it first serves it, without preemption");
        assert_eq!(role(&world, 1 - first, 1), (Role::Standby, Reason::None));
        let report = world.nodes[1 - first].engine.as_ref().unwrap().report(world.now);
        assert!(!report.groups[1].unknown_to_peer);
        world.crash(first);
        world.run(Duration::from_secs(1));
        assert_eq!(world.answering_for(1), [1 - first]);
        assert_eq!(world.double_answers, 0);
    }
}

#[test]
fn a_removed_group_is_closed_first_and_the_others_keep_their_state() {
    let mut world = World::new(Profile::Fast, 3);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(1));
    let epoch = world.nodes[0].kernel.open[&GroupId(2)];
    let before = world.changes(1).len();
    // The last group becomes the first.
    world.reload(0, groups(&[2, 0]));
    world.run(ms(200));
    assert_eq!(world.answering_for(1), [1], "who still has the group serves it");
    world.reload(1, groups(&[2, 0]));
    world.run(Duration::from_secs(1));
    assert_eq!(world.nodes[0].kernel.open.len(), 2);
    assert_eq!(world.nodes[0].kernel.open[&GroupId(2)], epoch);
    assert!(world.nodes[1].kernel.open.is_empty());
    assert!(world.changes(0).contains(&(Role::Standby, Cause::Removed)));
    let took = world.changes(1).split_off(before);
    assert!(took.iter().all(|(_, cause)| matches!(cause, Cause::Free | Cause::Removed)), "{took:?}");
    assert_eq!(world.double_answers, 0);
}

// S2
#[test]
fn a_group_that_returns_goes_on_above_its_old_epochs() {
    let mut world = World::new(Profile::Fast, 2);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(1));
    let last = world.nodes[0].kernel.open[&GroupId(1)];
    reload_both(&mut world, &[0]);
    world.run(Duration::from_secs(1));
    let disk = world.nodes[0].disk.clone().unwrap();
    assert!(disk.groups.iter().any(|state| state.held == last), "the disk still knows");
    reload_both(&mut world, &[0, 1]);
    world.run(Duration::from_secs(1));
    let now = world.answering_for(1);
    assert_eq!(now.len(), 1);
    assert!(world.nodes[now[0]].kernel.open[&GroupId(1)] > last);
    assert_eq!(world.double_answers, 0);
}

#[test]
fn a_fresh_group_begins_above_the_floor_even_when_others_have_a_state() {
    let mut world = settled(Profile::Fast);
    world.kill(0);
    world.kill(1);
    world.run(Duration::from_secs(1));
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(1));
    world.floor = 1_000;
    reload_both(&mut world, &[0, 1]);
    world.run(Duration::from_secs(1));
    assert!(world.nodes[0].kernel.open[&GroupId(1)] >= Epoch(1_000 << 8));
    assert!(world.nodes[0].kernel.open[&GroupId(0)] < Epoch(1_000 << 8));
}

#[test]
fn an_address_added_to_an_active_group_is_announced_when_it_is_in_place() {
    let mut world = settled(Profile::Fast);
    world.run(Duration::from_secs(10));
    let before = world.nodes[0].announced;
    let mut all = groups(&[0]);
    all[0].addresses = Arc::from([vip(0), vip(7)]);
    world.reload(0, all.clone());
    world.run(ms(100));
    assert_eq!(world.nodes[0].announced, before, "not before");
    world.place_addresses(0);
    assert_eq!(world.nodes[0].announced, before + 1);
    world.run(Duration::from_secs(6));
    assert_eq!(world.nodes[0].announced, before + 5);
    world.place_addresses(0);
    world.run(Duration::from_secs(1));
    assert_eq!(world.nodes[0].announced, before + 5, "and once only");
}

#[test]
fn a_switch_of_a_group_that_goes_away_is_answered_and_others_are_not_disturbed() {
    let mut world = World::new(Profile::Fast, 2);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(1));
    // Node 1 does not hear of the offers.
    world.cut = ALL_PATHS.iter().map(|&path| (0, path)).collect();
    world.command(0, 1, Command::Switch(GroupId(0)));
    world.command(0, 2, Command::Switch(GroupId(1)));
    world.reload(0, groups(&[1]));
    assert_eq!(world.nodes[0].outcomes, [(1, Outcome::Removed)]);
    world.cut.clear();
    world.reload(1, groups(&[1]));
    world.run(Duration::from_secs(1));
    assert_eq!(world.nodes[0].outcomes, [(1, Outcome::Removed), (2, Outcome::Done)]);
    assert_eq!(world.answering_for(1), [1]);
    assert_eq!(world.double_answers, 0);
}

// L2: between the two reloads the nodes have different times.
#[test]
fn other_times_on_one_node_for_a_while_move_nothing() {
    for (from, to) in [(Profile::Lan, Profile::Fast), (Profile::Fast, Profile::Wan), (Profile::Wan, Profile::Fast)] {
        for first in [0, 1] {
            let mut world = settled(from);
            world.run(Duration::from_secs(8));
            assert_eq!(world.answering(), [0]);
            let before = (world.changes(0).len(), world.changes(1).len());
            world.timing = Timing::of(to);
            world.reload(first, groups(&[0]));
            world.run(Duration::from_secs(20));
            world.reload(1 - first, groups(&[0]));
            world.run(Duration::from_secs(20));
            assert_eq!((world.changes(0).len(), world.changes(1).len()), before, "{from:?} {to:?} first {first}");
            assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
            world.crash(0);
            let waited = world.run_until_answered_by(1, Duration::from_secs(10));
            assert!(waited <= world.timing.silence + world.timing.probe * 2, "{from:?} {to:?} {waited:?}");
        }
    }
}

#[test]
fn keys_are_rotated_in_three_steps_without_losing_a_pulse() {
    let mut world = settled(Profile::Fast);
    let before = (world.changes(0).len(), world.changes(1).len());
    let (old, new) = ((1, [7; 32]), (2, [8; 32]));
    for keys in [vec![old, new], vec![new, old], vec![new]] {
        for at in 0..2 {
            world.keys.clone_from(&keys);
            world.reload(at, groups(&[0]));
            world.run(ms(500));
        }
    }
    assert_eq!((world.changes(0).len(), world.changes(1).len()), before);
    for node in &world.nodes {
        let rejects = node.engine.as_ref().unwrap().report(world.now).rejects;
        assert_eq!(rejects.key_id + rejects.tag, 0);
    }
}

// S8: an unanswered probe for a group that the peer does not have proves nothing about the peer.
#[test]
fn probes_for_groups_that_the_peer_does_not_serve_are_no_evidence() {
    let mut world = settled(Profile::Fast);
    world.reload(1, groups(&[0, 1, 2, 3, 4]));
    world.run(Duration::from_secs(1));
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.run(world.timing.veto - ms(50));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S8: the address that a silent peer's kernel answers is asked again under its group's new number.
#[test]
fn an_answer_before_a_reload_speaks_for_the_same_group_after_it() {
    let mut world = settled(Profile::Fast);
    world.reload(1, groups(&[1, 0, 2]));
    world.run(Duration::from_secs(1));
    world.suspend(0);
    world.run(ms(100));
    assert_eq!((world.answering(), role(&world, 1, 1).0), (vec![0], Role::Standby));
    world.reload(1, groups(&[0, 2]));
    world.run(ms(60));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
    world.run(ms(300));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
}

// The gate outgrew its maps: it is a new, closed one, and what was open goes on at once.
#[test]
fn a_replaced_gate_is_opened_again_only_while_the_peer_is_heard() {
    let mut world = settled(Profile::Fast);
    let changes = world.changes(0).len();
    world.replace_gate(0);
    assert_eq!(world.answering(), [0]);
    world.run(Duration::from_secs(1));
    assert_eq!(world.changes(0).len(), changes);
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.run(ms(15));
    world.replace_gate(0);
    assert!(world.answering().is_empty(), "the other may have found it closed");
    world.cut.clear();
    world.run(Duration::from_secs(1));
    assert_eq!((world.answering().len(), world.double_answers), (1, 0));
}
