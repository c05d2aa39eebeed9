//! Tests of restarts of a node that hears badly, is heard badly, or has lost its state.

use super::world::{ETH, ms, settled};
use crate::engine::Command;
use crate::timing::Profile;
use crate::types::{GroupId, LinkPath};
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

// S8: the answer to a session that has not proven itself has no rows, so the peer is heard and its
// hardware address is not known: whoever answers a probe may be it.
#[test]
fn a_peer_that_is_heard_and_has_named_no_hardware_address_is_respected() {
    let mut world = settled(Profile::Fast);
    world.kill(1);
    for path in ALL_PATHS {
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
    world.cut = ALL_PATHS.iter().map(|&path| (1, path)).collect();
    world.run(Duration::from_micros(150));
    for path in ALL_PATHS {
        world.cut.push((0, path));
    }
    let peer = world.nodes[1].engine.as_ref().unwrap().report(world.now).peers[0].clone();
    assert!(peer.links.iter().any(|link| link.received > 0), "it is heard: {peer:?}");
    world.run(ms(1500));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S2
#[test]
fn a_restarted_node_consents_to_nothing_below_what_it_may_have_held() {
    let mut world = settled(Profile::Fast);
    world.command(0, 1, Command::Switch(GroupId(0)));
    world.run(ms(500));
    assert_eq!(world.answering(), [1]);
    // Node 1 loses and wins the group again while node 0 is suspended.
    world.suspend(0);
    world.nodes[0].backlog_limit = 0;
    world.nodes[1].disk_works = false;
    world.set_carrier(1, false);
    world.run(ms(5));
    assert_eq!(world.answering(), [0; 0]);
    world.set_carrier(1, true);
    world.run_until_answered_by(1, Duration::from_secs(2));
    let used = world.nodes[1].kernel.open[&GroupId(0)];
    // Node 1's disk knows that the epoch was reserved, not that it was used.
    world.crash(1);
    world.nodes[1].disk_works = true;
    world.resume(0);
    world.start(1);
    world.run(Duration::from_secs(5));
    let [owner] = world.answering()[..] else { panic!("nobody, or both: {:?}", world.answering()) };
    let epoch = world.nodes[owner].kernel.open[&GroupId(0)];
    assert!(epoch > used, "node {owner} is active with {epoch} after {used}");
}

// L2: each start counts what was reserved before as used, for it may have been; that is no reason
// to take anything away.
#[test]
fn a_standby_that_starts_again_and_again_takes_nothing_from_the_active() {
    let mut world = settled(Profile::Fast);
    let before = world.changes(0).len();
    for _ in 0..4 {
        world.kill(1);
        world.run(ms(5));
        world.start(1);
        world.run(Duration::from_secs(1));
        assert_eq!(world.answering(), [0]);
    }
    assert_eq!(world.changes(0).len(), before, "{:?}", world.changes(0));
}

// S2, S7: the next life would take the little that is known meanwhile for the whole state.
#[test]
fn a_damaged_state_is_not_overwritten_before_a_peer_has_told_its_epochs() {
    let mut world = settled(Profile::Fast);
    world.crash(0);
    world.run(Duration::from_secs(1));
    world.kill(1);
    world.nodes[0].disk = None;
    world.nodes[0].damaged = true;
    world.start(0);
    world.command(0, 1, Command::Pause(GroupId(0)));
    world.run(Duration::from_secs(1));
    assert!(world.nodes[0].disk.is_none(), "{:?}", world.nodes[0].disk);
    world.start(1);
    world.run(Duration::from_secs(1));
    let [group] = world.nodes[0].disk.as_ref().unwrap().groups[..] else { panic!("there is one group") };
    assert!(group.paused && group.reserve > group.seen, "it is mended, and nothing was forgotten: {group:?}");
}

// S8, L5: what was acknowledged to a former life is not to be taken for an acknowledgement by the
// next, which would tell nothing then, and go on answering beside a peer that does not know of it.
#[test]
fn the_answer_to_a_new_session_acknowledges_nothing_of_the_one_before() {
    let mut world = settled(Profile::Fast);
    world.kill(1);
    world.run(ms(50));
    world.start(1);
    let believed = |world: &super::world::World| {
        let engine = world.nodes[1].engine.as_ref().unwrap();
        engine.view_peer(0, world.now).verified.map(|_| engine.view_peer(0, world.now).acked)
    };
    let start = world.now;
    let acked = loop {
        if let Some(acked) = believed(&world) {
            break acked;
        }
        assert!(world.now.since(start) < ms(100), "it is heard");
        world.run(Duration::from_micros(10));
    };
    assert_eq!(acked, 0);
    world.run(ms(50));
    let told = world.nodes[1].engine.as_ref().unwrap().view_peer(0, world.now).acked;
    assert!(told > 0, "the whole table is told and acknowledged");
}
