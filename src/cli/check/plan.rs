//! `vipair check --against-running`: what a reload with this file would change, without doing it.
//!
//! Owns: the answer to the operator. Never does: reload. The agent tells what it runs with; the
//! comparison is the one that a reload makes. A file that the agent would refuse is a failure, with
//! the reasons.

use crate::cli::{Failure, SocketArg, print};
use crate::config::{ClusterFile, ConfigErrors, KeyFile, changes};
use crate::control::client::Client;
use crate::control::protocol::{Request, Response, Running};
use crate::io::local::{self, LocalAddress};
use std::path::Path;

/// Asks the agent what it runs with, and prints what a reload with `new` would change.
pub(super) fn execute(new: &ClusterFile, node: Option<&str>, socket: &SocketArg) -> Result<(), Failure> {
    let running = match Client::connect(&socket.socket)?.ask(&Request::Running)? {
        Response::Running(running) => *running,
        Response::Outcome(outcome) => return Err(Failure::Failed(outcome.message)),
        Response::Status(_) | Response::Recorded { .. } | Response::Event(_) | Response::End => {
            return Err(Failure::other_answer());
        }
    };
    let keys = KeyFile::load(&new.key_file).map_err(|error| ConfigErrors::from(new.key_error(&error)))?;
    let local = local::addresses().unwrap_or_default();
    match plan_reload(&running, new, &keys, node, &local)? {
        Plan::Refused(text) => Err(Failure::Failed(text)),
        Plan::Done(text) => print(&text),
    }
}

/// Outcome of a reload, as printed.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// The agent would refuse, and keep what it has.
    Refused(String),
    /// The agent would run with the new file.
    Done(String),
}

/// Outcome that a reload with `new` would have. `node` and `local` find this node in the new file,
/// as at a start.
///
/// # Errors
/// The new file has no place for this node or gives a group an address of its own, or the agent's
/// answer is no configuration.
pub(super) fn plan_reload(
    running: &Running,
    new: &ClusterFile,
    keys: &KeyFile,
    node: Option<&str>,
    local: &[LocalAddress],
) -> Result<Plan, Failure> {
    let unreadable = |errors: ConfigErrors| {
        Failure::Failed(format!("what the agent runs with cannot be read by this version of vipair: {errors}"))
    };
    let old = ClusterFile::parse(&running.text, Path::new(&running.file)).map_err(unreadable)?;
    let me = old.identify(Some(&running.node), &[]).map_err(|error| unreadable(error.into()))?;
    let old = old.for_node(me);
    // As at a reload: an address that is away for a moment does not make this another node.
    let mut known = local::bare(local);
    known.extend(&old.node(me).links);
    let named = node.or(running.named.then_some(running.node.as_str()));
    let me = new.identify(named, &known).map_err(ConfigErrors::from)?;
    new.check_placed(me, local)?;
    let new = new.for_node(me);
    let agent = format!("the agent of node {}, which reads {}", running.node, running.file);
    let listed = |found: &[String]| found.iter().map(|line| format!("  {line}\n")).collect::<String>();
    let refusals = changes::refusals(&old, &new);
    if !refusals.is_empty() {
        return Ok(Plan::Refused(format!("a reload would be REFUSED by {agent}:\n{}", listed(&refusals).trim_end())));
    }
    let found = changes::between((&old, &running.keys), (&new, &keys.prints()));
    Ok(Plan::Done(match &found[..] {
        [] => format!("a reload would change nothing for {agent}\n"),
        found => format!("a reload would change for {agent}:\n{}", listed(found)),
    }))
}

#[cfg(test)]
mod tests;
