//! Children of the lab: agents, web servers.
//!
//! Owns: a process from its start inside a namespace to its end. Never does: ending anything by
//! name. Every child dies with the thread that started it (PR_SET_PDEATHSIG), so start children
//! from the thread that keeps the lab, never from [`super::netns::Netns::run`].

use super::injector::Injector;
use super::netns::Netns;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running child and the file with all its output.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    keep: bool,
}

impl Process {
    /// Starts `command` inside `netns`; its output is appended to the file `log`. With `outlive`
    /// the child survives us.
    pub fn start(netns: &Netns, command: Command, log: &Path, outlive: bool) -> Process {
        Process::start_watched(netns, command, log, outlive, None)
    }

    /// Like [`Process::start`]; the injector is asked about every system call of the child.
    pub fn start_watched(
        netns: &Netns,
        mut command: Command,
        log: &Path,
        outlive: bool,
        injector: Option<&mut Injector>,
    ) -> Process {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let (out, err) = match (open(), open()) {
            (Ok(out), Ok(err)) => (out, err),
            (Err(e), _) | (_, Err(e)) => panic!("open {}: {e}", log.display()),
        };
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let door = netns.descriptor();
        // SAFETY: between fork and exec only async-signal-safe calls run: setns, prctl, setsid.
        // `door` is open in the child because descriptors are closed on exec, not on fork.
        unsafe {
            command.pre_exec(move || {
                let borrowed = std::os::fd::BorrowedFd::borrow_raw(door);
                nix::sched::setns(borrowed, nix::sched::CloneFlags::CLONE_NEWNET)?;
                if !outlive {
                    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                }
                nix::unistd::setsid()?;
                Ok(())
            });
        }
        let way = injector.as_ref().map(|_| Injector::watch_on_exec(&mut command));
        let child = command.spawn().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let process = Process { child, log: log.to_owned(), keep: outlive };
        if let (Some(injector), Some(way)) = (injector, way) {
            injector.answer(process.pid().as_raw(), way);
        }
        process
    }

    /// Number of the child's process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process numbers fit"))
    }

    /// Sends a signal to the child. A child that is gone already is a mistake of the test, and
    /// panics.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|e| panic!("{signal} to {}: {e}", self.pid()));
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("wait for a child");
    }

    /// Waits until the child ends by itself; `None` when it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for a child") {
                return Some(status);
            }
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether the child still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Leaves the child running when this value is dropped. Only for a child started with
    /// `outlive`.
    pub fn leave_running(mut self) {
        assert!(self.keep, "this process dies with us");
        self.keep = true;
        std::mem::forget(self);
    }

    /// Text of the whole log file, earlier children's output included.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process, too. An error means that the child has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last `lines` lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Whether a process catches SIGHUP, as the kernel tells of it (`SigCgt` of proc(5), bit 0). False
/// for one that is gone.
pub fn catches_hangup(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
