//! Shared nouns of the house. No logic beyond construction, comparison and display.
//!
//! Owns: the words every room uses. Never does: I/O, clocks, policy.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A node's number, 1 to 240: the position of its `[[node]]` table in the configuration, counted
/// from 1, and the low byte of every epoch that the node ever uses. Numbers from 241 on are those
/// of witnesses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct NodeId(pub u8);

impl NodeId {
    /// The number of the first witness; those that follow have the next ones.
    pub const FIRST_WITNESS: NodeId = NodeId(241);

    /// Whether this is a witness, which votes and never holds a group.
    #[must_use]
    pub fn is_witness(self) -> bool {
        self >= NodeId::FIRST_WITNESS
    }
}

/// Position of a group in this process's group table. Local: two nodes may number groups
/// differently, so it never travels; [`GroupKey`] does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct GroupId(pub u16);

/// A group's name on the wire and in the kernel: the first eight bytes of SHA-256 of its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct GroupKey(pub u64);

/// Position of a client interface in this process's interface table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct InterfaceId(pub u8);

/// One path to one peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct LinkId {
    /// The node at the other end.
    pub peer: NodeId,
    /// The path to it.
    pub path: LinkPath,
}

/// The kind of path a link takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum LinkPath {
    /// UDP between the n-th entries of `links` of both nodes.
    Udp(u8),
    /// The clients' segment itself: pulses in raw Ethernet frames on a group's interface. The path
    /// of last resort, used while no UDP link to that peer is heard.
    Segment(InterfaceId),
}

/// Counter × 256 + node number: rises with every change of active, unique to one node by
/// construction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// No epoch: lower than every epoch a node can hold.
    pub const NONE: Epoch = Epoch(0);

    /// Builds an epoch from its two parts. The counter keeps its low 56 bits.
    #[must_use]
    pub fn new(counter: u64, node: NodeId) -> Epoch {
        Epoch((counter << 8) | u64::from(node.0))
    }

    /// The part that rises.
    #[must_use]
    pub fn counter(self) -> u64 {
        self.0 >> 8
    }

    /// The node that alone may use this epoch.
    #[must_use]
    pub fn node(self) -> NodeId {
        NodeId((self.0 & 0xff) as u8)
    }

    /// The epoch of `node` with the next higher counter; `None` after the last one. Nobody counts
    /// that far, but a peer may say anything.
    #[must_use]
    pub fn next_for(self, node: NodeId) -> Option<Epoch> {
        let is_last = self.counter() == u64::MAX >> 8;
        (!is_last).then(|| Epoch::new(self.counter() + 1, node))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.counter(), self.node().0)
    }
}

/// An instant on CLOCK_BOOTTIME in nanoseconds: the clock the gate program reads, which goes on
/// during suspend and is never stepped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct MonoTime(pub u64);

impl MonoTime {
    /// The instant before everything.
    pub const ZERO: MonoTime = MonoTime(0);
    /// The instant after everything: an unbounded deadline.
    pub const FOREVER: MonoTime = MonoTime(u64::MAX);

    /// The instant `span` before; the beginning of time at the earliest.
    #[must_use]
    pub fn back(self, span: Duration) -> MonoTime {
        MonoTime(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: MonoTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for MonoTime {
    type Output = MonoTime;
    fn add(self, rhs: Duration) -> MonoTime {
        MonoTime(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// An Ethernet hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
    /// 00:00:00:00:00:00, used for "not known".
    pub const ZERO: MacAddr = MacAddr([0; 6]);

    /// Whether this is 00:00:00:00:00:00.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == MacAddr::ZERO
    }

    /// Whether the group bit is set (broadcast included).
    #[must_use]
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A service address: one of the addresses of a group.
pub type Vip = IpAddr;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_epoch_follows_the_last_one() {
        let last = Epoch::new(u64::MAX >> 8, NodeId(1));
        assert_eq!(last.next_for(NodeId(2)), None, "and none is lower than the one before");
        let before = Epoch::new(u64::MAX >> 9, NodeId(2));
        assert!(before.next_for(NodeId(1)).is_some_and(|next| next > before && next.node() == NodeId(1)));
    }
}
