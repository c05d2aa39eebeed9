//! Tests of hooks: a group is opened or handed over only after its hook has ended, and nobody waits
//! for a hook for ever.

use super::world::{ETH, World, mac, ms, vip};
use crate::engine::{Command, Event, Hook, HookEnd, Notice, Outcome, Waiting};
use crate::timing::Profile;
use crate::types::{Epoch, GroupId, LinkId, LinkPath, NodeId};
use crate::wire::frame::Sighting;
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

const GROUP: GroupId = GroupId(0);
const SECOND: Duration = Duration::from_secs(1);
/// How long the hooks of these tests may take, and how long they do take: both longer than any
/// patience with a claim.
const HOOK_LIMIT: Duration = Duration::from_secs(5);
const HOOK_SPAN: Duration = Duration::from_secs(2);

/// A world in which both nodes have started, with or without a witness, and node 0 is active. The
/// group has the hooks that are asked for; each ends well after [`HOOK_SPAN`].
fn hooked(before_open: bool, before_close: bool, witness: bool) -> World {
    let mut world = World::voted(Profile::Lan, 1, usize::from(witness));
    world.service.before_open = before_open.then_some(HOOK_LIMIT);
    world.service.before_close = before_close.then_some(HOOK_LIMIT);
    world.service.ends = [Some((ms(100), true)); 2];
    super::votes::settle(&mut world);
    world.service.ends = [Some((HOOK_SPAN, true)); 2];
    world
}

/// The epoch that a node is active with; NONE if it is not.
fn own_epoch(world: &World, at: usize) -> Epoch {
    world.nodes[at].engine.as_ref().unwrap().view_group(0).epoch
}

/// The ends of hooks that a node has told people.
fn hook_ends(world: &World, at: usize) -> Vec<HookEnd> {
    let end = |notice: &Notice| match notice {
        Notice::Hook { end, .. } => Some(*end),
        _ => None,
    };
    world.nodes[at].notices.iter().filter_map(|(_, notice)| end(notice)).collect()
}

/// What a node waits for with group 0, by its status report.
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
        let gap = world.run_until_answered_by(1, HOOK_SPAN);
        assert!(gap >= HOOK_SPAN - SECOND, "{gap:?}");
        assert_eq!((group, hook, named), (GROUP, Hook::BeforeOpen, own_epoch(&world, 1)), "the epoch is its token");
        assert_eq!((world.nodes[1].hooks.len(), hook_ends(&world, 1)), (1, vec![]));
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
            world.run(HOOK_SPAN - SECOND);
            assert_eq!(world.answering(), [from], "it answers until its hook has ended");
            assert_eq!(waiting(&world, from), Waiting::Hook(Hook::BeforeClose));
            world.run(HOOK_SPAN);
            assert_eq!(world.answering(), [] as [usize; 0], "{:?}", (world.changes(0), world.changes(1)));
            world.run(HOOK_SPAN);
            assert_eq!((world.answering(), world.double_answers), (vec![1 - from], 0), "witness: {witness}");
            assert_eq!(world.nodes[asked].outcomes[done..], [(1, Outcome::Done)]);
            world.run(SECOND);
        }
        assert_eq!(
            (hook_ends(&world, 0), hook_ends(&world, 1)),
            (vec![], vec![]),
            "nothing failed, and nothing was in vain"
        );
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
        world.run_until_answered_by(0, HOOK_LIMIT + SECOND * 2);
        let gap = world.now.since(asked);
        assert!(end.is_none() || gap < SECOND, "{gap:?}");
        assert!(end.is_some() || gap > HOOK_LIMIT + SECOND, "{gap:?}");
        assert_eq!(hook_ends(&world, 1), [if end.is_some() { HookEnd::Failed } else { HookEnd::Late }]);
        assert_eq!(world.reason(1), Reason::Hook);
        let told = world.nodes[0].engine.as_ref().unwrap().report(world.now).groups[0].peer;
        assert_eq!(told, Some((Role::Standby, Reason::Hook)));
        world.run(SECOND * 10);
        assert_eq!((world.reason(1), world.answering(), world.double_answers), (Reason::None, vec![0], 0));
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
    world.run_until_answered_by(1, world.timing.probe * 5);
}

/// Runs until node 1 prepares the group that node 0 hands over to it. The hook never ends by
/// itself; the event that ends it well is returned.
fn prepare(world: &mut World) -> Event<'static> {
    world.service.ends = [Some((ms(100), true)), None];
    world.command(0, 1, Command::Switch(GROUP));
    world.run(SECOND);
    assert_eq!((world.answering(), world.nodes[1].hooks.len()), (vec![], 1));
    let (group, hook, epoch) = world.nodes[1].hooks[0];
    Event::Hook { group, hook, epoch, ok: true }
}

