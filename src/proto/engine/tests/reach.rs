//! Tests of reach (HP-8): an active that nobody on its segment can reach hands over to a standby that
//! can be reached, and silence that proves nothing moves nothing.

use super::world::{World, ms, settled};
use crate::engine::{Cause, Command, Notice, Outcome};
use crate::timing::Profile;
use crate::types::GroupId;
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

const GROUP: GroupId = GroupId(0);

/// What a node has told of its segment: whether somebody is reached.
fn told(world: &World, at: usize) -> Vec<bool> {
    let reached = |notice: &Notice| if let Notice::Reach { reached, .. } = notice { Some(*reached) } else { None };
    world.nodes[at].notices.iter().filter_map(|(_, notice)| reached(notice)).collect()
}

// HP-8 S8
#[test]
fn an_active_that_reaches_nobody_hands_over_to_a_standby_that_reaches_somebody() {
    for profile in [Profile::Fast, Profile::Lan, Profile::Wan] {
        let mut world = settled(profile);
        world.off_segment[0] = true;
        let bound = world.timing.patience.reach * 4;
        let took = world.run_until_answered_by(1, bound);
        assert!(took < bound, "{profile:?}: {took:?}");
        assert!(world.changes(0).contains(&(Role::Handover, Cause::Lacks)), "{:?}", world.changes(0));
        world.run(Duration::from_secs(5));
        assert_eq!((world.answering(), world.reason(0), told(&world, 0)), (vec![1], Reason::Unreached, vec![false]));
        world.off_segment[0] = false;
        world.run(bound);
        assert_eq!((world.answering(), world.reason(0)), (vec![1], Reason::None), "{profile:?}");
        assert_eq!((told(&world, 0), told(&world, 1)), (vec![false, true], vec![]), "{profile:?}");
        assert_eq!(world.double_answers, 0);
    }
}

// HP-8
#[test]
fn a_standby_that_reaches_nobody_says_so_and_is_not_given_the_group() {
    let mut world = settled(Profile::Lan);
    world.off_segment[1] = true;
    world.run(Duration::from_secs(5));
    assert_eq!(world.reason(1), Reason::Unreached);
    world.command(0, 1, Command::Switch(GROUP));
    world.run(Duration::from_secs(3));
    assert_eq!((world.answering(), world.role(0)), (vec![0], Role::Active));
    assert_eq!(world.nodes[0].outcomes, [(1, Outcome::PeerNotReady(Reason::Unreached))]);
}

// L2
#[test]
fn where_neither_reaches_anybody_nothing_moves() {
    let mut world = settled(Profile::Lan);
    world.off_segment = [true; 2];
    let changes = world.changes(0).len();
    world.run(Duration::from_secs(20));
    assert_eq!((world.reason(0), world.reason(1)), (Reason::Unreached, Reason::Unreached));
    assert_eq!(world.changes(0).len(), changes, "{:?}", world.changes(0));
}

// L2: a segment that is heard again is heard by both, and not in the same moment
#[test]
fn where_both_reach_somebody_again_nothing_moves_whoever_does_so_first() {
    for first in [0, 1] {
        let mut world = settled(Profile::Lan);
        world.off_segment = [true; 2];
        world.run(Duration::from_secs(10));
        let changes = world.changes(0).len();
        world.off_segment[first] = false;
        while world.reason(first) == Reason::Unreached {
            world.run(ms(1));
        }
        world.run(world.timing.pulse);
        world.off_segment[1 - first] = false;
        world.run(Duration::from_secs(5));
        assert_eq!((world.reason(0), world.reason(1)), (Reason::None, Reason::None));
        assert_eq!(world.changes(0).len(), changes, "{:?}", world.changes(0));
    }
}

// L2: only the peer was ever heard; its silence on the segment says that one of both is cut off
#[test]
fn on_a_lonely_segment_a_cut_moves_nothing_and_both_say_so() {
    let mut world = World::new(Profile::Lan, 1);
    world.bystander = false;
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(3));
    assert_eq!((world.answering(), told(&world, 0), told(&world, 1)), (vec![0], vec![], vec![]));
    world.off_segment[1] = true;
    let changes = world.changes(0).len();
    world.run(Duration::from_secs(20));
    assert_eq!((world.answering(), world.changes(0).len()), (vec![0], changes));
    assert_eq!((world.reason(0), world.reason(1)), (Reason::Unreached, Reason::Unreached));
}

// L2: whoever is left when all neighbours and the peer are gone is no worse for it
#[test]
fn two_that_hear_each_other_miss_nobody_when_all_neighbours_are_gone() {
    let mut world = settled(Profile::Lan);
    world.bystander = false;
    world.run(Duration::from_secs(30));
    assert_eq!((world.reason(0), world.reason(1)), (Reason::None, Reason::None));
    assert_eq!((told(&world, 0), told(&world, 1)), (vec![], vec![]));
}

// L2: a process that did not run heard nobody
#[test]
fn a_stall_is_no_silence_of_the_segment() {
    let mut world = settled(Profile::Lan);
    for _ in 0..20 {
        world.nodes[1].stopped = true;
        world.run(ms(1_900));
        world.nodes[1].stopped = false;
        world.run(ms(300));
    }
    assert_eq!(told(&world, 1), [], "{:?}", world.nodes[1].notices);
}

#[test]
fn a_segment_that_is_heard_is_asked_nothing() {
    let mut world = settled(Profile::Lan);
    let before = world.ticks;
    world.run(Duration::from_secs(60));
    // 60 s hold 1,200 pulses of each node, and a question to the neighbours in five seconds.
    assert!(world.ticks - before < 3_000, "{} wake-ups", world.ticks - before);
}
