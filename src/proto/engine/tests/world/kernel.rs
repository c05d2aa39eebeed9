//! What the kernels of the nodes hold: the gate with its lease and its latch, and who answers a
//! probe.

use super::{Due, LATENCY, World, mac, vip};
use crate::engine::GateAction;
use crate::types::{Epoch, GroupId, MonoTime, Vip};
use crate::wire::frame::Sighting;
use std::collections::HashMap;

/// What the kernel of a node would hold.
#[derive(Default, Clone)]
pub struct Kernel {
    pub until: MonoTime,
    pub generation: u64,
    pub refused: u64,
    pub open: HashMap<GroupId, Epoch>,
    /// Until when connections of the group closed last are carried on, if they are.
    pub carry_until: MonoTime,
}

impl Kernel {
    /// Whether the gate lets answers for a group out: open, the lease running, not latched.
    pub fn answers(&self, group: GroupId, now: MonoTime) -> bool {
        self.open.contains_key(&group) && now < self.until && self.refused != self.generation
    }
}

impl World {
    /// Changes a node's gate as its engine asks. Asserts what a gate relies on: S2, S4, S7.
    pub(super) fn change_gate(&mut self, at: usize, gate: GateAction) {
        let now = self.now;
        let number = |group: GroupId| GroupId(u16::try_from(self.nodes[at].numbers[usize::from(group.0)]).unwrap());
        let gate = match gate {
            GateAction::Open { group, epoch } => GateAction::Open { group: number(group), epoch },
            GateAction::Close { group, carry_until } => GateAction::Close { group: number(group), carry_until },
            other @ (GateAction::Begin { .. } | GateAction::Renew { .. } | GateAction::Forward { .. }) => other,
        };
        let lease = self.nodes[at].lease;
        let kernel = &mut self.nodes[at].kernel;
        match gate {
            GateAction::Begin { generation, .. } => {
                assert!(generation > kernel.generation, "a generation is never used twice");
                assert!(kernel.open.is_empty(), "S7: everything is closed before a new generation");
                kernel.generation = generation;
                kernel.until = MonoTime::ZERO;
            }
            GateAction::Renew { until, .. } => {
                assert!(until <= now + lease, "S4");
                kernel.until = until;
            }
            GateAction::Open { group, epoch } => {
                kernel.open.insert(group, epoch);
                let highest = self.highest.entry(group).or_default();
                // Two that use one number and hear nothing of each other use the same epochs.
                let rises = epoch > *highest || self.one_number;
                assert!(rises, "S2: successive actives have rising epochs: {epoch} after {highest}");
                *highest = epoch;
            }
            GateAction::Close { group, carry_until } => {
                kernel.open.remove(&group);
                kernel.carry_until = carry_until;
            }
            GateAction::Forward { .. } => {}
        }
    }

    /// Sends a probe of a node onto the segment. The other's kernel answers if its gate lets it; if
    /// a group is open there under a lease that is over, its gate latches. `named`: the node names an
    /// address of its own.
    pub(super) fn probe(&mut self, at: usize, address: Vip, named: bool) {
        if self.off_segment[at] || !self.nodes[at].facts.carrier || (self.drops_nameless && !named) {
            return;
        }
        let nameless = (!named).then(|| self.mac(at));
        let other = 1 - at;
        let group = (0..self.known).find(|&group| vip(group) == address);
        if let Some(group) = group
            && !self.off_segment[other]
            && self.nodes[other].facts.carrier
        {
            let group = GroupId(u16::try_from(group).unwrap());
            let now = self.now;
            let kernel = &mut self.nodes[other].kernel;
            if kernel.answers(group, now) {
                let sighting = Sighting::Claim { address, mac: self.mac(other), nameless };
                self.schedule(Due::Sighting { to: at, sighting }, LATENCY * 2);
            } else if kernel.open.contains_key(&group) {
                kernel.refused = kernel.generation;
            }
        }
        if group.is_none() && self.bystander {
            let sighting = Sighting::Claim { address, mac: mac(9), nameless };
            self.schedule(Due::Sighting { to: at, sighting }, LATENCY * 2);
        }
    }
}
