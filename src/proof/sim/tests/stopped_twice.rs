//! Tests in the simulator of an agent that is stopped in the middle of a change of its gate, again
//! when it goes on, and killed.

use crate::mutant::Mutants;
use crate::sim::Want;
use crate::sim::calm::calm;
use crate::sim::world::Sim;
use std::time::Duration;

/// The two stops of the process, and what happens meanwhile.
#[derive(Clone, Copy, Debug)]
struct Stops {
    /// Length of the first stop.
    first: Duration,
    /// Length of the second stop, within which the process is killed.
    second: Duration,
    /// Whether hosts ask meanwhile, so that a lapsed gate refuses a frame.
    asked: bool,
    /// Whether the next life finds the gate late.
    slow: bool,
}

/// Lets time pass until the process stops for `span` in the middle of a list of actions; false if
/// it does not within three pulses.
fn run_into_stop(sim: &mut Sim, node: usize, span: Duration) -> bool {
    sim.nodes[node].trap = Some(span);
    let (start, pulse) = (sim.now, sim.plan.timing().pulse);
    while sim.nodes[node].pause.is_none() && sim.now.since(start) < pulse * 3 {
        sim.run(Duration::from_micros(200));
    }
    sim.nodes[node].pause.is_some()
}

/// Lets `span` pass; hosts ask for the addresses now and then if `asked`.
fn wait(sim: &mut Sim, span: Duration, asked: bool) {
    for _ in 0..4 {
        sim.run(span / 4);
        if asked {
            sim.traffic();
        }
    }
}

/// Plays a seed with the stops that `choose` gives, and checks that no promise is broken; true if
/// the process was stopped twice.
fn stop_twice(seed: u64, choose: impl Fn(&Sim) -> Stops) -> bool {
    let mut sim = Sim::new(seed, Mutants::NONE, Want::Nothing);
    calm(&mut sim);
    let Some(&node) = sim.answering(0).first() else { return false };
    let stops = choose(&sim);
    if !run_into_stop(&mut sim, node, stops.first) {
        return false;
    }
    // The process goes on when the stop is over, and its next list is interrupted, too.
    sim.nodes[node].trap = Some(stops.second);
    wait(&mut sim, stops.first, stops.asked);
    let stopped = sim.nodes[node].pause.is_some();
    wait(&mut sim, stops.second * 9 / 10, stops.asked);
    sim.kill(node);
    sim.faulty = stops.slow;
    sim.start(node);
    let timing = sim.plan.timing();
    wait(&mut sim, timing.lease * 3 + timing.silence * 3, stops.asked);
    assert_eq!(sim.oracle.violation, None, "seed {seed}, {stops:?}");
    stopped
}

// S7
#[test]
fn an_agent_that_is_stopped_twice_and_killed_begins_nothing_while_something_is_open() {
    let mut twice = 0;
    for seed in 8..20 {
        for (asked, slow) in [(false, false), (true, false), (false, true), (true, true)] {
            for percent in [40, 101, 130, 260] {
                let span = |sim: &Sim, percent| sim.plan.timing().lease * percent / 100;
                let choose = |sim: &Sim| Stops { first: span(sim, 110), second: span(sim, percent), asked, slow };
                twice += usize::from(stop_twice(seed, choose));
            }
        }
    }
    assert!(twice > 40, "it was stopped twice in {twice} runs only");
}
