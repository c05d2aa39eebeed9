//! `vipair status`: who is active, and why.

use super::{Failure, SocketArg, complain, print, render, terminal};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Request, Response, StatusReport};
use clap::Args;
use std::time::Duration;

/// Time between two requests of `--watch`.
const REFRESH: Duration = Duration::from_secs(1);
/// Control codes that move the cursor home and clear the rest, which repaints without a flash.
const CLEAR: &str = "\x1b[H\x1b[J";

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Look again every second until interrupted
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    socket: SocketArg,
}

/// Prints the status once, or every second with `--watch`.
pub(super) fn execute(args: &StatusArgs) -> Result<(), Failure> {
    if !args.watch {
        return print(&status_text(&ask_for_status(&args.socket)?, args.json)?);
    }
    let colour = terminal::has_colour();
    let clear = if terminal::is_terminal() && !args.json { CLEAR } else { "" };
    loop {
        // An agent that is gone is shown as that: the operator wants to see it come back.
        let text = match ask_for_status(&args.socket) {
            Ok(report) => status_text(&report, args.json)?,
            Err(Failure::Failed(message)) if args.json => {
                complain(&format!("vipair: {message}"));
                String::new()
            }
            Err(Failure::Failed(message)) => terminal::paint(&message, terminal::Tone::Bad, colour) + "\n",
            Err(other) => return Err(other),
        };
        print(&format!("{clear}{text}"))?;
        std::thread::sleep(REFRESH);
    }
}

/// Asks the agent for its status.
fn ask_for_status(socket: &SocketArg) -> Result<StatusReport, Failure> {
    match Client::connect(&socket.socket).and_then(|mut client| client.ask(&Request::Status)) {
        Ok(Response::Status(report)) => Ok(*report),
        Ok(Response::Outcome(outcome)) => Err(Failure::Failed(outcome.message)),
        Ok(Response::Recorded { .. } | Response::Running(_) | Response::Event(_) | Response::End) => {
            Err(ClientError::Closed.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The status as printed.
fn status_text(report: &StatusReport, json: bool) -> Result<String, Failure> {
    if json {
        let line = serde_json::to_string(report).map_err(|error| Failure::Failed(error.to_string()))?;
        return Ok(line + "\n");
    }
    Ok(render::status(report, terminal::has_colour()))
}
