//! What is known of a group's service on this node, and of the hook that runs for it.

use super::unrest::Unrest;
use crate::engine::event::Hook;
use crate::engine::evidence::Probes;
use crate::engine::lacks::Lacks;
use crate::types::{Epoch, MonoTime};

/// What is known of a group's service on this node.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Service {
    /// How badly it does by its checks alone, as in [`Row::health`](crate::wire::pulse::Row).
    pub health: u8,
    /// Whether its health was told in this life; before that `health` is the worst that may be.
    pub known: bool,
    /// What this node lacks for the group.
    pub lacks: Lacks,
    /// Since when a peer that is heard has done better for nothing but reach; `None` while none does.
    pub outreached: Option<MonoTime>,
    /// How often the group was given away for its health or a lack lately.
    pub unrest: Unrest,
    /// The hook that runs before the group is opened or handed over, until its end has had its
    /// effect.
    pub hook: Option<Running>,
    /// The hook that failed last, and until when it is not tried again.
    pub failed: Option<(Hook, MonoTime)>,
}

impl Service {
    /// A service of which nothing is known but the worst that may be.
    pub fn new(health: u8) -> Service {
        Service {
            health,
            known: false,
            lacks: Lacks::NONE,
            outreached: None,
            unrest: Unrest::default(),
            hook: None,
            failed: None,
        }
    }

    /// True while this node waits because a hook of this kind has failed.
    pub fn waits_after_failed_hook(&self, hook: Hook, now: MonoTime) -> bool {
        self.failed.is_some_and(|(failed, until)| failed == hook && now < until)
    }

    /// True while the group waits for words or silence of peers from after the end of its hook.
    pub fn asks_anew(&self) -> bool {
        self.hook.is_some_and(|running| running.hook == Hook::BeforeOpen && running.ended.is_some_and(|end| end.ok))
    }
}

/// A hook that was begun.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Running {
    pub hook: Hook,
    /// The epoch that it was run for; the end of a run for another epoch is not believed.
    pub epoch: Epoch,
    /// The end of waiting for it.
    pub until: MonoTime,
    /// How it ended, once it has.
    pub ended: Option<End>,
}

/// The end of a hook, and what was known then.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct End {
    pub ok: bool,
    pub when: MonoTime,
    /// First counter that we sent after the end.
    pub fresh_from: u64,
    /// Number of probes that were unanswered at the end, on the group's interface.
    pub unanswered: u32,
}

impl End {
    /// How many of the probes that are unanswered now were already unanswered when the hook ended.
    pub fn before(&self, probes: &Probes) -> u32 {
        if probes.first_sent > self.when { 0 } else { self.unanswered }
    }
}
