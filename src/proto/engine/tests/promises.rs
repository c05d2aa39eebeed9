//! Tests of the promises of a bare pair (docs/promises.md), one a test.

use super::world::{World, ms, settled};
use crate::engine::{Cause, Command, Notice, Outcome};
use crate::timing::Profile;
use crate::types::{GroupId, LinkPath};
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(super::world::ETH)];
const G: GroupId = GroupId(0);

#[test]
fn first_start_alone_becomes_active_after_listening() {
    let mut world = World::new(Profile::Fast, 1);
    world.start(0);
    let waited = world.run_until_answered_by(0, Duration::from_secs(2));
    assert!(waited >= world.timing.listen, "{waited:?}");
    assert!(waited < world.timing.listen + ms(20), "{waited:?}");
}

// HP-3, HP-6
#[test]
fn simultaneous_start_gives_one_active_the_preferred_one() {
    settled(Profile::Fast);
    settled(Profile::Lan);
    settled(Profile::Wan);
}

// HP-7, L1
#[test]
fn host_loss_is_taken_over_within_the_silence_bound() {
    for profile in [Profile::Fast, Profile::Lan, Profile::Wan] {
        let mut world = settled(profile);
        world.crash(0);
        let waited = world.run_until_answered_by(1, Duration::from_secs(10));
        assert!(waited <= world.timing.silence + world.timing.probe * 2, "{profile:?} {waited:?}");
        assert_eq!(world.double_answers, 0);
        assert!(world.nodes[1].announced > 0, "HP-10");
    }
}

#[test]
fn killed_agent_serves_until_its_lease_ends_and_the_standby_follows_within_milliseconds() {
    let mut world = settled(Profile::Fast);
    world.kill(0);
    let until = world.nodes[0].kernel.until;
    let end = world.run_until_answered_by(1, Duration::from_secs(2));
    assert!(world.now >= until, "not before the lease ended");
    assert!(world.now.since(until) <= ms(6), "gap {:?} after {end:?}", world.now.since(until));
    assert_eq!(world.double_answers, 0);
}

#[test]
fn agent_stopped_for_less_than_a_lease_changes_nothing() {
    let mut world = settled(Profile::Fast);
    let before = (world.changes(0).len(), world.changes(1).len());
    world.suspend(0);
    world.run(ms(200));
    world.resume(0);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [0]);
    assert_eq!((world.changes(0).len(), world.changes(1).len()), before);
}

#[test]
fn agent_stopped_for_more_than_a_lease_loses_the_group_and_stays_closed() {
    let mut world = settled(Profile::Fast);
    world.suspend(0);
    world.run(ms(600));
    assert_eq!(world.answering(), [1]);
    world.resume(0);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1]);
    assert_eq!(world.double_answers, 0);
    assert!(world.changes(0).contains(&(Role::Standby, Cause::Lapsed)));
}

#[test]
fn restart_within_a_lease_changes_nothing() {
    let mut world = settled(Profile::Fast);
    let before = world.changes(1).len();
    world.kill(0);
    world.run(ms(100));
    world.start(0);
    assert_eq!(world.role(0), Role::Active);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [0]);
    assert_eq!(world.changes(1).len(), before, "{:?}", world.changes(1));
}

// S7, S8: a node cannot consent while its kernel's gate may be open.
#[test]
fn starting_node_consents_to_nothing_before_it_has_found_its_gate() {
    let mut world = settled(Profile::Lan);
    world.command(0, 1, Command::Switch(G));
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1]);
    world.kill(1);
    world.run(ms(60));
    world.start_slowly(1, ms(60));
    assert_eq!(world.role(1), Role::Active);
    world.run(Duration::from_secs(1));
    assert_eq!(world.double_answers, 0);
    assert_eq!(world.answering(), [1]);
}

// L3
#[test]
fn switch_moves_the_group_without_both_answering() {
    for asked in [0, 1] {
        let mut world = settled(Profile::Fast);
        world.command(asked, 5, Command::Switch(G));
        let gap = world.run_until_answered_by(1, Duration::from_secs(1));
        assert!(gap < ms(3), "{gap:?}");
        world.run(Duration::from_secs(1));
        assert_eq!(world.answering(), [1]);
        assert_eq!(world.nodes[asked].outcomes, [(5, Outcome::Done)]);
        assert_eq!(world.double_answers, 0);
        assert!(world.changes(1).contains(&(Role::Active, Cause::Handover)));
    }
}

