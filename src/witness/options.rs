//! What the witness is told, and why it ended.

use crate::config::ConfigErrors;
use std::path::PathBuf;
use thiserror::Error;

/// What the witness is told on its command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Its file.
    pub config: PathBuf,
    /// The file that SIGHUP takes over, if it is another one.
    pub reload: Option<PathBuf>,
    /// Where promises are kept.
    pub state_dir: PathBuf,
}

/// Why the witness ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong: exit code 2, and systemd does not start it again.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// Something else: exit code 1.
    #[error("{0}")]
    Failed(String),
}
