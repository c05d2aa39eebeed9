//! A node that was restarted, and hears or is heard badly.

use super::world::{ETH, ms, settled};
use crate::config::Profile;
use crate::types::LinkPath;
use std::time::Duration;

const ALL: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

// S8: the answer to a session that has not proven itself has no rows, so the peer is heard and its hardware address
// is not known: whoever answers a probe may be it.
#[test]
fn a_peer_that_is_heard_and_has_named_no_hardware_address_is_respected() {
    let mut world = settled(Profile::Fast);
    world.kill(1);
    for path in ALL {
        world.cut.push((1, path));
    }
    world.run(ms(50));
    world.start(1);
    world.traffic();
    world.run(ms(35));
    // One datagram of the restarted node gets through, and its answer.
    let sent = |world: &super::world::World| {
        world.nodes[1].engine.as_ref().unwrap().report(world.now).peers[0].links[0].sent
    };
    let before = sent(&world);
    world.cut.retain(|&(_, path)| path != LinkPath::Udp(0));
    while sent(&world) == before {
        world.run(Duration::from_micros(10));
    }
    world.cut = ALL.iter().map(|&path| (1, path)).collect();
    world.run(Duration::from_micros(150));
    for path in ALL {
        world.cut.push((0, path));
    }
    let peer = world.nodes[1].engine.as_ref().unwrap().report(world.now).peers[0].clone();
    assert!(peer.links.iter().any(|link| link.received > 0), "it is heard: {peer:?}");
    world.run(ms(1500));
    assert_eq!((world.answering(), world.both), (vec![0], 0));
}
