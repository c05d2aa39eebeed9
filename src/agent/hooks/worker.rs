//! The jobs of each group: one at a time, in their order.
//!
//! A job that the engine waits for ends the one that it waited for before: nobody waits for that any more. What follows a
//! fact is never ended by what comes later, so a demotion is over before the next promotion begins; its time counts.

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

/// Jobs of one group that wait. A group that moves faster than its hooks end loses what follows facts, and says so.
const WAITING: usize = 64;

/// How a job ended.
#[derive(Debug)]
pub struct Ended {
    /// Of which group.
    pub key: GroupKey,
    /// Which step.
    pub occasion: Occasion,
    /// Of which move.
    pub epoch: Epoch,
    /// Everything ended well, or is to be taken as if it had.
    pub ok: bool,
    /// What failed, and how, a sentence each.
    pub failures: Vec<String>,
}

/// What workers share.
#[derive(Clone)]
pub struct Tools {
    /// Where endings go.
    pub ended: mpsc::Sender<Ended>,
    /// For units.
    pub systemd: Arc<Systemd>,
    /// For programs.
    pub launcher: Arc<Launcher>,
}

/// A job on its way.
struct Posted {
    job: Job,
    at: Instant,
    /// Ready when the job is to be given up; `None`: it never is.
    given_up: Option<oneshot::Receiver<()>>,
}

struct Worker {
    posts: mpsc::Sender<Posted>,
    /// Dropped, it gives up the last job that the engine waited for.
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
    /// None yet; each begins with its group's first job, on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle, tools: Tools) -> Workers {
        Workers { runtime, tools, workers: HashMap::new() }
    }

    /// Hands a job to its group's worker. A job that has nothing to do is none; false if there is nothing to wait for.
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
            // Dropping the one before gives up its job, if that has not ended long ago.
            drop(worker.last.replace(give_up));
            given_up
        });
        if worker.posts.try_send(Posted { job, at: Instant::now(), given_up }).is_err() {
            tracing::error!(group, "{} is left out: {WAITING} hooks of this group wait already", occasion.name());
        }
        true
    }

    /// Lets everything end that was asked for, `patience` at the most.
    pub async fn finish(self, patience: Duration) {
        let end = Instant::now() + patience;
        for (_, Worker { posts, last, task }) in self.workers {
            drop(posts);
            // Over, or given up: what the engine waited for it does not wait for any more.
            drop(last);
            if tokio::time::timeout_at(end, task).await.is_err() {
                tracing::error!("hooks are left behind: they took longer than the agent can wait");
            }
        }
    }
}

async fn work(mut inbox: mpsc::Receiver<Posted>, tools: Tools) {
    while let Some(Posted { job, at, given_up }) = inbox.recv().await {
        let end = job.patience_together().map(|patience| at + patience);
        let (ok, failures) = tokio::select! {
            failures = run(&job, end, &tools) => (failures.is_empty() || job.proceeds(), failures),
            () = whether(given_up) => (false, vec!["given up: the group's move has changed".to_owned()]),
        };
        let ended = Ended { key: job.key, occasion: job.occasion, epoch: job.epoch, ok, failures };
        if tools.ended.send(ended).await.is_err() {
            return;
        }
    }
}

async fn whether(given_up: Option<oneshot::Receiver<()>>) {
    match given_up {
        // An error says that the other end is gone, which is how it is said.
        Some(given_up) => drop(given_up.await),
        None => std::future::pending().await,
    }
}

/// Does everything; what failed, and how.
async fn run(job: &Job, end: Option<Instant>, tools: &Tools) -> Vec<String> {
    let mut failures = Vec::new();
    for part in job.parts() {
        let now = Instant::now();
        let patience = end.map_or(job.patience(), |end| job.patience().min(end.saturating_duration_since(now)));
        if patience.is_zero() {
            failures.push("no time is left for the rest".to_owned());
            break;
        }
        if let Err(failure) = one(job, &part, patience, tools).await {
            failures.push(failure);
            // With "proceed" the rest is tried, too: as much as possible is as it should be.
            if job.occasion.is_waited_for() && !job.proceeds() {
                break;
            }
        }
    }
    failures
}

async fn one(job: &Job, part: &Part, patience: Duration, tools: &Tools) -> Result<(), String> {
    let (group, hook) = (job.group.as_str(), job.occasion.name());
    match part {
        Part::Run(command) => {
            tracing::info!(group, hook, "running {command}");
            let environment = job.environment();
            let launch = Launch { command, environment: &environment, user: None, patience };
            let told = tools.launcher.run(&launch, |line| tracing::info!(group, hook, "{line}")).await;
            told.map_err(|error| format!("{command}: {error}"))
        }
        Part::StartUnit(unit) => wish(tools, unit, Wish::Start, patience).await,
        Part::StopUnit(unit) => wish(tools, unit, Wish::Stop, patience).await,
    }
}

async fn wish(tools: &Tools, unit: &str, wish: Wish, patience: Duration) -> Result<(), String> {
    let wished = tokio::time::timeout(patience, tools.systemd.wish(unit, wish)).await;
    wished.unwrap_or_else(|_| Err(format!("{unit}: systemd did not do it within {} ms", patience.as_millis())))
}
