//! Tests of machines that cannot be told apart: two with one number, two with one hardware address.

use super::world::{ETH, Kernel, World, ms, settled};
use crate::durable::GroupState;
use crate::engine::{Cause, Command, Event, Notice, Presence};
use crate::timing::Profile;
use crate::types::{Epoch, GroupId, LinkId, LinkPath, NodeId};
use crate::wire::pulse::{Reason, Role};
use std::collections::HashMap;
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

/// Why a node is not ready for group 0.
fn reason(world: &World, at: usize) -> Reason {
    world.nodes[at].engine.as_ref().unwrap().report(world.now).groups[0].reason
}

/// How often a node was told that somebody uses its number.
fn told(world: &World, at: usize) -> usize {
    let alarm = |notice: &Notice| matches!(notice, Notice::SameNumber { link: Some(_) });
    world.nodes[at].notices.iter().filter(|(_, notice)| alarm(notice)).count()
}

/// Cuts the nodes apart on every path, or joins them.
fn part(world: &mut World, apart: bool) {
    let all = ALL_PATHS.iter().flat_map(|&path| [(0, path), (1, path)]);
    world.cut = if apart { all.collect() } else { Vec::new() };
    world.off_segment = [apart; 2];
}

/// A world in which both nodes are number 1 and have begun without hearing each other, so both are
/// active.
fn both_active() -> World {
    let mut world = World::new(Profile::Lan, 1);
    world.one_number = true;
    part(&mut world, true);
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(60));
    assert_eq!(world.answering(), [0, 1], "each is alone in its world");
    world
}

// S2 S8: longer than any unauthenticated veto holds
#[test]
fn a_node_that_comes_with_the_number_of_the_active_stays_closed() {
    let mut world = settled(Profile::Lan);
    world.kill(1);
    world.nodes[1].disk = None;
    world.one_number = true;
    world.start(1);
    world.run(Duration::from_secs(60));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
    assert_eq!((reason(&world, 0), reason(&world, 1)), (Reason::None, Reason::SameNumber));
    assert_eq!((told(&world, 0), told(&world, 1)), (1, 1), "one alarm for one cause");
    assert_eq!(world.changes(0).iter().filter(|(role, _)| *role == Role::Active).count(), 1);
}

// S2: one epoch would have two holders
#[test]
fn two_nodes_of_one_number_that_hear_each_other_open_nothing_until_one_is_gone() {
    let mut world = World::new(Profile::Lan, 1);
    world.one_number = true;
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(60));
    assert_eq!((world.answering(), world.double_answers), (Vec::<usize>::new(), 0));
    assert_eq!((reason(&world, 0), reason(&world, 1)), (Reason::SameNumber, Reason::SameNumber));
    assert_eq!((told(&world, 0), told(&world, 1)), (1, 1), "one alarm for one cause");
    world.crash(1);
    world.run_until_answered_by(0, Duration::from_secs(40));
}

// S8: beside a node of our number we say nothing, so the other could not prove that it is back
#[test]
fn who_was_silent_beside_a_node_of_its_number_takes_no_silence_for_death_afterwards() {
    let mut world = World::new(Profile::Lan, 1);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(20));
    assert_eq!(world.answering(), [0]);
    // Node 0 comes back with the number of node 1, and then with its own.
    world.kill(0);
    world.swapped = true;
    world.start(0);
    world.run(ms(100));
    world.kill(0);
    world.swapped = false;
    world.cut = vec![(0, LinkPath::Udp(0)), (0, LinkPath::Udp(1)), (1, LinkPath::Segment(ETH))];
    world.start(0);
    let gone = |world: &World| {
        world.nodes[1].notices.iter().any(|(_, notice)| matches!(notice, Notice::SameNumber { link: None }))
    };
    while !gone(&world) {
        world.traffic();
        world.run(ms(1));
    }
    let presence = world.nodes[1].engine.as_ref().unwrap().report(world.now).peers[0].presence;
    assert_ne!(presence, Presence::Silent, "it had no occasion to be heard");
    world.run(Duration::from_secs(2));
    assert_eq!((world.answering().len(), world.double_answers), (1, 0));
}