// S8, S1
#[test]
fn after_its_hook_a_gate_opens_on_words_that_were_said_since() {
    for witness in [false, true] {
        let mut world = hooked(true, false, witness);
        let ended = prepare(&mut world);
        // Every word that node 1 has is from before the end of its hook; nothing newer comes.
        world.suspend(0);
        if witness {
            world.witnesses.cut(1, 0, true);
        }
        world.handle(1, ended);
        world.run(ms(20));
        assert_eq!(world.answering(), [] as [usize; 0], "witness: {witness}");
        world.resume(0);
        world.run_until_answered_by(1, world.timing.pulse * 2);
        assert_eq!((world.double_answers, world.nodes[1].hooks.len()), (0, 1));
    }
}

// L3
#[test]
fn a_peer_that_lives_holds_an_opening_up_for_one_answer() {
    for witness in [false, true] {
        let mut world = hooked(true, false, witness);
        let ended = prepare(&mut world);
        world.handle(1, ended);
        world.run_until_answered_by(1, ms(1));
    }
}

// S8, L1
#[test]
fn after_its_hook_a_node_asks_once_more_whether_the_address_is_answered() {
    let mut world = hooked(true, false, false);
    world.service.ends[1] = None;
    let gone = world.nodes[0].kernel.clone();
    world.crash(0);
    world.run(SECOND);
    let (group, hook, epoch) = world.nodes[1].hooks[0];
    // As if node 1's guest had been frozen while the hook ran: node 0's gate answers again.
    world.nodes[0].kernel = gone;
    world.nodes[0].kernel.until = world.now + ms(200);
    world.handle(1, Event::Hook { group, hook, epoch, ok: true });
    world.run(ms(190));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
    // Questions that are answered become rarer.
    world.run_until_answered_by(1, ms(10) + world.timing.patience.slowest + world.timing.probe * 6);
    assert_eq!((world.double_answers, world.nodes[1].hooks.len()), (0, 1));
}

// L1
#[test]
fn what_was_prepared_before_a_goodbye_grew_old_is_not_prepared_again() {
    let mut world = hooked(true, false, false);
    world.service.ends[1] = Some((world.timing.silence + world.timing.pulse, true));
    world.command(0, 1, Command::Stop);
    world.run_until_answered_by(1, SECOND);
    assert_eq!((world.nodes[1].hooks.len(), hook_ends(&world, 1)), (1, vec![]));
}

// S7
#[test]
fn what_was_prepared_and_is_not_wanted_any_more_opens_nothing_and_is_told() {
    let mut world = hooked(true, false, false);
    world.crash(0);
    world.run(SECOND);
    world.command(1, 1, Command::Pause(GROUP));
    world.run(HOOK_SPAN * 2);
    assert_eq!((world.answering(), hook_ends(&world, 1)), (vec![], vec![HookEnd::Unused]));
    world.command(1, 2, Command::Resume(GROUP));
    world.run_until_answered_by(1, HOOK_SPAN * 2);
    assert_eq!(world.nodes[1].hooks.len(), 2, "what was done before the pause is done again");
}

// S8
#[test]
fn an_agent_that_comes_back_while_its_group_is_prepared_elsewhere_does_not_answer_beside_the_other() {
    let mut world = hooked(true, false, false);
    world.suspend(0);
    world.run(SECOND);
    assert_eq!((world.answering(), world.nodes[1].hooks.len()), (vec![], 1));
    world.resume(0);
    world.run(HOOK_SPAN * 3);
    // Both claimed at the same moment, and the lower number went first.
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
    assert_eq!(hook_ends(&world, 1), [HookEnd::Unused]);
}

#[test]
fn a_group_whose_before_close_fails_stays_and_is_not_asked_for_at_once() {
    let mut world = hooked(false, true, false);
    world.service.ends[0] = Some((ms(50), false));
    world.set_health(0, 255);
    world.run(SECOND * 9);
    assert_eq!((world.answering(), world.role(0)), (vec![0], Role::Active));
    assert_eq!((world.nodes[0].hooks.len(), hook_ends(&world, 0)), (1, vec![HookEnd::Failed]));
    world.service.ends[0] = Some((ms(50), true));
    world.run_until_answered_by(1, SECOND * 2);
    assert_eq!(world.double_answers, 0);
}

