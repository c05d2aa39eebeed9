//! Tests of votes, in worlds with witnesses: who may be open with a majority, and until when. The
//! world itself asserts S1 at every instant: a majority of voters is bound to whoever is open.

use super::world::{ETH, World, ms};
use crate::engine::{Cause, Command, Notice, Outcome};
use crate::timing::Profile;
use crate::types::{GroupId, LinkPath, MonoTime};
use crate::wire::pulse::Role;
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];
const GROUP: GroupId = GroupId(0);

/// A world in which witnesses and nodes have started, node 0 (the preferred one) is active and
/// everything has settled.
pub fn settled(profile: Profile, witnesses: usize) -> World {
    let mut world = World::voted(profile, 1, witnesses);
    settle(&mut world);
    world
}

/// Starts witnesses and nodes, and runs until node 0 is active and node 1 stands by.
pub fn settle(world: &mut World) {
    for at in 0..world.witnesses.all.len() {
        world.start_witness(at);
    }
    world.start(0);
    world.start(1);
    world.traffic();
    world.run((world.timing.lease * 8).max(Duration::from_secs(2)));
    world.traffic();
    assert_eq!(world.answering(), [0], "{:#?}", (world.changes(0), world.changes(1)));
    assert_eq!((world.role(0), world.role(1)), (Role::Active, Role::Standby));
    assert_eq!(world.double_answers, 0);
}

/// Cuts everything between the nodes, the segment included.
pub fn cut_nodes_apart(world: &mut World) {
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
}

/// Whether a node has told people a notice of this kind.
fn is_told(world: &World, at: usize, what: impl Fn(&Notice) -> bool) -> bool {
    world.nodes[at].notices.iter().any(|(_, notice)| what(notice))
}

/// When a node last became active.
pub fn opened(world: &World, at: usize) -> MonoTime {
    let open = |(_, notice): &&(MonoTime, Notice)| matches!(notice, Notice::Role { to: Role::Active, .. });
    world.nodes[at].notices.iter().rev().find(open).expect("it has never opened").0
}

// L1, FJ-1
#[test]
fn host_loss_is_taken_over_when_the_promise_is_over_and_not_before() {
    for (profile, witnesses) in Profile::ALL.into_iter().flat_map(|profile| [(profile, 1), (profile, 3)]) {
        let mut world = settled(profile, witnesses);
        let until = world.nodes[0].kernel.until;
        world.crash(0);
        let crashed = world.now;
        let waited = world.run_until_answered_by(1, Duration::from_secs(20));
        let bound = world.timing.promise + world.timing.probe * 2;
        assert!(waited <= bound + ms(1), "{profile:?} {waited:?} > {bound:?}");
        assert!(opened(&world, 1) > until, "{profile:?}: the lost node's kernel answers until {until:?}");
        assert!(opened(&world, 1) + world.timing.pulse >= crashed + world.timing.promise, "{profile:?}");
        assert_eq!(world.double_answers, 0);
        assert!(world.changes(1).contains(&(Role::Active, Cause::Silence)));
        assert!(world.nodes[1].announced > 0);
        world.run(world.timing.lease * 10);
        assert_eq!(world.answering(), [1], "and the witness keeps it open");
        let conflict = |notice: &Notice| matches!(notice, Notice::Conflict { .. });
        assert!(!is_told(&world, 1, conflict), "{profile:?}: the lost node was active before, and not as well");
    }
}

// S1
#[test]
fn without_a_majority_nothing_opens() {
    let mut world = World::voted(Profile::Fast, 1, 1);
    world.start(0);
    world.traffic();
    world.run(Duration::from_secs(40));
    assert_eq!(world.answering(), [0; 0]);
    world.start_witness(0);
    world.start(1);
    world.run_until_answered_by(0, Duration::from_secs(2));
}

// FJ-3: one failure is never too many, but it must be known.
#[test]
fn a_lost_witness_changes_nothing_and_is_told() {
    for profile in Profile::ALL {
        let mut world = settled(profile, 1);
        let before = (world.changes(0).len(), world.changes(1).len());
        world.kill_witness(0);
        world.run(world.timing.lease * 50);
        assert_eq!(world.answering(), [0]);
        assert_eq!((world.changes(0).len(), world.changes(1).len()), before);
        for at in 0..2 {
            assert!(is_told(&world, at, |notice| matches!(notice, Notice::WitnessLost { .. })), "{profile:?}");
            let votes = world.nodes[at].engine.as_ref().unwrap().report(world.now).votes.unwrap();
            assert_eq!((votes.heard, votes.alone), (0, false));
        }
        world.start_witness(0);
        world.run(world.timing.lease * 10);
        assert!(is_told(&world, 0, |notice| matches!(notice, Notice::WitnessHeard { .. })));
        world.crash(0);
        world.run_until_answered_by(1, Duration::from_secs(20));
    }
}

// S1: without the witness a standby alone is no majority.
#[test]
fn with_the_witness_lost_nobody_takes_over() {
    let mut world = settled(Profile::Fast, 1);
    world.kill_witness(0);
    world.run(Duration::from_secs(1));
    world.crash(0);
    world.run(Duration::from_secs(10));
    assert_eq!(world.answering(), [0; 0]);
    world.start(0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering().len(), 1, "two nodes are a majority of three");
}

