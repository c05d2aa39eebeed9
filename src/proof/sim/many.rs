//! Many seeds, on many threads, until they are done, time is up, or one fails.

use super::coverage::Coverage;
use super::history::Want;
use super::play::{Mode, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Seeds that a thread takes at a time.
const CHUNK: u64 = 16;

/// A job: the seeds to be run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The first seed.
    pub from: u64,
    /// The first seed that is not run any more.
    pub to: u64,
    /// The mode of every run.
    pub mode: Mode,
    /// Number of threads, at least 1.
    pub threads: usize,
    /// Real time after which the job ends; `None` for no limit.
    pub limit: Option<Duration>,
    /// Time between two reports on progress.
    pub every: Duration,
    /// Number of failures after which the job ends.
    pub failures: usize,
}

/// The result of a job, so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The counts of all runs together.
    pub coverage: Coverage,
    /// Real time that the job has taken.
    pub spent: Duration,
    /// Seeds that failed, and why.
    pub failed: Vec<(u64, String)>,
}

impl Report {
    /// Takeovers per minute of real time.
    pub fn rate(&self) -> f64 {
        per_minute(self.coverage.takeovers, self.spent)
    }

    /// The result in one line, for people.
    pub fn line(&self) -> String {
        let seen = &self.coverage;
        format!(
            "{} runs, {} takeovers, {} handovers, {} other openings, {} events, {} runs divided, {} host entries \
             checked in {:.1} s: {:.0} takeovers and {:.0} runs per minute; {} failed",
            seen.runs,
            seen.takeovers,
            seen.handovers,
            seen.returns,
            seen.steps,
            seen.divided,
            seen.corrected,
            self.spent.as_secs_f64(),
            self.rate(),
            per_minute(seen.runs, self.spent),
            self.failed.len()
        )
    }
}

/// A count in a span of real time, as a rate per minute.
#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_minute(count: u64, spent: Duration) -> f64 {
    count as f64 * 60.0 / spent.as_secs_f64().max(0.001)
}

/// Runs a job; `tell` is called with the result so far, about every `job.every`.
pub fn run_many(job: Job, tell: impl Fn(&Report) + Sync) -> Report {
    let next = AtomicU64::new(job.from);
    let report = Mutex::new(Report::default());
    let start = Instant::now();
    let (told, limit) = (Mutex::new(start), job.limit.unwrap_or(Duration::MAX));
    let work = || {
        loop {
            let first = next.fetch_add(CHUNK, Ordering::Relaxed);
            let (mut seen, mut failed) = (Coverage::default(), Vec::new());
            for seed in first..(first.saturating_add(CHUNK)).min(job.to) {
                let outcome = run(seed, job.mode, Want::Nothing);
                seen.add(&outcome.coverage);
                failed.extend(outcome.failure.map(|failure| (seed, failure)));
            }
            let mut report = report.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            report.coverage.add(&seen);
            report.failed.extend(failed);
            report.spent = start.elapsed();
            let mut last = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.elapsed() >= job.every {
                *last = Instant::now();
                tell(&report);
            }
            let enough = report.failed.len() >= job.failures || report.spent >= limit;
            if enough || next.load(Ordering::Relaxed) >= job.to {
                next.store(job.to, Ordering::Relaxed);
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..job.threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut report = report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    report.spent = start.elapsed();
    report.failed.sort();
    report
}
