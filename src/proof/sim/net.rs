//! The wires: UDP links between the nodes, one clients' segment for each interface, and behind them
//! the way to the witnesses, whose ends come after the nodes. Each direction of each has its own
//! cuts; loss, delay and duplication go by wire.

use super::clock::Real;
use super::random::Random;
use std::time::Duration;

/// The shortest way through a wire.
const SHORTEST: Duration = Duration::from_micros(20);

/// All wires of a cluster, and what happens to frames on them.
#[derive(Clone, Debug)]
pub struct Net {
    /// Number of nodes and witnesses.
    ends: usize,
    /// Number of nodes, whose ends come first.
    nodes: usize,
    /// UDP links; the wires after them are the segments of the interfaces.
    pub udp: usize,
    /// Number of wires between nodes: UDP links and segments.
    pub wires: usize,
    /// Cuts by sender, receiver and wire.
    cut: Vec<bool>,
    /// By interface and node: whether the node is off this segment altogether.
    pub isolated: Vec<Vec<bool>>,
    /// By host and node: whether the host receives nothing of the node.
    pub deafened: Vec<Vec<bool>>,
    /// Loss in percent, by wire.
    pub loss: Vec<usize>,
    /// The longest delay, by wire.
    pub delay: Vec<Duration>,
    /// Share of frames that arrive twice, in percent.
    pub duplicates: usize,
    /// By end: number of its next datagrams on the first wire that are lost, whatever else is
    /// drawn.
    pub drop_next: Vec<usize>,
    /// By wire: length of the longest datagram that it carries.
    pub widest: Vec<usize>,
    /// Whether a wire has ever been narrow.
    pub narrowed: bool,
    /// By wire: whether longer ones are refused, and not lost in silence.
    pub refuses: Vec<bool>,
    /// Instant of the last change.
    pub changed: Real,
    /// By interface and node: thousandths of a frame that a switch which polices would let pass,
    /// and when.
    pub policed: Vec<Vec<(u64, Real)>>,
}

impl Net {
    /// Wires on which nothing is lost, cut or slow.
    pub fn quiet(nodes: usize, witnesses: usize, udp: usize, interfaces: usize, hosts: usize) -> Net {
        let (wires, ends) = (udp + interfaces, nodes + witnesses);
        let all = wires + usize::from(witnesses > 0);
        Net {
            ends,
            nodes,
            udp,
            wires,
            cut: vec![false; ends * ends * all],
            isolated: vec![vec![false; nodes]; interfaces],
            deafened: vec![vec![false; nodes]; hosts],
            loss: vec![0; all],
            delay: vec![Duration::from_micros(50); all],
            duplicates: 0,
            drop_next: vec![0; ends],
            widest: vec![usize::MAX; all],
            narrowed: false,
            refuses: vec![false; all],
            changed: Real(0),
            policed: vec![vec![(u64::MAX, Real(0)); nodes]; interfaces],
        }
    }

    /// Puts everything back as it was in the beginning; wires stay as narrow as they are.
    pub fn mend(&mut self, now: Real) {
        let (interfaces, hosts) = (self.isolated.len(), self.deafened.len());
        let quiet = Net::quiet(self.nodes, self.ends - self.nodes, self.udp, interfaces, hosts);
        let (widest, refuses) = (std::mem::take(&mut self.widest), std::mem::take(&mut self.refuses));
        *self = Net { changed: now, widest, refuses, narrowed: self.narrowed, ..quiet };
    }

    /// Ends all cuts; loss and delay stay.
    pub fn heal(&mut self, now: Real) {
        self.cut.fill(false);
        self.isolated.iter_mut().for_each(|nodes| nodes.fill(false));
        self.deafened.iter_mut().for_each(|nodes| nodes.fill(false));
        self.changed = now;
    }

    /// The wire that is the segment of an interface.
    pub fn segment_wire(&self, interface: usize) -> usize {
        self.udp + interface
    }

    /// The wire to the witnesses.
    pub fn witness_wire(&self) -> usize {
        self.wires
    }

    /// Position in `cut` of one direction of a wire.
    fn way(&self, from: usize, to: usize, wire: usize) -> usize {
        (from * self.ends + to) * self.loss.len() + wire
    }

    /// Cuts one direction of a wire, or mends it.
    pub fn set_cut(&mut self, from: usize, to: usize, wire: usize, cut: bool, now: Real) {
        let way = self.way(from, to, wire);
        self.cut[way] = cut;
        self.changed = now;
    }

    /// Whether one direction of a wire carries nothing.
    pub fn is_cut(&self, from: usize, to: usize, wire: usize) -> bool {
        let off = (self.udp..self.wires).contains(&wire) && {
            let isolated = &self.isolated[wire - self.udp];
            [from, to].iter().any(|end| isolated.get(*end).is_some_and(|off| *off))
        };
        off || self.cut[self.way(from, to, wire)]
    }

    /// The cuts, for people.
    pub fn describe_cuts(&self) -> String {
        let mut words = Vec::new();
        for from in 0..self.ends {
            for to in (0..self.ends).filter(|to| *to != from) {
                let cut = (0..self.loss.len()).filter(|&wire| self.is_cut(from, to, wire));
                let wires: Vec<String> = cut.map(|wire| self.wire_name(wire)).collect();
                if !wires.is_empty() {
                    words.push(format!("{from}→{to} on {}", wires.join(", ")));
                }
            }
        }
        if words.is_empty() { "none".to_owned() } else { words.join("; ") }
    }

    /// The name of a wire, for people.
    fn wire_name(&self, wire: usize) -> String {
        match wire {
            wire if wire < self.udp => format!("link {wire}"),
            wire if wire < self.wires => format!("segment {}", wire - self.udp),
            _ => "the witness's".to_owned(),
        }
    }

    /// Delays with which a frame arrives: never, once, or twice. Each is drawn anew, so frames
    /// overtake each other.
    pub fn arrivals(&mut self, from: usize, to: usize, wire: usize, random: &mut Random) -> [Option<Duration>; 2] {
        if wire == 0 && self.drop_next[from] > 0 {
            self.drop_next[from] -= 1;
            return [None; 2];
        }
        if self.is_cut(from, to, wire) || random.chance(self.loss[wire]) {
            return [None; 2];
        }
        let first = Some(self.delay(wire, random));
        let second = if random.chance(self.duplicates) { Some(self.delay(wire, random)) } else { None };
        [first, second]
    }

    /// A delay drawn for one frame on a wire.
    pub fn delay(&self, wire: usize, random: &mut Random) -> Duration {
        SHORTEST + random.span(self.delay[wire])
    }

    /// Whether a wire is narrow, or ever was.
    pub fn was_narrow(&self) -> bool {
        self.narrowed || self.widest.iter().any(|widest| *widest < usize::MAX)
    }

    /// Whether nothing but delay happens to frames from one end to another on a wire.
    pub fn is_sound(&self, from: usize, to: usize, wire: usize) -> bool {
        self.loss[wire] == 0 && !self.is_cut(from, to, wire)
    }

    /// The longest way through any wire.
    pub fn longest(&self) -> Duration {
        self.delay.iter().max().copied().unwrap_or_default() + SHORTEST
    }

    /// Delay of a frame between a host and a node; `None` if it is lost.
    pub fn host_delay(&self, node: usize, interface: usize, random: &mut Random) -> Option<Duration> {
        let wire = self.segment_wire(interface);
        let lost = self.isolated[interface][node] || random.chance(self.loss[wire]);
        (!lost).then(|| self.delay(wire, random))
    }
}
