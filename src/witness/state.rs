//! A voter's memory as the store keeps it: the store's format is a node's, and its fields take a
//! voter's meaning.
//!
//! `lease` is the longest lease the voter ever answered for; per group, `seen` is the ceiling: no
//! higher epoch was granted. The other fields of a group are unused.

use crate::durable::GroupState;
use crate::store::{self, State};
use crate::types::{Epoch, NodeId};
use crate::voter::{Ceiling, Loaded, Memory};
use std::time::Duration;

/// The memory as a state for the store of witness `node`. `cluster`: see [`store::cluster_hash`].
pub fn state(memory: &Memory, node: NodeId, cluster: u64) -> State {
    let group = |ceiling: &Ceiling| GroupState {
        key: ceiling.group,
        seen: ceiling.epoch,
        reserve: Epoch::NONE,
        held: Epoch::NONE,
        paused: false,
    };
    let lease = Some(Duration::from_micros(u64::from(memory.lease_us)));
    State { node, cluster, lease, groups: memory.ceilings.iter().map(group).collect() }
}

/// The store's content at the start, as the voter takes it.
pub fn loaded(found: &store::Loaded) -> Loaded {
    match found {
        store::Loaded::Fresh => Loaded::Fresh,
        store::Loaded::Damaged(_) => Loaded::Damaged,
        store::Loaded::State { state, .. } => {
            let lease = state.lease.unwrap_or_default().as_micros();
            let ceilings = state.groups.iter().map(|group| Ceiling { group: group.key, epoch: group.seen });
            Loaded::Memory(Memory {
                lease_us: u32::try_from(lease).unwrap_or(u32::MAX),
                ceilings: ceilings.collect(),
            })
        }
    }
}
