//! One check, tried again and again until its task is ended.
//!
//! Owns: when to try, and what all checks share. Never does: sum up a group. An attempt that fails,
//! for whatever reason, counts; the task ends when the board's side is gone.

use super::process::Processes;
use super::standing::Standing;
use super::{CheckId, Start, Verdict, http};
use crate::config::{Check, CheckKind, Command, ProcessCheck};
use crate::io::dial;
use crate::io::units::Systemd;
use crate::launch::{Launch, Launcher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Most programs of checks that begin at the same time.
const PROGRAMS: usize = 4;
/// Longest time for which a program counts as beginning: one that takes longer makes room for others, so
/// that programs that hang hold up no other check for long.
const BEGINNING: Duration = Duration::from_millis(250);
/// Most programs of checks that run at the same time, hanging ones included.
const RUNNING: usize = 256;
/// Grid on which checks begin, so that of a thousand checks some wake the thread together.
const SLOT: Duration = Duration::from_millis(25);
/// Shortest pause between two questions about a unit whose verdict is settled; systemd reports
/// changes by itself.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Longest wait of a program until it may begin, if there are so many: all others begin first, and all
/// hang.
pub(super) fn longest_wait(programs: usize) -> Duration {
    BEGINNING.saturating_mul(u32::try_from(programs.saturating_sub(1) / PROGRAMS).unwrap_or(u32::MAX))
}

/// Means that all checks share: programs, processes, systemd, and the way of their verdicts.
#[derive(Clone)]
pub struct Tools {
    verdicts: mpsc::Sender<Verdict>,
    processes: Arc<Processes>,
    systemd: Arc<Systemd>,
    launcher: Arc<Launcher>,
    /// Places of programs that begin, and of all that run.
    beginning: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// Instant that slots are counted from.
    origin: Instant,
}

impl Tools {
    /// Tools whose verdicts go to `verdicts`.
    #[must_use]
    pub fn new(verdicts: mpsc::Sender<Verdict>, systemd: Arc<Systemd>, launcher: Arc<Launcher>) -> Tools {
        let (beginning, running) = (Arc::new(Semaphore::new(PROGRAMS)), Arc::new(Semaphore::new(RUNNING)));
        let origin = Instant::now();
        Tools { verdicts, processes: Arc::default(), systemd, launcher, beginning, running, origin }
    }

    /// Beginning of the first slot at `when` or later.
    fn slot(&self, when: Instant) -> Instant {
        let slots = when.duration_since(self.origin).as_nanos().div_ceil(SLOT.as_nanos());
        self.origin + SLOT * u32::try_from(slots).unwrap_or_default()
    }

    /// Runs a check as long as its verdicts have a receiver. `restarted` tells that the service may
    /// have been restarted: then the check is tried at once, and one success is enough.
    pub async fn run(self, start: Start, restarted: Arc<Notify>) {
        let Start { id, group: _, check, phase } = start;
        let mut ticks = interval_at(self.slot(Instant::now() + phase), check.interval);
        // Attempts keep to their grid: a late attempt does not delay the next one.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let standing = Standing::new(check.fall, check.rise);
        let mut repeat = Repeat { id, check, ticks, restarted, standing, tools: self };
        // The receiver is gone when the agent ends.
        let _gone = match repeat.check.kind.clone() {
            CheckKind::Process(process) => repeat.process(&process).await,
            CheckKind::Unit { unit } => repeat.unit(&unit).await,
            CheckKind::Tcp { .. } | CheckKind::Http(_) | CheckKind::Exec { .. } => repeat.attempts().await,
        };
    }
}

/// Error that ends a check's task: the receiver of verdicts is gone.
struct Unheard;

/// A check's task.
struct Repeat {
    id: CheckId,
    check: Check,
    ticks: Interval,
    restarted: Arc<Notify>,
    standing: Standing,
    tools: Tools,
}

impl Repeat {
    /// Tries a connection, page or program at each tick.
    async fn attempts(&mut self) -> Result<(), Unheard> {
        loop {
            self.due().await;
            let patience = self.check.timeout;
            let result = match &self.check.kind {
                CheckKind::Tcp { target } => dial::try_port(*target, patience).await,
                CheckKind::Http(check) => http::attempt(check, patience).await,
                CheckKind::Exec { command, user } => self.tools.exec(command, user, patience).await,
                CheckKind::Process(_) | CheckKind::Unit { .. } => return Ok(()),
            };
            self.count(result).await?;
        }
    }

    /// Looks for a process at each tick; holds the one that is found until it ends.
    async fn process(&mut self, process: &ProcessCheck) -> Result<(), Unheard> {
        loop {
            self.due().await;
            let found = match self.tools.processes.find(process) {
                Ok(found) => found,
                Err(reason) => {
                    self.count(Err(reason)).await?;
                    continue;
                }
            };
            self.count(Ok(())).await?;
            loop {
                tokio::select! {
                    ended = found.fd.ended() => {
                        let how = ended.map_or_else(|error| error.to_string(), |()| "ended".to_owned());
                        let news = self.standing.fail(format!("process {} {how}", found.pid));
                        self.report(news).await?;
                        break;
                    }
                    _ = self.ticks.tick(), if !self.standing.is_settled() => self.count(Ok(())).await?,
                    () = self.restarted.notified() => {
                        self.standing.start_over();
                        self.count(Ok(())).await?;
                    }
                }
            }
        }
    }

    /// Asks systemd about a unit at each tick, and whenever systemd reports a change of it.
    async fn unit(&mut self, unit: &str) -> Result<(), Unheard> {
        self.ticks.tick().await;
        loop {
            let patience = self.check.timeout;
            let watched = tokio::time::timeout(patience, self.tools.systemd.watch(unit)).await;
            let mut changes = watched.ok().and_then(Result::ok);
            loop {
                let asked = tokio::time::timeout(patience, self.tools.systemd.is_active(unit)).await;
                let result = asked.unwrap_or_else(|_| Err("systemd does not answer".to_owned()));
                let lost = result.is_err();
                self.count(result).await?;
                let settled = self.standing.is_settled();
                let pause = if settled { self.check.interval.max(ASK_AGAIN) } else { self.check.interval };
                let changed = async {
                    match &mut changes {
                        Some(changes) => changes.next().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(pause) => {}
                    () = self.restarted.notified() => self.standing.start_over(),
                }
                // Without a watch, or with a watch that may have been lost with its bus, watch
                // again.
                if changes.is_none() || (lost && settled) {
                    break;
                }
            }
        }
    }

    /// Waits until the next attempt is due.
    async fn due(&mut self) {
        tokio::select! {
            _ = self.ticks.tick() => {}
            () = self.restarted.notified() => self.standing.start_over(),
        }
    }

    /// Counts an attempt, and reports the verdict if it has changed.
    async fn count(&mut self, result: Result<(), String>) -> Result<(), Unheard> {
        let news = self.standing.count(result);
        self.report(news).await
    }

    /// Reports a verdict, if there is one to report.
    async fn report(&mut self, news: Option<Result<(), String>>) -> Result<(), Unheard> {
        let Some(result) = news else { return Ok(()) };
        self.tools.verdicts.send(Verdict { check: self.id, result }).await.map_err(|_| Unheard)
    }
}

impl Tools {
    /// Runs a check's program as soon as fewer than [`PROGRAMS`] begin, for `patience` at most. When
    /// it fails, the reason ends with the last line of its output.
    async fn exec(&self, command: &Command, user: &str, patience: Duration) -> Result<(), String> {
        let stopping = |_| "the agent is stopping".to_owned();
        let _running = self.running.acquire().await.map_err(stopping)?;
        let turn = self.beginning.acquire().await.map_err(stopping)?;
        let launch = Launch { command, environment: &[], user: Some(user), patience };
        let mut said = None;
        let result = {
            let mut run = std::pin::pin!(self.launcher.run(&launch, |line| said = Some(line.to_owned())));
            match tokio::time::timeout(BEGINNING, &mut run).await {
                Ok(result) => result,
                Err(_) => {
                    drop(turn);
                    run.await
                }
            }
        };
        result.map_err(|error| match said {
            Some(said) => format!("{error}: {said}"),
            None => error.to_string(),
        })
    }
}
