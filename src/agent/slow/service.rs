//! The slow side's way to checks and hooks: it starts their thread, gives it work, and carries what it says to the hot
//! thread, to people and to `status`.
//!
//! A verdict goes to the hot thread as soon as it is heard; no tick is waited for. Hooks that the engine waits for are posted
//! when it asks, the others when it has told what has happened.

use super::Slow;
use crate::checks::{self, Board, CheckId, Verdict};
use crate::control::protocol::{CheckStatus, MAX_SHOWN_CHECKS, Severity, StatusReport};
use crate::engine::{Cause, Hook, Notice, Report};
use crate::hooks::{self, Ended, Job, Occasion, Workers};
use crate::io::units::Systemd;
use crate::io::{clock, realtime};
use crate::launch::Launcher;
use crate::orders::Order;
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId};
use crate::wire::pulse::{Reason, Role};
use crate::words::{self, Told};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

/// Verdicts and ends of hooks that wait for the slow side; their tasks wait when there are more.
const WAITING: usize = 1024;
/// Threads that may hang in a file system that does not answer; what comes then is late.
const FILE_LOOKS: usize = 16;
/// How long the agent's end waits for hooks. Less than the unit's TimeoutStopSec.
const LAST_PATIENCE: Duration = Duration::from_secs(60);

/// Checks and hooks, as the slow side holds them.
pub(crate) struct ServiceSide {
    board: Board,
    tasks: HashMap<CheckId, Running>,
    /// Checks that wait until their group's addresses are in place: before that, what is asked for is somewhere else.
    held: Vec<checks::Start>,
    /// Groups whose addresses have been put in place.
    placed: HashSet<GroupKey>,
    runtime: Handle,
    tools: checks::Tools,
    workers: Option<Workers>,
    /// Groups whose gate was open by the last notice.
    open: HashMap<GroupKey, bool>,
    /// What checks have come to.
    pub verdicts: mpsc::Receiver<Verdict>,
    /// How hooks ended.
    pub hook_ends: mpsc::Receiver<Ended>,
    /// Dropped, it ends the thread.
    _thread: oneshot::Sender<()>,
}

/// A check that runs.
struct Running {
    group: GroupKey,
    task: AbortHandle,
    /// The service may have been started anew.
    anew: Arc<Notify>,
}

/// Starts the thread.
pub(crate) fn start() -> io::Result<ServiceSide> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(FILE_LOOKS).build()?;
    let handle = runtime.handle().clone();
    let (thread, dropped) = oneshot::channel::<()>();
    std::thread::Builder::new().name("checks".into()).spawn(move || {
        let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
        // An error is what a dropped sender says.
        let _over = runtime.block_on(dropped);
        // A look at a file system that hangs must not keep the agent from ending.
        runtime.shutdown_background();
    })?;
    let (verdicts_in, verdicts) = mpsc::channel(WAITING);
    let (ended, hook_ends) = mpsc::channel(WAITING);
    let (systemd, launcher) = (Arc::new(Systemd::default()), Arc::new(Launcher::new()));
    let tools = checks::Tools::new(verdicts_in, Arc::clone(&systemd), Arc::clone(&launcher));
    let workers = Workers::new(handle.clone(), hooks::Tools { ended, systemd, launcher });
    Ok(ServiceSide {
        board: Board::default(),
        tasks: HashMap::new(),
        held: Vec::new(),
        placed: HashSet::new(),
        runtime: handle,
        tools,
        workers: Some(workers),
        open: HashMap::new(),
        verdicts,
        hook_ends,
        _thread: thread,
    })
}

impl Slow {
    /// Starts and ends checks so that those of the present configuration run.
    pub(crate) fn begin_checks(&mut self) {
        let ServiceSide { board, tasks, held, placed, .. } = &mut self.service;
        let checks::Change { start: started, end: ended } = board.configure(&self.config.groups, clock::now());
        let known: HashSet<GroupKey> = self.config.groups.iter().map(|group| group.key).collect();
        placed.retain(|key| known.contains(key));
        let over: HashSet<CheckId> = ended.iter().copied().collect();
        held.retain(|start| !over.contains(&start.id));
        for id in ended {
            if let Some(task) = tasks.remove(&id) {
                task.task.abort();
            }
        }
        held.extend(started);
        self.start_held();
        for (group, health) in self.service.board.take_all_unreported() {
            self.order_health(group, health);
        }
    }

