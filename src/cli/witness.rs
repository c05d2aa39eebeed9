//! `vipair witness`: runs a witness, validates its file, or copies it for the user who runs the
//! witness.

use super::{Failure, logging, print};
use crate::witness::{self, Options, RunError};
use clap::Args;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;

/// Default of `--config`: path of the witness's file.
pub(super) const DEFAULT_WITNESS_CONFIG: &str = "/etc/vipair/witness.toml";
/// Default of `--state-dir`: directory of the durable promises.
pub(super) const DEFAULT_WITNESS_STATE_DIR: &str = "/var/lib/vipair-witness";

#[derive(Args, Debug)]
pub(super) struct WitnessArgs {
    /// The witness's file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_WITNESS_CONFIG)]
    config: PathBuf,
    /// Where promises are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_WITNESS_STATE_DIR)]
    state_dir: PathBuf,
    /// What SIGHUP reads, if it is not the file itself
    #[arg(long, value_name = "FILE")]
    reload_from: Option<PathBuf>,
    /// Copy the file and its keys to this directory, for the user it belongs to, and end
    #[arg(long, value_name = "DIR", conflicts_with_all = ["state_dir", "reload_from"])]
    lend: Option<PathBuf>,
    /// With `--lend`: then let this process, which is the witness, read them
    #[arg(long, value_name = "PID", requires = "lend")]
    tell: Option<i32>,
    /// Validate this file and end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "state_dir", "lend"])]
    check: Option<PathBuf>,
}

/// Validates, copies, or runs the witness until the process is killed.
pub(super) fn execute(args: WitnessArgs) -> Result<(), Failure> {
    let failure = |error| match error {
        RunError::Configuration(errors) if errors.unread => Failure::Failed(errors.to_string()),
        RunError::Configuration(errors) => errors.into(),
        RunError::Failed(message) => Failure::Failed(message),
    };
    if let Some(path) = &args.check {
        return print(&format!("{}\n", witness::check_file(path).map_err(failure)?));
    }
    if let Some(directory) = &args.lend {
        let _rest = logging::start();
        witness::lend(&args.config, directory).map_err(failure)?;
        return args.tell.map_or(Ok(()), tell);
    }
    let _rest = logging::start();
    let options = Options { config: args.config, reload: args.reload_from, state_dir: args.state_dir };
    witness::run(&options).map_err(failure)
}

/// Lets a running witness read its file again.
fn tell(pid: i32) -> Result<(), Failure> {
    let sent = if pid > 1 { kill(Pid::from_raw(pid), Signal::SIGHUP) } else { Err(Errno::EINVAL) };
    sent.map_err(|cause| Failure::Failed(format!("telling process {pid}: {cause}")))
}
