//! What the agent is told, and why it ended.

use crate::config::ConfigErrors;
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
