//! The wires: two links and the clients' segment, each direction with its own cuts, and loss, delay and duplication.

use super::names::ETH;
use super::random::Random;
use crate::types::LinkPath;
use std::time::Duration;

pub const PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];
/// Position of the segment in [`PATHS`]: ARP takes the same way as its pulses.
pub const SEGMENT: usize = 2;

#[derive(Clone, Debug)]
pub struct Net {
    /// By sender and path.
    pub cut: [[bool; 3]; 2],
    /// Nodes that are off the segment altogether.
    pub isolated: [bool; 2],
    /// In percent, by path.
    pub loss: [usize; 3],
    /// The longest delay, by path.
    pub delay: [Duration; 3],
    /// In percent.
    pub duplicates: usize,
    /// Datagrams of one direction of the first path that are lost next, whatever else is drawn.
    pub drop_next: [usize; 2],
}

impl Net {
    pub fn quiet() -> Net {
        let delay = [Duration::from_micros(50); 3];
        Net { cut: [[false; 3]; 2], isolated: [false; 2], loss: [0; 3], delay, duplicates: 0, drop_next: [0; 2] }
    }

    /// When a frame of `from` arrives at the other node, counted from now: never, once, or twice.
    pub fn arrivals(&mut self, from: usize, path: usize, random: &mut Random) -> Vec<Duration> {
        if path == 0 && self.drop_next[from] > 0 {
            self.drop_next[from] -= 1;
            return Vec::new();
        }
        if self.is_cut(from, path) || random.chance(self.loss[path]) {
            return Vec::new();
        }
        let count = 1 + usize::from(random.chance(self.duplicates));
        // A different delay for each frame reorders them.
        (0..count).map(|_| Duration::from_micros(20) + random.span(self.delay[path])).collect()
    }

    /// True if nothing but delay happens to frames of `from` on this path.
    pub fn is_sound(&self, from: usize, path: usize) -> bool {
        !self.is_cut(from, path) && self.loss[path] == 0
    }

    fn is_cut(&self, from: usize, path: usize) -> bool {
        self.cut[from][path] || (path == SEGMENT && (self.isolated[0] || self.isolated[1]))
    }

    /// When a frame between the bystander and a node arrives, if it does.
    pub fn bystander(&self, node: usize, random: &mut Random) -> Option<Duration> {
        let lost = self.isolated[node] || random.chance(self.loss[SEGMENT]);
        (!lost).then(|| Duration::from_micros(20) + random.span(self.delay[SEGMENT]))
    }
}
