//! Tests of health (HP-8): it moves a group to the node where its service does best, if that node
//! can take it.

use super::world::{World, ms, settled};
use crate::engine::{Actions, Cause, Command, Event, Lacks, Notice, Outcome};
use crate::timing::Profile;
use crate::types::GroupId;
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

const GROUP: GroupId = GroupId(0);

// HP-8, L3
#[test]
fn a_service_that_fails_on_the_active_is_handed_to_a_standby_where_it_answers() {
    for profile in [Profile::Fast, Profile::Lan] {
        let mut world = settled(profile);
        world.set_health(0, 255);
        let gap = world.run_until_answered_by(1, ms(20));
        assert!(gap <= ms(1), "{profile:?}: {gap:?}");
        assert!(world.changes(0).contains(&(Role::Handover, Cause::Health)), "{:?}", world.changes(0));
        assert!(world.changes(1).contains(&(Role::Active, Cause::Handover)), "connections are carried on");
        world.run(Duration::from_secs(3));
        assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
        assert_eq!((world.role(0), world.reason(0)), (Role::Standby, Reason::Unhealthy));
    }
}

// HP-8
#[test]
fn a_service_that_fails_on_both_stays_where_it_is_and_both_say_why() {
    let mut world = settled(Profile::Lan);
    world.set_health(1, 255);
    world.run(ms(300));
    assert_eq!(world.reason(1), Reason::Unhealthy);
    world.set_health(0, 255);
    world.run(Duration::from_secs(5));
    assert_eq!((world.answering(), world.role(0)), (vec![0], Role::Active));
    assert_eq!((world.reason(0), world.reason(1)), (Reason::Unhealthy, Reason::Unhealthy));
    world.set_health(1, 0);
    world.run_until_answered_by(1, ms(20));
}

#[test]
fn weights_decide_between_two_that_answer_and_equal_ones_move_nothing() {
    let mut world = settled(Profile::Lan);
    world.set_health(1, 20);
    world.run(ms(200));
    world.set_health(0, 20);
    world.run(Duration::from_secs(2));
    let changes = world.changes(0).len();
    world.set_health(0, 30);
    world.run_until_answered_by(1, ms(20));
    assert!(world.changes(0).len() > changes);
}

#[test]
fn a_standby_that_does_worse_is_not_given_the_group_on_request_and_does_not_take_it() {
    let mut world = settled(Profile::Lan);
    world.set_health(1, 20);
    world.run(ms(300));
    world.command(0, 1, Command::Switch(GROUP));
    world.command(1, 2, Command::Switch(GROUP));
    world.set_health(1, 255);
    world.run(ms(300));
    world.command(0, 3, Command::Switch(GROUP));
    world.command(1, 4, Command::Switch(GROUP));
    world.run(Duration::from_secs(5));
    assert_eq!(world.answering(), [0]);
    let refused = Outcome::PeerNotReady(Reason::Unhealthy);
    assert_eq!(world.nodes[0].outcomes, [(1, refused), (3, refused)]);
    let refused = Outcome::NotReady(Reason::Unhealthy);
    assert_eq!(world.nodes[1].outcomes, [(2, refused), (4, refused)]);
}

#[test]
fn a_preferred_node_fetches_its_group_only_when_it_does_no_worse() {
    let mut world = World::new(Profile::Lan, 1);
    world.preempt = true;
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(3));
    assert_eq!(world.answering(), [0]);
    world.set_health(0, 20);
    world.run_until_answered_by(1, ms(20));
    world.run(Duration::from_secs(5));
    assert_eq!(world.answering(), [1]);
    world.set_health(0, 0);
    let pause = world.run_until_answered_by(0, Duration::from_secs(2));
    assert!(pause >= ms(500), "it proves itself first: {pause:?}");
}

// L1
#[test]
fn an_unhealthy_standby_is_better_than_a_dead_active() {
    let mut world = settled(Profile::Lan);
    world.set_health(1, 255);
    world.run(Duration::from_secs(1));
    world.crash(0);
    let gap = world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(gap <= world.timing.silence + world.timing.probe * 2, "{gap:?}");
    // When node 0 comes back and its service answers, the group is handed over to it.
    world.start(0);
    world.run_until_answered_by(0, Duration::from_secs(3));
    assert_eq!(world.double_answers, 0);
}

