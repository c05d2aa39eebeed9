//! The setup that a node's engine in the world is built from.

use super::reload::group_setup;
use super::{ETH, World, id, mac};
use crate::engine::{GroupSetup, Loaded, PeerSetup, Setup};
use crate::mutant::Mutants;
use crate::types::{LinkPath, MacAddr, NodeId};
use crate::wire::auth::KeyRing;
use crate::wire::pulse::Digests;
use std::sync::Arc;

/// What is added to the key of a group that has another name.
pub(super) const RENAMED: u64 = 100;

impl World {
    /// The number of a node in its own file.
    pub(super) fn number(&self, at: usize) -> NodeId {
        match at {
            0 if self.swapped => id(1),
            _ if self.one_number => id(0),
            _ => id(at),
        }
    }

    /// The number of the other node in a node's file.
    pub(super) fn other(&self, at: usize) -> NodeId {
        match at {
            0 if self.swapped => id(0),
            _ if self.one_number => id(1),
            _ => id(1 - at),
        }
    }

    /// The hardware address of a node.
    pub(super) fn mac(&self, at: usize) -> MacAddr {
        let at = if self.one_mac { 0 } else { at };
        if self.other_macs { mac(at + 4) } else { mac(at) }
    }

    /// The setup of a node's next life, by its disk and the world's present configuration.
    pub(super) fn setup(&self, at: usize) -> Setup {
        let paths = vec![LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];
        let missing = if self.nodes[at].damaged { Loaded::Damaged } else { Loaded::Fresh };
        let loaded = self.nodes[at].disk.clone().map_or(missing, Loaded::State);
        let node = PeerSetup { id: self.other(at), links: paths };
        let group = |number| {
            let mut group = GroupSetup { promote: self.witnesses.promote, ..group_setup(number, self.preempt) };
            if self.renamed && at == 1 {
                group.key.0 += RENAMED;
            }
            self.service.apply(group)
        };
        Setup {
            me: self.number(at),
            cluster: 7,
            timing: self.timing,
            keys: Arc::new(KeyRing::new("test", &self.keys)),
            seed: [id(at).0, self.nodes[at].lives, 0, 0].repeat(8).try_into().unwrap(),
            epoch_floor: self.floor,
            loaded,
            digests: Digests::default(),
            peers: [node].into_iter().chain(self.witnesses.peers()).collect(),
            votes: self.witnesses.votes(),
            interfaces: 1,
            groups: (0..self.groups).map(group).collect(),
            mutants: Mutants::NONE,
        }
    }
}
