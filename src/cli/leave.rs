//! `vipair leave`: hand over everything and stand aside until the next start.

use super::{Failure, SocketArg, send_order};
use crate::control::protocol::Request;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct LeaveArgs {
    #[command(flatten)]
    socket: SocketArg,
}

/// Sends the order to leave.
pub(super) fn execute(args: &LeaveArgs) -> Result<(), Failure> {
    send_order(&args.socket, &Request::Leave)
}
