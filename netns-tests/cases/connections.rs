//! Clients with an open connection learn of a takeover at once, also those that say nothing
//! themselves.

use super::{SLACK, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Port, Server, clock};
use crate::probe::idle::{Holder, Idle};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, PATIENCE, Scene, Setup};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;
use vipair::types::MonoTime;

/// Bound of the product: time after a takeover in which a waiting client knows of it.
const TOLD: Duration = Duration::from_millis(100);
/// Default of `drain_ms`.
const DRAIN: Duration = Duration::from_secs(1);
/// Port of the mirror.
const MIRROR: u16 = 7812;

/// The shared addresses, IPv4 first.
fn addresses() -> [IpAddr; 2] {
    [ADDRESS, ADDRESS6].map(|address| address.parse().expect("an address"))
}

/// The setup of a pair with one group of both addresses; `group_toml` are further lines of the
/// group's table.
fn setup(profile: &'static str, group_toml: &str) -> Setup {
    Setup::with(ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).more_toml(group_toml)))
}

/// Waits until `server` knows `count` connections of the other server.
fn wait_mirrored(scene: &mut Scene, server: Server, count: usize) {
    let count = u64::try_from(count).expect("a small number");
    scene.wait(&format!("{count} connections to be mirrored"), |s| {
        let status = s.agent(server).status();
        status.is_ok_and(|status| status.connection_count(GROUP, "mirrored") == count)
    });
}

/// Starts alpha's service and clients that wait, `each` on each address; beta knows all
/// connections.
fn start_waiting_clients(scene: &mut Scene, each: usize) -> (Holder, Idle) {
    let holder = Holder::start(&scene.lab, Server::Alpha, &addresses());
    let idle = Idle::start(&scene.lab, &addresses(), each);
    wait_mirrored(scene, Server::Beta, 2 * each);
    (holder, idle)
}

/// Waits until `count` connections have ended on the service's side, too, and alpha's status counts
/// as many resets.
fn wait_reset(scene: &mut Scene, holder: &Holder, count: usize) {
    holder.wait_ended(count);
    let count = u64::try_from(count).expect("a small number");
    scene.wait("alpha to say how many", |s| {
        let status = s.agent(Server::Alpha).status();
        status.is_ok_and(|status| status.connection_count(GROUP, "reset") == count)
    });
}

/// When `server` had given its first answer after `from` for every address that is asked for.
fn first_answered(scene: &Scene, server: Server, from: MonoTime) -> MonoTime {
    let first = |answers: crate::probe::asker::Answers| {
        let mut times = answers.questions.iter().filter_map(|question| question.answer);
        times.find(|(_, mac)| *mac == server.port().mac()).map(|(at, _)| at)
    };
    let all = scene.askers.iter().map(|asker| first(asker.since(from)).expect("it answers"));
    all.max().expect("something is asked for")
}

/// Prints quantiles of times that ascend.
fn print_spread(what: &str, sorted: &[Duration]) {
    let percentile = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    eprintln!(
        "{what}: {} clients, least {:.1} ms, half {:.1} ms, 95 of 100 {:.1} ms, most {:.1} ms",
        sorted.len(),
        percentile(0),
        percentile(50),
        percentile(95),
        percentile(100)
    );
}

/// Starts a pair and `each` waiting clients on each address, and takes alpha's power. `mirrored`:
/// beta is told of the connections, so that all clients come to know; otherwise 3 s pass. Returns
/// the scene, the clients, and when beta had answered for both addresses.
fn lose_host(profile: &'static str, group_toml: &str, each: usize, mirrored: bool) -> (Scene, Idle, MonoTime) {
    let mut scene = Scene::start(setup(profile, group_toml));
    let _holder = Holder::start(&scene.lab, Server::Alpha, &addresses());
    let idle = Idle::start(&scene.lab, &addresses(), each);
    if mirrored {
        wait_mirrored(&mut scene, Server::Beta, 2 * each);
    }
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let answered = first_answered(&scene, Server::Beta, lost);
    if !mirrored {
        let_pass(Duration::from_secs(3));
    } else {
        scene.wait("all clients to know", |_| idle.waiting_count() == 0);
    }
    (scene, idle, answered)
}

#[test]
fn clients_that_wait_learn_of_a_lost_host_at_once() {
    for profile in ["lan", "fast"] {
        let (scene, idle, answered) = lose_host(profile, "", 25, true);
        let resets = idle.resets_after(answered);
        assert_eq!(resets.len(), 50, "not by a reset: {:?}", idle.ends());
        print_spread(&format!("{profile}: reset after the takeover"), &resets);
        let last = resets[49];
        assert!(last < TOLD + SLACK, "the last one knew after {last:?}; each, IPv4 first: {:?}", idle.ends());
        scene.finish(&Expected::owner(Server::Alpha).takeover());
    }
}

