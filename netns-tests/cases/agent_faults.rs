//! Cases in which the agent's process fails and its host lives.

use super::{LAN_LEASE, SLACK, assert_nothing_moves, assert_served_throughout, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Server, clock};
use crate::probe::oracle::{Expected, has_claimed};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;
use vipair::types::MonoTime;

// S7 S8 L1
#[test]
fn killed_agent_is_replaced_when_its_lease_ends_and_never_both_answer() {
    let mut scene = Scene::start(Setup::of("lan"));
    let killed = scene.kill_agent(Server::Alpha);
    let served = scene.wait_answered_by(Server::Beta);
    assert!(served.since(killed) < LAN_LEASE + SLACK * 2, "beta answered only {:?} later", served.since(killed));
    for asker in &scene.askers {
        let gap = asker.since(killed).longest_gap().length();
        assert!(
            gap < SLACK,
            "{} went unanswered for {gap:?}: the kernel serves until the lease ends",
            asker.target()
        );
    }
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    let at = clock::now();
    let alpha_claims =
        has_claimed(&scene.heard(), Server::Alpha.port(), killed + LAN_LEASE + Duration::from_millis(5), at);
    assert!(!alpha_claims, "S7: alpha claimed the address after its lease had ended");
    scene.start_agent(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S7 S8 L1, in the profile that opens soonest
#[test]
fn killed_agent_in_profile_fast_never_lets_both_answer() {
    let mut scene = Scene::start(Setup::of("fast").alone());
    let killed = scene.kill_agent(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(killed).longest_gap().length();
    eprintln!("fast, SIGKILL: gap {gap:?}");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// L2: a pause shorter than the lease
#[test]
fn agent_stopped_for_less_than_a_lease_keeps_the_address() {
    /// Time for which the agent is stopped: half of its lease.
    const PAUSE: Duration = Duration::from_millis(1_000);
    /// Time for which the pair is watched afterwards.
    const AFTERWARDS: Duration = Duration::from_millis(1_500);
    let config =
        ConfigText::pair("lan").timing_toml("lease_ms = 2000").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]));
    let mut scene = Scene::start(Setup::with(config));
    let (alpha, lab) = scene.agent_mut(Server::Alpha);
    let from = alpha.signal(lab, Signal::SIGSTOP);
    let_pass(PAUSE);
    alpha.signal(lab, Signal::SIGCONT);
    let_pass(AFTERWARDS);
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S3 S7 S8: an agent that wakes up must not act on what it knew before
#[test]
fn agent_stopped_for_longer_than_a_lease_wakes_up_as_standby() {
    let mut scene = Scene::start(Setup::of("lan"));
    let (alpha, lab) = scene.agent_mut(Server::Alpha);
    let stopped = alpha.signal(lab, Signal::SIGSTOP);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(stopped).longest_gap().length();
    assert!(gap < SLACK, "clients were not answered for {gap:?}");
    let_pass(Duration::from_millis(500));
    let (alpha, lab) = scene.agent_mut(Server::Alpha);
    alpha.signal(lab, Signal::SIGCONT);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S7 S8: the agent wakes up around the end of its lease, when a late store could open the gate
// again
#[test]
fn agent_woken_as_its_lease_ends_never_answers_beside_the_other() {
    let mut scene = Scene::start(Setup::of("fast"));
    let mut owner = Server::Alpha;
    let mut expected = Expected::owner(owner);
    for early_ms in [20, 10, 5, 0] {
        let (agent, lab) = scene.agent_mut(owner);
        agent.signal(lab, Signal::SIGSTOP);
        let_pass(Duration::from_millis(250 - early_ms));
        agent.signal(lab, Signal::SIGCONT);
        let now = scene.wait_one_active(GROUP);
        scene.wait_answered_by(now);
        scene.wait_ready(now.other(), GROUP);
        if now != owner {
            expected = expected.takeover();
        }
        owner = now;
    }
    scene.finish(&expected);
}

// L2: a busy machine is no reason for a takeover
#[test]
fn machine_with_all_cores_busy_moves_nothing() {
    let scene = Scene::start(Setup::of("lan").alone());
    let until = clock::now() + Duration::from_secs(5);
    let from = scene.lab.note("four threads per core spin for 5 s");
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores * 4 {
            scope.spawn(|| while clock::now() < until {});
        }
    });
    let by = scene.answers(from).answerers();
    assert!(by.iter().all(|(_, mac)| *mac == Server::Alpha.port().mac()), "the address moved: {by:?}");
    assert!(scene.answers(MonoTime::ZERO).last_server() == Some(Server::Alpha));
    scene.finish(&Expected::owner(Server::Alpha));
}
