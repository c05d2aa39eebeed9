//! L5: when faults stop, one active within ten seconds, whatever happened before.

use crate::sim::node::Node;
use crate::sim::world::Sim;

/// True if each group that somebody may have is answered by exactly one node.
pub fn is_settled(sim: &Sim) -> bool {
    (0..sim.plan.groups.len()).all(|group| {
        let wanted = usize::from((0..sim.nodes.len()).any(|at| may_have(sim, at, group)));
        sim.answering(group).len() == wanted
    })
}

/// True if nothing keeps a node from having a group but what the others do.
fn may_have(sim: &Sim, at: usize, group: usize) -> bool {
    let node: &Node = &sim.nodes[at];
    let (Some(engine), Some(place)) = (&node.engine, node.places[group]) else { return false };
    let view = engine.view_group(place);
    // S7: with its state lost, a node owns nothing until every peer has told it what it knows.
    let alone = sim.others(at).any(|other| !sim.nodes[other].is_running());
    // S6: a neighbour that is gone for good holds a takeover up for ten minutes; a peer that was never heard looks like one.
    let interface = sim.plan.groups[group].interface;
    let empty = sim.hosts.iter().all(|host| host.plan.interface != interface);
    node.is_running()
        && !view.paused
        && !(view.state_damaged && alone)
        && !(alone && empty && engine.view_neighbours(interface) > 0)
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