// S1, by arithmetic on absolute times.
#[test]
fn an_isolated_active_is_closed_by_its_deadline_before_the_standby_opens() {
    for profile in Profile::ALL {
        let mut world = settled(profile, 1);
        cut_nodes_apart(&mut world);
        world.off_segment[0] = true;
        world.witnesses.cut(0, 0, true);
        world.run(ms(1));
        let until = world.nodes[0].kernel.until;
        world.run_until_answered_by(1, Duration::from_secs(20));
        assert!(until < opened(&world, 1), "{profile:?}: {until:?} is not before {:?}", opened(&world, 1));
        assert!(world.nodes[0].kernel.until <= opened(&world, 1) || world.nodes[0].kernel.open.is_empty());
        assert_eq!(world.double_answers, 0);
        assert!(world.changes(0).contains(&(Role::Standby, Cause::NoMajority)), "{:?}", world.changes(0));
        world.cut.clear();
        world.off_segment[0] = false;
        world.witnesses.cut(0, 0, false);
        world.run(world.timing.lease * 20);
        assert_eq!(world.answering(), [1]);
        assert_eq!(world.double_answers, 0);
    }
}

// S7: the kernel closes although the engine does not run.
#[test]
fn a_stopped_active_is_closed_by_its_kernel_before_the_standby_opens() {
    let mut world = settled(Profile::Fast, 1);
    world.suspend(0);
    world.nodes[0].backlog_limit = 8;
    let until = world.nodes[0].kernel.until;
    world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(until < opened(&world, 1));
    world.resume(0);
    world.run(Duration::from_secs(1));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
    assert!(world.changes(0).contains(&(Role::Standby, Cause::Lapsed)));
}

// S1: a bare pair would have two actives here.
#[test]
fn a_cut_between_the_nodes_leaves_exactly_one_active() {
    for witnesses in [1, 3] {
        let mut world = settled(Profile::Fast, witnesses);
        let before = (world.changes(0).len(), world.changes(1).len());
        cut_nodes_apart(&mut world);
        world.off_segment[1] = true;
        world.run(Duration::from_secs(30));
        assert_eq!(world.answering(), [0]);
        world.cut.clear();
        world.off_segment[1] = false;
        world.run(Duration::from_secs(1));
        assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
        assert_eq!((world.changes(0).len(), world.changes(1).len()), before);
    }
}

// S1, L5: both can only be reached by the witness, and start at once.
#[test]
fn claims_that_cross_end_with_one_active() {
    for witnesses in [1, 3] {
        for delay in [Duration::ZERO, ms(2)] {
            let mut world = World::voted(Profile::Fast, 1, witnesses);
            world.witnesses.delay = delay;
            (0..witnesses).for_each(|at| world.start_witness(at));
            settle(&mut world);
            // Both nodes lose their votes and must claim anew, and do not hear each other.
            cut_nodes_apart(&mut world);
            for at in [0, 1] {
                (0..witnesses).for_each(|witness| world.witnesses.cut(at, witness, true));
            }
            world.run(ms(200));
            assert_eq!(world.answering(), [0; 0]);
            for witness in 0..witnesses {
                world.witnesses.cut(1 - witness % 2, witness, false);
            }
            world.run(ms(3));
            for witness in 0..witnesses {
                world.witnesses.cut(witness % 2, witness, false);
            }
            world.run(Duration::from_secs(2));
            assert_eq!(world.answering().len(), 1, "{witnesses} witnesses, {delay:?}");
            world.cut.clear();
            world.run(Duration::from_secs(1));
            assert_eq!((world.answering().len(), world.double_answers), (1, 0));
        }
    }
}

// L5: no witness hears both, and one of three is gone: nobody has three of five until one gives
// way.
#[test]
fn claimants_that_hold_one_witness_each_do_not_wait_for_ever() {
    let mut world = settled(Profile::Fast, 3);
    cut_nodes_apart(&mut world);
    world.kill_witness(2);
    for at in [0, 1] {
        (0..2).for_each(|witness| world.witnesses.cut(at, witness, true));
    }
    world.run(ms(200));
    assert_eq!(world.answering(), [0; 0]);
    world.witnesses.cut(0, 0, false);
    world.witnesses.cut(1, 1, false);
    world.run(ms(50));
    assert_eq!(world.answering(), [0; 0], "two of five");
    world.witnesses.cut(0, 1, false);
    world.witnesses.cut(1, 0, false);
    world.run(Duration::from_secs(10));
    assert_eq!((world.answering().len(), world.double_answers), (1, 0), "{:?}", (world.changes(0), world.changes(1)));
}

// S4
#[test]
fn a_deadline_counts_from_sending() {
    let mut world = settled(Profile::Fast, 1);
    world.crash(1);
    world.witnesses.delay = ms(4);
    world.run(ms(100));
    for _ in 0..200 {
        world.run(Duration::from_micros(300));
        let left = world.nodes[0].kernel.until.since(world.now);
        // Question and grant take 4 ms each: the lease counts from when the question left.
        assert!(left <= world.timing.lease - ms(8), "{left:?}");
        assert!(left > Duration::ZERO);
    }
    assert_eq!(world.answering(), [0]);
}

