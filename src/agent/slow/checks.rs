//! Checks of the services, as the slow side keeps them.
//!
//! Owns: which checks run, which wait for their addresses, and all verdicts. Never does: try a
//! check itself, or wait for one: their tasks run on the service thread. A verdict becomes an order
//! as soon as it arrives, without waiting for a tick.

use super::current::{Current, Numbering};
use super::effects::Effects;
use crate::checks::{Board, Change, CheckId, Shown, Start, Tools, Verdict};
use crate::control::protocol::{CheckStatus, MAX_SHOWN_CHECKS, Severity, StatusReport};
use crate::engine::Report;
use crate::io::clock;
use crate::io::units::Systemd;
use crate::launch::Launcher;
use crate::orders::Order;
use crate::types::{GroupKey, MonoTime};
use crate::wire::pulse::Reason;
use crate::words::{self, Saying};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

/// Verdicts that wait for the slow side; the checks' tasks wait when there are more.
const WAITING: usize = 1024;

/// All checks of this node.
pub(crate) struct Checks {
    board: Board,
    tasks: HashMap<CheckId, Running>,
    /// Checks that wait for their group's addresses: before those are in place, a check would reach
    /// another machine.
    held: Vec<Start>,
    /// Groups whose addresses are in place.
    placed: HashSet<GroupKey>,
    runtime: Handle,
    tools: Tools,
    /// Verdicts from the checks' tasks.
    pub verdicts: mpsc::Receiver<Verdict>,
}

/// A check that runs.
struct Running {
    group: GroupKey,
    task: AbortHandle,
    /// Signal to try at once: the service may have been restarted.
    again: Arc<Notify>,
}

impl Checks {
    /// No checks yet; [`Checks::configure`] starts them on `runtime`.
    pub fn new(runtime: Handle, systemd: Arc<Systemd>, launcher: Arc<Launcher>) -> Checks {
        let (verdicts_in, verdicts) = mpsc::channel(WAITING);
        Checks {
            board: Board::default(),
            tasks: HashMap::new(),
            held: Vec::new(),
            placed: HashSet::new(),
            runtime,
            tools: Tools::new(verdicts_in, systemd, launcher),
            verdicts,
        }
    }

    /// Starts and ends checks so that exactly those of the present configuration run.
    pub fn configure(&mut self, current: &Current, numbering: Numbering<'_>, now: MonoTime) -> Effects {
        let groups = &current.config.groups;
        let Change { start: started, end: ended } = self.board.configure(groups, now);
        let known: HashSet<GroupKey> = groups.iter().map(|group| group.key).collect();
        self.placed.retain(|key| known.contains(key));
        let over: HashSet<CheckId> = ended.iter().copied().collect();
        self.held.retain(|start| !over.contains(&start.id));
        for id in ended {
            if let Some(running) = self.tasks.remove(&id) {
                running.task.abort();
            }
        }
        self.held.extend(started);
        self.start_held();
        let mut effects = Effects::default();
        for (key, health) in self.board.take_all_unreported() {
            order_health(key, health, numbering, &mut effects);
        }
        effects
    }

    /// Starts the checks of a group whose addresses are in place now, as far as they can be had.
    pub fn start_for(&mut self, group: GroupKey) {
        if self.placed.insert(group) {
            self.start_held();
        }
    }

    /// Starts the waiting checks of all groups whose addresses are in place.
    fn start_held(&mut self) {
        for start in self.held.extract_if(.., |start| self.placed.contains(&start.group)) {
            let (id, group, again) = (start.id, start.group, Arc::new(Notify::new()));
            let task = self.runtime.spawn(self.tools.clone().run(start, Arc::clone(&again))).abort_handle();
            self.tasks.insert(id, Running { group, task, again });
        }
    }

    /// Takes in a verdict: an order if the group's health changes, an event if the check turned.
    pub fn handle_verdict(
        &mut self,
        verdict: Verdict,
        current: &Current,
        numbering: Numbering<'_>,
        now: MonoTime,
    ) -> Effects {
        let mut effects = Effects::default();
        let reason = verdict.result.as_ref().err().cloned();
        let Some(changed) = self.board.note(verdict, now) else { return effects };
        let (key, turned) = (changed.group, changed.turned);
        let (kind, target) = (changed.check.kind.name(), changed.check.kind.target());
        let vetoes = changed.check.weight.is_none();
        if let Some(health) = self.board.take_unreported(key) {
            order_health(key, health, numbering, &mut effects);
        }
        if turned {
            effects.event_of(turn_in_words(current.group_name(key), kind, target, vetoes, reason.as_deref()));
        }
        effects
    }

    /// Lets every check of a group try at once.
    pub fn try_again(&self, group: GroupKey) {
        self.tasks.values().filter(|running| running.group == group).for_each(|running| running.again.notify_one());
    }

    /// Adds the checks of each group to its status, those that fail first, and to the group's
    /// reason what fails.
    pub fn add_to(&self, status: &mut StatusReport, current: &Current, report: &Report) {
        let groups = current.config.groups.iter().zip(&report.groups);
        for (group, (configured, found)) in status.groups.iter_mut().zip(groups) {
            let mut checks: Vec<CheckStatus> = self.board.shown(configured.key).map(check_status).collect();
            checks.sort_by_key(|check| check.ok);
            checks.sort_by_key(|check| check.ok != Some(false));
            checks.truncate(MAX_SHOWN_CHECKS);
            let failing = checks.iter().filter(|check| check.ok == Some(false));
            let failing: Vec<String> =
                failing.map(|check| format!("{} {}: {}", check.kind, check.target, check.error)).collect();
            if found.reason == Reason::Unhealthy && failing.is_empty() {
                group.reason.push_str(" (no verdict yet)");
            } else if found.health > 0 && !failing.is_empty() {
                let words = if group.reason.is_empty() { words::health(found.health) } else { group.reason.clone() };
                group.reason = format!("{words} ({})", failing.join("; "));
            }
            group.checks = checks;
        }
    }
}

/// Orders the health of a group, unless the group is about to be removed.
fn order_health(key: GroupKey, health: u8, numbering: Numbering<'_>, effects: &mut Effects) {
    if let Some(group) = numbering.of(key) {
        effects.order(Order::Health { group, health });
    }
}

/// What people are told when a check begins to fail for `reason`, or is well again (`None`).
/// `vetoes`: whether the failure alone keeps the group from serving here.
fn turn_in_words(name: String, kind: &str, target: String, vetoes: bool, reason: Option<&str>) -> Saying {
    let (severity, word, text) = match reason {
        None => (Severity::Info, "check_well", format!("{name}: check {kind} {target} is well again")),
        Some(reason) => {
            let severity = if vetoes { Severity::Error } else { Severity::Warning };
            (severity, "check_failed", format!("{name}: check {kind} {target} fails: {reason}"))
        }
    };
    let fields = vec![("check", kind.to_owned()), ("target", target)];
    Saying { severity, kind: word, group: Some(name), text, fields }
}

/// One check as `status` shows it.
fn check_status(shown: Shown<'_>) -> CheckStatus {
    CheckStatus {
        kind: shown.check.kind.name().to_owned(),
        target: shown.check.kind.target().chars().take(100).collect(),
        ok: shown.result.map(Result::is_ok),
        weight: shown.check.weight.map(std::num::NonZeroU8::get),
        since: clock::wall_of(shown.since).to_string(),
        error: shown.result.and_then(|result| result.as_ref().err().cloned()).unwrap_or_default(),
    }
}
