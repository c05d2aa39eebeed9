//! A test in the simulator of a gate that the slow side replaces while the process is stopped.

use crate::mutant::Mutants;
use crate::sim::Want;
use crate::sim::calm::calm;
use crate::sim::names::ms;
use crate::sim::world::Sim;
use std::time::Duration;

// L5
#[test]
fn a_process_that_reads_of_its_interface_before_it_hears_of_the_new_gate_serves_again() {
    let mut held = 0;
    for seed in 8..20 {
        let mut sim = Sim::new(seed, Mutants::NONE, Want::Nothing);
        calm(&mut sim);
        let Some(&node) = sim.answering(0).first() else { continue };
        let interface = sim.plan.groups[0].interface;
        sim.hang(node, ms(1));
        sim.set_carrier(node, interface, true);
        sim.replace_gate(node, interface);
        sim.run(Duration::from_secs(1));
        let [now] = sim.answering(0)[..] else { panic!("seed {seed}: {:?} answer", sim.answering(0)) };
        assert_eq!((now, &sim.oracle.violation), (node, &None), "seed {seed}");
        held += 1;
    }
    assert!(held > 6, "{held} runs only");
}
