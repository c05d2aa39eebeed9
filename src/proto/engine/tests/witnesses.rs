//! Tests of witnesses: what they remember and say, many groups, and pairs that decide alone.

use super::votes::{cut_nodes_apart, opened, settle, settled};
use super::world::{ETH, World, group_setup, ms};
use crate::engine::{Cause, Command, Event, Notice, Waiting};
use crate::timing::{Profile, Promote, Timing};
use crate::types::{Epoch, GroupId, LinkPath};
use crate::wire::pulse::Role;
use std::time::Duration;

/// Number of witnesses, where a test needs no more than one.
const ONE_WITNESS: usize = 1;
const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

/// What a node waits for with group 0, by its status report.
fn waiting(world: &World, at: usize) -> Waiting {
    world.nodes[at].engine.as_ref().unwrap().report(world.now).groups[0].waiting
}

/// The epoch that a node is active with; NONE if it is not.
fn own_epoch(world: &World, at: usize) -> Epoch {
    world.nodes[at].engine.as_ref().unwrap().view_group(0).epoch
}

/// Whether a node decides without its witnesses.
fn is_alone(world: &World, at: usize) -> bool {
    world.nodes[at].engine.as_ref().unwrap().view_vote(0).alone
}

// S2: after a restart the ceiling on the witness's disk is the bar. It lies above all that the
// witness may have granted before, and a claim must be above it.
#[test]
fn claims_go_above_the_bar_of_a_restarted_witness() {
    let mut world = settled(Profile::Fast, ONE_WITNESS);
    let before = own_epoch(&world, 0);
    world.kill_witness(0);
    let bar = world.witnesses.all[0].disk.as_ref().unwrap().ceilings[0].epoch;
    assert!(bar.counter() > before.counter());
    world.start_witness(0);
    world.run(Duration::from_secs(1));
    world.crash(0);
    world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(own_epoch(&world, 1) > bar, "{} is not above {bar}", own_epoch(&world, 1));
}

// S5
#[test]
fn a_restarted_witness_abstains_and_the_active_goes_on() {
    let mut world = settled(Profile::Lan, ONE_WITNESS);
    let before = world.changes(0).len();
    world.kill_witness(0);
    world.start_witness(0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.changes(0).len(), before, "the standby's vote was enough");
    // From now on the active needs the witness's vote, which has forgotten its promises.
    world.crash(0);
    world.kill_witness(0);
    world.start_witness(0);
    let started = world.now;
    world.run_until_answered_by(1, Duration::from_secs(2));
    assert!(world.now >= started + world.timing.abstain, "before its promises were over");
}

#[test]
fn a_thousand_groups_move_together_and_cost_nothing_at_rest() {
    let mut world = World::voted(Profile::Fast, 1000, ONE_WITNESS);
    world.witnesses.judged = false;
    settle(&mut world);
    assert_eq!(world.nodes[0].kernel.open.len(), 1000);
    assert_eq!(world.nodes[0].engine.as_ref().unwrap().view_grants(), 1, "one look for all of them");
    let before = world.changes(0).len();
    world.witnesses.judged = true;
    world.run(ms(20));
    world.witnesses.judged = false;
    world.run(Duration::from_secs(1));
    assert_eq!(world.changes(0).len(), before);
    world.crash(0);
    world.run(world.timing.promise + ms(60));
    assert_eq!(world.nodes[1].kernel.open.len(), 1000);
    world.run(Duration::from_secs(1));
    assert_eq!(world.nodes[1].kernel.open.len(), 1000);
    assert_eq!(world.double_answers, 0);
}

// The votes for what is open go on while those for more are on their way.
#[test]
fn what_a_node_has_stays_open_while_it_takes_over_many_more() {
    let mut world = World::voted(Profile::Fast, 300, ONE_WITNESS);
    world.witnesses.judged = false;
    settle(&mut world);
    for group in 0..150 {
        world.command(0, u64::from(group), Command::Switch(GroupId(group)));
    }
    world.run(Duration::from_secs(1));
    assert_eq!((world.nodes[0].kernel.open.len(), world.nodes[1].kernel.open.len()), (150, 150));
    let before = world.changes(0).len();
    world.crash(1);
    world.run(world.timing.promise + world.timing.lease);
    assert_eq!(world.nodes[0].kernel.open.len(), 300);
    let lost = |(role, _): &(Role, Cause)| *role != Role::Active;
    assert!(!world.changes(0)[before..].iter().any(lost));
}

