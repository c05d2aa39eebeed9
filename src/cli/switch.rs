//! `vipair switch GROUP`: a planned move of a group to the other node.

use super::{Failure, SocketArg, order};
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

pub(super) fn execute(args: SwitchArgs) -> Result<(), Failure> {
    order(&args.socket, &Request::Switch { group: args.group })
}
