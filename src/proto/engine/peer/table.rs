//! The table of peers: the other nodes first, then the witnesses.

use super::Peer;
use crate::rules::electorate::Electorate;
use crate::types::NodeId;
use std::ops::{Index, IndexMut};

/// Position of a peer in the engine's table of peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct PeerAt(u8);

impl PeerAt {
    /// Every position below `end`.
    fn range(begin: usize, end: usize) -> impl DoubleEndedIterator<Item = PeerAt> + Clone {
        let number = |position| {
            u8::try_from(position).expect("invariant: node numbers are bytes, so peers are fewer than 256")
        };
        (number(begin)..number(end)).map(PeerAt)
    }

    /// The position as a number, for tables that are kept beside that of the peers.
    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// The peer at this position, whatever is there. For the views of simulator and model.
    #[cfg(any(test, feature = "proof"))]
    pub fn view(position: usize) -> PeerAt {
        PeerAt(u8::try_from(position).expect("fewer than 256 peers"))
    }
}

/// A set of peers: one bit for each position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct PeerSet(u64);

impl PeerSet {
    fn bit(peer: PeerAt) -> u64 {
        1_u64.checked_shl(u32::from(peer.0)).expect("invariant: a cluster has at most 64 voters")
    }

    pub fn insert(&mut self, peer: PeerAt) {
        self.0 |= PeerSet::bit(peer);
    }

    pub fn remove(&mut self, peer: PeerAt) {
        self.0 &= !PeerSet::bit(peer);
    }

    pub fn contains(self, peer: PeerAt) -> bool {
        self.0 & PeerSet::bit(peer) != 0
    }

    /// The bits as a number, for the digest of a state.
    #[cfg(any(test, feature = "proof"))]
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// All peers.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Peers {
    list: Vec<Peer>,
    /// Number of nodes among them: they come first.
    nodes: usize,
}

impl Peers {
    /// The peers of `list`, of which the last `witnesses` are witnesses.
    pub fn new(list: Vec<Peer>, witnesses: usize) -> Peers {
        let nodes = list.len().saturating_sub(witnesses);
        Peers { list, nodes }
    }

    /// Positions of all peers.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = PeerAt> + Clone + use<> {
        PeerAt::range(0, self.list.len())
    }

    /// Positions of the other nodes: those that may be active.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = PeerAt> + Clone + use<> {
        PeerAt::range(0, self.nodes)
    }

    /// Positions of the witnesses.
    pub fn witnesses(&self) -> impl DoubleEndedIterator<Item = PeerAt> + Clone + use<> {
        PeerAt::range(self.nodes, self.list.len())
    }

    /// The other nodes.
    pub fn other_nodes(&self) -> &[Peer] {
        &self.list[..self.nodes]
    }

    /// All peers, in the order of their positions.
    pub fn iter(&self) -> std::slice::Iter<'_, Peer> {
        self.list.iter()
    }

    /// All peers, to be changed.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Peer> {
        self.list.iter_mut()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Position of the peer with this number.
    pub fn find(&self, id: NodeId) -> Option<PeerAt> {
        self.all().find(|peer| self[*peer].id == id)
    }

    /// Who votes: this node, the other nodes, the witnesses.
    pub fn electorate(&self) -> Electorate {
        Electorate { nodes: self.nodes + 1, witnesses: self.list.len() - self.nodes }
    }

    /// True if the position is one of these peers: a state from outside may name any.
    pub fn has(&self, peer: PeerAt) -> bool {
        peer.number() < self.list.len()
    }

    /// True if `witnesses` of them are witnesses.
    pub fn is_split_at(&self, witnesses: usize) -> bool {
        self.nodes == self.list.len().saturating_sub(witnesses)
    }
}

impl Index<PeerAt> for Peers {
    type Output = Peer;

    fn index(&self, peer: PeerAt) -> &Peer {
        &self.list[peer.number()]
    }
}

impl IndexMut<PeerAt> for Peers {
    fn index_mut(&mut self, peer: PeerAt) -> &mut Peer {
        &mut self.list[peer.number()]
    }
}
