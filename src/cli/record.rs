//! `vipair record`: makes the agent write its flight recorder's content to a file.

use super::{Failure, SocketArg, print};
use crate::control::client::Client;
use crate::control::protocol::{Request, Response};
use clap::Args;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub(super) struct RecordArgs {
    /// Copy it to this new file, for its owner alone
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    socket: SocketArg,
}

/// Asks for a recording and prints its path, or copies it and prints the path of the copy.
pub(super) fn execute(args: &RecordArgs) -> Result<(), Failure> {
    match Client::connect(&args.socket.socket)?.ask(&Request::Record)? {
        Response::Recorded { path } => match &args.output {
            None => print(&format!("{path}\n")),
            Some(output) => {
                copy_recording(Path::new(&path), output)
                    .map_err(|error| Failure::Failed(format!("{path} is there; {}: {error}", output.display())))?;
                print(&format!("{}\n", output.display()))
            }
        },
        Response::Outcome(outcome) => Err(Failure::Failed(outcome.message)),
        Response::Status(_) | Response::Running(_) | Response::Event(_) | Response::End => {
            Err(Failure::other_answer())
        }
    }
}

/// Copies a recording to a new file, mode 0600. The command does this because the agent may be
/// confined to its own directory.
fn copy_recording(from: &Path, to: &Path) -> std::io::Result<()> {
    let bytes = std::fs::read(from)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    file.write_all(&bytes)
}
