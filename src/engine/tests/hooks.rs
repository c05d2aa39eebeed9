//! What is run before a group is opened or handed over: nothing moves earlier, and nobody waits for ever.

use super::world::{World, ms};
use crate::config::Profile;
use crate::engine::{Command, Event, Hook, HookEnd, Notice, Outcome, Waiting};
use crate::types::{Epoch, GroupId};
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

const GROUP: GroupId = GroupId(0);
const SECOND: Duration = Duration::from_secs(1);
/// What hooks of these tests may take, and do if they do not fail: longer than any patience of a claim.
const LIMIT: Duration = Duration::from_secs(5);
const SPAN: Duration = Duration::from_secs(2);

/// Both nodes started, node 0 active, hooks that end well.
fn hooked(before_open: bool, before_close: bool, witness: bool) -> World {
    let mut world = World::voted(Profile::Lan, 1, usize::from(witness));
    world.service.before_open = before_open.then_some(LIMIT);
    world.service.before_close = before_close.then_some(LIMIT);
    world.service.ends = [Some((ms(100), true)); 2];
    super::votes::settle(&mut world);
    world.service.ends = [Some((SPAN, true)); 2];
    world
}

fn epoch(world: &World, at: usize) -> Epoch {
    world.nodes[at].engine.as_ref().unwrap().view_group(0).epoch
}

fn ends(world: &World, at: usize) -> Vec<HookEnd> {
    let end = |notice: &Notice| match notice {
        Notice::Hook { end, .. } => Some(*end),
        _ => None,
    };
    world.nodes[at].notices.iter().filter_map(|(_, notice)| end(notice)).collect()
}

fn waiting(world: &World, at: usize) -> Waiting {
    world.nodes[at].engine.as_ref().unwrap().report(world.now).groups[0].waiting
}

// HP-8, L1
#[test]
fn after_a_lost_host_the_gate_opens_when_what_must_be_done_first_has_ended() {
    for witness in [false, true] {
        let mut world = hooked(true, false, witness);
        world.crash(0);
        world.run(SECOND);
        assert_eq!((world.answering(), world.nodes[1].hooks.len()), (vec![], 1), "witness: {witness}");
        assert_eq!((waiting(&world, 1), world.role(1)), (Waiting::Hook(Hook::BeforeOpen), Role::Standby));
        let (group, hook, named) = world.nodes[1].hooks[0];
        let gap = world.run_until_answered_by(1, SPAN);
        assert!(gap >= SPAN - SECOND, "{gap:?}");
        assert_eq!((group, hook, named), (GROUP, Hook::BeforeOpen, epoch(&world, 1)), "the epoch is its token");
        assert_eq!((world.nodes[1].hooks.len(), ends(&world, 1)), (1, vec![]));
    }
}

// L3
#[test]
fn a_handover_waits_for_both_hooks_and_nobody_takes_the_group_back_meanwhile() {
    for (witness, asked) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let mut world = hooked(true, true, witness);
        for from in [0, 1] {
            let done = world.nodes[asked].outcomes.len();
            world.command(asked, 1, Command::Switch(GROUP));
            world.run(SPAN - SECOND);
            assert_eq!(world.answering(), [from], "it answers until its hook has ended");
            assert_eq!(waiting(&world, from), Waiting::Hook(Hook::BeforeClose));
            world.run(SPAN);
            assert_eq!(world.answering(), [] as [usize; 0], "{:?}", (world.changes(0), world.changes(1)));
            world.run(SPAN);
            assert_eq!((world.answering(), world.both), (vec![1 - from], 0), "witness: {witness}");
            assert_eq!(world.nodes[asked].outcomes[done..], [(1, Outcome::Done)]);
            world.run(SECOND);
        }
        assert_eq!((ends(&world, 0), ends(&world, 1)), (vec![], vec![]), "nothing failed, and nothing was in vain");
        assert!(world.nodes.iter().all(|node| node.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Done)));
    }
}

#[test]
fn the_node_whose_hook_fails_stands_back_and_the_other_takes_the_group_back() {
    for end in [Some((ms(50), false)), None] {
        let mut world = hooked(true, false, false);
        world.service.ends = [Some((ms(50), true)), end];
        let asked = world.now;
        world.command(0, 1, Command::Switch(GROUP));
        world.run(ms(20));
        assert_eq!(world.answering(), [] as [usize; 0]);
        world.run_until_answered_by(0, LIMIT + SECOND * 2);
        let gap = world.now.since(asked);
        assert!(end.is_none() || gap < SECOND, "{gap:?}");
        assert!(end.is_some() || gap > LIMIT + SECOND, "{gap:?}");
        assert_eq!(ends(&world, 1), [if end.is_some() { HookEnd::Failed } else { HookEnd::Late }]);
        assert_eq!(world.reason(1), Reason::Hook);
        let told = world.nodes[0].engine.as_ref().unwrap().report(world.now).groups[0].peer;
        assert_eq!(told, Some((Role::Standby, Reason::Hook)));
        world.run(SECOND * 10);
        assert_eq!((world.reason(1), world.answering(), world.both), (Reason::None, vec![0], 0));
    }
}

