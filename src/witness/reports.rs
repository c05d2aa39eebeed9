//! What the threads beside the loop have to say, and its way there.
//!
//! The queue is bounded; disks and checks block on a full one, the loop never does.

use crate::io::poll::Waker;
use crate::options::RunError;
use crate::renewal::Renewal;
use crate::store::WriteError;
use std::sync::mpsc::SyncSender;

/// What the threads beside the loop have to say. The number is the cluster's.
pub(crate) enum Report {
    /// A version is durable, or is not yet.
    Stored(usize, u64, Result<(), WriteError>),
    /// A check of this cluster, series and number has ended.
    Checked((usize, u64, usize), bool),
    /// SIGHUP.
    Hangup,
    /// The file has been read again.
    Renewed(Box<Result<Renewal, RunError>>),
}

/// The way for reports to the loop.
#[derive(Clone)]
pub(crate) struct Reports {
    queue: SyncSender<Report>,
    waker: Waker,
}

impl Reports {
    pub(crate) fn new(queue: SyncSender<Report>, waker: Waker) -> Reports {
        Reports { queue, waker }
    }

    pub(crate) fn send(&self, report: Report) {
        // The loop is gone when the process ends: then nobody needs it.
        let _gone = self.queue.send(report);
        self.waker.wake();
    }
}
