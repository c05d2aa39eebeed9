//! Commands of operators, at good and at bad moments.

use super::strike_interface;
use crate::engine::Command;
use crate::sim::names::group_id;
use crate::sim::node::Waiting;
use crate::sim::swarm::Fault;
use crate::sim::world::Sim;

/// Gives a node the command of `fault` about a drawn group; false if its agent takes none.
pub(super) fn order(sim: &mut Sim, fault: Fault, node: usize) -> bool {
    let count = sim.nodes[node].table.len();
    if count == 0 || sim.nodes[node].engine.is_none() || sim.nodes[node].exited {
        return false;
    }
    let group = group_id(sim.random.below(count));
    let command = match fault {
        Fault::Switch => Command::Switch(group),
        Fault::Pause => Command::Pause(group),
        Fault::Resume => Command::Resume(group),
        _ => Command::Stop,
    };
    sim.note(|_| format!("node {node}: {command:?}"));
    sim.offer(node, Waiting::Command(command));
    true
}

/// Moves a group, and spoils the move: the node hangs, loses its carrier, is stopped in order, or
/// loses the group from its file. In half of the cases the other node does not hear of the move.
/// False if the node has no open group to be moved.
pub(super) fn break_switch(sim: &mut Sim, node: usize) -> bool {
    let groups = sim.nodes[node].table.clone();
    let Some(place) = groups.iter().position(|&group| sim.nodes[node].kernel.is_open(group)) else { return false };
    if !sim.nodes[node].is_running() {
        return false;
    }
    let (now, timing) = (sim.now, sim.nodes[node].config.timing);
    if sim.random.chance(50) {
        for to in sim.others(node) {
            for wire in 0..sim.net.wires {
                sim.net.set_cut(node, to, wire, true, now);
            }
        }
        sim.touched = true;
    }
    let command = Command::Switch(group_id(place));
    sim.note(|sim| format!("node {node}: {command:?} at a bad moment; cuts: {}", sim.net.describe_cuts()));
    sim.offer(node, Waiting::Command(command));
    let way = sim.net.longest();
    let span = if sim.random.chance(50) { sim.random.span(way) } else { sim.random.span(timing.pulse * 2) };
    sim.run(span);
    let interface = sim.plan.groups[groups[place]].interface;
    match sim.random.below(5) {
        0 => sim.hang(node, timing.lease + timing.pulse * 2),
        1 => return strike_interface(sim, Fault::Carrier, node, interface),
        2 => return order(sim, Fault::Stop, node),
        3 => sim.remove_group(node, groups[place]),
        _ => {}
    }
    true
}
