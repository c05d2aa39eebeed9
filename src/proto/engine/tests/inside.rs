//! Tests of machines inside the server, which share its segment behind ports of its bridge: all is as
//! if they were not there, but for what they claim.

use super::world::{ETH, World, mac, ms, settled, vip};
use crate::engine::{Cause, Event};
use crate::timing::Profile;
use crate::types::{LinkPath, MacAddr};
use crate::wire::frame::Sighting;
use crate::wire::pulse::{Reason, Role};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// A machine inside a server.
const MACHINE: usize = 50;

/// Lets a node hear a machine that names its own address.
fn chatter(world: &mut World, at: usize, machine: usize) {
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 50));
    world.handle(
        at,
        Event::Seen { interface: ETH, sighting: Sighting::Claim { address, mac: mac(machine), nameless: None } },
    );
}

/// Tells a node who is inside.
fn tell(world: &mut World, at: usize, macs: &[MacAddr]) {
    world.handle(at, Event::InsideMacs { interface: ETH, macs });
}

/// Lets time pass while a node hears a machine every few milliseconds; ends when another answers.
fn run_beside(world: &mut World, at: usize, machine: usize, span: Duration) -> Duration {
    let (begin, answering) = (world.now, world.answering());
    while world.now.since(begin) < span && world.answering() == answering {
        chatter(world, at, machine);
        world.run(ms(3));
    }
    world.now.since(begin)
}

