//! Workers: each group's jobs, one at a time, in their order.
//!
//! Owns: a task and a bounded queue for each group. Never does: decide what a job consists of. A
//! job that the engine waits for ends the job that it waited for before, which is of no use any
//! more. A job that follows a fact is never ended by a later one, so a demotion is over before the
//! next promotion begins; the time that it takes counts for the promotion's job. A job that finds
//! its queue full is left out, with an error in the log.

use super::job::{Job, Occasion, Part};
use crate::io::units::{Systemd, Wish};
use crate::launch::{Launch, Launcher};
use crate::types::{Epoch, GroupKey};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Most jobs of one group that wait. A group that moves faster than its hooks end loses jobs that
/// follow facts.
const WAITING: usize = 64;

/// End of a job.
#[derive(Debug)]
pub struct Ended {
    /// Group of the job.
    pub key: GroupKey,
    /// Step of the move.
    pub occasion: Occasion,
    /// Epoch of the move.
    pub epoch: Epoch,
    /// Whether all parts succeeded, or failures count as successes.
    pub ok: bool,
    /// One sentence for each failure.
    pub failures: Vec<String>,
}

/// Means that all workers share.
#[derive(Clone)]
pub struct Tools {
    /// Way of the ends to the slow side.
    pub ended: mpsc::Sender<Ended>,
    /// Bus that starts and stops units.
    pub systemd: Arc<Systemd>,
    /// Launcher of programs.
    pub launcher: Arc<Launcher>,
}

/// A job in a worker's queue.
struct Posted {
    job: Job,
    /// Instant of posting, from which the job's time limit counts.
    posted: Instant,
    /// Resolves when the job is to be given up; `None` if it never is.
    given_up: Option<oneshot::Receiver<()>>,
}

/// One group's queue and task.
struct Worker {
    posts: mpsc::Sender<Posted>,
    /// Sender whose drop gives up the last job that the engine waited for.
    last: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// The workers of all groups.
pub struct Workers {
    runtime: Handle,
    tools: Tools,
    workers: HashMap<GroupKey, Worker>,
}

impl Workers {
    /// No workers yet; each begins with its group's first job, on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle, tools: Tools) -> Workers {
        Workers { runtime, tools, workers: HashMap::new() }
    }

    /// Hands a job to its group's worker. False if the job has no parts, so that no end will come.
    pub fn post(&mut self, job: Job) -> bool {
        if job.parts().is_empty() {
            return false;
        }
        let worker = self.workers.entry(job.key).or_insert_with(|| {
            let (posts, inbox) = mpsc::channel(WAITING);
            let task = self.runtime.spawn(work(inbox, self.tools.clone()));
            Worker { posts, last: None, task }
        });
        let (group, occasion) = (job.group.clone(), job.occasion);
        let given_up = occasion.is_waited_for().then(|| {
            let (give_up, given_up) = oneshot::channel();
            // Dropping the sender before gives up its job, if that has not ended long ago.
            drop(worker.last.replace(give_up));
            given_up
        });
        if worker.posts.try_send(Posted { job, posted: Instant::now(), given_up }).is_err() {
            tracing::error!(group, "{} is left out: {WAITING} hooks of this group wait already", occasion.name());
        }
        true
    }

    /// Gives up jobs that the engine waited for, and waits for all others to end, `patience` at
    /// most.
    pub async fn finish(self, patience: Duration) {
        let end = Instant::now() + patience;
        for (_, Worker { posts, last, task }) in self.workers {
            drop(posts);
            // The engine has stopped, so it waits for no job any more.
            drop(last);
            if tokio::time::timeout_at(end, task).await.is_err() {
                tracing::error!("hooks are left behind: they took longer than the agent can wait");
            }
        }
    }
}

/// A worker's task: runs posted jobs until the queue's other end is gone.
async fn work(mut inbox: mpsc::Receiver<Posted>, tools: Tools) {
    while let Some(Posted { job, posted, given_up }) = inbox.recv().await {
        let end = job.patience_in_all().map(|patience| posted + patience);
        let (ok, failures) = tokio::select! {
            failures = run_job(&job, end, &tools) => (failures.is_empty() || job.proceeds(), failures),
            () = until_given_up(given_up) => (false, vec!["given up: the group's move has changed".to_owned()]),
        };
        let ended = Ended { key: job.key, occasion: job.occasion, epoch: job.epoch, ok, failures };
        if tools.ended.send(ended).await.is_err() {
            return;
        }
    }
}

/// Waits until the job is to be given up; for ever if it never is.
async fn until_given_up(given_up: Option<oneshot::Receiver<()>>) {
    match given_up {
        // The drop of the sender is the signal, and arrives as an error.
        Some(given_up) => drop(given_up.await),
        None => std::future::pending().await,
    }
}

/// Runs a job's parts, no longer than until `end`; returns one sentence for each failure.
async fn run_job(job: &Job, end: Option<Instant>, tools: &Tools) -> Vec<String> {
    let mut failures = Vec::new();
    for part in job.parts() {
        let now = Instant::now();
        let patience = end.map_or(job.patience(), |end| job.patience().min(end.saturating_duration_since(now)));
        if patience.is_zero() {
            failures.push("no time is left for the rest".to_owned());
            break;
        }
        if let Err(failure) = run_part(job, &part, patience, tools).await {
            failures.push(failure);
            // With "proceed" the rest is tried, too, so that as much as possible is as it should
            // be.
            if job.occasion.is_waited_for() && !job.proceeds() {
                break;
            }
        }
    }
    failures
}

/// Runs one program, or starts or stops one unit.
async fn run_part(job: &Job, part: &Part, patience: Duration, tools: &Tools) -> Result<(), String> {
    let (group, hook) = (job.group.as_str(), job.occasion.name());
    match part {
        Part::Run(command) => {
            tracing::info!(group, hook, "running {command}");
            let environment = job.environment();
            let launch = Launch { command, environment: &environment, user: None, patience };
            let result = tools.launcher.run(&launch, |line| tracing::info!(group, hook, "{line}")).await;
            result.map_err(|error| format!("{command}: {error}"))
        }
        Part::StartUnit(unit) => change_unit(tools, unit, Wish::Start, patience).await,
        Part::StopUnit(unit) => change_unit(tools, unit, Wish::Stop, patience).await,
    }
}

/// Has systemd start or stop a unit within `patience`.
async fn change_unit(tools: &Tools, unit: &str, wish: Wish, patience: Duration) -> Result<(), String> {
    let wished = tokio::time::timeout(patience, tools.systemd.wish(unit, wish)).await;
    wished.unwrap_or_else(|_| Err(format!("{unit}: systemd did not do it within {} ms", patience.as_millis())))
}
