//! Tests of paths that lose long datagrams in silence, and of links that refuse them.

use super::world::{ETH, World, ms, settled};
use crate::engine::{Event, Notice};
use crate::timing::Profile;
use crate::types::{LinkId, LinkPath, NodeId};
use crate::wire::pulse::Role;
use std::time::Duration;

/// A world of 40 groups, whose paths lose what is longer than `widest`, after a while.
fn narrow(profile: Profile, widest: usize) -> World {
    let mut world = World::new(profile, 40);
    world.widest = widest;
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(10));
    world
}

// S8 L5: each node hears the other from the beginning, and knows of every group before long
#[test]
fn a_path_that_loses_long_datagrams_carries_a_pair_of_many_groups() {
    for widest in [548, 260] {
        let mut world = narrow(Profile::Lan, widest);
        for group in 0..40 {
            assert_eq!(world.answering_for(group).len(), 1, "group {group}, {widest} bytes");
        }
        assert_eq!(world.double_answers, 0, "{widest} bytes");
        world.crash(0);
        world.run(ms(600));
        for group in 0..40 {
            assert_eq!(world.answering_for(group), [1], "group {group}, {widest} bytes");
        }
        assert_eq!(world.double_answers, 0, "{widest} bytes");
    }
}

// L2: a path becomes narrow while all rows are to be told anew
#[test]
fn a_path_that_becomes_narrow_makes_nobody_silent() {
    let mut world = narrow(Profile::Lan, 1200);
    let before = world.changes(0).len();
    world.widest = 300;
    world.kill(1);
    world.start(1);
    world.run(Duration::from_secs(5));
    assert_eq!(world.changes(0).len(), before);
    assert_eq!(world.role(1), Role::Standby);
    assert!(
        world.nodes[1].engine.as_ref().unwrap().report(world.now).groups.iter().all(|group| group.peer.is_some())
    );
    assert_eq!(world.double_answers, 0);
}

#[test]
fn what_a_link_refuses_is_sent_again_at_once_in_shorter_datagrams_and_told_once() {
    let mut world = narrow(Profile::Lan, 1200);
    world.widest = 600;
    world.kill(1);
    world.start(1);
    let link = LinkId { peer: NodeId(2), path: LinkPath::Udp(0) };
    for bytes in [1174, 1174, 652] {
        world.handle(0, Event::TooLarge { link, bytes });
    }
    let report = world.nodes[0].engine.as_ref().unwrap().report(world.now);
    let told = report.peers[0].links.iter().find(|known| known.id == link).expect("it is there");
    assert_eq!((told.too_large, told.longest), (3, Some(130 + 4 * 58)));
    let notices = world.nodes[0].notices.iter().filter(|(_, notice)| matches!(notice, Notice::TooLarge { .. }));
    assert_eq!(notices.count(), 1);
    world.run(ms(200));
    assert_eq!(world.double_answers, 0);
}

/// Number of datagrams that node 0 has sent to its peer.
fn sent(world: &World) -> u64 {
    let report = world.nodes[0].engine.as_ref().unwrap().report(world.now);
    report.peers[0].links.iter().map(|link| link.sent).sum()
}

// S6: the question that a refusal leads to is refused as well, while another link brings the answer
#[test]
fn a_link_on_which_nobody_listens_is_asked_about_once_in_a_pulse() {
    let mut world = settled(Profile::Lan);
    let link = LinkId { peer: NodeId(2), path: LinkPath::Udp(1) };
    let (before, start) = (sent(&world), world.now);
    while world.now.since(start) < world.timing.pulse * 10 {
        world.handle(0, Event::Refused { link });
        world.run(std::time::Duration::from_micros(200));
    }
    let datagrams = sent(&world) - before;
    assert!(datagrams <= 60, "{datagrams} in ten pulses on two links and a segment");
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S8: who is not heard learns of no loss, so it tells a few rows in short datagrams, others each time
#[test]
fn many_rows_get_through_a_narrow_path_on_which_nothing_comes_back() {
    // Nobody else was ever heard on the segment, so its silence holds nothing back.
    let mut world = World::new(Profile::Lan, 40);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(10));
    assert!((0..40).all(|group| world.answering_for(group).len() == 1));
    // Node 1 hears node 0 no more, and takes all that it cannot ask for.
    world.widest = 260;
    world.off_segment = [true; 2];
    world.cut = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)].map(|path| (0, path)).to_vec();
    world.run(Duration::from_secs(5));
    for group in 0..40 {
        let answering = world.answering_for(group);
        assert!(answering.len() <= 1, "group {group}: {answering:?}");
    }
}
