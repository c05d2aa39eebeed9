//! Tests of interfaces that change under a running engine.

use super::world::{ETH, Kernel, World, mac, ms, settled};
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

// S7: a gate that is gone before the interface was told is a gate that is gone
#[test]
fn a_lease_begins_anew_when_an_adopted_gate_is_lost_before_its_interface_was_told() {
    let mut world = settled(Profile::Fast);
    world.run(ms(20));
    world.kill(0);
    world.start_blind(0);
    let kernel = &world.nodes[0].kernel;
    let (until, generation, refused) = (kernel.until, kernel.generation, kernel.refused == kernel.generation);
    let open: Vec<_> = kernel.open.iter().map(|(group, epoch)| (*group, *epoch)).collect();
    world.handle(0, Event::Adopted { interface: ETH, until, generation, refused, open: &open });
    assert_eq!(world.role(0), Role::Active, "adopted");
    world.nodes[0].kernel = Kernel::default();
    tell(&mut world, 0, InterfaceFacts::default());
    world.run(world.timing.lease * 3);
    assert_eq!(world.nodes[0].kernel.generation, 0, "no lease begins without a gate");
    tell(&mut world, 0, whole(0));
    assert_ne!(world.nodes[0].kernel.generation, 0, "the new gate has a lease");
}

// HP-8: silence on a segment counts from when the interface is of use, whatever is told first
#[test]
fn an_interface_whose_gate_is_adopted_before_it_is_told_with_it_is_of_use_from_then_on() {
    let mut world = settled(Profile::Fast);
    world.kill(1);
    world.start_blind(1);
    tell(&mut world, 1, InterfaceFacts { gate: false, ..whole(1) });
    let Kernel { until, generation, .. } = world.nodes[1].kernel;
    world.handle(1, Event::Adopted { interface: ETH, until, generation, refused: false, open: &[] });
    let told = world.now;
    tell(&mut world, 1, whole(1));
    assert_eq!(world.nodes[1].engine.as_ref().unwrap().leases[ETH].serviceable, told);
}
