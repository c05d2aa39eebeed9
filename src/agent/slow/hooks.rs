//! Hooks around a move of a group, as the slow side has them run.
//!
//! Owns: the groups' workers, and which groups were open by the last notice. Never does: run a
//! program itself, or wait for one while the agent lives. Hooks that the engine waits for are
//! posted when it asks; the others follow from what it has published. A failed hook is an event and
//! an order.

use super::current::{Current, Numbering};
use super::effects::{Effect, Effects};
use crate::control::protocol::Severity;
use crate::engine::{Cause, Hook, Notice};
use crate::hooks::{Ended, Job, Occasion, Tools, Workers};
use crate::io::units::Systemd;
use crate::launch::Launcher;
use crate::orders::Order;
use crate::types::{Epoch, GroupId, GroupKey};
use crate::wire::pulse::Role;
use crate::words::{self, Saying};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Ends of hooks that wait for the slow side; the workers wait when there are more.
const WAITING: usize = 1024;
/// Longest wait for hooks at the agent's end. Less than the unit's TimeoutStopSec.
const LAST_PATIENCE: Duration = Duration::from_secs(60);

/// All hooks of this node.
pub(crate) struct Hooks {
    /// The groups' workers; `None` once the agent has waited for the last of them.
    workers: Option<Workers>,
    /// Whether the gate of each group was open by the last notice.
    open: HashMap<GroupKey, bool>,
    /// Ends of hooks, from the workers.
    pub ends: mpsc::Receiver<Ended>,
}

/// One step of a move, before it becomes a job.
struct Step {
    occasion: Occasion,
    /// Role that the node takes or has taken.
    role: Role,
    epoch: Epoch,
    /// Why, in one word.
    reason: &'static str,
    /// Whether units are started or stopped with it.
    with_units: bool,
}

impl Hooks {
    /// No worker yet; each starts with its group's first job, on `runtime`.
    pub fn new(runtime: Handle, systemd: Arc<Systemd>, launcher: Arc<Launcher>) -> Hooks {
        let (ended, ends) = mpsc::channel(WAITING);
        let workers = Workers::new(runtime, Tools { ended, systemd, launcher });
        Hooks { workers: Some(workers), open: HashMap::new(), ends }
    }

    /// Posts a hook that the engine waits for.
    pub fn handle_wanted(
        &mut self,
        group: GroupId,
        (hook, epoch, cause): (Hook, Epoch, Cause),
        current: &Current,
    ) -> Effects {
        let (occasion, role) = match hook {
            Hook::BeforeOpen => (Occasion::BeforeOpen, Role::Active),
            Hook::BeforeClose => (Occasion::BeforeClose, Role::Standby),
        };
        let step = Step { occasion, role, epoch, reason: words::cause_word(cause), with_units: true };
        if self.post(group, step, current) {
            return Effects::default();
        }
        // With nothing configured to run, the hook has succeeded.
        Effects::of_order(Order::Hook { group, hook, epoch, ok: true })
    }

    /// Posts the hooks that follow from what the engine has published. `ready`: whether the agent
    /// has finished starting.
    pub fn handle_notice(&mut self, notice: &Notice, current: &Current, ready: bool) {
        if let Notice::Role { group, from, to, epoch, cause, .. } = *notice {
            self.follow_role(group, (from, to), (epoch, cause), current, ready);
        }
        if let Notice::Hook { group, hook, epoch, .. } = *notice {
            self.undo(group, hook, epoch, current);
        }
    }