#[test]
fn without_tickling_clients_that_wait_go_on_waiting() {
    let (scene, idle, _) = lose_host("lan", "tickle = false", 5, false);
    assert_eq!(idle.waiting_count(), 10, "{:?}", idle.ends());
    let status = scene.agent(Server::Beta).status().expect("it answers");
    assert_eq!(status.text(GROUP, "connections"), "", "nothing is looked after");
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// L3: connections that end within the drain are not touched, and none that goes on hangs.
#[test]
fn connections_that_outlive_the_drain_of_a_switch_are_reset() {
    let mut scene = Scene::start(setup("lan", ""));
    let (holder, idle) = start_waiting_clients(&mut scene, 10);
    let began = scene.lab.note(format!("vipair switch {GROUP}"));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_answered_by(Server::Beta);
    scene.wait("all clients to know", |_| idle.waiting_count() == 0);
    let resets = idle.resets_after(began);
    assert_eq!(resets.len(), 20, "not by a reset: {:?}", idle.ends());
    print_spread("reset after the switch was asked for", &resets);
    assert!(resets[0] >= DRAIN * 3 / 4, "one was reset after {:?}, within the drain", resets[0]);
    wait_reset(&mut scene, &holder, 20);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// Fencing: the service of a server that slept through a takeover reaches no client any more, and
// learns of it.
#[test]
fn server_that_was_replaced_while_its_agent_slept_ends_what_is_left() {
    let mut scene = Scene::start(setup("lan", ""));
    let (holder, idle) = start_waiting_clients(&mut scene, 10);
    let (alpha, lab) = scene.agent_mut(Server::Alpha);
    alpha.signal(lab, Signal::SIGSTOP);
    scene.wait_answered_by(Server::Beta);
    scene.wait("all clients to know", |_| idle.waiting_count() == 0);
    assert_eq!(holder.ended_count(), 0, "nobody has told alpha's kernel");
    let (alpha, lab) = scene.agent_mut(Server::Alpha);
    alpha.signal(lab, Signal::SIGCONT);
    wait_reset(&mut scene, &holder, 20);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

#[test]
fn ten_thousand_clients_are_told_and_the_pulse_goes_on() {
    let mut scene = Scene::start(setup("lan", "").alone());
    let _queues = Holder::crowd(&scene.lab, Server::Alpha, &addresses(), 6_000);
    let idle = Idle::crowd(&scene.lab, &addresses(), 5_000);
    wait_mirrored(&mut scene, Server::Beta, 10_000);
    let lateness = |scene: &Scene| {
        let status = scene.agent(Server::Beta).status().expect("it answers").0;
        status["worst_lateness_ms"].as_f64().expect("status tells it")
    };
    let list = scene.agent(Server::Alpha).status().expect("it answers").0["mirror"].clone();
    let before = lateness(&scene);
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let answered = first_answered(&scene, Server::Beta, lost);
    scene.wait("all clients to know", |_| idle.waiting_count() == 0);
    scene.wait("three packets to each", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| status.connection_count(GROUP, "tickled") == 30_000)
    });
    let resets = idle.resets_after(answered);
    print_spread("10,000 clients: reset after the takeover", &resets);
    let after = lateness(&scene);
    eprintln!(
        "worst lateness of beta's hot thread: {before:.3} ms before, {after:.3} ms after ({:.1} ×)",
        after / before
    );
    eprintln!("a list took {} ms of a processor, one every {} ms", list["list_took_ms"], list["list_every_ms"]);
    assert_eq!(resets.len(), 10_000, "{} learned otherwise", 10_000 - resets.len());
    // L6: the product itself warns when it was late by more than a pulse.
    let warnings = scene.agent(Server::Beta).status().expect("it answers").0["warnings"].to_string();
    assert!(!warnings.contains("late"), "{warnings}");
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S6
#[test]
fn strangers_at_the_mirrors_port_change_counters_only() {
    let mut scene = Scene::start(setup("lan", ""));
    let (_holder, idle) = start_waiting_clients(&mut scene, 3);
    let target = (Port::Beta.ipv4(), MIRROR);
    let refused = |scene: &Scene| {
        let status = scene.agent(Server::Beta).status().expect("it answers").0;
        status["mirror"]["refused"].as_u64().expect("status tells it")
    };
    let before = refused(&scene);
    // To the clients' segment nothing is said; to the peer's own address nothing but a greeting.
    for from in [Port::Client, Port::Alpha] {
        let heard: Vec<usize> = scene.lab.host(from).run(|| {
            let mut heard = Vec::new();
            for said in [Vec::new(), vec![0; 76], vec![0x76; 500_000], b"GET / HTTP/1.0\r\n\r\n".repeat(3)] {
                let Ok(mut stream) = TcpStream::connect(target) else { continue };
                stream.set_read_timeout(Some(PATIENCE)).expect("a limit that is not zero");
                // The agent may have closed the connection already.
                let _closed = stream.write_all(&said);
                let mut answer = Vec::new();
                let _reset = stream.read_to_end(&mut answer);
                heard.push(answer.len());
            }
            // A hundred connections at once, on which nothing is said.
            let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(target)).collect();
            drop(crowd);
            heard
        });
        let most = if from == Port::Client { 0 } else { 36 };
        assert!(heard.iter().all(|length| *length <= most), "{heard:?} bytes were said to {}", from.name());
    }
    scene.wait("them to be counted", |s| refused(s) >= before + 8);
    let now = clock::now();
    wait_mirrored(&mut scene, Server::Beta, 6);
    assert_eq!(idle.waiting_count(), 6);
    super::assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    super::assert_served_throughout(&scene.answers(now), Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}
