//! Who would like a group: since when nobody has it, since when this node could, and whether it asks for it.

use super::{Engine, group_id};
use crate::mutant::Mutant;
use crate::types::MonoTime;
use crate::wire::pulse::Reason;
use std::time::Duration;

impl Engine {
    /// Since when nobody has been active.
    pub(super) fn note_free(&mut self, at: usize, now: MonoTime) {
        let taken = self.peers.iter().any(|peer| peer.is_active(group_id(at)));
        let (election, prepared) = (self.setup.timing.election, self.prepared_by(at));
        let group = &mut self.groups[at];
        if taken {
            group.free = None;
        } else {
            let free = *group.free.get_or_insert(now);
            for due in [group.hold, prepared, free + election] {
                if due > now {
                    group.deadline = group.deadline.min(due);
                }
            }
        }
    }

    /// Preemption: a preferred node that has been ready for long enough asks for the group. So does one that an operator or a
    /// witness's word tells to.
    pub(super) fn note_ready(&mut self, at: usize, now: MonoTime) {
        // Where the service does worse than on the active, nothing is asked for.
        let ready = self.reason(at) == Reason::None && !self.is_outdone(at);
        let asked = self.is_asked_to_take(at) || self.is_fault_to_be_moved(at, now);
        let (prefer, preempt, delay) = {
            let setup = &self.setup.groups[at];
            (setup.prefer, setup.preempt, setup.preempt_delay)
        };
        let delay = if self.is_mutant(Mutant::PreemptsAtOnce) { Duration::ZERO } else { delay };
        let me = self.setup.me;
        let group = &mut self.groups[at];
        if !ready {
            group.ready = None;
            group.wants = false;
            return;
        }
        let due = *group.ready.get_or_insert(now) + delay;
        let preempts = preempt && prefer == me;
        group.wants = asked || (preempts && now >= due);
        if preempts && due > now {
            group.deadline = group.deadline.min(due);
        }
    }
}
