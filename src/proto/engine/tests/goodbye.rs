//! Tests of goodbyes: a goodbye says that its sender's gates are closed, and counts for a short
//! time.

use super::world::{ETH, ms, settled};
use crate::engine::Command;
use crate::timing::Profile;
use crate::types::LinkPath;
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

// S8: a later life of the peer may have opened what was closed when it said goodbye.
#[test]
fn a_goodbye_from_before_a_stall_opens_nothing() {
    let mut world = settled(Profile::Fast);
    world.command(0, 1, Command::Stop);
    world.run(ms(500));
    assert_eq!(world.answering(), [1]);
    world.suspend(1);
    world.nodes[1].backlog_limit = 0;
    world.start(0);
    world.traffic();
    world.run_until_answered_by(0, Duration::from_secs(2));
    world.resume(1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.double_answers, 0);
    assert_eq!(world.answering(), [0]);
}

// S8: the same for a node that could not open when the goodbye came, and hears nothing any more.
#[test]
fn a_goodbye_of_long_ago_opens_nothing_that_is_answered() {
    let mut world = settled(Profile::Fast);
    world.set_carrier(1, false);
    world.command(0, 1, Command::Stop);
    world.run(ms(500));
    assert!(world.answering().is_empty());
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.start(0);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [0]);
    world.set_carrier(1, true);
    world.traffic();
    world.run(ms(500));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

#[test]
fn a_goodbye_is_as_good_as_a_silence_at_once() {
    let mut world = settled(Profile::Lan);
    world.command(1, 1, Command::Pause(crate::types::GroupId(0)));
    world.command(0, 1, Command::Stop);
    world.run(ms(10));
    assert!(world.answering().is_empty());
    world.command(1, 2, Command::Resume(crate::types::GroupId(0)));
    assert!(world.run_until_answered_by(1, Duration::from_secs(1)) < ms(20));
}
