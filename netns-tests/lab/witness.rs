//! A witness, driven the way an operator drives it.
//!
//! Owns: the witness's process, its configuration, its state directory, a copy of that. Never does:
//! reaching into the witness by any way that an operator does not have. The process runs without
//! any capability. It is ready when its socket is bound; if it does not become so, `start` panics
//! with its log.

use super::files::{copy_dir, files_below};
use super::process::{Process, tail};
use super::program::program;
use super::wiring::WITNESSES;
use super::{Lab, Port};
use nix::sys::signal::Signal;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// One witness of the lab's host for witnesses.
#[derive(Debug)]
pub struct Witness {
    number: u8,
    address: Ipv4Addr,
    dir: PathBuf,
    process: Option<Process>,
}

/// Timing of `[[cluster.check]]` in the lab's files: quick enough for a test, slow enough for a
/// busy machine.
pub const CHECK: &str = "kind = \"tcp\"\ninterval_ms = 100\ntimeout_ms = 80\nfall = 5\nrise = 2\n";

impl Witness {
    /// Witness `number`, from 1, not started yet; `more_toml` are further lines below
    /// `[[cluster]]`.
    pub fn new(lab: &Lab, number: u8, address: Ipv4Addr, more_toml: &str) -> Witness {
        let witness = Witness { number, address, dir: lab.dir().to_owned(), process: None };
        let text = format!(
            "listen = \"{address}:7811\"\nnumber = {number}\n\n[[cluster]]\nname = \"lab\"\nkey_file = \"cluster.key\"\n{more_toml}"
        );
        let file = witness.config();
        std::fs::write(&file, text).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
        witness
    }

    /// Address of witness `number`, from 1, on the witnesses' own network.
    pub fn address_of(number: u8) -> Ipv4Addr {
        WITNESSES[usize::from(number - 1)]
    }

    /// Name in files, history and messages.
    pub fn name(&self) -> String {
        format!("witness{}", self.number)
    }

    /// Starts the witness; returns once it listens, with the instant of the start.
    pub fn start(&mut self, lab: &Lab) -> MonoTime {
        let at = self.launch(lab);
        self.wait_until_bound(lab);
        at
    }

    /// Starts the witness and waits for nothing; returns the instant just before.
    pub fn launch(&mut self, lab: &Lab) -> MonoTime {
        let at = lab.note(format!("{} starts", self.name()));
        std::fs::create_dir_all(self.state_dir()).unwrap_or_else(|e| panic!("make a state directory: {e}"));
        // A busy machine is to delay the witness last, as it does the agents: a real one has a
        // machine of its own.
        let mut command = Command::new("chrt");
        command
            .args(["--fifo", "1", "setpriv"])
            .args(["--bounding-set", "-all", "--inh-caps", "-all"])
            .arg(program())
            .args(["witness", "--config"])
            .arg(self.config())
            .arg("--state-dir")
            .arg(self.state_dir())
            .env("RUST_BACKTRACE", "1");
        self.process = Some(Process::start(lab.host(Port::Witness), command, &self.log_path(), lab.is_kept()));
        at
    }

    /// Waits until the witness's socket is bound; panics with the log when it does not become so.
    fn wait_until_bound(&mut self, lab: &Lab) {
        let limit = Instant::now() + Duration::from_secs(10);
        let wanted = format!("{}:7811", self.address);
        loop {
            let sockets = lab.host(Port::Witness).tool("ss", &["-Hlun", "sport", "=", ":7811"], "");
            if sockets.contains(&wanted) {
                return;
            }
            assert!(
                Instant::now() < limit && self.is_running(),
                "{} does not listen:\n{}",
                self.name(),
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills the witness with SIGKILL and returns when the process is gone, with the instant of the
    /// signal.
    pub fn kill(&mut self, lab: &Lab) -> MonoTime {
        let at = lab.note(format!("SIGKILL to {}", self.name()));
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        at
    }

    /// Sends a signal to the witness's process; returns the instant just before.
    pub fn signal(&self, lab: &Lab, signal: Signal) -> MonoTime {
        let at = lab.note(format!("{signal} to {}", self.name()));
        self.process.as_ref().unwrap_or_else(|| panic!("{} was not started", self.name())).signal(signal);
        at
    }

    /// Whether the witness's process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Whether the process ended although the lab did not end it.
    pub fn ended_by_itself(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| !process.is_running())
    }

    /// Writes garbage over the witness's state; returns the number of files. The witness must not
    /// run.
    pub fn spoil_state(&mut self, lab: &Lab) -> usize {
        assert!(!self.is_running(), "{} still runs", self.name());
        let files = files_below(&self.state_dir());
        lab.note(format!("{} state files of {} spoiled", files.len(), self.name()));
        for file in &files {
            std::fs::write(file, "garbage").unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
        }
        files.len()
    }

    /// Copies the witness's state as it is now.
    pub fn copy_state(&self, lab: &Lab) {
        lab.note(format!("state of {} copied", self.name()));
        assert!(!files_below(&self.state_dir()).is_empty(), "{} has no state to copy", self.name());
        copy_dir(&self.state_dir(), &self.copy_path());
    }

    /// Puts the copy in the place of the witness's state, as a restored backup does. The witness
    /// must not run.
    pub fn roll_back_state(&mut self, lab: &Lab) {
        assert!(!self.is_running(), "{} still runs", self.name());
        lab.note(format!("state of {} rolled back to the copy", self.name()));
        copy_dir(&self.copy_path(), &self.state_dir());
    }

    /// Path of the witness's configuration.
    pub fn config(&self) -> PathBuf {
        self.dir.join(format!("{}.toml", self.name()))
    }

    /// Path of the directory with the witness's durable state.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join(format!("{}-state", self.name()))
    }

    /// Path of the copy that [`Witness::copy_state`] makes.
    fn copy_path(&self) -> PathBuf {
        self.dir.join(format!("{}-state-copy", self.name()))
    }

    /// Path of the witness's log.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name()))
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        tail(&std::fs::read_to_string(self.log_path()).unwrap_or_default(), 20)
    }

    /// The log's end, to be printed after a failure.
    pub fn failure_text(&self) -> String {
        format!("--- {}\n{}\n", self.name(), self.log_tail())
    }
}
