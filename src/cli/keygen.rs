//! `vipair keygen FILE`: makes a cluster key.

use super::{Failure, print};
use crate::config::keyfile;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct KeygenArgs {
    /// The file to make; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key's number; choose another one than the key in use when replacing a key
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    id: u8,
}

/// Makes the key file, and prints what to do with it.
pub(super) fn execute(args: &KeygenArgs) -> Result<(), Failure> {
    keyfile::generate(&args.file, args.id).map_err(|error| Failure::Failed(error.to_string()))?;
    print(&format!(
        "{} made. Copy it to the other node over a safe path (scp), owner root, mode 600.\n",
        args.file.display()
    ))
}
