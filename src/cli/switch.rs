//! `vipair switch GROUP`: a planned move of a group to the other node.

use super::{Failure, SocketArg, send_order};
use crate::control::protocol::Request;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct SwitchArgs {
    /// The group's name
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    socket: SocketArg,
}

/// Sends the order to switch, which is answered when the group has moved or cannot.
pub(super) fn execute(args: SwitchArgs) -> Result<(), Failure> {
    send_order(&args.socket, &Request::Switch { group: args.group })
}