// S1: the lease of an interface is that of the group with the earliest deadline.
#[test]
fn a_group_whose_votes_lag_is_closed_before_it_closes_the_others() {
    let mut world = World::voted(Profile::Fast, 2, ONE_WITNESS);
    settle(&mut world);
    let end = world.nodes[0].kernel.until;
    let ballot = &mut world.nodes[0].engine.as_mut().unwrap().groups.list[1].ballot;
    (ballot.granted, ballot.floor) = (Default::default(), end);
    world.place_addresses(0);
    world.run(end.since(world.now) - ms(3));
    assert_eq!(world.nodes[0].kernel.until, end, "no later than the votes of all allow");
    world.run(ms(2));
    let lost = |world: &World| world.changes(0).iter().filter(|(_, cause)| *cause == Cause::NoMajority).count();
    assert_eq!(lost(&world), 1, "closed a little before");
    assert_eq!(world.answering(), [0]);
    assert!(world.nodes[0].kernel.until > end);
    world.run(ms(300));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
    assert_eq!(world.answering_for(1).len(), 1, "and it is won again");
    assert_eq!(lost(&world), 1);
}

// S1, S4: what was promised to a node's former process is not granted to its next one before that
// has asked for it.
#[test]
fn the_first_answer_to_a_new_process_grants_nothing_that_only_the_former_one_asked_for() {
    // There are more groups than a datagram has rows: a new process's first datagram asks for some
    // of them only.
    let mut world = World::voted(Profile::Lan, 24, ONE_WITNESS);
    settle(&mut world);
    world.witnesses.cut(0, 0, true);
    world.run(Duration::from_secs(1));
    world.kill(0);
    world.run(ms(5));
    world.start(0);
    // Node 0 introduces itself once its state is on the disk. Its next datagrams, which would prove
    // its session and ask for nothing, are lost, so its next pulse proves the session and asks at
    // once.
    world.run(ms(3) + Duration::from_micros(75));
    world.cut = ALL_PATHS.iter().map(|&path| (0, path)).collect();
    world.run(ms(45));
    world.cut.clear();
    world.only_first = Some(0);
    world.run(Duration::from_secs(1));
    assert_eq!((world.nodes[0].kernel.open.len(), world.double_answers), (24, 0));
}

// S5: it may have promised, and forgotten, for a longer lease than its own.
#[test]
fn a_restarted_node_abstains_for_the_longest_lease_that_was_stated_to_it() {
    let mut world = settled(Profile::Lan, ONE_WITNESS);
    let ours = world.timing;
    world.timing = Timing::derive_with(ours.pulse, ours.silence, ours.lease * 4, ours.drift_ppm);
    world.reload(0, vec![group_setup(0, false)]);
    world.timing = ours;
    world.run(Duration::from_secs(1));
    // The active has the standby's vote alone, and from now on cannot renew it.
    world.witnesses.cut(0, 0, true);
    world.run(Duration::from_secs(2));
    let until = world.nodes[0].kernel.until;
    assert!(until.since(world.now) > ours.abstain, "{:?}", until.since(world.now));
    cut_nodes_apart(&mut world);
    world.kill(1);
    world.start(1);
    world.run_until_answered_by(1, Duration::from_secs(5));
    assert!(opened(&world, 1) > until);
    assert_eq!(world.double_answers, 0);
}