#[test]
fn switch_without_a_peer_is_refused_and_nothing_moves() {
    let mut world = settled(Profile::Fast);
    world.crash(1);
    world.run(Duration::from_secs(1));
    world.command(0, 1, Command::Switch(G));
    world.run(Duration::from_secs(1));
    assert_eq!(world.nodes[0].outcomes, [(1, Outcome::NoPeer)]);
    assert_eq!(world.answering(), [0]);
}

#[test]
fn graceful_stop_hands_over_and_ends() {
    let mut world = settled(Profile::Lan);
    world.command(0, 1, Command::Stop);
    let gap = world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(gap < ms(3), "{gap:?}");
    world.run(Duration::from_secs(1));
    assert!(world.nodes[0].exited);
    assert_eq!(world.double_answers, 0);
    world.kill(0);
    world.run(Duration::from_secs(1));
    world.start(0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [1], "a node that returns does not take back what is served");
}

#[test]
fn pause_moves_the_group_away_and_keeps_it_away() {
    let mut world = settled(Profile::Fast);
    world.command(0, 1, Command::Pause(G));
    world.run(Duration::from_secs(1));
    assert_eq!((world.role(0), world.answering()), (Role::Paused, vec![1]));
    world.crash(1);
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), Vec::<usize>::new(), "a paused node never opens");
    world.command(0, 2, Command::Resume(G));
    world.run_until_answered_by(0, Duration::from_secs(1));
}

#[test]
fn carrier_loss_moves_the_group_over_the_other_link_at_once() {
    let mut world = settled(Profile::Fast);
    world.cut = vec![(0, LinkPath::Udp(0)), (1, LinkPath::Udp(0))];
    world.set_carrier(0, false);
    world.off_segment[0] = true;
    let gap = world.run_until_answered_by(1, Duration::from_secs(1));
    assert!(gap < ms(2), "{gap:?}");
    assert_eq!(world.role(0), Role::Fault);
    assert_eq!(world.double_answers, 0);
    world.off_segment[0] = false;
    world.set_carrier(0, true);
    world.run(Duration::from_secs(1));
    assert_eq!((world.role(0), world.role(1)), (Role::Standby, Role::Active));
}

// L2
#[test]
fn loss_of_one_link_changes_nothing() {
    let mut world = settled(Profile::Fast);
    let before = world.changes(1).len();
    world.cut = vec![(0, LinkPath::Udp(0)), (1, LinkPath::Udp(0))];
    world.run(Duration::from_secs(5));
    assert_eq!(world.answering(), [0]);
    assert_eq!(world.changes(1).len(), before);
}

#[test]
fn all_links_lost_but_the_segment_shared_changes_nothing() {
    let mut world = settled(Profile::Fast);
    for path in [LinkPath::Udp(0), LinkPath::Udp(1)] {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.run(Duration::from_secs(60));
    assert_eq!(world.answering(), [0]);
    assert_eq!(world.double_answers, 0);
}

#[test]
fn answered_probes_veto_for_a_bounded_time_only() {
    let mut world = settled(Profile::Fast);
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.run(world.timing.veto - ms(50));
    assert_eq!(world.answering(), [0], "ARP evidence delays");
    world.run(ms(200));
    assert_eq!(world.answering().len(), 2, "S6: for a bounded time");
}

// S8
#[test]
fn after_a_full_partition_the_higher_epoch_goes_on_within_two_pulses() {
    let mut world = settled(Profile::Fast);
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.off_segment[0] = true;
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [0, 1]);
    world.cut.clear();
    world.off_segment[0] = false;
    let announced = world.nodes[1].announced;
    world.run(world.timing.pulse * 2);
    assert_eq!(world.answering(), [1]);
    world.run(ms(500));
    assert!(world.nodes[1].announced > announced, "L4: clients are corrected");
    let lost = world.nodes[0].notices.iter().any(|(_, notice)| matches!(notice, Notice::Conflict { won: false, .. }));
    assert!(lost);
}

#[test]
fn one_way_loss_never_makes_both_answer() {
    for deaf in [0, 1] {
        let mut world = settled(Profile::Fast);
        world.cut = ALL_PATHS.iter().map(|&path| (1 - deaf, path)).collect();
        // Frames on the segment from the unheard node are lost, too, so its answers to probes never
        // arrive.
        world.off_segment[1 - deaf] = deaf == 1;
        world.cut.retain(|&(from, _)| from == 1 - deaf);
        world.run(Duration::from_secs(3));
        world.cut.clear();
        world.off_segment = [false; 2];
        world.run(Duration::from_secs(1));
        assert_eq!(world.answering().len(), 1, "deaf {deaf}");
        assert_eq!(world.double_answers, 0, "deaf {deaf}: the one that hears closes before the other opens");
    }
}

