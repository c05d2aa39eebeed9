//! `vipair resume GROUP`: end a pause.

use super::{Failure, SocketArg, send_order};
use crate::control::protocol::Request;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct ResumeArgs {
    /// The group's name
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    socket: SocketArg,
}

/// Sends the order to resume.
pub(super) fn execute(args: ResumeArgs) -> Result<(), Failure> {
    send_order(&args.socket, &Request::Resume { group: args.group })
}