    /// Posts the hooks that undo what an earlier hook did for a move that does not take place.
    fn undo(&mut self, group: GroupId, hook: Hook, epoch: Epoch, current: &Current) {
        let key = current.group(group).map(|group| group.key);
        let open = key.is_some_and(|key| self.open.get(&key).copied().unwrap_or_default());
        let mut post = |occasion, role, reason, with_units| {
            self.post(group, Step { occasion, role, epoch, reason, with_units }, current)
        };
        match (hook, open) {
            (Hook::BeforeOpen, false) => {
                post(Occasion::AfterClose, Role::Standby, "not_opened", true);
            }
            (Hook::BeforeClose, true) => {
                post(Occasion::StayOpen, Role::Active, "not_closed", true);
                post(Occasion::AfterOpen, Role::Active, "not_closed", false);
            }
            (Hook::BeforeOpen, true) | (Hook::BeforeClose, false) => {}
        }
    }

    /// Notes whether the group is open, and posts the hooks that follow a change of role. `ready`:
    /// whether the agent has finished starting.
    fn follow_role(
        &mut self,
        group: GroupId,
        (from, to): (Role, Role),
        (epoch, cause): (Epoch, Cause),
        current: &Current,
        ready: bool,
    ) {
        let Some(key) = current.group(group).map(|group| group.key) else { return };
        self.open.insert(key, to.is_open());
        let word = words::cause_word(cause);
        // An agent that finds a group closed when it starts may have been killed while it was open.
        let first = from == Role::Starting && to != Role::Starting;
        let mut post = |occasion, reason, with_units| {
            self.post(group, Step { occasion, role: to, epoch, reason, with_units }, current)
        };
        if to.is_open() && !from.is_open() {
            post(Occasion::AfterOpen, word, cause == Cause::Adopted);
        } else if !to.is_open() && (from.is_open() || first) {
            let word = if from.is_open() { word } else { "start" };
            post(Occasion::AfterClose, word, true);
        }
        // While an agent starts, what is missing is no fault yet.
        if to == Role::Fault && from != Role::Fault && ready {
            post(Occasion::OnFault, word, false);
        }
    }

    /// Hands a step to the group's worker; false if the step has nothing to run.
    fn post(&mut self, group: GroupId, step: Step, current: &Current) -> bool {
        let Some(configured) = current.group(group) else { return false };
        let job = Job {
            key: configured.key,
            group: configured.name.clone(),
            occasion: step.occasion,
            role: words::role(step.role),
            epoch: step.epoch,
            reason: step.reason,
            peer: current.config.peers().next().map(|peer| peer.name.clone()).unwrap_or_default(),
            service: Arc::new(configured.service.clone()),
            with_units: step.with_units,
        };
        self.workers.as_mut().is_some_and(|workers| workers.post(job))
    }

    /// Waits for what follows the last closing; it still runs when the hot thread has ended. The
    /// ends lie in `ends` afterwards.
    pub async fn finish(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.finish(LAST_PATIENCE).await;
        }
    }
}

/// What the end of a hook calls for: an event for each failure, another try of the group's checks,
/// and an order if the engine waits for the hook. Writes nothing.
pub fn handle_ended(ended: Ended, current: &Current, numbering: Numbering<'_>) -> Effects {
    let Ended { key, occasion, epoch, ok, failures } = ended;
    let mut effects = Effects::default();
    let name = current.group_name(key);
    for failure in failures {
        let hook = occasion.name();
        let what = if ok && occasion.is_waited_for() { "; going on (on_failure = \"proceed\")" } else { "" };
        let text = format!("{name}: {hook}: {failure}{what}");
        let fields = vec![("hook", hook.to_owned()), ("epoch", epoch.0.to_string())];
        let group = Some(name.clone());
        effects.event_of(Saying { severity: Severity::Error, kind: "hook_failed", group, text, fields });
    }
    effects.push(Effect::CheckAgain(key));
    let hook = match occasion {
        Occasion::BeforeOpen => Hook::BeforeOpen,
        Occasion::BeforeClose => Hook::BeforeClose,
        Occasion::StayOpen | Occasion::AfterOpen | Occasion::AfterClose | Occasion::OnFault => return effects,
    };
    if let Some(group) = numbering.of(key) {
        effects.order(Order::Hook { group, hook, epoch, ok });
    }
    effects
}
