//! `vipair pause GROUP`: keep a group closed on this node.

use super::{Failure, SocketArg, send_order};
use crate::control::protocol::Request;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct PauseArgs {
    /// The group's name
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    socket: SocketArg,
}

/// Sends the order to pause.
pub(super) fn execute(args: PauseArgs) -> Result<(), Failure> {
    send_order(&args.socket, &Request::Pause { group: args.group })
}
