//! The thread on which checks and hooks run.
//!
//! Owns: one runtime at helper priority, below the thread that pulses. Never does: wait for what
//! runs on it. A file system that hangs holds one of its blocking threads, and not the agent's end.

use crate::io::realtime;
use std::io;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Threads that may hang in a file system that does not answer; what comes then is late.
const FILE_LOOKS: usize = 16;

/// The thread's handle; the thread ends when this is dropped.
pub(crate) struct ServiceThread {
    runtime: Handle,
    /// Sender whose drop is the signal to end.
    _end: oneshot::Sender<()>,
}

impl ServiceThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no room for a thread or for the runtime's descriptors.
    pub fn start() -> io::Result<ServiceThread> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(FILE_LOOKS).build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("checks".into()).spawn(move || {
            let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
            // An error is what a dropped sender says.
            let _over = runtime.block_on(ended);
            // A blocking look at a file system that hangs must not keep the agent from ending.
            runtime.shutdown_background();
        })?;
        Ok(ServiceThread { runtime: handle, _end: end })
    }

    /// Handle for whatever is to run on the thread.
    pub fn runtime(&self) -> Handle {
        self.runtime.clone()
    }
}
