//! `vipair reload`: read configuration and keys again.

use super::{Failure, SocketArg, send_order};
use crate::control::protocol::Request;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    socket: SocketArg,
}

/// Sends the order, and prints what has changed.
pub(super) fn execute(args: &ReloadArgs) -> Result<(), Failure> {
    send_order(&args.socket, &Request::Reload)
}
