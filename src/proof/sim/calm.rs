//! A cluster at rest: where every run with one purpose begins.

use super::node::Config;
use super::world::Sim;
use std::time::Duration;

/// Starts every node with the file of the plan and a permitted clock, and runs until every group is
/// served and nothing is pending. No fault strikes meanwhile.
pub fn calm(sim: &mut Sim) {
    for node in 0..sim.nodes.len() {
        sim.nodes[node].config = Config::new(&sim.plan);
        sim.faulty = false;
        if sim.plan.is_beyond() {
            let now = sim.now;
            sim.nodes[node].clock.set_rate(now, 0);
        }
        sim.start(node);
    }
    sim.traffic();
    let timing = sim.plan.timing();
    let start = timing.listen * 2 + timing.pulse * 10 + Duration::from_secs(1);
    let phase = sim.random.span(timing.pulse);
    sim.run(start + phase);
    sim.traffic();
    sim.run(timing.pulse);
}