// L1
#[test]
fn a_handover_that_ends_without_a_taker_leaves_the_group_open_and_its_before_close_is_told_as_unused() {
    let mut world = hooked(false, true, false);
    world.command(0, 1, Command::Switch(GROUP));
    world.run(HOOK_SPAN - ms(500));
    world.crash(1);
    world.run(SECOND * 2);
    assert_eq!((world.answering(), world.role(0)), (vec![0], Role::Active));
    assert_eq!(hook_ends(&world, 0), [HookEnd::Unused], "so that what it took down is put up again");
    // The next handover runs the hook anew.
    world.start(1);
    world.run(SECOND * 2);
    world.command(0, 2, Command::Switch(GROUP));
    world.run_until_answered_by(1, HOOK_SPAN * 2);
    assert_eq!((world.nodes[0].hooks.len(), hook_ends(&world, 0).len()), (2, 1));
}

#[test]
fn who_stops_waits_for_its_hook_and_leaves_however_that_ends() {
    for end in [Some((HOOK_SPAN * 2, true)), Some((HOOK_SPAN, false)), None] {
        let mut world = hooked(false, true, false);
        world.service.ends[0] = end;
        world.command(0, 1, Command::Stop);
        world.run(HOOK_SPAN - ms(100));
        assert_eq!(world.answering(), [0]);
        world.run_until_answered_by(1, HOOK_LIMIT + SECOND);
        world.run(SECOND);
        assert!(world.nodes[0].exited);
        assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
    }
}

// L6
#[test]
fn nobody_is_silent_while_hooks_run() {
    let mut world = hooked(true, true, false);
    let silent = |notice: &Notice| matches!(notice, Notice::PeerSilent { .. } | Notice::LeaseLapsed { .. });
    world.command(0, 1, Command::Switch(GROUP));
    world.run(HOOK_SPAN * 3);
    assert_eq!(world.answering(), [1]);
    assert!(!world.nodes.iter().flat_map(|node| &node.notices).any(|(_, notice)| silent(notice)));
}

// L3: between two pulses of a peer that is heard again nothing is taken back.
#[test]
fn a_late_pulse_takes_no_offer_back_while_a_hook_runs() {
    let mut world = hooked(false, true, false);
    world.command(0, 1, Command::Switch(GROUP));
    world.run(HOOK_SPAN - world.timing.suspicion - ms(20));
    assert_eq!(waiting(&world, 0), Waiting::Hook(Hook::BeforeClose));
    world.suspend(1);
    world.run(world.timing.suspicion + ms(40));
    assert_eq!((world.answering(), world.role(0)), (vec![0], Role::Handover), "its hook has ended");
    world.resume(1);
    world.run(SECOND);
    assert_eq!((world.answering(), hook_ends(&world, 0)), (vec![1], vec![]));
    assert_eq!((world.nodes[0].hooks.len(), world.nodes[0].outcomes.last().unwrap().1), (1, Outcome::Done));
}

// S6: a stranger who answers holds an opening back for a bounded time, before the hook and after it
#[test]
fn answers_of_a_stranger_hold_an_opening_back_after_its_hook_no_longer_than_before() {
    let mut world = World::new(Profile::Lan, 1);
    world.service.before_open = Some(HOOK_LIMIT);
    world.service.ends = [Some((HOOK_SPAN, true)); 2];
    world.start(1);
    world.traffic();
    let sighting = Sighting::Claim { address: vip(0), mac: mac(8), nameless: None };
    let start = world.now;
    let bound = world.timing.patience.first_veto + HOOK_SPAN + SECOND;
    while world.answering().is_empty() && world.now.since(start) < bound {
        world.handle(1, Event::Seen { interface: ETH, sighting });
        world.run(ms(2));
    }
    assert_eq!(world.answering(), [1]);
    assert!(world.now.since(start) > world.timing.patience.first_veto, "they do hold it back");
}

// S8 L1: the hook has ended, and what permits the opening has to be asked anew where links are closed
#[test]
fn an_opening_after_a_hook_asks_on_the_segment_where_no_link_is_open_and_never_in_a_loop() {
    for segment in [true, false] {
        let mut world = hooked(true, false, false);
        world.command(0, 1, Command::Switch(GROUP));
        world.run(HOOK_SPAN - ms(10));
        assert_eq!(waiting(&world, 1), Waiting::Hook(Hook::BeforeOpen));
        let paths = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];
        for path in paths.into_iter().take(if segment { 2 } else { 3 }) {
            let link = LinkId { peer: NodeId(1), path };
            world.handle(1, Event::Link { link, open: false });
        }
        let before = world.ticks;
        world.run(ms(40));
        let ticks = world.ticks - before;
        assert!(ticks < 200, "{ticks} wake-ups in 40 ms");
        assert_eq!(world.answering(), if segment { vec![1] } else { vec![] }, "segment: {segment}");
    }
}
