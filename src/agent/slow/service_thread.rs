//! The service thread: the one thread on which all checks and hooks run.
//!
//! Owns: its runtime, at the real-time priority `HELPER_PRIORITY`, which is below the hot thread's.
//! Never does: wait for what runs on it. A file system that hangs holds up one blocking thread of
//! the runtime; it does not hold up the agent's end.

use crate::io::realtime;
use std::io;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Most blocking threads of the runtime, each of which can hang in a file system that does not
/// answer. Further looks at files wait until one is free.
const FILE_LOOKS: usize = 16;

/// Handle of the service thread, which ends when the handle is dropped.
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(FILE_LOOKS)
            // One thread that looks at files is started here and stays. Without any the runtime panics
            // when the system gives it none.
            .thread_keep_alive(Duration::MAX)
            .build()?;
        let handle = runtime.handle().clone();
        // Whether the system has room for it is tried first, with a thread that ends at once.
        let tried = std::thread::Builder::new().spawn(|| ())?;
        let _ended = tried.join();
        drop(handle.spawn_blocking(|| ()));
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
