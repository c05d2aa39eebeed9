//! One program of the operator's, from its start to its end.
//!
//! Owns: the program's environment (empty but for what is given), its process group, its empty
//! standard input, and the lines of its output, bounded. Never does: copy the agent. `fork` would
//! leave every page of the agent's locked memory to be copied at the next write, and the hot thread
//! writes most. So programs are started by posix_spawn, and `vipair launch`, a new process, does
//! what has to happen between start and program (another user, no privileged score for the kernel's
//! memory killer). When its time is up, or the future is dropped, the whole process group is
//! killed.

use crate::config::Command;
use crate::config::programs::{self, ProgramError};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command as Process};
use tokio::time::Instant;

/// Most lines of one run that are passed on; further lines are read and dropped.
const MAX_LINES: usize = 100;
/// Most bytes of one line; the rest follows as another line.
const MAX_LINE: u64 = 512;
/// Time within which a killed process has ended, unless it hangs in the kernel.
const REAPED_WITHIN: Duration = Duration::from_millis(100);
/// Directories in which programs look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to be run, and its surroundings.
#[derive(Debug)]
pub struct Launch<'l> {
    /// The program and its arguments.
    pub command: &'l Command,
    /// Environment variables besides PATH.
    pub environment: &'l [(&'static str, String)],
    /// User that the program runs as; `None`: the agent's.
    pub user: Option<&'l str>,
    /// Time from the call to the kill.
    pub patience: Duration,
}

/// Error of a run.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The program may not be run: others than root can change it.
    #[error("it {0}")]
    Refused(ProgramError),
    /// The program could not be started.
    #[error("cannot be started: {cause}{}", advice(cause))]
    Start {
        /// Error of the system.
        cause: io::Error,
    },
    /// The program ended with another status than 0, or by a signal.
    #[error("ended with {0}")]
    Status(String),
    /// The last run of the same program was killed and does not end: it hangs in the kernel.
    #[error("not run: its last run was killed and does not end, as when a disk does not answer")]
    Stuck,
    /// The program took longer than its patience.
    #[error("killed after {} ms", .0.as_millis())]
    Killed(Duration),
}

/// Advice of `LaunchError::Start`: a unit that forbids executing looks like a missing permission.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (the agent's unit permits it with the drop-in vipair-hooks.conf)",
        _ => "",
    }
}

/// Way of starting programs: through `vipair launch`, or by default directly.
#[derive(Debug, Default)]
pub struct Launcher {
    /// Path of the agent's program, which starts others; `None`: programs are started directly.
    agent: Option<PathBuf>,
    /// Programs that were killed and have not ended yet.
    stuck: Arc<Mutex<HashSet<Run>>>,
}

/// What is not run a second time as long as the first does not end: a command, and its user.
type Run = (Command, Option<String>);

impl Launcher {
    /// Starts programs through `vipair launch`.
    #[must_use]
    pub fn new() -> Launcher {
        // The running file itself, even if another file has taken its name meanwhile.
        Launcher { agent: Some(PathBuf::from("/proc/self/exe")), stuck: Arc::default() }
    }

