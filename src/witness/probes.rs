//! Service checks: connections that are tried again and again, beside the loop and never in it.
//!
//! All checks run as tasks of one thread. A check that connects has succeeded, and the connection
//! is closed at once; a check that is refused or takes too long has failed. How many failures make
//! a fault is the voter's decision.

use crate::config::ServiceCheck;
use crate::io::dial;
use crate::reports::{Report, Reports};
use std::collections::HashMap;
use std::io;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

/// The thread of all checks, and its tasks by cluster.
pub(super) struct Probes {
    runtime: Handle,
    reports: Reports,
    tasks: HashMap<usize, Vec<AbortHandle>>,
    /// Number of the newest series of checks: results of replaced checks carry an older number.
    series: u64,
}

impl Probes {
    /// Starts the thread, which also reports every SIGHUP.
    pub fn start(reports: &Reports) -> io::Result<Probes> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let mut hangup = {
            let _inside = runtime.enter();
            signal(SignalKind::hangup())?
        };
        let to_loop = reports.clone();
        std::thread::Builder::new().name("checks".into()).spawn(move || {
            runtime.block_on(async {
                while hangup.recv().await.is_some() {
                    to_loop.send(Report::Hangup);
                }
            });
        })?;
        Ok(Probes { runtime: handle, reports: reports.clone(), tasks: HashMap::new(), series: 0 })
    }

    /// Replaces the running checks of a cluster by `checks`. Returns the series that their results
    /// carry.
    pub fn start_checks(&mut self, cluster: usize, checks: &[ServiceCheck]) -> u64 {
        self.stop_checks(cluster);
        self.series += 1;
        let start = |(number, check): (usize, &ServiceCheck)| {
            let (source, reports) = ((cluster, self.series, number), self.reports.clone());
            self.runtime.spawn(repeat(source, check.clone(), reports)).abort_handle()
        };
        let tasks = checks.iter().enumerate().map(start).collect();
        self.tasks.insert(cluster, tasks);
        self.series
    }

    /// Stops all checks of a cluster. Results that are in the queue already still arrive.
    pub fn stop_checks(&mut self, cluster: usize) {
        for task in self.tasks.remove(&cluster).into_iter().flatten() {
            task.abort();
        }
    }
}

/// Tries one check at its interval for as long as its task lives, and reports each result.
async fn repeat(source: (usize, u64, usize), check: ServiceCheck, reports: Reports) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let healthy = dial::try_port(check.target, check.timeout).await.is_ok();
        reports.send(Report::Checked(source, healthy));
    }
}