// L5
#[test]
fn alone_a_node_tries_again_after_ten_seconds() {
    let mut world = hooked(true, false, false);
    world.service.ends[1] = Some((ms(50), false));
    world.crash(0);
    world.run(SECOND * 9);
    assert_eq!((world.answering(), world.nodes[1].hooks.len()), (vec![], 1));
    world.service.ends[1] = Some((ms(50), true));
    world.run_until_answered_by(1, SECOND * 3);
    assert_eq!(world.nodes[1].hooks.len(), 2);
}

#[test]
fn the_end_of_a_hook_of_another_epoch_or_kind_opens_nothing() {
    let mut world = hooked(true, false, false);
    world.service.ends[1] = None;
    world.crash(0);
    world.run(SECOND);
    let (group, hook, epoch) = world.nodes[1].hooks[0];
    for (hook, epoch) in [(hook, Epoch(epoch.0 - 256)), (hook, Epoch(epoch.0 + 256)), (Hook::BeforeClose, epoch)] {
        world.handle(1, Event::Hook { group, hook, epoch, ok: true });
        world.run(SECOND);
        assert_eq!(world.answering(), [] as [usize; 0]);
    }
    world.handle(1, Event::Hook { group, hook, epoch, ok: true });
    world.run(ms(1));
    assert_eq!(world.answering(), [1]);
}

// S7
#[test]
fn what_was_prepared_and_is_not_wanted_any_more_opens_nothing_and_is_told() {
    let mut world = hooked(true, false, false);
    world.crash(0);
    world.run(SECOND);
    world.command(1, 1, Command::Pause(GROUP));
    world.run(SPAN * 2);
    assert_eq!((world.answering(), ends(&world, 1)), (vec![], vec![HookEnd::Unused]));
    world.command(1, 2, Command::Resume(GROUP));
    world.run_until_answered_by(1, SPAN * 2);
    assert_eq!(world.nodes[1].hooks.len(), 2, "what was done before the pause is done again");
}

// S8
#[test]
fn an_agent_that_comes_back_while_its_group_is_prepared_elsewhere_does_not_answer_beside_the_other() {
    let mut world = hooked(true, false, false);
    world.stop(0);
    world.run(SECOND);
    assert_eq!((world.answering(), world.nodes[1].hooks.len()), (vec![], 1));
    world.resume(0);
    world.run(SPAN * 3);
    // Both asked for it in the same moment, and the lower number went first.
    assert_eq!((world.answering(), world.both), (vec![0], 0));
    assert_eq!(ends(&world, 1), [HookEnd::Unused]);
}

#[test]
fn a_group_whose_before_close_fails_stays_and_is_not_asked_for_at_once() {
    let mut world = hooked(false, true, false);
    world.service.ends[0] = Some((ms(50), false));
    world.set_health(0, 255);
    world.run(SECOND * 9);
    assert_eq!((world.answering(), world.role(0)), (vec![0], Role::Active));
    assert_eq!((world.nodes[0].hooks.len(), ends(&world, 0)), (1, vec![HookEnd::Failed]));
    world.service.ends[0] = Some((ms(50), true));
    world.run_until_answered_by(1, SECOND * 2);
    assert_eq!(world.both, 0);
}

#[test]
fn who_stops_waits_for_its_hook_and_leaves_however_that_ends() {
    for end in [Some((SPAN * 2, true)), Some((SPAN, false)), None] {
        let mut world = hooked(false, true, false);
        world.service.ends[0] = end;
        world.command(0, 1, Command::Stop);
        world.run(SPAN - ms(100));
        assert_eq!(world.answering(), [0]);
        world.run_until_answered_by(1, LIMIT + SECOND);
        world.run(SECOND);
        assert!(world.nodes[0].exited);
        assert_eq!((world.answering(), world.both), (vec![1], 0));
    }
}

// L6
#[test]
fn nobody_is_silent_while_hooks_run() {
    let mut world = hooked(true, true, false);
    let silent = |notice: &Notice| matches!(notice, Notice::PeerSilent { .. } | Notice::LeaseLapsed { .. });
    world.command(0, 1, Command::Switch(GROUP));
    world.run(SPAN * 3);
    assert_eq!(world.answering(), [1]);
    assert!(!world.nodes.iter().flat_map(|node| &node.notices).any(|(_, notice)| silent(notice)));
}
