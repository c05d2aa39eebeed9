//! Tests of timers: status names what a group waits for, and until when.

use super::world::{World, ms, settled};
use crate::engine::{Engine, Timer};
use crate::timing::Profile;
use crate::types::{GroupId, MonoTime};

/// The timer of the world's only group that ends next, and when; also checks that status shows the
/// same.
fn next_timer(world: &World, node: usize) -> Option<(Timer, MonoTime)> {
    let engine: &Engine = world.nodes[node].engine.as_ref().expect("it runs");
    let timer = engine.next_timers().next().map(|(group, timer, when)| {
        assert_eq!(group, GroupId(0));
        (timer, when)
    });
    assert_eq!(timer, engine.report(world.now).groups[0].timer, "status says the same");
    timer
}

#[test]
fn a_node_that_listens_says_until_when() {
    let mut world = World::new(Profile::Lan, 1);
    world.start(0);
    world.run(ms(20));
    let (timer, when) = next_timer(&world, 0).expect("it waits");
    assert_eq!(timer, Timer::Listening);
    let engine = world.nodes[0].engine.as_ref().unwrap();
    assert_eq!(engine.report(world.now).groups[0].since + world.timing.listen, when);
}

#[test]
fn an_active_waits_for_its_next_announcement_and_a_standby_for_nothing() {
    let mut world = settled(Profile::Lan);
    world.run(ms(30_000));
    assert_eq!(next_timer(&world, 0).map(|(timer, _)| timer), Some(Timer::Announce));
    assert_eq!(next_timer(&world, 1), None, "it waits for the active to need it, which no clock tells");
}
