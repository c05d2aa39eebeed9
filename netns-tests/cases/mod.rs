//! Cases, one file per theme. Every case ends with [`crate::scene::Scene::finish`], which checks
//! S1, S2, S3 and S8 by the frames that left the servers, or with
//! [`crate::scene::Scene::finish_by_chance`]; besides, each case asserts its own promise.

mod addresses;
mod agent_faults;
mod bridges;
mod cards;
mod connections;
mod conntrack;
mod flight;
mod hooks;
mod host_faults;
mod hostile;
mod identity;
mod injected;
mod judge_itself;
mod lab_itself;
mod links;
mod logs;
mod majority;
mod many;
mod names;
mod operator;
mod own_address;
mod partition;
mod place;
mod planned;
mod questions;
mod reach;
mod readiness;
mod reload;
mod same_words;
mod service;
mod services;
mod small_frames;
mod start;
mod state;
mod systemd;
mod witness;

use crate::lab::{Server, clock};
use crate::probe::asker::Answers;
use crate::scene::Scene;
use std::time::Duration;
use vipair::types::MonoTime;

/// Room for a busy machine on top of a bound of the design. Figures are for the benchmark; here a
/// promise is kept or not.
const SLACK: Duration = Duration::from_millis(400);
/// Silence and one probe interval of profile `lan`.
const LAN_BOUND: Duration = Duration::from_millis(185);
/// Lease of profile `lan`.
const LAN_LEASE: Duration = Duration::from_millis(250);

/// Lets `time` pass while clients ask: for promises that nothing happens, where there is no
/// condition to wait for.
fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// Asserts that every question was answered, by `server` and no other.
fn assert_served_throughout(answers: &Answers, server: Server) {
    let gap = answers.longest_gap().length();
    assert!(answers.questions.len() > 50, "only {} questions were asked", answers.questions.len());
    assert!(gap < Duration::from_millis(50), "{} went unanswered for {gap:?}", answers.target);
    let by = answers.answerers();
    assert!(by.iter().all(|(_, mac)| *mac == server.port().mac()), "{} was answered by {by:?}", answers.target);
}

/// Asserts that `server` answers every question for `time`.
fn assert_nothing_moves(scene: &Scene, server: Server, time: Duration) {
    let from = clock::now();
    let_pass(time);
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), server);
    }
}

/// Waits until the client's kernel has `server`'s hardware address for every address asked for; a
/// second after `from` at most.
fn wait_client_corrected(scene: &mut Scene, server: Server, from: MonoTime) {
    let targets: Vec<String> = scene.askers.iter().map(|a| a.target().to_string()).collect();
    for target in targets {
        let at = scene.wait(&format!("the client to find {target} at {}", server.name()), |s| {
            s.lab.believed_by_client(&target) == Some(server.port().mac().to_string())
        });
        // L4
        let took = at.since(from);
        assert!(took < Duration::from_secs(1) + SLACK, "the client was corrected only after {took:?}");
    }
}