#[test]
fn an_isolated_standby_that_knows_of_neighbours_does_not_promote() {
    let mut world = settled(Profile::Fast);
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.off_segment[1] = true;
    world.run(Duration::from_secs(10));
    assert_eq!(world.answering(), [0]);
    let report = world.nodes[1].engine.as_ref().unwrap().report(world.now);
    assert_eq!(report.groups[0].reason, Reason::Isolated);
    world.run(Duration::from_secs(600));
    assert_eq!(world.answering(), [0, 1], "S6: evidence from ARP delays for a bounded time only");
}

#[test]
fn two_lost_pulses_on_the_only_link_change_nothing() {
    let mut world = settled(Profile::Fast);
    let before = world.changes(1).len();
    for path in ALL_PATHS {
        world.cut.push((0, path));
    }
    world.run(ms(15));
    world.cut.clear();
    world.run(Duration::from_secs(1));
    assert_eq!(world.changes(1).len(), before);
    assert_eq!(world.answering(), [0]);
}

#[test]
fn preempt_takes_the_group_back_after_its_delay() {
    let mut world = World::new(Profile::Fast, 1);
    world.preempt = true;
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1]);
    world.start(0);
    world.run(ms(400));
    assert_eq!(world.answering(), [1]);
    world.run_until_answered_by(0, Duration::from_secs(1));
    assert_eq!(world.double_answers, 0);
}

#[test]
fn a_full_disk_makes_a_node_not_ready_once_its_reservation_is_used() {
    let mut world = settled(Profile::Fast);
    world.nodes[1].disk_works = false;
    world.command(0, 1, Command::Switch(G));
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1], "the reservation from before is still good");
    world.command(1, 1, Command::Switch(G));
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [0]);
    let report = world.nodes[1].engine.as_ref().unwrap().report(world.now);
    assert_eq!(report.groups[0].reason, Reason::NoReservation);
    assert!(world.nodes[1].notices.iter().any(|(_, notice)| *notice == Notice::StoreFailed));
}

#[test]
fn both_agents_killed_and_started_again_settle_on_one() {
    let mut world = settled(Profile::Fast);
    world.kill(0);
    world.kill(1);
    world.run(Duration::from_secs(1));
    assert!(world.answering().is_empty());
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering().len(), 1);
    assert_eq!(world.double_answers, 0);
}

#[test]
fn many_groups_move_together_and_are_learned_in_several_datagrams() {
    let mut world = World::new(Profile::Fast, 100);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(3));
    assert_eq!(world.nodes[0].kernel.open.len(), 100);
    world.command(0, 1, Command::Stop);
    world.run(Duration::from_secs(2));
    assert_eq!(world.nodes[1].kernel.open.len(), 100);
    assert_eq!(world.double_answers, 0);
    world.kill(0);
    world.crash(1);
    world.start(0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.nodes[0].kernel.open.len(), 100);
}

#[test]
fn an_engine_without_an_interface_sleeps_between_pulses() {
    let mut world = World::new(Profile::Fast, 1);
    world.start_without_interface(0);
    world.run(Duration::from_secs(1));
    assert!(world.ticks < 400, "{} wake-ups in a second", world.ticks);
}

#[test]
fn probes_sent_while_isolated_prove_nothing_once_the_segment_is_back() {
    let mut world = settled(Profile::Lan);
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.off_segment[1] = true;
    world.run(Duration::from_secs(1));
    // A loose cable lets one frame through.
    world.off_segment[1] = false;
    world.traffic();
    world.off_segment[1] = true;
    world.run(ms(500));
    assert_eq!(world.answering(), [0]);
    world.off_segment[1] = false;
    world.traffic();
    world.cut.clear();
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [0]);
    assert_eq!(world.double_answers, 0);
}

// S8
#[test]
fn a_consent_from_before_a_stall_opens_nothing() {
    let mut world = settled(Profile::Fast);
    world.suspend(1);
    // Four datagrams fit: enough for those that bring node 0's consent, too few for those that take
    // it back.
    world.nodes[1].backlog_limit = 4;
    world.set_carrier(0, false);
    world.run(ms(30));
    world.set_carrier(0, true);
    world.traffic();
    world.run_until_answered_by(0, Duration::from_secs(2));
    world.resume(1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.double_answers, 0);
    assert_eq!(world.answering(), [0]);
}
