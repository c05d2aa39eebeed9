//! Tests of the end of a division: two nodes were active apart, and hear each other again.

use super::world::{ETH, ms, settled};
use crate::timing::Profile;
use crate::types::LinkPath;
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

// L4: the loser may hear the winner first, and has closed when the winner hears it again.
#[test]
fn the_winner_announces_again_though_it_never_saw_the_conflict() {
    let mut world = settled(Profile::Fast);
    for path in ALL_PATHS {
        world.cut.extend([(0, path), (1, path)]);
    }
    world.off_segment[0] = true;
    world.run(Duration::from_secs(8));
    assert_eq!(world.answering(), [0, 1]);
    let before = world.nodes[1].announced;
    world.off_segment[0] = false;
    world.cut.retain(|&(from, _)| from == 0);
    world.run(ms(30));
    assert_eq!(world.answering(), [1], "the loser hears the winner, and closes");
    world.cut.clear();
    world.run(ms(500));
    assert!(world.nodes[1].announced > before, "its clients are told");
}
