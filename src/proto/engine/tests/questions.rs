//! What is asked on the segment, and what its silence is worth.

use super::world::{ETH, World, ms, settled};
use crate::engine::Command;
use crate::timing::Profile;
use crate::types::{GroupId, LinkPath};
use std::time::Duration;

/// Most frames that a takeover may ask before it opens.
const HANDFUL: usize = 8;

/// A world at rest. `own`: the nodes have addresses of their own; `dropped`: the switch drops
/// questions that name none.
fn behind(own: bool, dropped: bool) -> World {
    let mut world = World::new(Profile::Lan, 1);
    (world.own, world.drops_nameless) = (own, dropped);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(8));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
    world
}

// S8 L1
#[test]
fn agent_that_dies_behind_a_switch_that_drops_questions_without_a_sender_never_lets_both_answer() {
    for (own, dropped) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut world = behind(own, dropped);
        world.run(Duration::from_secs(60));
        world.kill(0);
        let bound = world.timing.listen + world.timing.pulse + world.timing.probe * 10;
        world.run_until_answered_by(1, bound);
        assert_eq!(world.double_answers, 0, "{own} {dropped}");
    }
}

// L1
#[test]
fn lost_host_is_replaced_within_the_bound_where_questions_are_known_to_be_answered() {
    for (own, dropped) in [(true, false), (true, true), (false, false)] {
        let mut world = behind(own, dropped);
        world.crash(0);
        let asked = world.asked[1];
        world.run_until_answered_by(1, world.timing.silence + world.timing.probe);
        let asked = world.asked[1] - asked;
        assert!(asked <= HANDFUL, "{asked} questions for one takeover");
    }
}

// S8: where nobody was ever seen to answer, a lease is waited for
#[test]
fn silence_of_a_question_that_nobody_ever_answered_counts_for_nothing_before_the_lease_is_over() {
    let mut world = behind(false, true);
    world.crash(0);
    world.run(world.timing.lease - ms(1));
    assert_eq!(world.answering(), [] as [usize; 0]);
    world.run_until_answered_by(1, world.timing.listen + world.timing.pulse * 2 - world.timing.lease);
}

// L4: however many groups there are
#[test]
fn takeover_of_many_groups_asks_as_little_as_that_of_one() {
    let mut world = World::new(Profile::Lan, 100);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(8));
    assert_eq!(world.nodes[0].kernel.open.len(), 100);
    let asked = world.asked[1];
    world.crash(0);
    world.run(world.timing.silence + world.timing.probe);
    let asked = world.asked[1] - asked;
    assert_eq!(world.nodes[1].kernel.open.len(), 100);
    assert!(asked <= HANDFUL, "{asked} questions for one takeover");
}

#[test]
fn at_rest_a_question_goes_out_every_few_seconds() {
    let mut world = settled(Profile::Lan);
    world.run(Duration::from_secs(60));
    let before = world.asked;
    world.run(Duration::from_secs(60));
    let asked = [world.asked[0] - before[0], world.asked[1] - before[1]];
    // Twelve times neighbours, of whom there is one.
    assert!(asked.iter().all(|asked| *asked <= 13), "{asked:?} questions in a minute");
}

// S6: questions that are answered become rarer, and a veto ends
#[test]
fn answers_for_a_long_time_are_not_asked_for_all_the_time() {
    let mut world = settled(Profile::Lan);
    for path in [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)] {
        world.cut.extend([(0, path), (1, path)]);
    }
    let before = world.asked[1];
    world.run(Duration::from_secs(2));
    let asked = world.asked[1] - before;
    assert_eq!(world.answering(), [0]);
    assert!(asked < 40, "{asked} questions in two seconds");
}

// S8: a node off the segment asks a neighbour now and then, and at once when somebody is heard
#[test]
fn isolated_node_asks_rarely() {
    let mut world = settled(Profile::Lan);
    world.run(Duration::from_secs(6));
    for path in [LinkPath::Udp(0), LinkPath::Udp(1)] {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.off_segment[1] = true;
    world.run(Duration::from_secs(1));
    let before = world.asked[1];
    world.run(Duration::from_secs(10));
    let asked = world.asked[1] - before;
    assert_eq!(world.answering(), [0]);
    assert!((20..80).contains(&asked), "{asked} questions in ten seconds");
    world.crash(0);
    world.off_segment[1] = false;
    // After so long it asks once in a pulse, and what nobody could answer before counts for nothing.
    world.run_until_answered_by(1, world.timing.patience.slowest + world.timing.pulse * 4);
}

// L1: whoever becomes able to open long after the other has died asks as swiftly as at first
#[test]
fn many_groups_of_a_host_that_was_lost_long_ago_are_taken_soon_after_they_are_paused_no_more() {
    let mut world = World::new(Profile::Wan, 18);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(60));
    let groups = || (0..18).map(GroupId);
    groups().for_each(|group| world.command(1, 1, Command::Pause(group)));
    world.run(Duration::from_secs(5));
    // It is not known that the other serves any, so the silence of each address counts.
    world.set_carrier(0, false);
    world.run(Duration::from_secs(5));
    world.crash(0);
    // Nobody is heard before the group may be opened again.
    world.off_segment[1] = true;
    world.run(Duration::from_secs(60));
    world.off_segment[1] = false;
    assert_eq!(world.answering(), [] as [usize; 0], "it stands aside");
    groups().for_each(|group| world.command(1, 2, Command::Resume(group)));
    let resumed = world.now;
    while world.answering() != [1] {
        world.traffic();
        world.run(ms(100));
        assert!(world.now.since(resumed) < world.timing.probe * 3 * (18 + 3), "{:?}", world.changes(1));
    }
}
