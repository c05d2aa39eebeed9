//! The measurements on a pair: host loss, agent failure, planned switch, carrier loss.
//!
//! Owns: doing one thing to the pair and reading off what a client saw. Never does: statistics. A step that does not come
//! about within the scene's patience ends the process; what was measured before counts.

use super::figures::Goal::{Every, Median};
use super::figures::Unit::{Count, Milliseconds};
use super::figures::{Section, figure};
use super::record::Results;
use super::{Block, Topic, sample};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::faults::{Drops, What};
use crate::lab::{Lab, Server, clock};
use crate::probe::asker::Answers;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;
use vipair::types::MonoTime;

/// The pair's measurements.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("fast", 100, fast),
        Block::new("lan", 100, lan),
        Block::new("witness-fast", 100, witness_fast),
        Block::new("witness-lan", 100, witness_lan),
    ],
    sections,
    configuration,
};

/// Time in which two that answer would show, after the address has moved.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// A sampler's pace: what one question answered twice stands for.
const PACE_MS: f64 = 1.0;

/// The configuration of the pair's measurements: one group with one address of each family.
pub fn config(profile: &'static str) -> ConfigText {
    ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]))
}

/// The same with a witness.
pub fn witnessed(profile: &'static str) -> Setup {
    let asked = Setup::with(config(profile)).asked;
    let mut setup = Setup::with_witnesses(config(profile), 1, "").alone();
    // Clients ask for both families as they do without a witness, and nobody else asks.
    setup.asked = asked;
    setup.knock = false;
    setup
}

fn setup(profile: &'static str) -> Setup {
    Setup::with(config(profile)).alone()
}

/// What the clients of both families saw from `from` on: the longest gap of either, and the time both servers answered.
fn seen(scene: &Scene, from: MonoTime) -> (f64, f64) {
    let all: Vec<Answers> = scene.askers.iter().map(|asker| asker.since(from)).collect();
    let gap = all.iter().map(|answers| answers.longest_gap().length()).max().unwrap_or_default();
    (ms(gap), all.iter().map(both_ms).sum())
}

fn note(scene: &Scene, from: MonoTime, gap_key: &str, both_key: &str) {
    let (gap, both) = seen(scene, from);
    sample(gap_key, gap);
    sample(both_key, both);
}

/// A duration in milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How long two servers answered, as far as the sampler's pace tells.
#[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
pub fn both_ms(answers: &Answers) -> f64 {
    answers.both().len() as f64 * PACE_MS
}

/// From shortly before `at`: a gap begins with the last answer before it.
pub fn around(at: MonoTime) -> MonoTime {
    MonoTime(at.0.saturating_sub(10_000_000))
}

/// Lets a server vanish from every network in one instant, as a power loss does.
pub fn vanish(lab: &Lab, server: Server) -> (MonoTime, crate::lab::faults::Fault) {
    let at = clock::now();
    let ports = lab.ports(server).into_iter();
    let all: Vec<Drops> =
        ports.flat_map(|port| [Drops::from(port, What::Everything), Drops::to(port, What::Everything)]).collect();
    (at, lab.drop_frames(&all))
}

fn lose_host(scene: &mut Scene, owner: Server, key: &str, both_key: &str) {
    let (at, fault) = vanish(&scene.lab, owner);
    scene.wait_answered_by(owner.other());
    std::thread::sleep(AFTERWARDS);
    note(scene, around(at), key, both_key);
    scene.power_off(owner);
    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
}

/// Profile `lan`: host loss.
pub fn lan() {
    let mut scene = Scene::start(setup("lan"));
    scene.wait_answered_by(Server::Alpha);
    lose_host(&mut scene, Server::Alpha, "host-lan", "host-both");
}

/// With a witness, profile `lan`: host loss.
pub fn witness_lan() {
    let mut scene = Scene::start(witnessed("lan"));
    scene.wait_answered_by(Server::Alpha);
    lose_host(&mut scene, Server::Alpha, "witness-host-lan", "witness-host-both");
}

/// With a witness, profile `fast`: planned switch, then loss of the host that has the address by then.
pub fn witness_fast() {
    let mut scene = Scene::start(witnessed("fast").services());
    scene.wait_answered_by(Server::Alpha);
    switch(&mut scene, Server::Alpha, "witness-switch");
    lose_host(&mut scene, Server::Beta, "witness-host-fast", "witness-host-both");
}

/// Profile `fast`: everything, one after the other, each time from the server that has the address by then.
pub fn fast() {
    let mut scene = Scene::start(setup("fast").services());
    scene.wait_answered_by(Server::Alpha);
    stop_agent(&mut scene, Server::Alpha);
    kill_agent(&mut scene, Server::Beta);
    switch(&mut scene, Server::Alpha, "switch");
    lose_carrier(&mut scene, Server::Beta);
    lose_host(&mut scene, Server::Alpha, "host-fast", "host-both");
}

fn stop_agent(scene: &mut Scene, owner: Server) {
    let (agent, lab) = scene.agent_mut(owner);
    let at = agent.signal(lab, Signal::SIGSTOP);
    scene.wait_answered_by(owner.other());
    std::thread::sleep(AFTERWARDS);
    let (agent, lab) = scene.agent_mut(owner);
    agent.signal(lab, Signal::SIGCONT);
    scene.wait_ready(owner, GROUP);
    std::thread::sleep(AFTERWARDS);
    note(scene, around(at), "stop", "stop-both");
}

