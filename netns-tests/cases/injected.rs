//! System calls that fail, one kind after the other, as they do where descriptors, memory, buffers,
//! room or permission have run out. The calls are those that the agent is seen to make, so that new
//! ones join by themselves.
//!
//! The calls that are seen depend on what the machine does meanwhile, so the samples differ between runs. The
//! cases over all calls take minutes and are run by hand.

use super::let_pass;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::injector::{Call, Fault, When};
use crate::lab::{PATIENCE, Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// How long a start with a fault may take before the fault is lifted.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// Waits until `condition` holds; false if it does not within `limit`.
fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        let_pass(Duration::from_millis(5));
    }
    true
}

/// A fault in words.
fn words(fault: &Fault) -> String {
    let error = nix::errno::Errno::from_raw(fault.errno);
    match fault.when {
        When::Always => format!("every {} fails with {error:?}", fault.call),
        When::Nth(number) => format!("{} number {number} fails with {error:?}", fault.call),
    }
}

/// Starts alpha, whose process was just killed, under a fault, and again without it if it refuses
/// to start. Returns how often it struck, or what went wrong.
fn start_under(scene: &mut Scene, fault: &Fault) -> Result<u64, String> {
    let said_before = scene.agent(Server::Alpha).log_text().len();
    scene.agent(Server::Alpha).injector().set(Some(fault.clone()));
    scene.lab.note(words(fault));
    scene.start_agent(Server::Alpha);
    let is_active = |scene: &mut Scene| scene.role(Server::Alpha, GROUP) == "active";
    let ended = |scene: &mut Scene| scene.agent_mut(Server::Alpha).0.wait_end(Duration::ZERO);
    let mut end = None;
    holds_within(START_PATIENCE, || {
        end = ended(scene);
        end.is_some() || is_active(scene)
    });
    let struck = scene.agent(Server::Alpha).injector().struck();
    scene.agent(Server::Alpha).injector().set(None);
    let mut serves = end.is_none()
        && holds_within(PATIENCE, || {
            end = ended(scene);
            end.is_some() || is_active(scene)
        });
    let said = scene.agent(Server::Alpha).log_text().split_off(said_before);
    let mut wrong = said.contains("panicked");
    if let Some(end) = end {
        let last = said.lines().last().unwrap_or_default();
        eprintln!("{}: {end}: {last}", words(fault));
        wrong |= end.code() != Some(1) || !last.starts_with("vipair: ");
        scene.start_agent(Server::Alpha);
        serves = holds_within(PATIENCE, || is_active(scene));
    }
    if wrong || !serves {
        return Err(format!("struck {struck} times, ended {end:?}, serves afterwards {serves}:\n{said}"));
    }
    Ok(struck)
}

/// Every fault of these calls: always, and those with the numbers that `numbers` gives for a count.
fn faults_of(seen: &BTreeMap<Call, u64>, numbers: impl Fn(u64) -> Vec<u64>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (call, &count) in seen {
        for &errno in call.errors() {
            let fault = |when| Fault { call: call.clone(), errno, when };
            faults.push(fault(When::Always));
            faults.extend(numbers(count).into_iter().map(|number| fault(When::Nth(number))));
        }
    }
    faults
}

/// Whether a start can be asked to survive a fault. The standard library ends the process where it
/// cannot make a new thread's stack for signals, or set itself up; the runtime where it gets no pair
/// of sockets, for which the agent asks just before.
fn is_fair_at_start(fault: &Fault) -> bool {
    let name = fault.call.name();
    !["mmap", "mprotect"].contains(&name.as_str()) && (name != "socketpair" || fault.when == When::Always)
}

/// A choice of at most `most` faults, evenly from all.
fn sample(faults: Vec<Fault>, most: usize) -> Vec<Fault> {
    let step = faults.len().div_ceil(most).max(1);
    faults.into_iter().step_by(step).collect()
}

/// Starts alpha again and again, each time under one of the faults that `choose` picks among the
/// calls of a start.
fn start_under_all(choose: impl FnOnce(&BTreeMap<Call, u64>) -> Vec<Fault>) {
    // A lease that outlives a start that fails and the next one.
    let config =
        ConfigText::pair("lan").timing_toml("lease_ms = 10000").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]));
    let mut scene = Scene::start(Setup::with(config));
    scene.agent_mut(Server::Alpha).0.set_injected();
    scene.kill_agent(Server::Alpha);
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    let faults = choose(&scene.agent(Server::Alpha).injector().seen());
    let mut wrong = Vec::new();
    let (begun, mut struck) = (Instant::now(), 0);
    for fault in &faults {
        scene.kill_agent(Server::Alpha);
        match start_under(&mut scene, fault) {
            Ok(strikes) => struck += usize::from(strikes > 0),
            Err(what) => wrong.push(format!("{}: {what}", words(fault))),
        }
    }
    eprintln!("{} starts, {struck} of them struck, in {:?}", faults.len(), begun.elapsed());
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), faults.len(), wrong.join("\n"));
    assert!(struck * 2 > faults.len(), "only {struck} of {} faults struck", faults.len());
    scene.finish(&Expected::owner(Server::Alpha));
}

