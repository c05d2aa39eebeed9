//! Tests of the right of way: a node that has consented waits for the other to open, also when the
//! other falls silent.

use super::world::{World, group_setup, ms};
use crate::engine::GroupSetup;
use crate::timing::{Profile, Timing};
use crate::types::{Epoch, NodeId};
use std::time::Duration;

/// Suspends node 0, whose configured lease is `lease`, as soon as node 1 has consented to its
/// claim, and checks that node 1 opens only when that lease must be over.
fn stop_with_the_right_of_way(lease: Duration) {
    let mut world = World::new(Profile::Fast, 1);
    let own = world.timing;
    world.timing = Timing::derive(own.pulse, own.silence, lease);
    let listen = world.timing.listen;
    world.start(0);
    world.timing = own;
    world.start(1);
    world.traffic();
    let start = world.now;
    let consent = |world: &World| world.nodes[1].engine.as_ref().unwrap().groups.list[0].consent;
    while consent(&world) == Epoch::NONE {
        assert!(world.now.since(start) < Duration::from_secs(2), "node 1 consents to the claim of node 0");
        world.run(Duration::from_micros(10));
    }
    world.suspend(0);
    assert!(world.answering().is_empty());
    world.run(listen);
    assert!(world.answering().is_empty(), "node 0 may have written its lease just before it was stopped");
    world.run_until_answered_by(1, ms(500));
    world.resume(0);
    world.run(ms(500));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
}

// S8: the other may be stopped between its decision to open and the store that does it, with a
// lease that still runs.
#[test]
fn a_peer_that_falls_silent_with_the_right_of_way_is_given_the_time_of_its_lease() {
    stop_with_the_right_of_way(ms(250));
}

// The lease that counts is the one that the peer has told, if the configurations differ.
#[test]
fn a_peer_whose_lease_is_longer_is_given_the_time_of_that() {
    stop_with_the_right_of_way(ms(1000));
}

// L5: each node prefers itself, and their claims cross. The witnesses have met the higher one first,
// and the node whose it is has consented to the lower one meanwhile.
#[test]
fn a_claimant_does_not_yield_to_one_that_has_consented_to_it() {
    for (witnesses, micros) in [(1, 10), (1, 30), (3, 10), (3, 30)] {
        let mut world = World::voted(Profile::Wan, 1, witnesses);
        (0..witnesses).for_each(|at| world.start_witness(at));
        // So long a witness abstains that was never told anything.
        world.run(Duration::from_secs(200));
        world.start(1);
        world.run(Duration::from_micros(micros));
        world.start(0);
        let start = world.now;
        world.run(ms(100));
        world.reload(1, vec![GroupSetup { prefer: NodeId(2), ..group_setup(0, false) }]);
        world.place_addresses(1);
        world.traffic();
        while world.answering().is_empty() && world.now.since(start) < Duration::from_secs(20) {
            world.run(ms(1));
        }
        let waited = world.now.since(start);
        assert!(waited < world.timing.abstain + world.timing.pulse * 2, "{witnesses} witnesses: {waited:?}");
        world.run(Duration::from_secs(20));
        assert_eq!((world.answering().len(), world.double_answers), (1, 0));
    }
}
