//! Others attach programs and qdiscs to a client interface: before the gate, after it, instead of
//! it. The cases need a kernel with TCX (6.6): on older ones tc filters are all there is, and the
//! tests of the gate itself cover those.

use super::{assert_nothing_moves, let_pass};
use crate::lab::intruder::{Hook, PASS, intrude, programs};
use crate::lab::netns::Netns;
use crate::lab::program::program;
use crate::lab::{Server, clock};
use crate::probe::oracle::{Expected, has_claimed};
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use std::net::UdpSocket;
use std::time::Duration;

/// Longest time for which a program before the gate may decide: a glance, and what a busy machine
/// adds to it.
const NOTICED: Duration = Duration::from_millis(250);

/// Whether the kernel has hooks before tc filters.
fn has_tcx(scene: &Scene) -> bool {
    let has = programs(scene.lab.server(Server::Alpha), "eth0", Hook::Ingress).is_some();
    if !has {
        eprintln!("this kernel has no TCX: nothing to see");
    }
    has
}

/// Sends a datagram from the group's address, as a process on the server may that is bound to it.
fn speak_from_the_address(netns: &Netns) {
    netns.run(|| {
        let socket = UdpSocket::bind((ADDRESS, 0)).expect("the address is there");
        let client = crate::lab::Port::Client.ipv4();
        // A frame that the gate drops may be reported to its sender.
        let _refused = socket.send_to(b"from the address", (client, 9));
    });
}

/// Output of `vipair doctor` on a server.
fn doctor(scene: &Scene, server: Server) -> String {
    let agent = scene.agent(server);
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let (file, state, socket) =
        (text(scene.lab.dir().join("vipair.toml")), text(agent.state_dir()), text(agent.socket_path()));
    let program = text(program());
    let command = "\"$0\" doctor \"$@\" || true";
    let words = ["-c", command, &program, "--config", &file, "--node", server.name()];
    let words = [&words[..], &["--state-dir", &state, "--socket", &socket]].concat();
    scene.lab.server(server).tool("sh", &words, "")
}

/// The lines of the doctor that fail and speak of the gate.
fn complaints(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.contains("FAIL") && line.contains("gate")).collect()
}

// S3 HP-4: shapers, virtual switches and hypervisors add such a qdisc, before the agent or later
#[test]
fn standby_with_an_ingress_qdisc_takes_no_client_away() {
    let mut scene = Scene::build(Setup::of("lan"));
    if !has_tcx(&scene) {
        return;
    }
    scene.lab.server(Server::Beta).tool("tc", &["qdisc", "add", "dev", "eth0", "handle", "ffff:", "ingress"], "");
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    scene.wait_answered_by(Server::Alpha);
    for _ in 0..20 {
        speak_from_the_address(scene.lab.server(Server::Beta));
        let_pass(Duration::from_millis(10));
    }
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    assert_eq!(complaints(&doctor(&scene, Server::Beta)), Vec::<&str>::new());
    scene.finish(&Expected::owner(Server::Alpha));
}

// S3 S7: what others do with tc does not touch the gate
#[test]
fn qdiscs_and_filters_that_come_and_go_change_nothing() {
    let mut scene = Scene::start(Setup::of("lan"));
    if !has_tcx(&scene) {
        return;
    }
    let filter = |hook: &'static str| {
        let start = ["filter", "add", "dev", "eth0", hook, "pref", "1", "protocol", "all", "handle", "1"];
        [&start[..], &["bpf", "da", "bytecode", "1,6 0 0 0"]].concat()
    };
    // To add or delete a qdisc the kernel stops the interface for a moment; on the active that may
    // cost a question.
    for words in [
        vec!["qdisc", "add", "dev", "eth0", "clsact"],
        filter("ingress"),
        filter("egress"),
        vec!["qdisc", "del", "dev", "eth0", "clsact"],
        vec!["qdisc", "add", "dev", "eth0", "handle", "ffff:", "ingress"],
    ] {
        let beta = scene.lab.server(Server::Beta);
        beta.tool("tc", &words, "");
        scene.lab.note(format!("beta: tc {}", words.join(" ")));
        speak_from_the_address(beta);
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
    }
    let events = scene.agent(Server::Beta).events();
    assert!(!events.contains("gate_lost"), "{events}");
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S3 S7: a program before the gate is a lost gate. Until it is noticed it decides: nothing can
// prevent that, but it is short.
#[test]
fn program_before_the_gate_is_noticed_at_once_and_the_gate_goes_first() {
    let mut scene = Scene::start(Setup::of("lan"));
    if !has_tcx(&scene) {
        return;
    }
    let beta = scene.lab.server(Server::Beta);
    let gate = Hook::BOTH.map(|hook| programs(beta, "eth0", hook).expect("TCX").first().copied());
    let at = scene.lab.note("beta: a program that lets everything pass comes before the gate");
    Hook::BOTH.into_iter().for_each(|hook| intrude(beta, "eth0", hook, PASS));
    scene.wait("the loss to be told", |s| s.agent(Server::Beta).events().contains("gate_lost"));
    scene.wait_addresses(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    let events = scene.agent(Server::Beta).events();
    assert!(events.contains("TCX program intruder") && events.contains("decides before it"), "{events}");
    let late = has_claimed(&scene.heard(), Server::Beta.port(), at + NOTICED, clock::now());
    assert!(!late, "beta still claimed the address {NOTICED:?} after a program came before its gate");
    scene.excuse_claims(Server::Beta, at, at + NOTICED);
    let beta = scene.lab.server(Server::Beta);
    for (hook, former) in Hook::BOTH.into_iter().zip(gate) {
        let now = programs(beta, "eth0", hook).expect("TCX");
        assert!(
            now.len() == 2 && former.is_none_or(|id| !now.contains(&id)),
            "a new gate, then the program, and no more: {now:?}"
        );
    }
    speak_from_the_address(beta);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    let said = doctor(&scene, Server::Beta);
    assert_eq!(complaints(&said), Vec::<&str>::new());
    assert!(said.contains("intruder") && said.contains("after the gate"), "{said}");
    scene.finish(&Expected::owner(Server::Alpha));
}

// S3: nobody watches while the agent is gone; the next life goes first, the doctor fails until then
#[test]
fn program_that_came_before_the_gate_while_the_agent_was_gone_is_overtaken_at_the_start() {
    let mut scene = Scene::start(Setup::of("lan"));
    if !has_tcx(&scene) {
        return;
    }
    let said = doctor(&scene, Server::Beta);
    assert!(complaints(&said).is_empty() && said.contains("the gate decides first"), "{said}");
    let at = scene.kill_agent(Server::Beta);
    Hook::BOTH.into_iter().for_each(|hook| intrude(scene.lab.server(Server::Beta), "eth0", hook, PASS));
    let said = doctor(&scene, Server::Beta);
    let complaints = complaints(&said);
    assert_eq!(complaints.len(), 2, "{said}");
    assert!(complaints.iter().all(|line| line.contains("intruder") && line.contains("before the gate")), "{said}");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    scene.excuse_claims(Server::Beta, at, clock::now());
    let_pass(Duration::from_millis(100));
    speak_from_the_address(scene.lab.server(Server::Beta));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    let said = doctor(&scene, Server::Beta);
    assert!(self::complaints(&said).is_empty() && said.contains("the gate decides first"), "{said}");
    scene.finish(&Expected::owner(Server::Alpha));
}
