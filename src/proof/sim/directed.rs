//! Runs with one purpose each: something is done on purpose to a cluster at rest, and a promise
//! says what must follow.
//!
//! What may happen in any order is `play`'s. Here are the bounds that hold only when nothing else
//! happens, and situations that chance seldom builds, for which single rules exist.

use super::node::Waiting;
use super::world::Sim;
use crate::engine::Command;
use crate::types::GroupId;
use std::time::Duration;

mod alike;
mod clients;
mod evidence;
mod lease;
mod planned;
mod services;

pub use alike::{renumber, share_mac};
pub use clients::{divide, miss_first, police};
pub use evidence::{fall_silent, forge_answers, go_unheard, inspect, loose_cable, serve_one};
pub use lease::{adopt_refused, renew_late, restart, restart_blind};
pub use planned::{consent_late, cross, goodbye_overtakes, hand_over, leave, lose_carrier, prefer, stop_in_handover};
pub use services::{fail_service, freeze_prepared};

/// Time that the processes themselves take, with the shortest ways through the wires.
const SLACK: Duration = Duration::from_millis(1);

/// The node that answers for a group, if exactly one does.
fn active(sim: &Sim, group: usize) -> Option<usize> {
    match sim.answering(group)[..] {
        [one] => Some(one),
        _ => None,
    }
}

/// The parties of a directed run: a group drawn from the run, its active, and the other node.
/// `None` if not exactly one node answers for the group.
fn scene(sim: &mut Sim) -> Option<(usize, usize, usize)> {
    let group = sim.random.below(sim.plan.groups.len());
    let from = active(sim, group)?;
    let to = sim.others(from).next()?;
    Some((group, from, to))
}

/// The number of a group in a node's own table.
fn group_number(sim: &Sim, node: usize, group: usize) -> GroupId {
    let place = sim.nodes[node].places[group].unwrap_or_default();
    GroupId(u16::try_from(place).unwrap_or_default())
}

/// Lets an operator give a node a command about a group.
fn order(sim: &mut Sim, node: usize, group: usize, command: impl FnOnce(GroupId) -> Command) {
    let command = command(group_number(sim, node, group));
    sim.offer(node, Waiting::Command(command));
}

/// Cuts every wire between the nodes but the first link.
fn keep_one_link(sim: &mut Sim) {
    sim.cut_wires(1..sim.net.udp, true);
}

/// Lets `span` pass in steps of 250 µs, and notes a violation of S8 when two nodes answer for the
/// group. `what` ends the sentence of the violation.
fn expect_one_at_most(sim: &mut Sim, group: usize, span: Duration, what: &str) {
    let start = sim.now;
    while sim.now.since(start) < span && !sim.has_failed() {
        sim.run(Duration::from_micros(250));
        let answering = sim.answering(group).len();
        sim.oracle.hold(answering < 2, || format!("S8: two nodes answer for group {group} {what}"));
    }
}
