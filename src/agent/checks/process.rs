//! Processes: found in /proc by name, program or pid file, and held by a descriptor that tells
//! their end at once.
//!
//! Owns: the list of processes read last. Never does: signal a process. Of several that fit, the
//! oldest is taken: workers come and go, and without their parent they are of no use. A process
//! that cannot be found or held is a failed attempt.

use crate::config::ProcessCheck;
use crate::io::pidfd::PidFd;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which a list of processes is used again, so that many checks read /proc once.
const FRESH: Duration = Duration::from_millis(50);

/// A process that was found, held by its descriptor.
pub(super) struct Found {
    pub pid: i32,
    pub fd: PidFd,
}

/// Processes that /proc showed a moment ago, shared by all checks.
#[derive(Debug, Default)]
pub struct Processes {
    list: Mutex<Option<(Instant, Vec<Process>)>>,
}

#[derive(Clone, Debug)]
struct Process {
    pid: i32,
    comm: String,
    /// Start of the process, in clock ticks after the boot.
    started: u64,
}

impl Processes {
    /// Finds and holds the process that `check` is about.
    ///
    /// # Errors
    /// The reason why no process fits.
    pub(super) fn find(&self, check: &ProcessCheck) -> Result<Found, String> {
        let candidates = match &check.pidfile {
            Some(file) => vec![number_in(file)?],
            None => self.named(check.name_or_path.as_deref().unwrap_or_default()),
        };
        let mut last = None;
        for pid in candidates {
            // The descriptor first: what fits after that is the process that it holds.
            let held = PidFd::open(pid);
            match held {
                Ok(fd) if fits(pid, check.name_or_path.as_deref()) => return Ok(Found { pid, fd }),
                Ok(_) => last = Some(format!("process {pid} is another program")),
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                    last = Some(format!("process {pid} does not exist"));
                }
                Err(error) => last = Some(format!("process {pid} cannot be held: {error}")),
            }
        }
        Err(last.unwrap_or_else(|| {
            format!("no process {} is to be seen", check.name_or_path.as_deref().unwrap_or_default())
        }))
    }

    /// Numbers of processes that have this name or run this program, the oldest first.
    fn named(&self, name: &str) -> Vec<i32> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.as_ref().is_none_or(|(read, _)| read.elapsed() > FRESH) {
            *list = Some((Instant::now(), all_processes()));
        }
        let Some((_, processes)) = list.as_ref() else { return Vec::new() };
        let mut found: Vec<&Process> = processes.iter().filter(|process| has_name(process, name)).collect();
        found.sort_by_key(|process| (process.started, process.pid));
        found.iter().map(|process| process.pid).collect()
    }
}

/// Whether a process has this name, or runs this program if the name is a path.
fn has_name(process: &Process, name: &str) -> bool {
    if name.starts_with('/') { runs(process.pid, name) } else { process.comm == name }
}

/// All living processes in /proc.
fn all_processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(read_process).collect()
}

/// Reads name and start of a living process (proc_pid_stat(5)): the name stands in brackets and may
/// itself contain some; the start is the 22nd field.
fn read_process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let mut fields = stat.get(end + 2..)?.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?.parse().ok()?;
    (!is_dead).then(|| Process { pid, comm: stat[begin + 1..end].to_owned(), started })
}

/// Whether the process lives and has this name; without a name every process fits.
fn fits(pid: i32, name: Option<&str>) -> bool {
    match name {
        None => true,
        Some(name) => read_process(pid).is_some_and(|process| has_name(&process, name)),
    }
}

/// Whether `pid` runs the program at `path`. After an upgrade the kernel calls the old file
/// deleted; it is the same service.
fn runs(pid: i32, path: &str) -> bool {
    let Ok(program) = fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let program = program.to_string_lossy();
    let program = Path::new(program.strip_suffix(" (deleted)").unwrap_or(&program));
    program == real || program == Path::new(path)
}

/// Process number in the first line of a pid file.
fn number_in(file: &Path) -> Result<i32, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let number = text.lines().next().unwrap_or_default().trim().parse::<i32>().ok().filter(|pid| *pid > 0);
    number.ok_or_else(|| format!("{} has no number of a process", file.display()))
}
