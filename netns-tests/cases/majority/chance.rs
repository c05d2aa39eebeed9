//! Faults by chance and without pause. Nobody knows beforehand who owns the address; but no server
//! claims it beside another. `VIPAIR_LONG=1` makes each of these cases as long as one would want to
//! watch it; `VIPAIR_SEED` repeats a run's draws.

use super::draws::{Chance, seed};
use super::strikes::Strikes;
use super::{SLACK, assert_nothing_moves, case_length, config, let_pass};
use crate::lab::voters::{ALPHA, BETA, WITNESS, Way, between};
use crate::lab::{Server, clock};
use crate::scene::{GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;
use vipair::types::MonoTime;

/// Loses frames along `ways` for 100 ms, five times a second, and along `others` in the time
/// between.
fn flap_ways(scene: &Scene, ways: &[Way], others: &[Way], time: Duration) {
    let half = Duration::from_millis(100);
    let until = clock::now() + time;
    let mut next = clock::now();
    while clock::now() < until {
        for ways in [ways, others] {
            let fault = (!ways.is_empty()).then(|| scene.lab.sever(ways));
            next = next + half;
            std::thread::sleep(next.since(clock::now()));
            if let Some(fault) = fault {
                scene.lab.lift(fault);
            }
        }
    }
}

/// Time after a handover in which the former owner claims nothing, in profile `fast`.
const HOLD: Duration = Duration::from_millis(300);

/// Asserts that the address moved at most once in every [`HOLD`] since `begun`, and once more;
/// returns the number of moves.
fn assert_held(scene: &Scene, begun: MonoTime) -> usize {
    let (moves, least) = scene.count_moves();
    let time = clock::now().since(begun);
    eprintln!(
        "{moves} moves in {time:.1?}{}",
        least.map_or(String::new(), |least| format!(", at least {least:.1?} apart"))
    );
    let most = 1 + time.as_millis() / HOLD.as_millis();
    assert!(moves as u128 <= most, "it moved {moves} times in {time:?}");
    moves
}

/// Waits after all faults: one active within ten seconds, the other ready, and clients are served.
/// Returns the active.
fn wait_settled(scene: &mut Scene) -> Server {
    let healed = scene.lab.note("all faults have ended");
    let owner = scene.wait_one_active(GROUP);
    assert!(clock::now().since(healed) < Duration::from_secs(10) + SLACK, "L5");
    scene.wait_ready(owner.other(), GROUP);
    scene.wait_answered_by(owner);
    assert_nothing_moves(scene, owner, Duration::from_millis(500));
    owner
}

// S1 L5: a server with bad cables loses the group, and does not get it back while the other can
// keep it
#[test]
fn ways_of_the_holder_that_flap_five_times_a_second_move_it_no_more_than_they_must() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let ways = [between(ALPHA, BETA), between(ALPHA, WITNESS)].concat();
    let begun = scene.lab.note("the ways of alpha flap");
    flap_ways(&scene, &ways, &[], case_length(4, 30));
    wait_settled(&mut scene);
    assert_held(&scene, begun);
    scene.finish_by_chance();
}

// S1: two of three always hear each other; which two, changes five times a second
#[test]
fn ways_that_flap_in_turns_never_make_both_answer() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let begun = scene.lab.note("the ways of alpha flap in turns");
    flap_ways(&scene, &between(ALPHA, BETA), &between(ALPHA, WITNESS), case_length(3, 30));
    wait_settled(&mut scene);
    assert_held(&scene, begun);
    scene.finish_by_chance();
}

// S1 S7: either server stops for less or for more than the lease, at any moment
#[test]
fn agents_stopped_at_random_never_both_answer() {
    let mut chance = Chance::new(seed("agents stopped at random"));
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let begun = clock::now();
    let until = begun + case_length(4, 30);
    let mut long = 0;
    while clock::now() < until {
        let server = chance.pick(&Server::BOTH);
        let (agent, lab) = scene.agent_mut(server);
        let from = agent.signal(lab, Signal::SIGSTOP);
        let_pass(chance.duration(1, 120));
        let woken = agent.signal(lab, Signal::SIGCONT);
        // Only a stop longer than 15 ms may move the group: the lease outlives a shorter one, even
        // if a busy machine adds to it.
        long += usize::from(woken.since(from) > Duration::from_millis(15));
        let_pass(chance.duration(20, 150));
    }
    wait_settled(&mut scene);
    let moves = assert_held(&scene, begun);
    assert!(moves <= long, "it moved {moves} times for {long} stops longer than 15 ms");
    scene.finish_by_chance();
}

// S1 S7: an agent with a fiftieth of a core keeps no group that it cannot keep in time
#[test]
fn agent_with_two_percent_of_a_core_keeps_nothing() {
    let mut scene = Scene::start(Setup::witnessed("fast"));
    let begun = clock::now();
    let confinement = scene.lab.confine(scene.agent(Server::Alpha).pid(), 2);
    let_pass(case_length(5, 30));
    assert!(confinement.throttle_count() > 10, "the limit did not strike");
    drop(confinement);
    wait_settled(&mut scene);
    assert_held(&scene, begun);
    scene.finish_by_chance();
}

// S1 S2 S3 S5 S7 L5
#[test]
fn random_faults_never_make_both_answer() {
    let mut chance = Chance::new(seed("random faults"));
    let mut scene = Scene::start(Setup::with_witnesses(config("fast", ""), 1));
    let mut strikes = Strikes::default();
    let until = clock::now() + case_length(20, 600);
    while clock::now() < until {
        strikes.end_due(&mut scene, false);
        strikes.begin_fault(&mut scene, &mut chance);
        let_pass(chance.duration(10, 200));
    }
    strikes.end_due(&mut scene, true);
    wait_settled(&mut scene);
    let tenures = scene.finish_by_chance();
    eprintln!("{strikes}; {} tenures", tenures.len());
}
