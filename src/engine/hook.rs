//! What is run before a group is opened or handed over, and what follows when it ends.

use super::Engine;
use crate::types::Epoch;

/// When the engine waits for hooks. What is run after an opening or a closing does not concern it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Hook {
    /// Everything permits the opening; the gate is still closed.
    BeforeOpen,
    /// The peer is ready to take the group over; the gate is still open.
    BeforeClose,
}

/// Why a hook did not do what it was run for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum HookEnd {
    /// It failed.
    Failed,
    /// Nothing was heard of its end.
    Late,
    /// It ended well, and meanwhile the group is not to be opened or closed any more.
    Unused,
}

impl Engine {
    /// A hook has ended.
    pub(super) fn handle_hook(&mut self, at: usize, hook: Hook, epoch: Epoch, ok: bool) {
        let _unused_yet = (at, hook, epoch, ok);
    }
}
