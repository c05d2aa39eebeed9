//! L5: when faults stop, one active within ten seconds, whatever happened before.

use crate::sim::names::key_of;
use crate::sim::node::Node;
use crate::sim::witness::Witness;
use crate::sim::world::Sim;
use crate::timing::Promote;
use crate::types::GroupKey;

/// Whether exactly one node answers for each group that a node may have.
pub fn is_settled(sim: &Sim) -> bool {
    (0..sim.plan.groups.len()).all(|group| {
        let nodes = || (0..sim.nodes.len()).filter(|&node| may_have(sim, node, group));
        let answering = sim.answering(group).len();
        // A pair that goes on alone needs no votes: one may answer although nobody could be
        // elected.
        let alone = usize::from(sim.plan.votes().is_some_and(|votes| !votes.strict));
        if is_named_apart(sim, group) {
            // Who was apart may have opened it, and nobody can tell that two sets of addresses overlap.
            let pairs = || (0..sim.nodes.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
            return answering <= 1 || pairs().any(|(one, other)| super::answers::is_another(sim, one, other, group));
        }
        if nodes().any(|node| !is_held_up(sim, node, group)) {
            answering == 1 && is_where_best(sim, group)
        } else {
            answering <= nodes().count().max(alone).min(1)
        }
    })
}

/// S8: whether a node that runs may have a group of another under a name of its own: it has none of
/// this name, and one that the other has not. Then nobody opens what is closed.
fn is_named_apart(sim: &Sim, group: usize) -> bool {
    let running = || sim.nodes.iter().filter(|machine| machine.is_running());
    let keys = |machine: &Node| -> Vec<GroupKey> {
        machine.config.groups.iter().map(|config| key_of(config.group, config.renamed)).collect()
    };
    running().any(|machine| {
        let own = keys(machine);
        let Some(config) = machine.config.groups.iter().find(|config| config.group == group) else { return false };
        let name = key_of(group, config.renamed);
        running().map(keys).any(|others| !others.contains(&name) && others.iter().any(|other| !own.contains(other)))
    })
}

/// Whether nothing but the other nodes keeps a node from having a group for good.
fn may_have(sim: &Sim, node: usize, group: usize) -> bool {
    let machine: &Node = &sim.nodes[node];
    let (Some(engine), Some(place)) = (&machine.engine, machine.places[group]) else { return false };
    let view = engine.view_group(place);
    // S7: with its state lost, a node owns nothing until every peer has told it what it knows.
    let alone = is_alone(sim, node);
    let elected = sim.plan.votes().is_none() || may_be_elected(sim, node, group, alone);
    machine.is_running() && elected && !view.paused && !(view.state_damaged && alone)
}

/// HP-8: whether no node that could have the group does better than the one that has it. A node that
/// keeps a group because its fault seemed to follow it has longer than faults are over. Nothing moves
/// for health to a node with our hardware address.
fn is_where_best(sim: &Sim, group: usize) -> bool {
    let answering = sim.answering(group)[0];
    let mac = |node: usize| sim.nodes[node].macs[sim.plan.groups[group].interface];
    if sim.others(answering).any(|other| mac(other) == mac(answering)) {
        return true;
    }
    let machine = &sim.nodes[answering];
    let kept = machine
        .engine
        .as_ref()
        .zip(machine.places[group])
        .is_some_and(|(engine, place)| !engine.view_unrest(place, machine.clock.read(sim.now)).is_zero());
    if kept {
        return true;
    }
    let health = |node: usize| sim.nodes[node].lacks[group].added_to(sim.nodes[node].services[group]);
    (0..sim.nodes.len()).filter(|&node| may_have(sim, node, group)).all(|node| health(node) >= health(answering))
}

/// S6: whether a neighbour that is gone for good holds a takeover up, as it may for ten minutes; a
/// peer that was never heard looks like one. A node that has the group already loses nothing by it.
fn is_held_up(sim: &Sim, node: usize, group: usize) -> bool {
    let interface = sim.plan.groups[group].interface;
    let empty = sim.hosts.iter().all(|host| host.plan.interface != interface);
    let known = sim.nodes[node].engine.as_ref().is_some_and(|engine| engine.view_neighbours(interface) > 0);
    is_alone(sim, node) && empty && known
}

/// Whether another node does not run.
fn is_alone(sim: &Sim, node: usize) -> bool {
    sim.others(node).any(|other| !sim.nodes[other].is_running())
}

/// Whether votes permit a node to have a group. A witness that has lost its memory votes when every
/// node has told it everything; one that never had any, and is not told by every node, waits for
/// the longest permitted lease.
fn may_be_elected(sim: &Sim, node: usize, group: usize, alone: bool) -> bool {
    let running = sim.nodes.iter().filter(|machine| machine.is_running() && machine.places[group].is_some()).count();
    let able = |witness: &&Witness| witness.voter.as_ref().is_some_and(|voter| !alone || voter.view_is_voting());
    let witnesses = sim.witnesses.iter().filter(able).count();
    let majority = sim.witnesses.len().div_ceil(2) + 1;
    // A group that waits for a witness's word needs one that was told everything; without it a
    // standby stays a standby, and so does a node that finds no active when it starts.
    let word = sim.plan.groups[group].promote == Promote::Peer || !alone;
    let open = sim.nodes[node].kernel.is_open(group);
    running + witnesses >= majority && (word || open)
}

/// The state of every node and witness, a line each, for people.
pub fn states(sim: &Sim) -> Vec<String> {
    let mut lines = Vec::new();
    for node in 0..sim.nodes.len() {
        let machine = &sim.nodes[node];
        let Some(engine) = &machine.engine else {
            lines.push(format!("node {node}: no agent"));
            continue;
        };
        let local = sim.local(node);
        let report = engine.report(local);
        lines.push(format!("node {node}: its clock shows {local:?}, gates {:?}", machine.kernel.gates));
        for peer in 0..sim.nodes.len() - 1 + sim.witnesses.len() {
            lines.push(format!("node {node}: {:?} rejects {:?}", engine.view_peer(peer, local), report.rejects));
        }
        for (place, state) in report.groups.iter().enumerate() {
            let group = machine.table[place];
            let view = engine.view_group(place);
            lines.push(format!(
                "node {node} group {group}: {:?} {} {:?} {:?} {:?}, seen {} reserve {} claim {} consent {}, {:?}",
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
    for (number, witness) in sim.witnesses.iter().enumerate() {
        match &witness.voter {
            None => lines.push(format!("witness {number}: no process")),
            Some(voter) => {
                let local = witness.clock.read(sim.now);
                let promises: Vec<_> = voter.promises(local).collect();
                lines.push(format!(
                    "witness {number}: its clock shows {local:?}, votes: {}, running: {}, {:?}, promises {promises:?}",
                    voter.view_is_voting(),
                    witness.is_running(),
                    voter.rejects()
                ));
                lines.extend(voter.view_rows().map(|row| format!("witness {number}: {row:?}")));
            }
        }
    }
    lines
}