    /// The addresses of all groups of an interface are in place.
    pub(crate) fn start_checks_on(&mut self, interface: InterfaceId) {
        let name = self.names.interface(interface).to_owned();
        let there = self.config.groups.iter().filter(|group| group.interface == name).map(|group| group.key);
        self.service.placed.extend(there);
        self.start_held();
    }

    fn start_held(&mut self) {
        let ServiceSide { tasks, held, placed, runtime, tools, .. } = &mut self.service;
        for start in held.extract_if(.., |start| placed.contains(&start.group)) {
            let (id, group, anew) = (start.id, start.group, Arc::new(Notify::new()));
            let task = runtime.spawn(tools.clone().run(start, Arc::clone(&anew))).abort_handle();
            tasks.insert(id, Running { group, task, anew });
        }
    }

    pub(crate) fn hear_verdict(&mut self, verdict: Verdict) {
        let now = clock::now();
        let reason = verdict.result.as_ref().err().cloned();
        let Some(changed) = self.service.board.note(verdict, now) else { return };
        let (key, turned) = (changed.group, changed.turned);
        let (kind, target) = (changed.check.kind.name(), changed.check.kind.target());
        let vetoes = changed.check.weight.is_none();
        if let Some(health) = self.service.board.take_unreported(key) {
            self.order_health(key, health);
        }
        if !turned {
            return;
        }
        let name = self.group_called(key);
        let (severity, word, text) = match &reason {
            None => (Severity::Info, "check_well", format!("{name}: check {kind} {target} is well again")),
            Some(reason) => {
                let severity = if vetoes { Severity::Error } else { Severity::Warning };
                (severity, "check_failed", format!("{name}: check {kind} {target} fails: {reason}"))
            }
        };
        let fields = vec![("check", kind.to_owned()), ("target", target)];
        self.journal.note(now, Told { severity, kind: word, group: Some(name), text, fields });
    }

    fn order_health(&mut self, key: GroupKey, health: u8) {
        if let Some(group) = self.ordered_group(key) {
            self.order(Order::Health { group, health });
        }
    }

    /// The group's number by the time that the hot thread takes the next order.
    fn ordered_group(&self, key: GroupKey) -> Option<GroupId> {
        let at = self.ordered_config().groups.iter().position(|group| group.key == key)?;
        u16::try_from(at).ok().map(GroupId)
    }

    pub(crate) fn group_called(&self, key: GroupKey) -> String {
        let group = self.config.groups.iter().find(|group| group.key == key);
        group.map_or_else(|| "?".to_owned(), |group| group.name.clone())
    }

    /// The engine waits for a hook.
    pub(crate) fn run_before(&mut self, group: GroupId, hook: Hook, epoch: Epoch, cause: Cause) {
        let (occasion, role) = match hook {
            Hook::BeforeOpen => (Occasion::BeforeOpen, Role::Active),
            Hook::BeforeClose => (Occasion::BeforeClose, Role::Standby),
        };
        if !self.post((group, occasion), role, epoch, words::cause_word(cause), true) {
            // Nothing is configured that could be run: it has ended well.
            self.order(Order::Hook { group, hook, epoch, ok: true });
        }
    }

    /// Runs what follows from what the engine has told.
    pub(crate) fn run_what_follows(&mut self, notice: &Notice) {
        if let Notice::Role { group, from, to, epoch, cause, .. } = *notice {
            self.run_after(group, (from, to), epoch, cause);
        }
        // What was done for a move that does not take place is undone.
        if let Notice::Hook { group, hook, epoch, .. } = *notice {
            let key = self.config.groups.get(usize::from(group.0)).map(|group| group.key);
            let open = key.is_some_and(|key| self.service.open.get(&key).copied().unwrap_or_default());
            match (hook, open) {
                (Hook::BeforeOpen, false) => {
                    self.post((group, Occasion::AfterClose), Role::Standby, epoch, "not_opened", true);
                }
                (Hook::BeforeClose, true) => {
                    self.post((group, Occasion::StayOpen), Role::Active, epoch, "not_closed", true);
                    self.post((group, Occasion::AfterOpen), Role::Active, epoch, "not_closed", false);
                }
                (Hook::BeforeOpen, true) | (Hook::BeforeClose, false) => {}
            }
        }
    }