    /// Runs a program to its end, or until its patience is over: its killed process is not waited for,
    /// because one that hangs in the kernel may never end. `line` gets each line of its output.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub async fn run(&self, launch: &Launch<'_>, line: impl FnMut(&str)) -> Result<(), LaunchError> {
        let end = Instant::now() + launch.patience;
        let this: Run = (launch.command.clone(), launch.user.map(str::to_owned));
        if self.lock_stuck().contains(&this) {
            return Err(LaunchError::Stuck);
        }
        let (program, arguments) = (launch.command.program.clone(), launch.command.arguments.clone());
        // A file system that hangs must not hang everything else.
        let judged = tokio::task::spawn_blocking(move || programs::validate_command(&program, &arguments));
        match tokio::time::timeout_at(end, judged).await {
            Err(_) => return Err(LaunchError::Killed(launch.patience)),
            Ok(Err(_)) => return Err(LaunchError::Status("a panic".to_owned())),
            Ok(Ok(judged)) => judged.map_err(LaunchError::Refused)?,
        }
        let mut process = self.process(launch);
        let mut child = process.spawn().map_err(|cause| LaunchError::Start { cause })?;
        let group = Group::of(&child);
        let ended = tokio::time::timeout_at(end, follow(&mut child, line)).await;
        drop(group);
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(LaunchError::Status(status.to_string())),
            Ok(Err(cause)) => Err(LaunchError::Start { cause }),
            Err(_) => {
                self.reap(child, this).await;
                Err(LaunchError::Killed(launch.patience))
            }
        }
    }

    /// Takes the end of a killed process in, which would stay a zombie otherwise: at once if it ends at
    /// once, else beside everything else, and until then `run` is not run again.
    async fn reap(&self, mut child: Child, run: Run) {
        if tokio::time::timeout(REAPED_WITHIN, child.wait()).await.is_ok() {
            return;
        }
        self.lock_stuck().insert(run.clone());
        let stuck = Arc::clone(&self.stuck);
        tokio::spawn(async move {
            // Whatever it ended with: it has ended.
            let _ended = child.wait().await;
            stuck.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        });
    }

    /// The programs that were killed and have not ended.
    fn lock_stuck(&self) -> MutexGuard<'_, HashSet<Run>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Command line and surroundings of the process that runs the program.
    fn process(&self, launch: &Launch<'_>) -> Process {
        let mut process = match &self.agent {
            Some(agent) => {
                let mut process = Process::new(agent);
                process.arg("launch");
                if let Some(user) = launch.user {
                    process.arg("--user").arg(user);
                }
                process.arg("--").arg(&launch.command.program);
                process
            }
            None => Process::new(&launch.command.program),
        };
        process.args(&launch.command.arguments);
        process.env_clear().env("PATH", PATH);
        process.envs(launch.environment.iter().map(|(name, value)| (*name, value)));
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.process_group(0).kill_on_drop(true);
        process
    }
}

/// Process group of a program; killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // ESRCH: no process of the group is left, as it should be.
        let _gone = self.0.map(|group| killpg(group, Signal::SIGKILL));
    }
}

/// Passes the lines of both outputs to `line` until the program has ended. Children that hold the
/// outputs open are not waited for.
async fn follow(child: &mut Child, mut line: impl FnMut(&str)) -> io::Result<std::process::ExitStatus> {
    let mut output = child.stdout.take().map(Lines::new);
    let mut errors = child.stderr.take().map(Lines::new);
    let mut count = 0;
    let mut pass = |text: String| {
        if count < MAX_LINES {
            line(&text);
        } else if count == MAX_LINES {
            line("… what follows is not shown");
        }
        count += 1;
    };
    let status = loop {
        tokio::select! {
            biased;
            said = next(&mut output), if output.is_some() => match said {
                Some(text) => pass(text),
                None => output = None,
            },
            said = next(&mut errors), if errors.is_some() => match said {
                Some(text) => pass(text),
                None => errors = None,
            },
            status = child.wait() => break status?,
        }
    };
    // Output from before the end has arrived already.
    let moment = Duration::from_millis(1);
    while let Ok(Some(text)) = tokio::time::timeout(moment, next(&mut output)).await {
        pass(text);
    }
    while let Ok(Some(text)) = tokio::time::timeout(moment, next(&mut errors)).await {
        pass(text);
    }
    Ok(status)
}

/// Next line of an output; `None` at its end, or when it has ended before.
async fn next<R: AsyncRead + Unpin>(lines: &mut Option<Lines<R>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next().await,
        None => None,
    }
}

/// One output, line by line. A wait for a line that is given up loses no bytes.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Lines<R> {
        Lines { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// Waits for the next line, without control characters and at most [`MAX_LINE`] bytes long;
    /// `None` at the end of the output.
    async fn next(&mut self) -> Option<String> {
        loop {
            let room = MAX_LINE.saturating_sub(self.line.len() as u64).max(1);
            let taken = (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await;
            let ended = taken.map_or(true, |taken| taken == 0);
            if ended || self.line.ends_with(b"\n") || self.line.len() as u64 >= MAX_LINE {
                let line = std::mem::take(&mut self.line);
                let text = String::from_utf8_lossy(&line).replace(char::is_control, " ").trim_end().to_owned();
                return (!ended || !text.is_empty()).then_some(text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
