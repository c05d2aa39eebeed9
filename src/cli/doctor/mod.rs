//! `vipair doctor`: what would stop a takeover on this machine?

use super::{DEFAULT_CONFIG, DEFAULT_SOCKET, DEFAULT_STATE_DIR, Failure};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Which node this is [default: the one that has this machine's addresses as links]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Where epochs are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
    /// The agent's control socket
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

pub(super) fn execute(args: &DoctorArgs) -> Result<(), Failure> {
    Err(Failure::Failed(format!("not part of this build yet: {args:?}")))
}
