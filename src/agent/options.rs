//! What the agent is told when it starts, and why it ended.

use crate::config::ConfigErrors;
use crate::io::shortage;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Options of the agent's command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunOptions {
    /// Path of the configuration file.
    pub config: PathBuf,
    /// Name of this node; `None`: the node is found by the addresses of its links.
    pub node: Option<String>,
    /// Directory in which epochs are kept.
    pub state_dir: PathBuf,
    /// Path of the socket that commands arrive on.
    pub socket: PathBuf,
}

/// Reasons for the agent's end.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong: exit code 2, and systemd does not start the agent again.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// Something that the machine is short of, or a disk that did not answer: the agent begins its
    /// start anew a moment later. Exit code 1 where it cannot.
    #[error("{0}")]
    Short(String),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl RunError {
    /// Failure of a single operation, named as in "starting the keeper".
    pub(super) fn failed(operation: &str, error: &io::Error) -> RunError {
        let text = format!("{operation}: {error}");
        if shortage::is_shortage(error) { RunError::Short(text) } else { RunError::Failed(text) }
    }
}
