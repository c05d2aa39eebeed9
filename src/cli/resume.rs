//! `vipair resume GROUP`: end a pause.

use super::{Failure, SocketArg, order};
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

pub(super) fn execute(args: ResumeArgs) -> Result<(), Failure> {
    order(&args.socket, &Request::Resume { group: args.group })
}