// S5: a promise for a lease that a later life would not know of is not given.
#[test]
fn a_node_whose_disk_fails_promises_nothing_for_a_longer_lease_than_its_own() {
    let mut world = settled(Profile::Lan, ONE_WITNESS);
    let ours = world.timing;
    world.nodes[1].disk_works = false;
    world.timing = Timing::derive_with(ours.pulse, ours.silence, ours.lease * 2, ours.drift_ppm);
    world.reload(0, vec![group_setup(0, false)]);
    world.timing = ours;
    world.run(Duration::from_secs(1));
    let promised = |world: &World| world.nodes[1].engine.as_ref().unwrap().view_vote(0).promised;
    assert!(promised(&world).is_none_or(|(_, until)| until < world.now), "{:?}", promised(&world));
    let version = world.nodes[1].engine.as_ref().unwrap().store.version;
    world.handle(1, Event::Stored { version });
    world.run(Duration::from_secs(1));
    assert!(promised(&world).is_some_and(|(_, until)| until > world.now + ours.lease), "{:?}", promised(&world));
}

// S2: only the last active's disk knows its epoch, and only as a reservation.
#[test]
fn a_witness_without_memory_learns_what_a_lost_active_had_reserved() {
    let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
    world.start_witness(0);
    world.start(1);
    world.traffic();
    world.run(ms(20));
    world.nodes[1].disk_works = false;
    world.run_until_answered_by(1, Duration::from_secs(70));
    let before = own_epoch(&world, 1);
    world.crash(1);
    let left = world.nodes[1].disk.as_ref().unwrap().groups[0];
    assert_eq!((left.held, left.reserve), (Epoch::NONE, before));
    world.kill_witness(0);
    (world.witnesses.all[0].disk, world.witnesses.all[0].damaged) = (None, true);
    world.start_witness(0);
    cut_nodes_apart(&mut world);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run_until_answered_by(0, Duration::from_secs(5));
    assert!(own_epoch(&world, 0) > before, "{} is not above {before}", own_epoch(&world, 0));
}

// A table that is known in part says nothing of the groups it has not told.
#[test]
fn a_table_with_a_hole_grants_nothing() {
    let mut world = World::voted(Profile::Fast, 60, ONE_WITNESS);
    settle(&mut world);
    world.crash(0);
    world.witnesses.lose_first_of_burst = true;
    world.run(Duration::from_secs(1));
    assert_eq!(world.nodes[1].kernel.open.len(), 0, "the first rows of each answer are lost");
    world.witnesses.lose_first_of_burst = false;
    world.run(ms(100));
    assert_eq!(world.nodes[1].kernel.open.len(), 60);
    assert_eq!(world.double_answers, 0);
}

// S8
#[test]
fn without_strict_a_pair_that_lost_its_witness_takes_over_alone_and_returns() {
    let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
    world.witnesses.strict = false;
    settle(&mut world);
    let before = (world.changes(0).len(), world.changes(1).len());
    world.kill_witness(0);
    world.run(Duration::from_secs(1));
    assert!(!is_alone(&world, 0) && !is_alone(&world, 1), "a witness may be restarted");
    world.run(Duration::from_secs(3));
    assert!(is_alone(&world, 0) && is_alone(&world, 1));
    assert_eq!((world.changes(0).len(), world.changes(1).len()), before);
    // While the pair decides alone, S8 holds in the place of S1, which is not asserted.
    world.witnesses.judged = false;
    world.crash(0);
    world.run_until_answered_by(1, Duration::from_secs(1));
    world.start(0);
    world.run(Duration::from_secs(10));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
    world.start_witness(0);
    world.run(Duration::from_secs(2));
    assert!(!is_alone(&world, 0) && !is_alone(&world, 1));
    world.witnesses.judged = true;
    world.run(Duration::from_secs(1));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0), "votes decide again");
    world.crash(1);
    world.run_until_answered_by(0, Duration::from_secs(1));
}

// S8
#[test]
fn a_pair_that_decides_alone_is_not_parted_by_a_stop_of_its_own_process() {
    let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
    world.witnesses.strict = false;
    settle(&mut world);
    world.kill_witness(0);
    world.run(Duration::from_secs(4));
    world.witnesses.judged = false;
    world.suspend(1);
    world.run(ms(25));
    world.resume(1);
    world.run(ms(2));
    assert!(is_alone(&world, 1), "a witness that died long ago is not heard because we did not listen");
    world.crash(0);
    world.run_until_answered_by(1, Duration::from_secs(1));
}

