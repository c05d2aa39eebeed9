//! Signals from operators and the service manager: SIGTERM and SIGINT end the agent, SIGHUP reloads
//! it.
//!
//! Owns: the signals' handlers, from the first moment of `run`. Never does: act on a signal; one
//! that comes while nobody waits for it is remembered. What a start waits for (a link's address,
//! the lock of the life before, a disk) runs beside the signals, on a thread of its own: SIGTERM
//! ends the agent meanwhile, and SIGHUP is acted upon once it serves.

use crate::options::RunError;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The signals that the agent acts upon. As many of one kind as come before it is received count as
/// one.
pub(crate) struct Signals {
    pub terminate: Signal,
    pub interrupt: Signal,
    pub hangup: Signal,
    /// A file has reached the limit of its size (SIGXFSZ). Caught, so that it ends nothing: what was
    /// written fails with EFBIG. Programs that are started have the default again.
    _file_limit: Signal,
}

impl Signals {
    /// Installs the handlers. Call this inside of a runtime.
    ///
    /// # Errors
    /// When the kernel refuses a handler: the agent could not be told to hand over.
    pub fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_limit: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Runs `start` on a thread of its own, for it may wait; returns what it made, or `None` if the
    /// agent was told to end before that. The thread is left alone then, and ends with the process.
    ///
    /// # Errors
    /// When the system has no room for a thread, or the start came to no end of its own.
    pub async fn unless_ended<T: Send + 'static>(
        &mut self,
        start: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, RunError> {
        let (tell, told) = oneshot::channel();
        let body = move || {
            // The agent may have been told to end meanwhile; nobody wants the result then.
            let _ended = tell.send(start());
        };
        std::thread::Builder::new()
            .name("start".into())
            .spawn(body)
            .map_err(|error| RunError::failed("starting the agent's first thread", &error))?;
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Ok(None),
            _ = self.interrupt.recv() => Ok(None),
            made = told => match made {
                Ok(made) => Ok(Some(made)),
                Err(_) => Err(RunError::Failed("the agent's first thread ended at once".to_owned())),
            },
        }
    }

    /// Waits for `time`; true as soon as the agent is told to end.
    pub async fn ended_within(&mut self, time: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}

#[cfg(test)]
mod tests;
