//! `vipair events`: prints events of the agent.

use super::{Failure, SocketArg, print, render, terminal};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Event, Request, Response};
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct EventsArgs {
    /// Go on with new events until interrupted
    #[arg(long, short)]
    follow: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArg,
}

/// Prints the recent events, and with `--follow` those to come.
pub(super) fn execute(args: &EventsArgs) -> Result<(), Failure> {
    let mut client = Client::connect(&args.socket.socket)?;
    client.send(&Request::Events { follow: args.follow })?;
    if args.follow {
        client.wait_for_ever()?;
    }
    loop {
        let response = match client.receive() {
            Err(ClientError::Closed) if args.follow => return Err(Failure::Failed("the agent has ended".to_owned())),
            other => other?,
        };
        match response {
            Response::Event(event) => print(&event_text(&event, args.json)?)?,
            Response::End => return Ok(()),
            Response::Outcome(outcome) => return Err(Failure::Failed(outcome.message)),
            Response::Status(_) | Response::Recorded { .. } | Response::Running(_) => {
                return Err(Failure::other_answer());
            }
        }
    }
}

/// One event as printed.
fn event_text(event: &Event, json: bool) -> Result<String, Failure> {
    if json {
        let line = serde_json::to_string(event).map_err(|error| Failure::Failed(error.to_string()))?;
        return Ok(line + "\n");
    }
    Ok(render::event(event, terminal::has_colour()))
}