// S8
#[test]
fn a_pair_comes_to_decide_alone_though_a_pulse_is_late_now_and_then() {
    let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
    world.witnesses.strict = false;
    settle(&mut world);
    world.kill_witness(0);
    for _ in 0..5 {
        world.run(ms(900));
        cut_nodes_apart(&mut world);
        world.run(ms(25));
        world.cut.clear();
    }
    assert!(is_alone(&world, 0) && is_alone(&world, 1));
}

// S1
#[test]
fn a_node_that_hears_neither_peer_nor_witness_is_not_a_pair() {
    let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
    world.witnesses.strict = false;
    settle(&mut world);
    cut_nodes_apart(&mut world);
    world.off_segment[0] = true;
    world.witnesses.cut(0, 0, true);
    world.run(Duration::from_secs(20));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
    assert!(!is_alone(&world, 0) && !is_alone(&world, 1));
}

// FJ-4, FJ-5
#[test]
fn with_promote_witness_silence_between_the_nodes_moves_nothing() {
    for promote in [Promote::Witness, Promote::Both] {
        let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
        world.witnesses.promote = promote;
        settle(&mut world);
        cut_nodes_apart(&mut world);
        world.run(Duration::from_secs(5));
        assert_eq!(world.answering(), [0]);
        assert_eq!(waiting(&world, 1), Waiting::WitnessWord);
        world.cut.clear();
        world.run(Duration::from_secs(1));
        world.crash(0);
        world.run_until_answered_by(1, ms(100));
        assert!(world.changes(1).contains(&(Role::Active, Cause::Silence)));
    }
}

// L5: nobody is active, so nobody can have a fault.
#[test]
fn with_promote_witness_a_node_that_starts_alone_becomes_active() {
    for promote in [Promote::Witness, Promote::Both] {
        let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
        world.witnesses.promote = promote;
        settle(&mut world);
        // The witness is restarted, too: it remembers epochs, not who was active.
        (0..2).for_each(|at| world.crash(at));
        world.kill_witness(0);
        world.run(Duration::from_secs(1));
        world.start_witness(0);
        world.start(1);
        world.traffic();
        world.run_until_answered_by(1, Duration::from_secs(10));
    }
}

// FJ-4, FJ-10
#[test]
fn a_failing_service_moves_the_group_once_and_with_promote_witness_only() {
    for promote in Promote::ALL {
        let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
        world.witnesses.promote = promote;
        settle(&mut world);
        world.check_service(0, false);
        world.run(Duration::from_secs(2));
        let owner = usize::from(promote == Promote::Witness);
        assert_eq!((world.answering(), world.double_answers), (vec![owner], 0), "{promote:?}");
        // The service fails on the other node as well: moving it back at once would gain nothing.
        world.check_service(0, false);
        let before = world.changes(owner).len();
        world.run(Duration::from_secs(2));
        assert_eq!(world.answering(), [owner]);
        assert_eq!(world.changes(owner).len(), before);
    }
}

// FJ-4: both the node's own evidence and the witness's.
#[test]
fn with_promote_both_a_witness_that_lost_the_active_moves_nothing_by_itself() {
    let mut world = World::voted(Profile::Fast, 1, ONE_WITNESS);
    world.witnesses.promote = Promote::Both;
    settle(&mut world);
    world.witnesses.cut(0, 0, true);
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [0]);
    world.crash(0);
    world.run_until_answered_by(1, Duration::from_secs(1));
}

// S1
#[test]
fn with_three_witnesses_two_may_fail_while_the_pair_is_whole_and_one_when_it_is_not() {
    let mut world = settled(Profile::Fast, 3);
    let before = world.changes(0).len();
    world.kill_witness(0);
    world.kill_witness(1);
    world.run(Duration::from_secs(2));
    assert_eq!((world.answering(), world.changes(0).len()), (vec![0], before));
    world.crash(0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [0; 0], "two of five are no majority");
    assert_eq!(waiting(&world, 1), Waiting::Majority);
    world.start_witness(0);
    world.run_until_answered_by(1, Duration::from_secs(2));
    let lost = |(_, notice): &(crate::types::MonoTime, Notice)| matches!(notice, Notice::WitnessLost { .. });
    assert_eq!(world.nodes[1].notices.iter().filter(|told| lost(told)).count(), 2);
}