/// Takes all paths between the nodes away; a node is off the segment as well.
fn cut_off(world: &mut World, at: usize) {
    for path in [LinkPath::Udp(0), LinkPath::Udp(1)] {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.off_segment[at] = true;
}

// S8
#[test]
fn a_standby_that_hears_machines_inside_itself_alone_takes_nothing_over() {
    for known in [true, false] {
        let mut world = settled(Profile::Lan);
        chatter(&mut world, 1, MACHINE);
        if known {
            tell(&mut world, 1, &[mac(MACHINE)]);
        }
        run_beside(&mut world, 1, MACHINE, Duration::from_secs(2));
        cut_off(&mut world, 1);
        run_beside(&mut world, 1, MACHINE, Duration::from_secs(20));
        let takes = world.nodes[1].kernel.answers(crate::types::GroupId(0), world.now);
        assert_eq!(takes, !known, "a machine that nobody knows to be inside is one outside");
        if known {
            assert_eq!((world.answering(), world.reason(1)), (vec![0], Reason::Isolated));
        }
    }
}

// L1
#[test]
fn beside_machines_inside_a_takeover_takes_as_long_as_without() {
    let mut took = Vec::new();
    for beside in [true, false] {
        let mut world = settled(Profile::Lan);
        if beside {
            tell(&mut world, 1, &[mac(MACHINE)]);
            run_beside(&mut world, 1, MACHINE, ms(500));
        } else {
            world.run(ms(500));
        }
        world.crash(0);
        let begin = world.now;
        while world.answering() != [1] && world.now.since(begin) < Duration::from_secs(5) {
            if beside {
                chatter(&mut world, 1, MACHINE);
            }
            world.run(ms(1));
        }
        took.push(world.now.since(begin));
    }
    assert!(took[0] <= took[1] + ms(60), "{took:?}");
}

// L1: nobody but the peer is known outside, so its silence is the only sign there is
#[test]
fn a_pair_whose_only_neighbours_are_inside_is_a_pair_without_neighbours() {
    let mut world = World::new(Profile::Lan, 1);
    world.bystander = false;
    world.start(0);
    world.start(1);
    tell(&mut world, 1, &[mac(MACHINE)]);
    run_beside(&mut world, 1, MACHINE, Duration::from_secs(2));
    assert_eq!((world.answering(), world.role(1)), (vec![0], Role::Standby));
    world.crash(0);
    run_beside(&mut world, 1, MACHINE, Duration::from_secs(2));
    assert_eq!(world.answering(), [1]);
}

// L1, L5: it was a neighbour for some moments
#[test]
fn a_machine_heard_before_it_is_known_to_be_inside_does_not_isolate_a_node_that_starts_alone() {
    for delay in [1, 20, 150, 400] {
        let mut world = World::new(Profile::Lan, 1);
        world.bystander = false;
        world.start(1);
        world.run(ms(10));
        chatter(&mut world, 1, MACHINE);
        world.run(ms(delay));
        tell(&mut world, 1, &[mac(MACHINE)]);
        let bound = world.timing.listen + world.timing.election + Duration::from_secs(1);
        let took = world.run_until_answered_by(1, bound);
        assert!(took < bound, "{delay} ms: {took:?}");
    }
}

// S8: a neighbour of long standing does not turn a silent segment into one without neighbours
#[test]
fn a_neighbour_that_turns_up_inside_while_the_peer_is_asked_is_still_missed() {
    let mut world = settled(Profile::Lan);
    world.run(Duration::from_secs(3));
    cut_off(&mut world, 1);
    world.run(ms(120));
    tell(&mut world, 1, &[mac(9)]);
    run_beside(&mut world, 1, 9, Duration::from_secs(20));
    assert_eq!((world.answering(), world.reason(1)), (vec![0], Reason::Isolated));
    // While all is well it is one of those that do not count.
    let mut world = settled(Profile::Lan);
    world.run(Duration::from_secs(3));
    tell(&mut world, 1, &[mac(9)]);
    let engine = world.nodes[1].engine.as_ref().unwrap();
    assert_eq!(engine.neighbours(ETH).count(), 0);
}

// S8: neighbours are not forgotten because nobody has been reached for long
#[test]
fn a_standby_that_reached_nobody_for_minutes_takes_nothing_over_when_its_links_go_too() {
    let mut world = settled(Profile::Lan);
    world.off_segment[1] = true;
    world.run(Duration::from_secs(200));
    assert_eq!((world.answering(), world.reason(1)), (vec![0], Reason::Unreached));
    cut_off(&mut world, 1);
    world.run(Duration::from_secs(20));
    assert_eq!(world.answering(), [0]);
    // Back among others, it does what a standby is for.
    world.off_segment[1] = false;
    world.traffic();
    world.crash(0);
    let took = world.run_until_answered_by(1, Duration::from_secs(10));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

// L2: a neighbour's frame comes before the peer's answer
#[test]
fn a_standby_that_is_back_after_a_long_time_asks_before_it_takes_over() {
    for away in [1, 3, 8, 60] {
        let mut world = settled(Profile::Lan);
        let changes = world.changes(0).len();
        cut_off(&mut world, 1);
        world.run(Duration::from_secs(away));
        assert_eq!(world.answering(), [0], "away for {away} s");
        world.off_segment[1] = false;
        world.cut.clear();
        world.traffic();
        world.run(Duration::from_secs(3));
        assert_eq!((world.answering(), world.changes(0).len()), (vec![0], changes), "away for {away} s");
        assert_eq!((world.role(1), world.reason(1)), (Role::Standby, Reason::None), "away for {away} s");
    }
}

// L1: when it is back, and the active is not, it is as quick as ever
#[test]
fn a_standby_that_is_back_takes_over_from_an_active_that_is_gone() {
    let mut world = settled(Profile::Lan);
    cut_off(&mut world, 1);
    world.run(Duration::from_secs(3));
    world.crash(0);
    world.run(Duration::from_secs(1));
    world.off_segment[1] = false;
    world.cut.clear();
    world.traffic();
    let took = world.run_until_answered_by(1, Duration::from_secs(2));
    assert!(took < ms(250), "{took:?}");
}

// HP-8
#[test]
fn an_active_that_hears_machines_inside_itself_alone_reaches_nobody() {
    let mut world = settled(Profile::Lan);
    tell(&mut world, 0, &[mac(MACHINE)]);
    run_beside(&mut world, 0, MACHINE, Duration::from_secs(2));
    world.off_segment[0] = true;
    let bound = world.timing.patience.reach * 4;
    run_beside(&mut world, 0, MACHINE, bound);
    assert!(world.changes(0).contains(&(Role::Handover, Cause::Lacks)), "{:?}", world.changes(0));
}

// S1: whoever claims the address has it for clients
#[test]
fn a_machine_inside_that_claims_the_address_is_answered_and_believed() {
    let claim = Sighting::Claim { address: vip(0), mac: mac(MACHINE), nameless: None };
    let mut world = settled(Profile::Lan);
    tell(&mut world, 0, &[mac(MACHINE)]);
    world.run(ms(500));
    let announced = world.nodes[0].announced;
    world.handle(0, Event::Seen { interface: ETH, sighting: claim });
    world.run(ms(1));
    assert!(world.nodes[0].announced > announced, "the active corrects what clients have learned");
    // A standby that finds the address answered does not open.
    let mut world = World::new(Profile::Fast, 1);
    world.start(0);
    tell(&mut world, 0, &[mac(MACHINE)]);
    let begin = world.now;
    while world.answering().is_empty() && world.now.since(begin) < Duration::from_secs(5) {
        world.handle(0, Event::Seen { interface: ETH, sighting: claim });
        world.run(ms(1));
    }
    assert_eq!(world.now.since(begin), Duration::from_secs(5));
}

// S8: a peer may run on the same machine
#[test]
fn a_peers_answer_counts_also_from_inside() {
    let mut world = settled(Profile::Lan);
    tell(&mut world, 1, &[mac(0)]);
    for path in [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)] {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.run(world.timing.veto - ms(50));
    assert_eq!(world.answering(), [0], "the peer answers, and is believed");
    // Its frames also say that somebody is reached.
    let mut world = settled(Profile::Lan);
    tell(&mut world, 1, &[mac(0)]);
    world.off_segment[1] = true;
    let claim = Sighting::Claim { address: vip(0), mac: mac(0), nameless: None };
    for _ in 0..60 {
        world.handle(1, Event::Seen { interface: ETH, sighting: claim });
        world.run(ms(100));
    }
    assert_eq!(world.reason(1), Reason::None);
}

// S8, L1: clients come through the gateway, wherever it is
#[test]
fn a_gateway_inside_is_life() {
    let mut world = settled(Profile::Lan);
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
    world.handle(1, Event::Anchor { interface: ETH, address, mac: Some(mac(9)) });
    tell(&mut world, 1, &[mac(9), mac(MACHINE)]);
    assert_eq!(world.nodes[1].engine.as_ref().unwrap().neighbours(ETH).count(), 1);
    world.crash(0);
    let took = world.run_until_answered_by(1, Duration::from_secs(2));
    assert!(took < Duration::from_secs(1), "{took:?}");
}
