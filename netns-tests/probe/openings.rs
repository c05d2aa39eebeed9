//! Verdict over a scene in which chance decides who owns an address, and how often the address
//! moves.
//!
//! Owns: tenures, and comparing those on the wire with the openings in the agents' logs. A server
//! that claims an address again, after the other has, must have opened again in between, with a
//! higher epoch. One tenure too many means that two servers answered at once. Never does: believing
//! an agent's log beyond that. A log can only permit a claim; what it leaves out is held against
//! the server, except for an agent that was killed before it can have written the line.

use crate::lab::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use vipair::types::MonoTime;

/// A run of claims from one server, not interrupted by the other's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tenure {
    /// The server that claimed.
    pub server: Server,
    /// When its first claim was heard.
    pub first: MonoTime,
    /// When its last claim was heard.
    pub last: MonoTime,
    /// Number of its claims.
    pub claims: usize,
}

/// An opening of the gate: a server became active with an epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Opening {
    /// Counter and node of the epoch: they sort as epochs do.
    pub epoch: (u64, u8),
    /// The server that opened.
    pub server: Server,
}

/// Longest time after an opening in which a killed agent may not have logged it yet.
const UNTOLD: Duration = Duration::from_millis(200);

/// The openings of `group` in both agents' logs, by epoch. Fails if both logs tell of one epoch
/// (S2).
pub fn read_openings(group: &str, logs: &[(Server, String)]) -> Result<Vec<Opening>, String> {
    let mut found: BTreeMap<(u64, u8), Server> = BTreeMap::new();
    for (server, log) in logs {
        for epoch in log.lines().filter_map(|line| opened_with(group, line)) {
            let holder = *found.entry(epoch).or_insert(*server);
            if holder != *server {
                return Err(format!("S2: epoch {}.{} has two holders", epoch.0, epoch.1));
            }
        }
    }
    Ok(found.into_iter().map(|(epoch, server)| Opening { epoch, server }).collect())
}

/// The epoch of a line like `web: standby → active (epoch 466727.1): …`.
fn opened_with(group: &str, line: &str) -> Option<(u64, u8)> {
    let change = line.split_once(&format!("{group}: "))?.1;
    let epoch = change.split_once(" → active (epoch ")?.1.split_once(')')?.0;
    let (counter, node) = epoch.split_once('.')?;
    Some((counter.parse().ok()?, node.parse().ok()?))
}

/// Whether these openings, in their order, permit the tenures. A tenure needs no opening if its
/// agent was killed within [`UNTOLD`] of its beginning. The error names the tenure whose claims
/// were made beside the other server's.
pub fn permit_tenures(tenures: &[Tenure], openings: &[Opening], kills: &[(Server, MonoTime)]) -> Result<(), String> {
    // Every number of openings that the tenures up to here can have used up.
    let mut ways = BTreeSet::from([0]);
    for tenure in tenures {
        let given = |used: &usize| {
            let next = openings[*used..].iter().position(|opening| opening.server == tenure.server);
            next.map(|offset| used + offset + 1)
        };
        let killed = |(server, at): &(Server, MonoTime)| {
            *server == tenure.server && *at >= tenure.first && *at <= tenure.first + UNTOLD
        };
        let mut after: BTreeSet<usize> = ways.iter().filter_map(given).collect();
        if kills.iter().any(killed) {
            after.extend(&ways);
        }
        if after.is_empty() {
            return Err(format!(
                "S1: {} claimed it from {:?} to {:?}, {} times, without having been given it anew: two at once. \
                 Openings: {openings:?}",
                tenure.server.name(),
                tenure.first,
                tenure.last,
                tenure.claims
            ));
        }
        ways = after;
    }
    Ok(())
}

/// Number of the address's moves, and the shortest time between two of them if there are as many.
pub fn count_moves(tenures: &[Tenure]) -> (usize, Option<Duration>) {
    let starts: Vec<MonoTime> = tenures.iter().skip(1).map(|tenure| tenure.first).collect();
    (starts.len(), starts.windows(2).map(|pair| pair[1].since(pair[0])).min())
}