// S8: a hook before closing is no reason to stay open beside an open gate of our number
#[test]
fn who_lets_go_of_a_group_closes_at_once_when_one_of_its_number_has_it() {
    let mut world = World::new(Profile::Lan, 1);
    let second = Duration::from_secs(1);
    world.service.before_close = Some(second * 5);
    world.service.ends = [Some((second * 4, true)); 2];
    world.start(0);
    world.start(1);
    world.run(second * 20);
    world.command(0, 1, Command::Switch(GroupId(0)));
    world.run(ms(5));
    assert_eq!(world.role(0), Role::Handover);
    // Node 1 comes back with the number of node 0, and finds what it once opened under that number.
    world.kill(1);
    world.one_number = true;
    let epoch = Epoch::new(9, NodeId(1));
    let held =
        GroupState { seen: epoch, reserve: epoch, held: epoch, ..world.nodes[1].disk.clone().unwrap().groups[0] };
    world.nodes[1].disk.as_mut().unwrap().groups[0] = held;
    let until = world.now + world.timing.lease;
    world.nodes[1].kernel =
        Kernel { until, generation: 1, open: HashMap::from([(GroupId(0), epoch)]), ..Kernel::default() };
    world.start(1);
    assert_eq!((world.role(0), world.role(1)), (Role::Handover, Role::Active));
    world.run(world.timing.pulse * 2);
    assert_eq!((world.role(0), world.role(1)), (Role::Standby, Role::Active));
    assert_eq!(world.changes(0).last(), Some(&(Role::Standby, Cause::SameNumber)));
}

// S8: exactly one goes on within two pulses, whatever is heard first
#[test]
fn of_two_active_nodes_of_one_number_one_goes_on_when_they_hear_each_other() {
    for path in ALL_PATHS {
        let mut world = both_active();
        let others = ALL_PATHS.iter().filter(|other| **other != path);
        let cut: Vec<_> = others.flat_map(|&other| [(0, other), (1, other)]).collect();
        part(&mut world, false);
        world.cut = cut;
        let pulse = world.timing.pulse;
        world.run(pulse * 2);
        let answering = world.answering();
        assert_eq!(answering.len(), 1, "{path:?}");
        let double_answers = world.double_answers;
        world.run(Duration::from_secs(60));
        assert_eq!((world.answering(), world.double_answers), (answering, double_answers), "{path:?}");
    }
}

// S8: the sessions of both are known from before the cut
#[test]
fn of_two_active_nodes_of_one_number_one_goes_on_after_every_cut() {
    let mut world = both_active();
    part(&mut world, false);
    world.run(ms(100));
    let winner = world.answering();
    assert_eq!(winner.len(), 1);
    part(&mut world, true);
    world.run(Duration::from_secs(60));
    assert_eq!(world.answering(), [0, 1], "the loser opens again when nobody is heard");
    part(&mut world, false);
    world.run(ms(100));
    assert_eq!(world.answering(), winner);
}

// S6: nobody lives behind a recording of our own former life, or behind our own words
#[test]
fn recordings_of_our_own_life_close_nothing_and_keep_nobody_from_opening() {
    let mut world = settled(Profile::Lan);
    world.cut.push((0, LinkPath::Udp(1)));
    world.run(Duration::from_secs(1));
    let recorded: Vec<Vec<u8>> = world.lost.iter().map(|(_, _, bytes)| bytes.clone()).collect();
    assert!(recorded.len() > 10);
    world.cut.clear();
    let link = LinkId { peer: NodeId(2), path: LinkPath::Udp(0) };
    for bytes in &recorded {
        world.handle(0, Event::Datagram { link, bytes });
    }
    world.kill(0);
    world.start(0);
    world.run(ms(100));
    for bytes in recorded.iter().cycle().take(300) {
        world.handle(0, Event::Datagram { link, bytes });
        world.run(ms(5));
    }
    assert_eq!((told(&world, 0), told(&world, 1)), (0, 0));
    let rejects = world.nodes[0].engine.as_ref().unwrap().report(world.now).rejects;
    assert_eq!(rejects.own_number, 300);
    assert_eq!(world.answering(), [0]);
    assert_eq!((reason(&world, 0), reason(&world, 1)), (Reason::None, Reason::None));
    assert_eq!(world.double_answers, 0);
}

