//! Service checks: connections that are tried again and again, beside the loop and never in it.
//!
//! All of them run as tasks of one thread. A connection that is made is closed at once; one that is refused or takes too
//! long has failed. What counts as a fault is for the voter to say.

use crate::config::ServiceCheck;
use crate::io::dial;
use crate::reports::{Report, Reports};
use std::collections::HashMap;
use std::io;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

/// The thread, and its tasks by cluster.
pub(super) struct Probes {
    runtime: Handle,
    reports: Reports,
    tasks: HashMap<usize, Vec<AbortHandle>>,
    /// Tells results of checks that there were from results of those that there are.
    series: u64,
}

impl Probes {
    /// Starts the thread. It hears SIGHUP as well.
    pub fn start(reports: &Reports) -> io::Result<Probes> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let mut hangup = {
            let _inside = runtime.enter();
            signal(SignalKind::hangup())?
        };
        let heard = reports.clone();
        std::thread::Builder::new().name("checks".into()).spawn(move || {
            runtime.block_on(async {
                while hangup.recv().await.is_some() {
                    heard.send(Report::Hangup);
                }
            });
        })?;
        Ok(Probes { runtime: handle, reports: reports.clone(), tasks: HashMap::new(), series: 0 })
    }

    /// Tries these checks of a cluster from now on, and no others of it. Returns the series that their results carry.
    pub fn follow(&mut self, cluster: usize, checks: &[ServiceCheck]) -> u64 {
        self.end(cluster);
        self.series += 1;
        let start = |(number, check): (usize, &ServiceCheck)| {
            let (source, reports) = ((cluster, self.series, number), self.reports.clone());
            self.runtime.spawn(repeat(source, check.clone(), reports)).abort_handle()
        };
        let tasks = checks.iter().enumerate().map(start).collect();
        self.tasks.insert(cluster, tasks);
        self.series
    }

    /// Tries no check of this cluster any more.
    pub fn end(&mut self, cluster: usize) {
        for task in self.tasks.remove(&cluster).into_iter().flatten() {
            task.abort();
        }
    }
}

async fn repeat(source: (usize, u64, usize), check: ServiceCheck, reports: Reports) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let healthy = dial::attempt(check.target, check.timeout).await.is_ok();
        reports.send(Report::Checked(source, healthy));
    }
}
