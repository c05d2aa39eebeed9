//! Service checks: connections that are tried again and again, beside the loop and never in it.
//!
//! All of them run as tasks of one thread. A connection that is made is closed at once; one that is refused or takes too
//! long has failed. What counts as a fault is for the voter to say.

use super::{Report, Reports};
use crate::checks::tcp;
use crate::config::{ServiceCheck, WitnessFile};
use std::io;
use tokio::time::{MissedTickBehavior, interval};

/// Starts the thread, if there is anything to check.
pub(super) fn start(file: &WitnessFile, reports: &Reports) -> io::Result<()> {
    let all: Vec<(usize, usize, ServiceCheck)> = file
        .clusters
        .iter()
        .enumerate()
        .flat_map(|(cluster, of)| {
            of.checks.iter().enumerate().map(move |(number, check)| (cluster, number, check.clone()))
        })
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reports = reports.clone();
    std::thread::Builder::new().name("checks".into()).spawn(move || {
        runtime.block_on(async {
            let tasks: Vec<_> = all
                .into_iter()
                .map(|(cluster, number, check)| tokio::spawn(repeat(cluster, number, check, reports.clone())))
                .collect();
            for task in tasks {
                // None of them ever ends.
                let _ended = task.await;
            }
        });
    })?;
    Ok(())
}

async fn repeat(cluster: usize, number: usize, check: ServiceCheck, reports: Reports) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let healthy = tcp::attempt(check.target, check.timeout).await.is_ok();
        reports.send(Report::Checked(cluster, number, healthy));
    }
}