#[test]
fn who_leaves_hands_over_to_whoever_is_there() {
    for health in [20, 255] {
        for command in [Command::Stop, Command::Pause(GROUP)] {
            let mut world = settled(Profile::Lan);
            world.set_health(1, health);
            world.run(ms(300));
            world.command(0, 1, command);
            let gap = world.run_until_answered_by(1, ms(100));
            assert!(gap <= ms(1), "{command:?}: {gap:?}");
            world.run(Duration::from_secs(3));
            assert_eq!(world.nodes[0].outcomes, [(1, Outcome::Done)]);
            assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
        }
    }
}

#[test]
fn an_active_that_loses_its_carrier_leaves_the_group_to_an_unhealthy_standby() {
    let mut world = settled(Profile::Lan);
    world.set_health(1, 255);
    world.run(ms(300));
    world.set_carrier(0, false);
    let gap = world.run_until_answered_by(1, ms(100));
    assert!(gap <= ms(1), "{gap:?}");
}

#[test]
fn two_that_take_turns_to_do_a_little_worse_do_not_move_the_group_with_every_turn() {
    let mut world = settled(Profile::Lan);
    world.run(Duration::from_secs(1));
    let (span, hold) = (Duration::from_secs(3), world.timing.patience.hold);
    let (mut turn, begin) = (0, world.now);
    let before = world.changes(0).len();
    while world.now.since(begin) < span {
        world.set_health(turn % 2, 10);
        world.set_health(1 - turn % 2, 5);
        turn += 1;
        world.run(ms(20));
    }
    let offers = world.changes(0)[before..].iter().filter(|(role, _)| *role == Role::Handover).count();
    let most = usize::try_from(span.as_millis() / hold.as_millis()).unwrap() / 2 + 2;
    assert!((2..=most).contains(&offers), "{offers} of {most} in {turn} turns");
    assert_eq!(world.double_answers, 0);
}

// L2, S7
#[test]
fn an_agent_that_is_restarted_keeps_its_group_until_its_checks_have_come_to_a_verdict() {
    let mut world = World::new(Profile::Lan, 1);
    world.service.checked = true;
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(2));
    world.set_health(1, 0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [0], "nobody knows of a failure");
    world.set_health(0, 0);
    world.run(Duration::from_secs(2));
    world.kill(0);
    world.run(ms(60));
    world.start(0);
    world.run(Duration::from_secs(2));
    assert_eq!((world.answering(), world.role(0)), (vec![0], Role::Active));
    world.set_health(0, 255);
    world.run_until_answered_by(1, ms(20));
}

#[test]
fn of_two_that_could_open_the_healthier_goes_first() {
    for (preferred, other, expected) in [(255, 0, 1), (20, 10, 1), (0, 255, 0), (20, 20, 0), (255, 255, 0)] {
        let mut world = World::new(Profile::Lan, 1);
        world.start(0);
        world.start(1);
        world.set_health(0, preferred);
        world.set_health(1, other);
        world.traffic();
        world.run(Duration::from_secs(3));
        assert_eq!(world.answering(), [expected], "{preferred} and {other}");
        let opened = |at: usize| world.changes(at).iter().filter(|(role, _)| *role == Role::Active).count();
        assert_eq!((opened(expected), opened(1 - expected)), (1, 0), "{preferred} and {other}");
    }
}

#[test]
fn a_thousand_verdicts_that_come_together_cost_one_look() {
    let mut world = World::new(Profile::Lan, 1000);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(4));
    let now = world.now;
    let engine = world.nodes[0].engine.as_mut().unwrap();
    let mut out = Actions::default();
    engine.handle(now, Event::Tick, &mut out);
    out.clear();
    for group in 0..1000 {
        engine.handle(now, Event::Health { group: GroupId(group), health: 7 }, &mut out);
    }
    assert_eq!((out.list.len(), engine.next_deadline()), (0, now), "nothing is said yet, and a look is asked for");
    engine.handle(now, Event::Tick, &mut out);
    assert!(engine.next_deadline() > now);
    let sent = out.list.len();
    assert!((1..=1000 + 16).contains(&sent), "a handover for each group, and few datagrams: {sent}");
    out.clear();
    engine.handle(now, Event::Health { group: GROUP, health: 7 }, &mut out);
    engine.handle(now, Event::Tick, &mut out);
    assert_eq!(out.list.len(), 0, "no news");
}

