//! `vipair run`: the agent.

use super::{DEFAULT_CONFIG, DEFAULT_SOCKET, DEFAULT_STATE_DIR, Failure, logging};
use crate::agent::{self, RunError, RunOptions};
use crate::io::heap;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Which node this is [default: the one that has this machine's addresses as links]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Where epochs are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
    /// The control socket to make
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

impl From<RunArgs> for RunOptions {
    fn from(args: RunArgs) -> RunOptions {
        RunOptions { config: args.config, node: args.node, state_dir: args.state_dir, socket: args.socket }
    }
}

/// Runs the agent until it is told to stop.
pub(super) fn execute(args: RunArgs) -> Result<(), Failure> {
    // Before logging, which may start a thread.
    heap::be_patient();
    let _rest = logging::start();
    agent::run(&args.into()).map_err(|error| match error {
        RunError::Configuration(errors) => errors.into(),
        RunError::Short(message) | RunError::Failed(message) => Failure::Failed(message),
    })
}
