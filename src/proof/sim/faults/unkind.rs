//! Unkind faults: what a kernel or an operator does to a machine that nobody foresees. They draw
//! from a source of their own, between the other faults, and only in some runs.

use crate::sim::names::mac;
use crate::sim::swarm::{Fault, Plan};
use crate::sim::world::Sim;
use crate::types::MacAddr;
use std::time::Duration;

/// How often an unkind fault strikes after another one, in percent, in runs that have any.
const OFTEN: usize = 20;
/// The longest time after which a process sees that its gate is passed by.
const LOOK: Duration = Duration::from_secs(1);
/// Lengths of the longest datagrams that narrow wires carry: the least is that of a pulse with few
/// rows.
const LENGTHS: [usize; 4] = [246, 300, 548, 800];

/// Draws whether an unkind fault strikes now, which and where, and lets it strike.
pub fn strike_unkindly(sim: &mut Sim) {
    if sim.plan.unkind.is_empty() || !sim.unkind.chance(OFTEN) {
        return;
    }
    let fault = Plan::draw_of(&sim.plan.unkind, &mut sim.unkind);
    let drawn = sim.unkind.below(sim.nodes.len());
    let holder = (0..sim.nodes.len()).find(|&node| sim.answers(node, 0));
    let node = if sim.unkind.chance(50) { holder.unwrap_or(drawn) } else { drawn };
    let interface = sim.unkind.below(sim.plan.interfaces);
    if super::apply(sim, fault, node, interface) {
        sim.coverage.count_fault(fault);
    }
}

/// Lets an unkind fault strike a node; false if there was nothing to strike.
pub(super) fn strike(sim: &mut Sim, fault: Fault, node: usize, interface: usize) -> bool {
    match fault {
        Fault::SameNumber => change_number(sim, node),
        Fault::Renamed => rename(sim, node),
        Fault::Cloned => replace_by_copy(sim, node),
        Fault::OtherMac => {
            let mac = draw_mac(sim, node, interface);
            sim.set_mac(node, interface, mac);
            true
        }
        Fault::Recreated => recreate(sim, node, interface),
        Fault::Narrow => {
            narrow(sim);
            true
        }
        Fault::SocketDies => {
            let wire = sim.unkind.below(sim.net.udp);
            let closed = !sim.is_closed(node, wire);
            sim.set_closed(node, wire, closed);
            true
        }
        Fault::GateDisplaced => displace(sim, node, interface),
        Fault::Squatter => {
            let group = sim.unkind.below(sim.plan.groups.len());
            sim.squatted[group] ^= true;
            sim.note(|sim| format!("a stranger has the address of group {group}: {}", sim.squatted[group]));
            true
        }
        _ => false,
    }
}

/// Starts a node with the number of another, or with its own again; false if it has no power or
/// sleeps.
fn change_number(sim: &mut Sim, node: usize) -> bool {
    if !sim.nodes[node].powered || sim.nodes[node].asleep {
        return false;
    }
    let other = draw_other(sim, node);
    let number = if sim.nodes[node].number == node { other } else { node };
    sim.kill(node);
    sim.renumber(node, number);
    // At once, it finds its gates open under the number that it had.
    let silence = sim.plan.timing().silence;
    let most = if sim.unkind.chance(50) { silence / 8 } else { silence * 2 };
    let delay = sim.unkind.span(most);
    super::start_later(sim, node, delay);
    true
}

/// Gives a group another name in the file of a node, which it reads at once or at its next start;
/// false if the file has no group, or nobody reads it.
fn rename(sim: &mut Sim, node: usize) -> bool {
    let count = sim.nodes[node].config.groups.len();
    // A process that stands still would go on with the former name.
    let deaf = sim.nodes[node].engine.is_some() && !sim.nodes[node].is_running();
    if count == 0 || deaf {
        return false;
    }
    let (which, reloads) = (sim.unkind.below(count), sim.unkind.chance(50));
    sim.rename_group(node, which, reloads);
    if !reloads && sim.nodes[node].is_running() {
        sim.kill(node);
        let delay = sim.unkind.span(Duration::from_millis(100));
        super::start_later(sim, node, delay);
    }
    true
}

/// Replaces a machine by a copy of another, mostly with the other's number, and perhaps with its
/// hardware addresses. Always true: it has struck.
fn replace_by_copy(sim: &mut Sim, node: usize) -> bool {
    let other = draw_other(sim, node);
    sim.lose_power(node, false);
    sim.copy_disk(node, other);
    if sim.unkind.chance(70) {
        let number = sim.nodes[other].number;
        sim.renumber(node, number);
    }
    if sim.unkind.chance(40) {
        sim.nodes[node].macs = sim.nodes[other].macs.clone();
    }
    let delay = sim.unkind.span(Duration::from_millis(500));
    super::start_later(sim, node, delay);
    true
}

/// Lets an interface vanish, and come back with another hardware address; false if it is not there.
fn recreate(sim: &mut Sim, node: usize, interface: usize) -> bool {
    if !sim.nodes[node].interfaces[interface].exists {
        return false;
    }
    sim.set_existing(node, interface, false);
    // Whoever looks late sees only that it is there.
    sim.nodes[node].interfaces[interface].was_gone = !sim.nodes[node].is_running();
    let mac = draw_mac(sim, node, interface);
    sim.set_mac(node, interface, mac);
    sim.set_existing(node, interface, true);
    true
}

/// Lets frames pass a gate by, until a process that runs then looks; false if there is none.
fn displace(sim: &mut Sim, node: usize, interface: usize) -> bool {
    let gate = sim.nodes[node].kernel.gates[interface];
    if gate.there && !gate.passed_by {
        let look = sim.unkind.span(LOOK);
        sim.displace_gate(node, interface, look);
    }
    gate.there
}

/// A hardware address for an interface: that of another node, one that nobody had, or its own.
fn draw_mac(sim: &mut Sim, node: usize, interface: usize) -> MacAddr {
    match sim.unkind.below(4) {
        0 => mac(node, interface),
        1 => {
            let [first, second, third, fourth, ..] = sim.unkind.next().to_be_bytes();
            MacAddr([2, 1, first, second, third, fourth])
        }
        _ => {
            let other = draw_other(sim, node);
            sim.nodes[other].macs[interface]
        }
    }
}

/// Makes a wire narrow, or wide again; that to the witnesses is one of them.
fn narrow(sim: &mut Sim) {
    let wire = sim.unkind.below(sim.net.widest.len());
    let wide = sim.net.widest[wire] == usize::MAX;
    sim.net.widest[wire] = if wide { sim.unkind.pick(&LENGTHS) } else { usize::MAX };
    sim.net.refuses[wire] = sim.unkind.chance(50);
    sim.net.narrowed |= !wide;
    sim.net.changed = sim.now;
    sim.touched = true;
    sim.note(|sim| format!("wires: they carry {:?} bytes, and refuse longer: {:?}", sim.net.widest, sim.net.refuses));
}

/// A node drawn from all but `node`.
fn draw_other(sim: &mut Sim, node: usize) -> usize {
    let count = sim.nodes.len();
    (node + 1 + sim.unkind.below(count - 1)) % count
}