#[test]
fn with_a_witness_a_failing_service_moves_and_an_unhealthy_standby_takes_over() {
    let mut world = super::votes::settled(Profile::Lan, 1);
    world.set_health(0, 255);
    world.run_until_answered_by(1, ms(50));
    world.set_health(1, 255);
    world.run(Duration::from_secs(2));
    world.crash(1);
    world.run_until_answered_by(0, Duration::from_secs(1));
    assert_eq!(world.double_answers, 0);
}

// HP-8
#[test]
fn a_node_that_lacks_something_hands_over_to_one_that_does_not_and_goes_on_otherwise() {
    let mut world = settled(Profile::Lan);
    world.set_lacks(1, Lacks::WAY_BACK);
    world.run(ms(300));
    assert_eq!((world.reason(1), world.answering()), (Reason::NoWayBack, vec![0]));
    world.set_lacks(0, Lacks::WAY_BACK);
    world.run(Duration::from_secs(3));
    assert_eq!((world.reason(0), world.answering()), (Reason::NoWayBack, vec![0]), "nobody does better");
    world.set_lacks(1, Lacks::NONE);
    world.run_until_answered_by(1, ms(20));
    assert!(world.changes(0).contains(&(Role::Handover, Cause::Lacks)), "{:?}", world.changes(0));
    world.run(Duration::from_secs(3));
    assert_eq!((world.role(0), world.reason(0), world.answering()), (Role::Standby, Reason::NoWayBack, vec![1]));
}

// HP-8
#[test]
fn a_standby_that_lacks_something_is_not_given_the_group_on_request_and_the_word_says_what() {
    let mut world = settled(Profile::Lan);
    world.set_lacks(1, Lacks::REACH);
    world.run(ms(300));
    world.command(0, 1, Command::Switch(GROUP));
    world.command(1, 2, Command::Switch(GROUP));
    world.run(Duration::from_secs(3));
    assert_eq!(world.answering(), [0]);
    assert_eq!(world.nodes[0].outcomes, [(1, Outcome::PeerNotReady(Reason::Unreached))]);
    assert_eq!(world.nodes[1].outcomes, [(2, Outcome::NotReady(Reason::Unreached))]);
}

// L1
#[test]
fn a_standby_that_lacks_something_is_better_than_a_dead_active() {
    let mut world = settled(Profile::Lan);
    world.set_lacks(1, Lacks::ADDRESS);
    world.run(Duration::from_secs(1));
    world.crash(0);
    let gap = world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(gap <= world.timing.silence + world.timing.probe * 2, "{gap:?}");
}

// HP-8
#[test]
fn a_fault_that_follows_the_group_moves_it_ever_more_slowly_and_is_told_once_on_each_node() {
    let mut world = settled(Profile::Lan);
    let follow = |world: &mut World, time: Duration| {
        let until = world.now + time;
        let mut moves = 0;
        let mut at = world.answering()[0];
        world.set_health(at, 255);
        while world.now < until {
            world.run(ms(20));
            let answering = world.answering();
            if answering.len() == 1 && answering[0] != at {
                moves += 1;
                world.set_health(at, 0);
                at = answering[0];
                world.set_health(at, 255);
            }
        }
        moves
    };
    let first = follow(&mut world, Duration::from_secs(60));
    let next = follow(&mut world, Duration::from_secs(60));
    assert!((5..20).contains(&first) && next <= 3, "{first} moves in the first minute, {next} in the second");
    for at in 0..2 {
        let told = world.nodes[at].notices.iter().filter(|(_, notice)| matches!(notice, Notice::Unrest { .. }));
        assert_eq!(told.count(), 1, "node {at}");
    }
    assert_eq!(world.double_answers, 0);
    // A node that is gone is worse than any fault: that move is free.
    let at = world.answering()[0];
    world.crash(at);
    world.run_until_answered_by(1 - at, Duration::from_secs(1));
}
