//! The account of grants at their holders, as this target sees them from outside. Of the voter
//! itself it reads only what the voter says that it has promised.

use crate::types::{Epoch, GroupKey, MonoTime, NodeId};
use crate::voter::talker::Talker;
use crate::voter::{Promised, Voter};
use crate::wire::pulse::{Role, Row};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A grant that has left the voter.
#[derive(Clone, Copy, Debug)]
struct Grant {
    node: NodeId,
    group: GroupKey,
    epoch: Epoch,
    /// Deadline until which the holder may keep its gate open.
    over: MonoTime,
}

/// The oracle of one cluster: judges every grant, and panics when one breaks S2 or S5.
#[derive(Default)]
pub(super) struct Oracle {
    /// The grants that may still be used.
    grants: Vec<Grant>,
    /// Every epoch that was ever granted.
    granted: HashSet<(GroupKey, Epoch)>,
    /// The highest epoch that each node was ever granted.
    highest: HashMap<(GroupKey, NodeId), Epoch>,
    /// Nodes that said what no node says; their grants do not count.
    liars: HashSet<NodeId>,
}

impl Oracle {
    /// Whether anything was ever granted.
    pub fn has_seen_grants(&self) -> bool {
        !self.granted.is_empty()
    }

    /// Drops the grants of a node that said what no node says.
    pub fn distrust(&mut self, node: NodeId) {
        self.liars.insert(node);
        self.grants.retain(|grant| grant.node != node);
    }

    /// Notes that a node says `after` instead of `before` of a group from now on. Its grants that
    /// it can use no longer are dropped: a node never opens with an epoch that it neither asks for
    /// nor has reserved, and closes its gate before it says so.
    pub fn note_change(&mut self, node: NodeId, before: &Row, after: &Row, now: MonoTime) {
        if before != after {
            let given_up =
                |grant: &Grant| grant.node == node && grant.group == after.group && !keeps(after, grant.epoch);
            self.grants.retain(|grant| grant.over > now && !given_up(grant));
        }
    }

    /// Notes and checks what an answer that has just left grants its receiver. `ear` is the
    /// receiver once it has heard the answer; `honest`: the voter's disk never lost what it had.
    pub fn note_grants(&mut self, ear: &Talker, groups: &[GroupKey], now: MonoTime, voter: &Voter, honest: bool) {
        for group in groups.iter().filter(|_| !self.liars.contains(&ear.id)) {
            let Some((sent, lease)) = ear.grant(*group).map(|counter| ear.sent(counter)) else { continue };
            let row = ear.rows.iter().map(|(_, row)| row).find(|row| row.group == *group).expect("its group");
            let holds = matches!(row.role, Role::Active | Role::Handover);
            let epoch = if holds { row.epoch } else { row.claim };
            let over = sent + Duration::from_micros(u64::from(lease));
            let grant = Grant { node: ear.id, group: *group, epoch, over };
            if over > now {
                self.check_rivals(grant, now);
                let covers = |promise: &Promised| {
                    (promise.group, promise.to, promise.epoch) == (*group, ear.id, epoch) && promise.until >= over
                };
                let promised: Vec<Promised> = voter.promises(now).collect();
                assert!(
                    promised.iter().any(covers),
                    "S5 at {now:?}: {grant:?} is not promised for so long: {promised:?}"
                );
            }
            if !holds && honest && !self.granted.contains(&(*group, epoch)) {
                let others = self.highest.iter().filter(|((of, node), _)| of == group && *node != ear.id);
                let higher = others.map(|(_, epoch)| *epoch).find(|other| *other > epoch);
                assert!(higher.is_none(), "S2: {epoch} is granted to {:?} after {higher:?} to another", ear.id);
            }
            self.granted.insert((*group, epoch));
            let highest = self.highest.entry((*group, ear.id)).or_default();
            *highest = epoch.max(*highest);
            self.grants.retain(|other| other.over > now && (other.node, other.group) != (grant.node, grant.group));
            self.grants.push(grant);
        }
    }

    /// Checks S5: no other node's grant of the group still runs.
    fn check_rivals(&self, grant: Grant, now: MonoTime) {
        let rival = |other: &&Grant| other.node != grant.node && other.group == grant.group && other.over > now;
        let rival = self.grants.iter().find(rival);
        assert!(rival.is_none(), "S5 at {now:?}: {grant:?} while {rival:?} runs");
    }
}

/// Whether a node that says `row` may have its gate open with `epoch`, or open it.
fn keeps(row: &Row, epoch: Epoch) -> bool {
    match row.role {
        Role::Starting | Role::Witness => true,
        Role::Active | Role::Handover => row.epoch == epoch || row.reserve == epoch,
        Role::Standby | Role::Fault | Role::Paused => row.claim == epoch || row.reserve == epoch,
    }
}
