//! Tests of an address that somebody else answers for: whatever is decided, people are told who.

use super::world::{ETH, World, mac, ms, settled, vip};
use crate::engine::{Event, Notice};
use crate::timing::Profile;
use crate::types::MacAddr;
use crate::wire::frame::Sighting;
use crate::wire::pulse::Role;
use std::time::Duration;

/// The hardware address of a host that has the service address as its own.
const HOST: usize = 7;

/// Lets `span` pass, while the host answers for the address of group 0 every 2 ms at node 1.
fn run_beside_a_host(world: &mut World, span: Duration) {
    for _ in 0..span.as_millis() / 2 {
        let sighting = Sighting::Claim { address: vip(0), mac: mac(HOST), nameless: None };
        world.handle(1, Event::Seen { interface: ETH, sighting });
        world.traffic();
        world.run(ms(2));
    }
}

/// Who else answers for group 0, by the status of node 1.
fn answered_by(world: &World) -> Option<MacAddr> {
    world.nodes[1].engine.as_ref().unwrap().report(world.now).groups[0].answered_by
}

/// How often node 1 has told people that it took the address although the host answers.
fn told(world: &World) -> usize {
    let told = |(_, notice): &&_| matches!(notice, Notice::StillAnswered { mac: who, .. } if *who == mac(HOST));
    world.nodes[1].notices.iter().filter(told).count()
}

// S6: nobody but the peer itself holds a takeover from a known peer up.
#[test]
fn who_takes_an_address_that_a_stranger_answers_for_names_the_stranger() {
    let mut world = settled(Profile::Fast);
    assert_eq!(answered_by(&world), None, "a peer that is heard is nobody else");
    world.crash(0);
    run_beside_a_host(&mut world, ms(100));
    assert_eq!((world.role(1), told(&world), answered_by(&world)), (Role::Active, 1, Some(mac(HOST))));
    world.run(Duration::from_secs(61));
    assert_eq!(answered_by(&world), None, "it is not seen any more");
}

// S6: before the peer was heard anybody may be it, for a bounded time.
#[test]
fn who_waits_for_an_address_that_is_answered_names_who_answers() {
    let mut world = World::new(Profile::Fast, 1);
    world.start(1);
    let veto = world.timing.patience.first_veto;
    run_beside_a_host(&mut world, veto - ms(100));
    assert_eq!((world.role(1), told(&world), answered_by(&world)), (Role::Standby, 0, Some(mac(HOST))));
    run_beside_a_host(&mut world, ms(1000));
    assert_eq!((world.role(1), told(&world), answered_by(&world)), (Role::Active, 1, Some(mac(HOST))));
}

// S6
#[test]
fn a_takeover_that_nobody_answers_names_nobody() {
    let mut world = settled(Profile::Fast);
    world.crash(0);
    world.run(Duration::from_secs(1));
    assert_eq!((world.answering(), told(&world), answered_by(&world)), (vec![1], 0, None));
}