// S8: an answer for the address cannot be told from our own, so the lease must be over first; L1
#[test]
fn with_one_hardware_address_a_killed_agent_is_followed_when_its_lease_is_over() {
    for profile in [Profile::Lan, Profile::Wan] {
        let mut world = World::new(profile, 1);
        world.one_mac = true;
        world.start(0);
        world.start(1);
        world.traffic();
        world.run(Duration::from_secs(20));
        assert_eq!((world.answering(), reason(&world, 1)), (vec![0], Reason::SameMac));
        world.kill(0);
        let bound = world.timing.listen + world.timing.pulse * 3;
        world.run_until_answered_by(1, bound + Duration::from_secs(1));
        assert_eq!(world.double_answers, 0);
    }
}

// S8: an agent that nobody could hear renewed its lease until it was killed
#[test]
fn with_one_hardware_address_the_lease_counts_from_when_the_interface_is_of_use() {
    let mut world = World::new(Profile::Fast, 1);
    world.one_mac = true;
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(20));
    leave_segment(&mut world);
    let segment = [0, 1].map(|at| (at, LinkPath::Segment(ETH)));
    world.cut.extend(segment);
    world.set_carrier(1, false);
    // It does other things meanwhile.
    for _ in 0..46 {
        world.run(ms(5));
        world.handle(1, Event::Tick);
    }
    world.kill(0);
    world.cut.retain(|way| !segment.contains(way));
    world.set_carrier(1, true);
    for _ in 0..100 {
        world.traffic();
        world.run(ms(5));
    }
    assert_eq!(world.answering(), [1]);
    assert_eq!(world.double_answers, 0);
}

/// Cuts both links between the nodes, and leaves the segment.
fn leave_segment(world: &mut World) {
    world.cut = [0, 1].into_iter().flat_map(|at| [(at, LinkPath::Udp(0)), (at, LinkPath::Udp(1))]).collect();
}

// S8: what goes to our own hardware address leaves by no port of a switch
#[test]
fn with_one_hardware_address_nodes_hear_each_other_on_the_segment_alone() {
    let mut world = World::new(Profile::Lan, 1);
    world.one_mac = true;
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(20));
    assert_eq!(world.answering(), [0]);
    leave_segment(&mut world);
    world.run(Duration::from_secs(60));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S8: neither knows to whom the other's frames go now
#[test]
fn nodes_whose_hardware_addresses_change_at_once_hear_each_other_on_the_segment_alone() {
    let mut world = settled(Profile::Lan);
    leave_segment(&mut world);
    world.run(Duration::from_secs(1));
    world.other_macs = true;
    world.set_carrier(0, true);
    world.set_carrier(1, true);
    world.run(Duration::from_secs(60));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S8: each is heard on a link on which the other hears nothing
#[test]
fn of_two_active_nodes_of_one_number_one_goes_on_although_no_link_works_in_both_directions() {
    let mut world = both_active();
    let segment = LinkPath::Segment(ETH);
    world.cut = vec![(0, LinkPath::Udp(0)), (1, LinkPath::Udp(1)), (0, segment), (1, segment)];
    // The first pulse is heard at the end of the first span.
    world.run(world.timing.pulse * 3);
    let answering = world.answering();
    assert_eq!(answering.len(), 1);
    let double_answers = world.double_answers;
    world.run(Duration::from_secs(60));
    assert_eq!((world.answering(), world.double_answers), (answering, double_answers));
}

// S8: what stayed unanswered while no answer could be told from our own says nothing afterwards
#[test]
fn probes_from_before_our_hardware_address_changed_open_nothing() {
    let mut world = World::new(Profile::Lan, 1);
    world.one_mac = true;
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(20));
    world.kill(0);
    world.run(world.timing.silence - Duration::from_micros(500));
    world.one_mac = false;
    world.set_carrier(1, true);
    world.run_until_answered_by(1, Duration::from_secs(1));
    assert_eq!(world.double_answers, 0, "the lease of node 0 is over first");
}
