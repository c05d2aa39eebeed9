//! The agent of one server, driven the way an operator drives it: by the command line of `vipair`.
//!
//! Owns: the agent's process, its state directory, its socket and its log. Never does: reaching
//! into the agent by any way that an operator does not have. A command that fails panics with its
//! output and the agent's log.

use super::home::Home;
use super::injector::Injector;
use super::netns::try_tool;
use super::process::{Process, tail};
use super::program::program;
use super::wiring::Server;
use super::{Lab, clock};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::rc::Rc;
use std::time::Duration;
use vipair::types::MonoTime;

/// The state directory that an agent is given at its next start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateDir {
    /// An ordinary directory below the lab's own.
    Plain,
    /// A file system of its own of this many KiB, visible to the agent alone; see
    /// [`Agent::in_state_dir`].
    Small(u32),
}

/// The agent of one server.
#[derive(Debug)]
pub struct Agent {
    server: Server,
    /// The process that was started last; `None` once it was killed or stopped.
    process: Option<Process>,
    config: PathBuf,
    /// Directory of the lab's files.
    dir: PathBuf,
    /// Whether the process is to survive this one.
    outlive: bool,
    state: StateDir,
    /// Path of the control socket.
    socket: PathBuf,
    /// File that the process writes its output to instead of its log.
    output: Option<PathBuf>,
    /// Who is asked about every system call of the process; `None`: nobody.
    injector: Option<Injector>,
    /// The server's own files; `None` if it shares those of the machine.
    home: Option<Rc<Home>>,
}

impl Agent {
    /// The agent of `server` with the configuration `config`, not started yet.
    pub fn new(lab: &Lab, server: Server, config: &Path) -> Agent {
        let dir = lab.dir().to_owned();
        let socket = dir.join(format!("{}.sock", server.name()));
        Agent {
            server,
            process: None,
            config: config.to_owned(),
            dir,
            outlive: lab.is_kept(),
            state: StateDir::Plain,
            socket,
            output: None,
            injector: None,
            home: None,
        }
    }

    /// The agent of a server that has a home of its own, not started yet. Its configuration is
    /// where the program looks by default.
    pub fn at_home(lab: &Lab, server: Server, home: &Rc<Home>) -> Agent {
        let mut agent = Agent::new(lab, server, Path::new("/etc/vipair/vipair.toml"));
        agent.home = Some(home.clone());
        agent
    }

    /// Sets what the state directory is at the next start.
    pub fn set_state_dir(&mut self, state: StateDir) {
        self.state = state;
    }

    /// Sets where the control socket is made at the next start.
    pub fn set_socket(&mut self, path: PathBuf) {
        self.socket = path;
    }

    /// Sets the file that the agent writes its output to from the next start on, instead of its log:
    /// a device, or a pipe that somebody reads.
    pub fn set_output(&mut self, file: &Path) {
        self.output = Some(file.to_owned());
    }

    /// Has an injector asked about every system call of the agent, from the next start on.
    pub fn set_injected(&mut self) {
        self.injector = Some(Injector::default());
    }

    /// The injector; panics without [`Agent::set_injected`].
    pub fn injector(&self) -> &Injector {
        self.injector.as_ref().expect("this agent was given an injector")
    }

