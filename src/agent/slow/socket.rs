//! The control socket: made as soon as it can be, and again where somebody has removed it.
//!
//! Owns: the listening task, its file, and when that is looked at next. Never does: keep the agent
//! from serving. Without a socket (its directory is missing, full or read-only) commands get no
//! answer, people are told once, and everything else goes on.

use super::effects::Effects;
use crate::control::protocol::{Severity, StatusReport};
use crate::control::server::{self, Call};
use crate::types::MonoTime;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Interval between two looks at the socket, or two attempts to make it.
const PAUSE: Duration = Duration::from_secs(2);

/// The control socket, made or still to be made.
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Where the clients' requests go.
    calls: mpsc::Sender<Call>,
    /// The task that listens; `None` while there is no socket.
    listening: Option<Listening>,
    /// When the socket is looked at next; `None`: at the first tick.
    next: Option<MonoTime>,
    /// Since when there has been no socket, and why; `None` while there is one.
    missing: Option<(MonoTime, String)>,
    /// Sentence for every status once there was a time without a socket, about the last one.
    warning: Option<String>,
}

/// A task that listens, and the identity of its socket's file.
struct Listening {
    task: AbortHandle,
    file: (u64, u64),
}

impl ControlSocket {
    /// No socket yet: the first tick makes it at `path`. Requests of clients go to `calls`.
    pub fn new(path: PathBuf, calls: mpsc::Sender<Call>) -> ControlSocket {
        ControlSocket { path, calls, listening: None, next: None, missing: None, warning: None }
    }

    /// Makes the socket if there is none, or if somebody has removed it; looks once every
    /// [`PAUSE`]. Call this inside of a runtime.
    pub fn handle_tick(&mut self, now: MonoTime) -> Effects {
        let mut effects = Effects::default();
        if self.next.is_some_and(|next| now < next) {
            return effects;
        }
        self.next = Some(now + PAUSE);
        if self.is_there() {
            return effects;
        }
        if let Some(lost) = self.listening.take() {
            lost.task.abort();
            self.missing = Some((now, "its file was removed".to_owned()));
        }
        let path = self.path.display();
        match self.listen() {
            Ok(listening) => {
                self.listening = Some(listening);
                if let Some((since, cause)) = self.missing.take() {
                    let text = format!(
                        "there was no control socket {path} for {:.1} s, and no answer to commands: {cause}",
                        now.since(since).as_secs_f64()
                    );
                    effects.event(Severity::Info, "control_socket", text.clone());
                    self.warning = Some(text);
                }
            }
            Err(error) => {
                if self.missing.is_none() {
                    let text = format!(
                        "there is no control socket {path}: {error}; {}. All else goes on; it is tried again every \
                         {} s",
                        remedy(error.kind()),
                        PAUSE.as_secs()
                    );
                    effects.event(Severity::Warning, "control_socket", text);
                }
                let since = self.missing.take().map_or(now, |(since, _)| since);
                self.missing = Some((since, error.to_string()));
            }
        }
        effects
    }

    /// Whether the socket's file is the one that was made here.
    fn is_there(&self) -> bool {
        self.listening.as_ref().is_some_and(|listening| identity(&self.path).ok() == Some(listening.file))
    }

    /// Makes the socket, and starts the task that listens.
    ///
    /// # Errors
    /// See [`server::bind`]: try again later.
    fn listen(&self) -> io::Result<Listening> {
        let listener = server::bind(&self.path)?;
        let file = identity(&self.path)?;
        let task = tokio::spawn(server::serve(listener, self.calls.clone())).abort_handle();
        Ok(Listening { task, file })
    }

    /// Adds what an operator should know of a time without a socket to the status.
    pub fn add_to(&self, status: &mut StatusReport) {
        status.warnings.extend(self.warning.clone());
    }
}

impl Drop for ControlSocket {
    /// Removes the socket, but nothing that somebody else has put into its place.
    fn drop(&mut self) {
        if self.is_there() {
            // One that stays is replaced at the next start.
            let _gone = std::fs::remove_file(&self.path);
        }
        if let Some(listening) = self.listening.take() {
            listening.task.abort();
        }
    }
}

/// Device and inode of the file at `path`.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// What an operator can do about a socket that cannot be made.
fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "make its directory (under systemd RuntimeDirectory= does)",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room in its file system",
        io::ErrorKind::ReadOnlyFilesystem => "make its file system writable",
        io::ErrorKind::PermissionDenied => "let the agent write to its directory",
        io::ErrorKind::AddrInUse => "stop the other one, or name another path with --socket",
        _ => "name a path with --socket where one can be made",
    }
}

#[cfg(test)]
mod tests;
