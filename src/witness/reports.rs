//! Reports of the threads beside the loop, and the queue that brings them to the loop.
//!
//! The queue is bounded; stores and checks block on a full one, the loop never does.

use crate::io::poll::Waker;
use crate::options::RunError;
use crate::renewal::Renewal;
use crate::store::WriteError;
use std::sync::mpsc::SyncSender;

/// One report of a thread beside the loop.
pub(crate) enum Report {
    /// Number of the cluster, version of its state, and whether that version is durable.
    Stored(usize, u64, Result<(), WriteError>),
    /// Numbers of the cluster, the series and the check, and whether this attempt succeeded.
    Checked((usize, u64, usize), bool),
    /// SIGHUP: the file is to be read again.
    Hangup,
    /// The file has been read again.
    Renewed(Box<Result<Renewal, RunError>>),
}

/// The sending end of the queue. Clones send to the same loop.
#[derive(Clone)]
pub(crate) struct Reports {
    queue: SyncSender<Report>,
    waker: Waker,
}

impl Reports {
    /// The sending end of `queue`; `waker` wakes the loop that reads it.
    pub(crate) fn new(queue: SyncSender<Report>, waker: Waker) -> Reports {
        Reports { queue, waker }
    }

    /// Sends one report and wakes the loop. Blocks while the queue is full.
    pub(crate) fn send(&self, report: Report) {
        // The loop is gone when the process ends: then nobody needs the report.
        let _gone = self.queue.send(report);
        self.waker.wake();
    }
}
