//! Tests of a deaf peer, which is heard and does not hear us: only the node that hears knows of
//! both.

use super::world::{ETH, World, group_setup, ms, settled};
use crate::timing::Profile;
use crate::types::LinkPath;
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

/// Cuts everything that node `from` sends; the other direction stays.
fn mute(world: &mut World, from: usize) {
    world.cut.extend(ALL_PATHS.map(|path| (from, path)));
    world.off_segment[from] = true;
}

// S8: the former active slept through a takeover and hears nothing of it. Its reservation is below
// the epoch in use.
#[test]
fn an_active_closes_on_the_last_claim_of_a_deaf_peer_also_when_its_epoch_is_higher() {
    let mut world = settled(Profile::Fast);
    // Node 1 gets a reserve far above: each life reserves above what the one before had reserved.
    for _ in 0..2 {
        world.kill(1);
        world.start(1);
        world.run(Duration::from_secs(1));
    }
    world.nodes[0].backlog_limit = 0;
    world.suspend(0);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1]);
    let used = world.nodes[1].kernel.open.values().max().copied().unwrap();
    mute(&mut world, 1);
    world.run(ms(1));
    // Node 0 opens below the epoch that node 1 has used, of which it cannot know: the world must
    // not take that for a breach of S2.
    world.highest.clear();
    world.resume(0);
    world.traffic();
    world.run_until_answered_by(0, Duration::from_secs(1));
    assert!(world.nodes[0].kernel.open.values().all(|epoch| *epoch < used), "it has not heard of {used}");
    world.run(Duration::from_secs(1));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S8: after a change of the set of groups the table of the peer is asked for anew, and it does not
// hear that.
#[test]
fn a_claim_of_a_deaf_peer_is_heeded_while_its_table_is_wanted_anew() {
    // Up to 18 groups node 0 tells its whole table in one datagram; with more it goes on after the
    // last acknowledged row.
    for groups in [1, 20] {
        let mut world = World::new(Profile::Fast, groups);
        world.start(0);
        world.start(1);
        world.traffic();
        world.run(Duration::from_secs(2));
        assert_eq!(world.answering(), [0]);
        mute(&mut world, 0);
        world.reload(0, (0..=groups).map(|group| group_setup(group, false)).collect());
        world.run(ms(500));
        assert_eq!((world.answering(), world.double_answers), (vec![1], 0), "{groups} groups");
    }
}

// S8: each direction has a way of its own, and an agent is started anew within the lease of its gate.
// An answer by the way of the question reaches nobody.
#[test]
fn a_restarted_active_that_is_heard_by_another_way_than_it_hears_is_known_within_two_pulses() {
    for phase in 0..10 {
        let mut world = settled(Profile::Fast);
        world.kill(0);
        world.off_segment[0] = true;
        while world.answering() == [0] {
            world.run(ms(1));
        }
        world.off_segment[0] = false;
        world.cut = vec![(0, LinkPath::Udp(0)), (0, LinkPath::Udp(1)), (1, LinkPath::Segment(ETH))];
        world.run(ms(10 + phase));
        world.start(0);
        assert_eq!(world.answering(), [0, 1], "the gate of its former life is open");
        world.run(world.timing.pulse * 2);
        assert_eq!(world.answering(), [1], "phase {phase}");
    }
}

// S8: each direction has a way of its own, and one has begun another life since it was heard: that
// it is deaf is known after a suspicion
#[test]
fn of_two_that_meet_by_different_ways_one_is_left_within_four_pulses() {
    for (phase, moment) in (0..10).flat_map(|phase| (0..10).map(move |moment| (phase, moment))) {
        let mut world = World::new(Profile::Fast, 1);
        world.off_segment = [true; 2];
        world.start(0);
        world.start(1);
        world.run(Duration::from_secs(2));
        world.cut = ALL_PATHS.iter().flat_map(|path| [(0, *path), (1, *path)]).collect();
        world.run(Duration::from_secs(10));
        world.kill(0);
        world.run(Duration::from_secs(1) + ms(phase));
        world.start(0);
        world.run(Duration::from_secs(10) + ms(moment));
        assert_eq!(world.answering(), [0, 1], "each is alone in its world");
        world.off_segment = [false; 2];
        world.cut = vec![(0, LinkPath::Udp(0)), (0, LinkPath::Udp(1)), (1, LinkPath::Segment(ETH))];
        world.run(world.timing.pulse * 4);
        assert_eq!(world.answering().len(), 1, "phase {phase}, moment {moment}");
    }
}

// L3: nobody hears this node any more, but what arrives for its connections may.
#[test]
fn a_deaf_taker_gets_the_connections_carried_on() {
    let mut world = settled(Profile::Fast);
    mute(&mut world, 0);
    while world.answering() == [0] {
        world.run(ms(1));
    }
    let carried = world.nodes[0].kernel.carry_until;
    assert!(carried > world.now + ms(150), "{carried:?} at {:?}", world.now);
    world.run(ms(500));
    assert_eq!((world.answering(), world.double_answers), (vec![1], 0));
}
