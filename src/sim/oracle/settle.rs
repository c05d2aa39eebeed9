//! L5: when faults stop, one active within ten seconds, whatever happened before.

use crate::sim::node::Node;
use crate::sim::world::Sim;

/// True if each group that somebody may have is answered by exactly one node.
pub fn is_settled(sim: &Sim) -> bool {
    (0..sim.plan.groups.len()).all(|group| {
        let nodes = || (0..sim.nodes.len()).filter(|&at| may_have(sim, at, group));
        let answering = sim.answering(group).len();
        if nodes().any(|at| !is_held_up(sim, at, group)) {
            answering == 1
        } else {
            answering <= nodes().count().min(1)
        }
    })
}

/// True if nothing but what the others do keeps a node from having a group for good.
fn may_have(sim: &Sim, at: usize, group: usize) -> bool {
    let node: &Node = &sim.nodes[at];
    let (Some(engine), Some(place)) = (&node.engine, node.places[group]) else { return false };
    let view = engine.view_group(place);
    // S7: with its state lost, a node owns nothing until every peer has told it what it knows.
    node.is_running() && !view.paused && !(view.state_damaged && is_alone(sim, at))
}

/// S6: a neighbour that is gone for good holds a takeover up for ten minutes; a peer that was never heard looks like
/// one. It takes nothing from a node that has the group already.
fn is_held_up(sim: &Sim, at: usize, group: usize) -> bool {
    let interface = sim.plan.groups[group].interface;
    let empty = sim.hosts.iter().all(|host| host.plan.interface != interface);
    let known = sim.nodes[at].engine.as_ref().is_some_and(|engine| engine.view_neighbours(interface) > 0);
    is_alone(sim, at) && empty && known
}

fn is_alone(sim: &Sim, at: usize) -> bool {
    sim.others(at).any(|other| !sim.nodes[other].is_running())
}

/// How things stand, for people.
pub fn states(sim: &Sim) -> Vec<String> {
    let mut lines = Vec::new();
    for at in 0..sim.nodes.len() {
        let node = &sim.nodes[at];
        let Some(engine) = &node.engine else {
            lines.push(format!("node {at}: no agent"));
            continue;
        };
        let local = sim.local(at);
        let report = engine.report(local);
        lines.push(format!("node {at}: its clock shows {local:?}, gates {:?}", node.kernel.gates));
        for peer in 0..sim.nodes.len() - 1 {
            lines.push(format!("node {at}: {:?} rejects {:?}", engine.view_peer(peer, local), report.rejects));
        }
        for (place, state) in report.groups.iter().enumerate() {
            let group = node.table[place];
            let view = engine.view_group(place);
            lines.push(format!(
                "node {at} group {group}: {:?} {} {:?} {:?} {:?}, seen {} reserve {} claim {} consent {}, {:?}",
                state.role,
                state.epoch,
                state.cause,
                state.reason,
                state.waiting,
                view.seen,
                view.reserve,
                view.claim,
                view.consent,
                sim.plan.groups[group],
            ));
        }
    }
    lines
}
