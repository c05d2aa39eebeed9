//! Tests of blindness: a gate of a former life may be open and was not found yet, and what the disk
//! must know of leases. Each test repeats a failure that the simulator found.

use super::world::{World, group_setup, ms, settled};
use crate::engine::Command;
use crate::timing::{Profile, Timing};
use crate::types::MonoTime;
use std::time::Duration;

/// How much of the lease of a node's gate is left.
fn lease_left(world: &World, at: usize) -> Duration {
    world.nodes[at].kernel.until.since(world.now)
}

/// The world's times with another lease.
fn times_with_lease(world: &World, lease: Duration) -> Timing {
    Timing::derive(world.timing.pulse, world.timing.silence, lease)
}

// S7, S8: the node's configured lease is shorter than that of its former life.
#[test]
fn a_start_waits_out_the_lease_of_the_former_life() {
    let mut world = settled(Profile::Wan);
    // Let the right of way end that node 1 gave at the start: node 1 would wait for that long.
    world.run(Duration::from_secs(12));
    world.kill(0);
    assert!(lease_left(&world, 0) > Duration::from_millis(3500));
    world.timing = times_with_lease(&world, Duration::from_secs(3));
    world.start_slowly(0, Duration::from_secs(6));
    world.run(Duration::from_secs(4));
    assert_eq!((world.answering().len(), world.double_answers), (1, 0));
}

// The disk goes on naming the longest lease in the lives that follow.
#[test]
fn a_start_waits_out_the_lease_of_the_life_before_the_former_one() {
    let mut world = settled(Profile::Wan);
    world.kill(0);
    let until = world.nodes[0].kernel.until;
    world.timing = times_with_lease(&world, Duration::from_secs(3));
    world.start_slowly(0, ms(500));
    // A gate that is found would be adopted; this life ends before it is found.
    world.nodes[0].kernel.until = until;
    world.kill(0);
    let known = world.nodes[0].disk.as_ref().unwrap().lease;
    assert_eq!(known, Some(Duration::from_secs(5)), "it may be open until {until:?}");
}

// S8
#[test]
fn no_goodbye_is_said_before_the_gate_is_found() {
    let mut world = settled(Profile::Fast);
    world.kill(0);
    world.run(ms(5));
    world.start_blind(0);
    world.run(ms(30));
    world.command(0, 1, Command::Stop);
    world.run(ms(100));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
    world.run(Duration::from_secs(3));
    assert!(world.nodes[0].exited);
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
}

// S8: a group that is no longer configured may be open in the gate of the former life.
#[test]
fn that_a_starting_peer_does_not_name_a_group_opens_nothing_before_it_has_found_its_gate() {
    let mut world = World::new(Profile::Fast, 2);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering_for(1), [0]);
    world.kill(0);
    world.run(ms(5));
    world.groups = 1;
    world.start_blind(0);
    world.run(ms(100));
    assert_eq!((world.answering_for(1), world.double_answers), (vec![0], 0));
    world.run(ms(500));
    assert_eq!((world.answering_for(1), world.double_answers), (vec![1], 0));
}

// S7
#[test]
fn a_longer_lease_is_used_once_the_disk_knows_of_it() {
    for works in [true, false] {
        let mut world = settled(Profile::Fast);
        world.timing = times_with_lease(&world, ms(500));
        world.nodes[0].disk_works = works;
        world.reload(0, vec![group_setup(0, false)]);
        assert!(lease_left(&world, 0) <= ms(250));
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            world.run(ms(3));
            assert_eq!(world.answering(), [0]);
            longest = longest.max(lease_left(&world, 0));
        }
        assert_eq!(longest > ms(250), works, "{longest:?}");
        let known = world.nodes[0].disk.as_ref().unwrap().lease;
        assert_eq!(known, Some(ms(if works { 500 } else { 250 })));
    }
}

// Pulses are slower than the lease that the disk knows of: it is renewed all the same.
#[test]
fn slower_pulses_do_not_outrun_a_lease_that_waits_for_the_disk() {
    let mut world = settled(Profile::Fast);
    world.nodes[0].disk_works = false;
    world.timing = Timing::of(Profile::Wan);
    world.reload(0, vec![group_setup(0, false)]);
    let before = world.nodes[0].kernel.generation;
    world.run(Duration::from_secs(5));
    assert!(world.nodes[0].kernel.until > MonoTime::ZERO);
    assert_eq!((world.answering(), world.nodes[0].kernel.generation), (vec![0], before));
}
