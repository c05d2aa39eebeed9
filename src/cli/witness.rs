//! `vipair witness`: the third voter.

use super::{Failure, logging, print};
use crate::witness::{self, Options, RunError};
use clap::Args;
use std::path::PathBuf;

/// Where a witness's file is unless `--config` says otherwise.
pub(super) const DEFAULT_WITNESS_CONFIG: &str = "/etc/vipair/witness.toml";
/// Where its promises are kept unless `--state-dir` says otherwise.
pub(super) const DEFAULT_WITNESS_STATE_DIR: &str = "/var/lib/vipair-witness";

#[derive(Args, Debug)]
pub(super) struct WitnessArgs {
    /// The witness's file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_WITNESS_CONFIG)]
    config: PathBuf,
    /// Where promises are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_WITNESS_STATE_DIR)]
    state_dir: PathBuf,
    /// Validate this file and end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "state_dir"])]
    check: Option<PathBuf>,
}

pub(super) fn execute(args: WitnessArgs) -> Result<(), Failure> {
    let failure = |error| match error {
        RunError::Configuration(errors) => errors.into(),
        RunError::Failed(message) => Failure::Failed(message),
    };
    if let Some(path) = &args.check {
        return print(&format!("{}\n", witness::checked(path).map_err(failure)?));
    }
    let _rest = logging::start();
    witness::run(&Options { config: args.config, state_dir: args.state_dir }).map_err(failure)
}