    fn run_after(&mut self, group: GroupId, (from, to): (Role, Role), epoch: Epoch, cause: Cause) {
        let Some(key) = self.config.groups.get(usize::from(group.0)).map(|group| group.key) else { return };
        self.service.open.insert(key, to.is_open());
        let word = words::cause_word(cause);
        // An agent that finds a group closed when it starts may have been killed while it was open.
        let first = from == Role::Starting && to != Role::Starting;
        if to.is_open() && !from.is_open() {
            self.post((group, Occasion::AfterOpen), to, epoch, word, cause == Cause::Adopted);
        } else if !to.is_open() && (from.is_open() || first) {
            let word = if from.is_open() { word } else { "start" };
            self.post((group, Occasion::AfterClose), to, epoch, word, true);
        }
        // While an agent starts, what is missing is no fault yet.
        if to == Role::Fault && from != Role::Fault && self.state.ready_told {
            self.post((group, Occasion::OnFault), to, epoch, word, false);
        }
    }

    fn post(
        &mut self,
        (group, occasion): (GroupId, Occasion),
        role: Role,
        epoch: Epoch,
        reason: &'static str,
        with_units: bool,
    ) -> bool {
        let Some(configured) = self.config.groups.get(usize::from(group.0)) else { return false };
        let job = Job {
            key: configured.key,
            group: configured.name.clone(),
            occasion,
            role: words::role(role),
            epoch,
            reason,
            peer: self.config.peers().next().map(|peer| peer.name.clone()).unwrap_or_default(),
            service: Arc::new(configured.service.clone()),
            with_units,
        };
        self.service.workers.as_mut().is_some_and(|workers| workers.post(job))
    }

    pub(crate) fn hear_hook(&mut self, ended: Ended) {
        let Ended { key, occasion, epoch, ok, failures } = ended;
        let name = self.group_called(key);
        for failure in failures {
            let hook = occasion.name();
            let what = if ok && occasion.is_waited_for() { "; going on (on_failure = \"proceed\")" } else { "" };
            let text = format!("{name}: {hook}: {failure}{what}");
            let fields = vec![("hook", hook.to_owned()), ("epoch", epoch.0.to_string())];
            let told =
                Told { severity: Severity::Error, kind: "hook_failed", group: Some(name.clone()), text, fields };
            self.journal.note(clock::now(), told);
        }
        // A hook may have stopped the service or started it.
        self.service.tasks.values().filter(|running| running.group == key).for_each(|check| check.anew.notify_one());
        let hook = match occasion {
            Occasion::BeforeOpen => Hook::BeforeOpen,
            Occasion::BeforeClose => Hook::BeforeClose,
            Occasion::StayOpen | Occasion::AfterOpen | Occasion::AfterClose | Occasion::OnFault => return,
        };
        if let Some(group) = self.ordered_group(key) {
            self.order(Order::Hook { group, hook, epoch, ok });
        }
    }

    /// What follows the last closing still runs when the hot thread has ended.
    pub(crate) async fn finish_hooks(&mut self) {
        if let Some(workers) = self.service.workers.take() {
            workers.finish(LAST_PATIENCE).await;
        }
        while let Ok(ended) = self.service.hook_ends.try_recv() {
            self.hear_hook(ended);
        }
    }

    /// Adds the checks of each group to its status, those that fail first, and to its reason what fails.
    pub(crate) fn add_checks(&self, status: &mut StatusReport, report: &Report) {
        let groups = self.config.groups.iter().zip(&report.groups);
        for (group, (configured, found)) in status.groups.iter_mut().zip(groups) {
            let mut checks: Vec<CheckStatus> = self.service.board.shown(configured.key).map(shown).collect();
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

fn shown(check: checks::Shown<'_>) -> CheckStatus {
    CheckStatus {
        kind: check.check.kind.name().to_owned(),
        target: check.check.kind.target().chars().take(100).collect(),
        ok: check.result.map(Result::is_ok),
        weight: check.check.weight.map(std::num::NonZeroU8::get),
        since: clock::wall_of(check.since).to_string(),
        error: check.result.and_then(|result| result.as_ref().err().cloned()).unwrap_or_default(),
    }
}
