//! One program from its start to its end.
//!
//! It gets an empty environment and what is given to it, a process group of its own, and nothing on its standard input. What
//! it says comes line by line, bounded. When its time is up, or nobody waits for it any more, the whole group is killed.
//!
//! The agent is never copied: `fork` would leave every page of its locked memory to be copied by whoever writes to it first,
//! and that is the thread that pulses. So programs are started by posix_spawn, and what has to happen between start and
//! program (another user, no privileged score for the kernel's memory killer) is done by `vipair launch`, a new process.

use crate::config::Command;
use crate::config::programs::{self, ProgramError};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command as Process};
use tokio::time::Instant;

/// Lines of one run that are told, and bytes of one line; the rest is read and dropped.
const MAX_LINES: usize = 100;
const MAX_LINE: u64 = 512;
/// Where programs look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be run, and how.
#[derive(Debug)]
pub struct Launch<'l> {
    /// The program and its arguments.
    pub command: &'l Command,
    /// What its environment has besides PATH.
    pub environment: &'l [(&'static str, String)],
    /// As whom; `None`: as the agent.
    pub user: Option<&'l str>,
    /// When it is killed.
    pub patience: Duration,
}

/// Why a run is no success.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// It may not be run.
    #[error("it {0}")]
    Refused(ProgramError),
    /// It could not be started.
    #[error("cannot be started: {cause}{}", advice(cause))]
    Start {
        /// Why.
        cause: io::Error,
    },
    /// It said no.
    #[error("ended with {0}")]
    Status(String),
    /// It took too long.
    #[error("killed after {} ms", .0.as_millis())]
    Killed(Duration),
}

/// What `LaunchError::Start` adds: a unit that lets nothing be executed looks like a missing permission.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (the agent's unit permits it with the drop-in vipair-hooks.conf)",
        _ => "",
    }
}

/// How programs are started.
#[derive(Debug, Default)]
pub struct Launcher {
    /// This program, which starts others; `None`: they are started as they are.
    agent: Option<PathBuf>,
}

impl Launcher {
    /// Starts programs through `vipair launch`.
    #[must_use]
    pub fn new() -> Launcher {
        // The running file itself, although another may have taken its name meanwhile.
        Launcher { agent: Some(PathBuf::from("/proc/self/exe")) }
    }

    /// Runs a program to its end. `line` hears what it says.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub async fn run(&self, launch: &Launch<'_>, line: impl FnMut(&str)) -> Result<(), LaunchError> {
        let end = Instant::now() + launch.patience;
        let program = launch.command.program.clone();
        // A file system that hangs must not hang everything else.
        let judged = tokio::task::spawn_blocking(move || programs::validate(&program));
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
                // It is dead; without this it would stay a zombie until somebody looks.
                let _reaped = child.wait().await;
                Err(LaunchError::Killed(launch.patience))
            }
        }
    }

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

/// Everything that a program has started, killed when this goes.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // ESRCH: nothing is left of it, as it should be.
        let _gone = self.0.map(|group| killpg(group, Signal::SIGKILL));
    }
}

/// Reads both outputs until the program has ended. Children that hold them open are not waited for.
async fn follow(child: &mut Child, mut line: impl FnMut(&str)) -> io::Result<std::process::ExitStatus> {
    let mut output = child.stdout.take().map(Lines::new);
    let mut errors = child.stderr.take().map(Lines::new);
    let mut told = 0;
    let mut tell = |text: String| {
        if told < MAX_LINES {
            line(&text);
        } else if told == MAX_LINES {
            line("… what follows is not shown");
        }
        told += 1;
    };
    let status = loop {
        tokio::select! {
            biased;
            said = next(&mut output), if output.is_some() => match said { Some(text) => tell(text), None => output = None },
            said = next(&mut errors), if errors.is_some() => match said { Some(text) => tell(text), None => errors = None },
            status = child.wait() => break status?,
        }
    };
    // What was said before the end is there already.
    let moment = Duration::from_millis(1);
    while let Ok(Some(text)) = tokio::time::timeout(moment, next(&mut output)).await {
        tell(text);
    }
    while let Ok(Some(text)) = tokio::time::timeout(moment, next(&mut errors)).await {
        tell(text);
    }
    Ok(status)
}

async fn next<R: AsyncRead + Unpin>(lines: &mut Option<Lines<R>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next().await,
        None => None,
    }
}

/// One output, line by line. Nothing is lost when a wait for a line is given up.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Lines<R> {
        Lines { reader: BufReader::new(reader), line: Vec::new() }
    }

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
