//! Tests of interfaces that change under a running engine.

use super::world::{ETH, World, mac, ms, settled};
use crate::engine::{Event, InterfaceFacts};
use crate::timing::Profile;
use crate::types::GroupId;
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

/// What a node is told of its interface while all is well.
fn whole(at: usize) -> InterfaceFacts {
    InterfaceFacts { exists: true, enslaved: false, carrier: true, mac: mac(at), gate: true }
}

/// Tells an engine of its interface, and lets it do what follows.
fn tell(world: &mut World, at: usize, facts: InterfaceFacts) {
    world.handle(at, Event::Interface { interface: ETH, facts });
    world.run(ms(1));
}

// L4
#[test]
fn a_new_hardware_address_is_announced_at_once_and_told_to_the_peer() {
    let mut world = settled(Profile::Lan);
    world.run(Duration::from_secs(10));
    let before = world.nodes[0].announced;
    tell(&mut world, 0, whole(0));
    assert_eq!(world.nodes[0].announced, before, "nothing has changed");
    tell(&mut world, 0, InterfaceFacts { mac: mac(7), ..whole(0) });
    assert_eq!(world.nodes[0].announced, before + 1);
    world.run(Duration::from_secs(6));
    assert_eq!(world.nodes[0].announced, before + 5, "a whole round");
    let engine = world.nodes[1].engine.as_ref().expect("it runs");
    let row = engine.peers.iter().find_map(|peer| peer.row(GroupId(0)));
    assert_eq!(row.map(|row| row.mac), Some(mac(7)));
}

// L4: a standby has nothing to announce
#[test]
fn a_new_hardware_address_of_a_standby_is_announced_when_it_opens() {
    let mut world = settled(Profile::Lan);
    tell(&mut world, 1, InterfaceFacts { mac: mac(7), ..whole(1) });
    assert_eq!(world.nodes[1].announced, 0);
}

// HP-8
#[test]
fn a_group_on_a_port_of_a_bridge_goes_to_the_peer_and_comes_back_when_it_is_free() {
    let mut world = settled(Profile::Lan);
    tell(&mut world, 0, InterfaceFacts { enslaved: true, ..whole(0) });
    assert_eq!((world.role(0), world.reason(0)), (Role::Fault, Reason::Enslaved));
    world.run(ms(20));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
    tell(&mut world, 0, whole(0));
    world.run(ms(200));
    assert_eq!((world.role(0), world.reason(0)), (Role::Standby, Reason::None));
}

// S7: whoever is adopted on a port does not wait for confirmation
#[test]
fn an_adopted_group_on_a_port_of_a_bridge_closes_at_once() {
    let mut world = settled(Profile::Fast);
    world.run(ms(20));
    world.kill(0);
    world.start_without_carrier(0);
    assert_eq!(world.role(0), Role::Active, "adopted");
    tell(&mut world, 0, InterfaceFacts { enslaved: true, ..whole(0) });
    assert_eq!(world.role(0), Role::Fault);
}
