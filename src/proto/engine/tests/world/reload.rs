//! Changes under running agents of the world: another configuration, another gate.

use super::{ETH, World, ms, vip};
use crate::engine::{Actions, Event, GroupSetup, Reconfiguration};
use crate::timing::Promote;
use crate::types::{Epoch, GroupKey, NodeId};
use crate::wire::auth::KeyRing;
use crate::wire::pulse::Digests;
use std::sync::Arc;

/// The configuration of one of the world's groups: node 0 (number 1) is preferred.
pub fn group_setup(number: usize, preempt: bool) -> GroupSetup {
    GroupSetup {
        key: GroupKey(number as u64 + 1),
        interface: ETH,
        addresses: Arc::from([vip(number)]),
        prefer: NodeId(1),
        preempt,
        preempt_delay: ms(500),
        drain: ms(200),
        promote: Promote::Peer,
        health: 0,
        before_open: None,
        before_close: None,
        addresses_digest: u32::try_from(number).unwrap_or(0) + 1,
        policy_digest: 1,
    }
}

impl World {
    /// Gives a running agent another configuration: these groups, and the world's times, keys and
    /// floor. The addresses of new groups are not there before [`World::place_addresses`].
    pub fn reload(&mut self, at: usize, groups: Vec<GroupSetup>) {
        let now = self.now;
        let names = groups.iter().fold(0, |sum, group| (sum * 31 + group.key.0) % 0xffff_ffff);
        let numbers: Vec<usize> = groups.iter().map(|group| usize::try_from(group.key.0).unwrap() - 1).collect();
        self.known = self.known.max(numbers.iter().max().unwrap() + 1);
        let change = Reconfiguration {
            timing: self.timing,
            keys: Arc::new(KeyRing::new("test", &self.keys)),
            epoch_floor: self.floor,
            digests: Digests { nodes: 0, groups: u32::try_from(names).unwrap() },
            groups,
        };
        let mut out = Actions::default();
        self.nodes[at].engine.as_mut().unwrap().reconfigure(change, now, &mut out);
        for action in &out.list {
            self.carry_out(at, action, &out.bytes);
        }
        self.nodes[at].numbers = numbers;
        self.nodes[at].lease = self.timing.lease;
        self.handle(at, Event::Tick);
    }

    /// Replaces the gate of a node by another, closed one, and tells its engine.
    pub fn replace_gate(&mut self, at: usize) {
        for (group, _) in self.nodes[at].kernel.open.drain() {
            // What was open may open again with the same epoch: it is the same holder.
            let highest = self.highest.get_mut(&group).unwrap();
            *highest = Epoch(highest.0 - 1);
        }
        self.handle(at, Event::GateReplaced { interface: ETH });
    }
}