// S4: a grant that arrives more than a lease after its question was sent grants nothing.
#[test]
fn a_late_grant_opens_nothing() {
    let mut world = World::voted(Profile::Fast, 1, 1);
    world.witnesses.delay = ms(20);
    world.start_witness(0);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [0], "two nodes are a majority");
    world.crash(0);
    world.run(Duration::from_secs(5));
    assert_eq!(world.answering(), [0; 0], "40 ms are more than the lease of 35 ms");
    world.witnesses.delay = ms(1);
    world.run_until_answered_by(1, Duration::from_secs(1));
}

// S5
#[test]
fn a_restarted_node_votes_for_nobody_until_its_former_promises_are_over() {
    let mut world = settled(Profile::Lan, 1);
    // The active has the standby's vote alone, and from now on cannot renew it.
    world.witnesses.cut(0, 0, true);
    world.run(Duration::from_secs(2));
    let until = world.nodes[0].kernel.until;
    cut_nodes_apart(&mut world);
    world.kill(1);
    let killed = world.now;
    world.start(1);
    world.run_until_answered_by(1, Duration::from_secs(2));
    assert!(opened(&world, 1) >= killed + world.timing.abstain, "it opened before");
    assert!(opened(&world, 1) > until);
    assert_eq!(world.double_answers, 0);
}

// S7, FJ-10
#[test]
fn a_restart_within_the_lease_goes_on() {
    for (profile, pause) in [(Profile::Fast, ms(5)), (Profile::Lan, ms(60)), (Profile::Wan, ms(900))] {
        let mut world = settled(profile, 1);
        let before = world.changes(1).len();
        world.kill(0);
        world.run(pause);
        world.start(0);
        assert_eq!(world.role(0), Role::Active);
        world.run(world.timing.lease * 10);
        assert_eq!(world.answering(), [0], "{profile:?} {:?}", world.changes(0));
        assert_eq!(world.changes(0).last(), Some(&(Role::Active, Cause::Adopted)));
        assert_eq!(world.changes(1).len(), before);
    }
}

// L3
#[test]
fn a_switch_moves_the_group_with_and_without_the_witness() {
    for (asked, witness) in [(0, true), (1, true), (0, false), (1, false)] {
        let mut world = settled(Profile::Fast, 1);
        if !witness {
            world.kill_witness(0);
            world.run(Duration::from_secs(1));
        }
        world.command(asked, 5, Command::Switch(GROUP));
        let gap = world.run_until_answered_by(1, Duration::from_secs(1));
        assert!(gap < ms(3), "{gap:?}");
        world.run(Duration::from_secs(1));
        assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
        assert_eq!(world.nodes[asked].outcomes, [(5, Outcome::Done)]);
        assert!(world.changes(1).contains(&(Role::Active, Cause::Handover)), "{:?}", world.changes(1));
    }
}

// S5: a standby that takes an offer is bound to the active until the active has closed.
#[test]
fn an_offer_that_is_taken_frees_no_vote() {
    let mut world = settled(Profile::Fast, 1);
    // The active has the standby's vote alone; the witness has promised its own to nobody.
    world.witnesses.cut(0, 0, true);
    world.run(Duration::from_secs(2));
    world.cut = ALL_PATHS.iter().map(|&path| (1, path)).collect();
    world.command(0, 1, Command::Switch(GROUP));
    world.run(ms(1));
    assert_eq!(world.role(0), Role::Handover, "it cannot hear that its offer is taken");
    assert_eq!(world.answering(), [0]);
    world.run(Duration::from_secs(1));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
}

#[test]
fn a_graceful_stop_hands_over() {
    let mut world = settled(Profile::Lan, 1);
    world.command(0, 1, Command::Stop);
    let gap = world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(gap < ms(3), "{gap:?}");
    world.run(Duration::from_secs(3));
    assert!(world.nodes[0].exited);
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
}

// HP-8
#[test]
fn carrier_loss_moves_the_group_at_once() {
    let mut world = settled(Profile::Fast, 1);
    world.set_carrier(0, false);
    world.off_segment[0] = true;
    let gap = world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(gap < ms(3), "{gap:?}");
    assert_eq!((world.role(0), world.double_answers), (Role::Fault, 0));
}

// L2
#[test]
fn two_lost_pulses_and_a_lost_link_change_nothing() {
    let mut world = settled(Profile::Fast, 1);
    let before = (world.changes(0).len(), world.changes(1).len());
    cut_nodes_apart(&mut world);
    world.witnesses.cut(0, 0, true);
    world.run(ms(15));
    world.cut.clear();
    world.witnesses.cut(0, 0, false);
    world.run(Duration::from_secs(1));
    world.cut = vec![(0, LinkPath::Udp(0)), (1, LinkPath::Udp(0))];
    world.run(Duration::from_secs(5));
    assert_eq!(world.answering(), [0]);
    assert_eq!((world.changes(0).len(), world.changes(1).len()), before);
}
