//! Directed runs about machines that cannot be told apart.

use super::{active, expect_one_at_most, scene};
use crate::sim::world::Sim;

// S8, L1: where both nodes have one hardware address, the answers of a kernel whose agent has died
// look like our own. It is taken over when its lease is over.
pub fn share_mac(sim: &mut Sim) {
    let Some((group, gone, standby)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    let interface = sim.plan.groups[group].interface;
    let mac = sim.nodes[gone].macs[interface];
    sim.set_mac(standby, interface, mac);
    sim.run(timing.listen * 2 + timing.pulse * 10);
    if active(sim, group) != Some(gone) {
        return;
    }
    sim.kill(gone);
    let bound = timing.listen + timing.lease + timing.silence + timing.pulse * 4;
    expect_one_at_most(sim, group, bound, "although they have one hardware address");
    let taken = active(sim, group) == Some(standby);
    sim.oracle.hold(taken, || format!("L1: group {group} is not taken over when the lease is over"));
}

// S2, S8: an agent that is restarted with the number of the other node does not go on with what it
// had opened under its own, for the other may open with the same epochs.
pub fn renumber(sim: &mut Sim) {
    let Some((group, node, other)) = scene(sim) else { return };
    let timing = sim.plan.timing();
    sim.kill(node);
    sim.renumber(node, other);
    sim.start(node);
    sim.run(timing.pulse * 2);
    let on = sim.answers(node, group);
    sim.oracle.hold(!on, || format!("S2: node {node} goes on with group {group} under another number"));
    expect_one_at_most(sim, group, timing.listen * 2, "although they have one number");
    sim.kill(node);
    sim.renumber(node, node);
    sim.start(node);
    let bound = timing.listen * 3 + timing.silence * 2 + timing.pulse * 10;
    expect_one_at_most(sim, group, bound, "after one had the number of the other");
    let back = active(sim, group).is_some();
    sim.oracle.hold(back, || format!("L5: nobody takes group {group} after a wrong number"));
}
