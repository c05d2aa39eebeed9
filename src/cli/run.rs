//! `vipair run`: the agent.

use super::{DEFAULT_CONFIG, DEFAULT_SOCKET, DEFAULT_STATE_DIR, Failure, logging};
use crate::config::ConfigErrors;
use clap::Args;
use std::path::PathBuf;
use thiserror::Error;

/// What the agent is told on its command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// Which node this is; found by its link addresses when `None`.
    pub node: Option<String>,
    /// Where epochs are kept.
    pub state_dir: PathBuf,
    /// Where to listen for commands.
    pub socket: PathBuf,
}

/// Why the agent ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong: exit code 2, and systemd does not start it again.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// Something else: exit code 1.
    #[error("{0}")]
    Failed(String),
}

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

pub(super) fn execute(args: RunArgs) -> Result<(), Failure> {
    logging::start();
    start_agent(args.into()).map_err(|error| match error {
        RunError::Configuration(errors) => errors.into(),
        RunError::Failed(message) => Failure::Failed(message),
    })
}

/// THE PLUG: the daemon goes in here.
fn start_agent(_options: RunOptions) -> Result<(), RunError> {
    Err(RunError::Failed("the agent is not part of this build yet".to_owned()))
}
