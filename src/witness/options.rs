//! The command line of the witness, and the reasons for which it ends.

use crate::config::ConfigErrors;
use std::path::PathBuf;
use thiserror::Error;

/// Options from the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Path of the witness's file.
    pub config: PathBuf,
    /// Path of the file that SIGHUP reads; `None`: the same file.
    pub reload: Option<PathBuf>,
    /// Directory that holds the state directory of each cluster.
    pub state_dir: PathBuf,
}

/// Why the witness ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong: exit code 2, and systemd does not start it again.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// Anything else failed: exit code 1. The text says what.
    #[error("{0}")]
    Failed(String),
}
