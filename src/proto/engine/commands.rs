//! What operators have asked for: commands under way, and the stop.
//!
//! Owns: the list, and its bound. Never does: move a group (`group::command` begins and ends them).
//! A command that nothing comes of is answered when its time is over.

use super::action::{Action, Actions, Outcome};
use crate::types::{GroupId, MonoTime};

/// Commands under way at a time; one more is answered with [`Outcome::Busy`].
const PENDING: usize = 256;

/// What a command that takes time wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) enum Kind {
    /// The other node is to have the group.
    Give,
    /// This node is to have it.
    Take,
    /// The other node is to have it, and this one stands aside.
    Pause,
}

/// A command that was begun.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Pending {
    pub id: u64,
    pub kind: Kind,
    pub group: GroupId,
    pub until: MonoTime,
}

/// What operators have asked for.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Commands {
    pub pending: Vec<Pending>,
    /// While the agent is stopping: until when it waits for handovers to end.
    pub stopping: Option<MonoTime>,
    /// Whether every gate is closed and goodbye is said.
    pub stopped: bool,
}

impl Commands {
    fn is_asked(&self, group: GroupId, kinds: &[Kind]) -> bool {
        self.pending.iter().any(|pending| pending.group == group && kinds.contains(&pending.kind))
    }

    /// True if an operator wants the other node to have the group.
    pub fn is_asked_to_give(&self, group: GroupId) -> bool {
        self.is_asked(group, &[Kind::Give, Kind::Pause])
    }

    /// True if an operator wants this node to stand aside.
    pub fn is_asked_to_pause(&self, group: GroupId) -> bool {
        self.is_asked(group, &[Kind::Pause])
    }

    /// True if an operator wants this node to have the group.
    pub fn is_asked_to_take(&self, group: GroupId) -> bool {
        self.is_asked(group, &[Kind::Take])
    }

    /// True if no command for a group can begin now: one is under way, there are too many, or the
    /// agent is stopping.
    pub fn is_busy(&self, group: GroupId) -> bool {
        let known = self.pending.iter().any(|pending| pending.group == group);
        self.stopping.is_some() || known || self.pending.len() >= PENDING
    }

    /// True if every group that a command names is one of `groups` groups: a state from outside may
    /// name any.
    pub fn are_within(&self, groups: usize) -> bool {
        self.pending.iter().all(|pending| usize::from(pending.group.0) < groups)
    }

    /// Lets the time of the command with number `id` be over now.
    pub fn end_patience(&mut self, id: u64, now: MonoTime) {
        for pending in self.pending.iter_mut().filter(|pending| pending.id == id) {
            pending.until = pending.until.min(now);
        }
    }

    /// Ends all commands of a group, and answers them with `outcome`.
    pub fn drop_all_of(&mut self, group: GroupId, outcome: Outcome, out: &mut Actions) {
        for pending in self.pending.extract_if(.., |pending| pending.group == group) {
            out.push(Action::Reply { id: pending.id, outcome });
        }
    }
}