// S7 L5: the gate of the life before is adopted, whatever fails on the way
#[test]
fn start_with_a_system_call_that_fails_adopts_the_gate_all_the_same() {
    start_under_all(|seen| {
        let all = faults_of(seen, |count| vec![count / 2 + 1]);
        sample(all.into_iter().filter(is_fair_at_start).collect(), 10)
    });
}

// S7 L5
#[test]
#[ignore = "minutes long: run it by hand"]
fn start_with_any_system_call_that_fails_by_hand() {
    start_under_all(|seen| {
        let all = faults_of(seen, |count| (1..=count).step_by(usize::try_from(count / 6 + 1).unwrap_or(1)).collect());
        all.into_iter().filter(is_fair_at_start).collect()
    });
}

/// Address of the group that nobody asks for.
const SPARE: &str = "10.0.0.101";

/// Has alpha do what it does besides pulses: answer people, read its configuration, and put an
/// address back that somebody takes away. What it cannot do for the moment, it cannot.
fn keep_busy(scene: &Scene, time: Duration) {
    let end = Instant::now() + time;
    let alpha = scene.agent(Server::Alpha);
    // Nobody may be there to answer.
    let _reached = alpha.command(&["status"]);
    alpha.signal(&scene.lab, Signal::SIGHUP);
    let _there = scene.lab.server(Server::Alpha).try_tool("ip", &["address", "del", SPARE, "dev", "eth0"], "");
    let _recorded = alpha.command(&["record"]);
    let_pass(end.saturating_duration_since(Instant::now()));
}

/// Whether the pair is as it should be, with alpha active.
fn is_whole(scene: &mut Scene) -> bool {
    if scene.role(Server::Beta, GROUP) == "active" {
        // It may not be ready to give it back yet.
        let _early = scene.agent(Server::Beta).command(&["switch", GROUP]);
        return false;
    }
    let ready = scene.agent(Server::Beta).status().is_ok_and(|status| status.is_ready(GROUP));
    let whole = scene.agent(Server::Alpha).status().is_ok_and(|status| {
        let links = status.0["links"].as_array().cloned().unwrap_or_default();
        status.is_ready(GROUP) && links.iter().all(|link| link["state"] == "up")
    });
    ready && whole && scene.role(Server::Alpha, GROUP) == "active"
}

/// Lets the calls of a running agent fail, one kind after the other, each for `time`. `choose`
/// picks among the faults of the calls that it is seen to make.
fn run_under_all(time: Duration, choose: impl FnOnce(Vec<Fault>) -> Vec<Fault>) {
    let config = ConfigText::pair("lan").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6, SPARE]));
    let mut scene = Scene::build(Setup::with(config));
    scene.agent_mut(Server::Alpha).0.set_injected();
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait("the pair to be whole", is_whole);
    let before = scene.agent(Server::Alpha).injector().seen();
    keep_busy(&scene, Duration::from_secs(2));
    scene.wait("the pair to be whole", is_whole);
    let mut seen = scene.agent(Server::Alpha).injector().seen();
    seen.retain(|call, count| before.get(call) != Some(count));
    let faults = choose(faults_of(&seen, |_| Vec::new()));
    let (begun, mut struck, mut wrong) = (Instant::now(), 0, Vec::new());
    for fault in &faults {
        let said_before = scene.agent(Server::Alpha).log_text().len();
        scene.lab.note(words(fault));
        scene.agent(Server::Alpha).injector().set(Some(fault.clone()));
        keep_busy(&scene, time);
        struck += usize::from(scene.agent(Server::Alpha).injector().struck() > 0);
        scene.agent(Server::Alpha).injector().set(None);
        let over = scene.lab.note("the fault is over");
        let mut ended = false;
        let whole = holds_within(PATIENCE, || {
            ended = scene.agent_mut(Server::Alpha).0.ended_by_itself();
            ended || is_whole(&mut scene)
        });
        let took = clock::now().since(over);
        let said = scene.agent(Server::Alpha).log_text().split_off(said_before);
        eprintln!("{}: whole {took:?} after it was over", words(fault));
        if ended || !whole || said.contains("panicked") {
            wrong.push(format!("{}: ended {ended}, whole again {whole}:\n{said}", words(fault)));
            if ended {
                scene.agent_mut(Server::Alpha).0.forget_process();
                scene.start_agent(Server::Alpha);
            }
            scene.wait("the pair to be whole", is_whole);
        }
    }
    eprintln!("{} faults, {struck} of them struck, in {:?}", faults.len(), begun.elapsed());
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), faults.len(), wrong.join("\n"));
    assert!(struck * 2 > faults.len(), "only {struck} of {} faults struck", faults.len());
    let gap = scene.answers(MonoTime::ZERO).longest_gap();
    eprintln!("longest gap {gap:?}");
    scene.finish_by_chance();
}

// S1 S8 L5: the active one goes on, or hands over, and is whole again afterwards
#[test]
fn active_agent_whose_system_calls_fail_goes_on_or_hands_over() {
    run_under_all(Duration::from_millis(600), |faults| sample(faults, 8));
}

// S1 S8 L5
#[test]
#[ignore = "minutes long: run it by hand"]
fn active_agent_under_every_failing_system_call_by_hand() {
    run_under_all(Duration::from_millis(1500), |faults| faults);
}
