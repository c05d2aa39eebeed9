//! Tests of frames that come from other cards of the same server.

use super::world::{ETH, World, mac, ms, settled, vip};
use crate::engine::Event;
use crate::timing::Profile;
use crate::types::LinkPath;
use crate::wire::frame::Sighting;
use std::time::Duration;

/// Another card of node 0, on the same segment.
const CARD: usize = 77;

/// How long node 0 alone takes for its first start while its other card answers for the address.
/// `known`: whether it knows that card as its own.
fn first_start_beside_a_card(known: bool) -> (World, Duration) {
    let mut world = World::new(Profile::Fast, 1);
    world.start(0);
    if known {
        world.handle(0, Event::OwnMacs { macs: &[mac(CARD), mac(0)] });
    }
    let begin = world.now;
    while world.answering().is_empty() && world.now.since(begin) < Duration::from_secs(5) {
        let sighting = Sighting::Claim { address: vip(0), mac: mac(CARD), nameless: None };
        world.handle(0, Event::Seen { interface: ETH, sighting });
        world.run(ms(1));
    }
    let took = world.now.since(begin);
    (world, took)
}

// S6
#[test]
fn an_answer_from_a_card_of_our_own_delays_nothing() {
    let (world, took) = first_start_beside_a_card(true);
    assert!(took < world.timing.listen + ms(20), "{took:?}");
    let (_, took) = first_start_beside_a_card(false);
    assert_eq!(took, Duration::from_secs(5), "an unknown one's does");
}

// S8: two servers made from one image may have the same hardware addresses
#[test]
fn a_peers_answer_counts_also_from_a_hardware_address_that_is_our_own() {
    let mut world = settled(Profile::Fast);
    world.handle(1, Event::OwnMacs { macs: &[mac(0), mac(1)] });
    for path in [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)] {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.run(world.timing.veto - ms(50));
    assert_eq!(world.answering(), [0], "the peer answers, and is believed");
}

// HP-8: two cards on one segment hear each other by whatever way is left to one of them
#[test]
fn a_card_of_our_own_is_nobody_whom_we_reach() {
    let mut world = settled(Profile::Lan);
    world.handle(0, Event::OwnMacs { macs: &[mac(CARD), mac(0)] });
    world.off_segment[0] = true;
    let begin = world.now;
    while world.answering() == [0] && world.now.since(begin) < world.timing.patience.reach * 4 {
        world.handle(0, Event::Seen { interface: ETH, sighting: Sighting::Presence { mac: mac(CARD) } });
        world.run(ms(20));
    }
    world.run(ms(100));
    assert_eq!(world.answering(), [1], "it has handed over");
}
