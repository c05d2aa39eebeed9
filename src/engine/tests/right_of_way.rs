//! Who has consented waits for the other to open, also when the other falls silent over it.

use super::world::{World, ms};
use crate::config::Profile;
use crate::types::Epoch;
use std::time::Duration;

// S8: the other may be stopped between its decision to open and the store that does it, with a lease that still runs.
#[test]
fn a_peer_that_falls_silent_with_the_right_of_way_is_given_the_time_of_its_lease() {
    let mut world = World::new(Profile::Fast, 1);
    world.start(0);
    world.start(1);
    world.traffic();
    let start = world.now;
    let consent = |world: &World| world.nodes[1].engine.as_ref().unwrap().groups[0].consent;
    while consent(&world) == Epoch::NONE {
        assert!(world.now.since(start) < Duration::from_secs(2), "node 1 consents to the claim of node 0");
        world.run(Duration::from_micros(10));
    }
    world.stop(0);
    assert!(world.answering().is_empty());
    world.run(world.timing.listen);
    assert!(world.answering().is_empty(), "node 0 may have written its lease just before it was stopped");
    world.run_until_answered_by(1, ms(500));
    world.resume(0);
    world.run(ms(500));
    assert_eq!((world.answering(), world.both), (vec![1], 0));
}