    /// Waits until the agent's process ends by itself; `None` when it still runs after `limit`. It
    /// is no longer this agent's once it has ended.
    pub fn wait_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.wait(limit);
        if status.is_some() {
            self.process = None;
        }
        status
    }

    /// Starts the agent; returns the instant just before.
    pub fn start(&mut self, lab: &Lab) -> MonoTime {
        let at = lab.note(format!("agent of {} starts", self.server.name()));
        self.launch(lab);
        at
    }

    /// Starts the process with its command line, in its own mount namespace if the state directory
    /// is a small one.
    fn launch(&mut self, lab: &Lab) {
        let run: Vec<std::ffi::OsString> = vec![
            program().into(),
            "run".into(),
            "--config".into(),
            self.config.clone().into(),
            "--node".into(),
            self.server.name().into(),
            "--state-dir".into(),
            self.state_dir().into(),
            "--socket".into(),
            self.socket_path().into(),
        ];
        std::fs::create_dir_all(self.state_dir()).unwrap_or_else(|e| panic!("make a state directory: {e}"));
        let mut command = match self.state {
            StateDir::Plain => Command::new(&run[0]),
            StateDir::Small(_) => Command::new("unshare"),
        };
        match self.state {
            StateDir::Plain => command.args(&run[1..]),
            StateDir::Small(kib) => command
                .args(["--mount", "sh", "-c"])
                .arg("mount -t tmpfs -o mode=0700,size=\"$1\" vipair-lab \"$2\" && shift 2 && exec \"$@\"")
                .arg("sh")
                .arg(format!("{kib}k"))
                .arg(self.state_dir())
                .args(&run),
        };
        if let Some(home) = &self.home {
            home.enter_on_exec(&mut command);
        }
        command.env("RUST_BACKTRACE", "1");
        let output = self.output.clone().unwrap_or_else(|| self.log_path());
        self.process = Some(Process::start_watched(
            lab.server(self.server),
            command,
            &output,
            self.outlive,
            self.injector.as_mut(),
        ));
    }

    /// Runs a shell line in the state directory as the agent sees it, private file systems
    /// included; returns its output.
    pub fn in_state_dir(&self, line: &str) -> String {
        let pid = self.running().pid().to_string();
        let line = format!("cd '{}' && {line}", self.state_dir().display());
        try_tool("nsenter", &["-t", &pid, "-m", "sh", "-c", &line], "").unwrap_or_else(|cause| panic!("{cause}"))
    }

    /// Path of the directory with the agent's durable state.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join(format!("{}-state", self.server.name()))
    }

    /// Path of the agent's control socket.
    pub fn socket_path(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Path of the agent's log.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.server.name()))
    }

    /// The agent's process; panics when it was not started.
    fn running(&self) -> &Process {
        self.process.as_ref().unwrap_or_else(|| panic!("the agent of {} was not started", self.server.name()))
    }

    /// Whether the agent's process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Whether the process ended although the lab did not end it.
    pub fn ended_by_itself(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| !process.is_running())
    }

    /// Number of the agent's process; panics when it was not started.
    pub fn pid(&self) -> i32 {
        self.running().pid().as_raw()
    }

    /// Sends a signal to the agent's process; returns the instant just before.
    pub fn signal(&self, lab: &Lab, signal: Signal) -> MonoTime {
        let at = lab.note(format!("{signal} to the agent of {}", self.server.name()));
        self.running().signal(signal);
        at
    }

    /// Kills the agent with SIGKILL and returns when the process is gone, with the instant of the
    /// signal.
    pub fn kill(&mut self, lab: &Lab) -> MonoTime {
        let at = lab.note(format!("SIGKILL to the agent of {}", self.server.name()));
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        at
    }

    /// Records that something outside of this value has ended the process.
    pub fn forget_process(&mut self) {
        self.process = None;
    }

    /// Asks the agent to leave in order (SIGTERM) and waits for its end; panics when it still runs
    /// after `limit`.
    pub fn stop(&mut self, lab: &Lab, limit: Duration) -> ExitStatus {
        self.signal(lab, Signal::SIGTERM);
        let mut process = self.process.take().expect("it was just sent a signal");
        let status = process.wait(limit);
        status.unwrap_or_else(|| {
            panic!("{} still runs {limit:?} after SIGTERM\n{}", self.server.name(), self.log_tail())
        })
    }

    /// Leaves the agent running when this process ends.
    pub fn leave_running(&mut self) {
        if let Some(process) = self.process.take() {
            process.leave_running();
        }
    }

    /// Runs `vipair ARGS --socket …` against this agent.
    pub fn command(&self, args: &[&str]) -> Result<String, String> {
        let socket = self.socket_path();
        let mut all = args.to_vec();
        all.extend(["--socket", socket.to_str().expect("paths of the lab are text")]);
        try_tool(program().to_str().expect("paths of the lab are text"), &all, "")
    }

    /// Report of `vipair status --json`, or why there is none.
    pub fn status(&self) -> Result<Status, String> {
        let text = self.command(&["status", "--json"])?;
        serde_json::from_str(&text).map(Status).map_err(|e| format!("status is no JSON: {e}: {text}"))
    }

    /// Role of this agent for a group; empty when the agent does not answer.
    pub fn role(&self, group: &str) -> String {
        self.status().map(|s| s.text(group, "role")).unwrap_or_default()
    }

    /// Output of `vipair events --json`, or the complaint of the command.
    pub fn events(&self) -> String {
        self.command(&["events", "--json"]).unwrap_or_else(|cause| cause)
    }

    /// Text of the whole log, all starts included; empty when there is none.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        tail(&self.log_text(), 40)
    }

    /// Status and log's end, to be printed after a failure.
    pub fn failure_text(&self) -> String {
        let status = self.status().map_or_else(|cause| cause, |s| s.0.to_string());
        format!("--- {} at {:.3}\n{status}\n{}\n", self.server.name(), boot_seconds(clock::now()), self.log_tail())
    }
}

/// A status report, as JSON.
#[derive(Clone, Debug)]
pub struct Status(pub Value);

impl Status {
    /// One field of a group as text; empty when there is none.
    pub fn text(&self, group: &str, field: &str) -> String {
        match self.group(group).map(|g| &g[field]) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }

    /// Whether the group is ready on this server.
    pub fn is_ready(&self, group: &str) -> bool {
        self.group(group).is_some_and(|g| g["ready"] == Value::Bool(true))
    }

    /// Number in the group's `connections`, by its field; 0 when the status has none.
    pub fn connection_count(&self, group: &str, field: &str) -> u64 {
        self.group(group).and_then(|g| g["connections"][field].as_u64()).unwrap_or(0)
    }

    /// The report's part about the link with this path, a number or "segment", to the peer; null if
    /// there is none.
    pub fn link(&self, path: &str) -> Value {
        let found = self.0["links"].as_array().and_then(|links| links.iter().find(|link| link["path"] == path));
        found.cloned().unwrap_or(Value::Null)
    }

    /// The report's part about a group.
    fn group(&self, name: &str) -> Option<&Value> {
        self.0["groups"].as_array()?.iter().find(|g| g["name"] == name)
    }
}

/// An instant in seconds since boot, to be printed.
#[allow(clippy::cast_precision_loss, reason = "for reading only")]
pub fn boot_seconds(at: MonoTime) -> f64 {
    at.0 as f64 / 1e9
}