fn kill_agent(scene: &mut Scene, owner: Server) {
    let at = scene.kill_agent(owner);
    scene.wait_answered_by(owner.other());
    std::thread::sleep(AFTERWARDS);
    note(scene, around(at), "kill", "kill-both");
    scene.start_agent(owner);
    scene.wait_ready(owner, GROUP);
}

fn switch(scene: &mut Scene, owner: Server, key: &str) {
    let web = scene.web(1_000);
    // Time to warm up, then as long without a switch as with it.
    std::thread::sleep(Duration::from_millis(300));
    let quiet = clock::now();
    std::thread::sleep(Duration::from_millis(1_300));
    let before = web.since(quiet);
    let at = clock::now();
    scene.agent(owner).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    // Longer than the drain time.
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!(scene.answers(at).last_server(), Some(owner.other()), "the switch did not happen");
    let all = web.finish();
    let requests = crate::probe::web::Requests(all.0.iter().filter(|r| r.at >= around(at)).copied().collect());
    assert!(requests.0.len() > 1_000, "only {} requests were sent", requests.0.len());
    let lost = u32::try_from(all.lost().len()).expect("some thousands at most");
    sample(&format!("{key}-lost"), lost.into());
    sample(&format!("{key}-gap"), ms(requests.longest_gap()));
    sample(&format!("{key}-quiet"), ms(before.longest_gap()));
    sample(&format!("{key}-slowest"), ms(requests.slowest()));
    note(scene, around(at), &format!("{key}-arp"), &format!("{key}-both"));
    scene.wait_ready(owner, GROUP);
}

fn lose_carrier(scene: &mut Scene, owner: Server) {
    let at = scene.lab.carrier_down(&[owner.port()]);
    scene.wait_answered_by(owner.other());
    std::thread::sleep(AFTERWARDS);
    scene.lab.carrier_up(&[owner.port()]);
    scene.wait_ready(owner, GROUP);
    note(scene, around(at), "carrier", "host-both");
}

fn sections() -> Vec<Section> {
    vec![
        Section::new(
            "A whole server is lost",
            vec![
                figure("host-fast", "host loss, `fast`: gap", Milliseconds).goal(Median(25.0)),
                figure("host-lan", "host loss, `lan`: gap", Milliseconds).goal(Median(230.0)),
                figure("carrier", "carrier loss with a second link, `fast`: gap", Milliseconds).goal(Median(15.0)),
                figure("host-both", "both answered: host and carrier loss", Milliseconds).goal(Every(0.0)),
            ],
        ),
        Section::new(
            "The agent fails, its server lives (`fast`)",
            vec![
                figure("kill", "agent SIGKILL: gap", Milliseconds).goal(Median(10.0)),
                figure("kill-both", "agent SIGKILL: both answered", Milliseconds).goal(Every(0.0)),
                figure("stop", "agent SIGSTOP: gap", Milliseconds).goal(Median(10.0)),
                figure("stop-both", "agent SIGSTOP, later SIGCONT: both answered", Milliseconds).goal(Every(0.0)),
            ],
        ),
        Section::new(
            "Planned switch under 1,000 requests/s (`fast`)",
            vec![
                figure("switch-lost", "requests lost", Count).goal(Every(0.0)),
                figure("switch-gap", "longest gap between two answered requests", Milliseconds).goal(Median(5.0)),
                figure("switch-quiet", "the same before the switch, for comparison", Milliseconds),
                figure("switch-slowest", "slowest request", Milliseconds),
                figure("switch-arp", "gap in answers to who has it", Milliseconds).goal(Median(5.0)),
                figure("switch-both", "both answered", Milliseconds).goal(Every(0.0)),
            ],
        ),
        Section::new(
            "With a witness on a third host",
            vec![
                figure("witness-host-fast", "host loss, `fast`: gap", Milliseconds).goal(Median(45.0)),
                figure("witness-host-lan", "host loss, `lan`: gap", Milliseconds).goal(Median(300.0)),
                figure("witness-host-both", "host loss: both answered", Milliseconds).goal(Every(0.0)),
                figure("witness-switch-lost", "planned switch, `fast`: requests lost", Count).goal(Every(0.0)),
                figure(
                    "witness-switch-gap",
                    "planned switch: longest gap between two answered requests",
                    Milliseconds,
                )
                .goal(Median(5.0)),
                figure("witness-switch-quiet", "the same before the switch, for comparison", Milliseconds),
                figure("witness-switch-slowest", "planned switch: slowest request", Milliseconds),
                figure("witness-switch-arp", "planned switch: gap in answers to who has it", Milliseconds)
                    .goal(Median(5.0)),
                figure("witness-switch-both", "planned switch: both answered", Milliseconds).goal(Every(0.0)),
            ],
        ),
    ]
}

fn configuration(_: &Results) -> String {
    let bare = config("fast").text();
    let all = witnessed("fast").config.text();
    let more: Vec<&str> = all.lines().filter(|line| !bare.lines().any(|other| other == *line)).collect();
    format!(
        "The pair, profile `fast` (for `lan` the profile's name is the only difference):\n\n```toml\n{}\n```\n\n\
         With a witness the file has besides:\n\n```toml\n{}\n```\n",
        bare.trim_end(),
        more.join("\n")
    )
}
