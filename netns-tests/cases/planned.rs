//! Planned moves: nothing is lost.

use super::assert_nothing_moves;
use crate::lab::{Port, Server};
use crate::probe::oracle::Expected;
use crate::probe::web::Web;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, PATIENCE, Scene, Setup};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use vipair::types::MonoTime;

/// Ends the web client and asserts that both servers answered and no request was lost or slow;
/// `least` is the least number of requests.
pub(super) fn assert_nothing_lost(web: Web, least: usize) {
    let requests = web.finish();
    assert!(requests.0.len() >= least, "only {} requests were sent", requests.0.len());
    let lost = requests.lost();
    assert!(lost.is_empty(), "L3: lost {} of {}: {:?}", lost.len(), requests.0.len(), lost.first());
    assert!(requests.slowest() < Duration::from_millis(900), "a request took {:?}: a lost SYN", requests.slowest());
    for server in Server::BOTH {
        assert!(requests.answered_by(server) > 0, "{} served nobody: the move did not happen", server.name());
    }
}

// L3 HP-9 HP-10
#[test]
fn planned_switch_under_load_loses_no_request() {
    let mut scene = Scene::start(Setup::of("lan").services().alone());
    let web = scene.start_web(1_000);
    std::thread::sleep(Duration::from_millis(500));
    for (turn, to) in [Server::Beta, Server::Alpha, Server::Beta].into_iter().enumerate() {
        // The command may be typed on either server.
        let typed_on = if turn % 2 == 0 { to.other() } else { to };
        scene.lab.note(format!("vipair switch {GROUP} on {}", typed_on.name()));
        scene.agent(typed_on).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
        scene.wait_role(to, GROUP, "active");
        scene.wait_answered_by(to);
        scene.wait_ready(to.other(), GROUP);
        // Longer than the drain time.
        std::thread::sleep(Duration::from_millis(1_200));
    }
    assert_nothing_lost(web, 3_000);
    for asker in &scene.askers {
        let gap = asker.since(MonoTime::ZERO).longest_gap().length();
        eprintln!("longest gap of {} over three switches: {gap:?}", asker.target());
    }
    scene.finish(&Expected::owner(Server::Alpha).handover().handover().handover());
}

/// Sends the first part of a request; [`finish_request`] sends the rest later, on the same
/// connection.
fn begin_request(scene: &Scene, address: &str) -> TcpStream {
    let target = SocketAddr::new(address.parse().expect("an address"), 80);
    let mut stream = scene.lab.host(Port::Client).run(|| TcpStream::connect(target).expect("the service listens"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit that is not zero");
    stream.write_all(b"GET / HTTP/1.0\r\nHost:").expect("connected");
    stream
}

/// Sends the rest of a request that [`begin_request`] began; returns the whole answer.
fn finish_request(mut stream: TcpStream) -> std::io::Result<String> {
    stream.write_all(b" lab\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

// L3, design 6: the former active carries open connections for the drain time
#[test]
fn connections_that_are_open_during_a_switch_are_finished_by_the_former_active() {
    let mut scene = Scene::start(Setup::of("lan").services());
    let open: Vec<TcpStream> =
        (0..20).flat_map(|_| [ADDRESS, ADDRESS6].map(|address| begin_request(&scene, address))).collect();
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_answered_by(Server::Beta);
    // The open connections' packets now arrive at beta, which knows nothing of them.
    std::thread::sleep(Duration::from_millis(200));
    for stream in open {
        let answer = finish_request(stream).unwrap_or_else(|e| panic!("L3: an open connection was cut: {e}"));
        assert!(answer.ends_with("alpha"), "{answer}");
    }
    let after = finish_request(begin_request(&scene, ADDRESS)).unwrap_or_else(|e| panic!("{e}"));
    assert!(after.ends_with("beta"), "{after}");
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// L3
#[test]
fn sigterm_hands_over_without_losing_a_request() {
    let mut scene = Scene::start(Setup::of("lan").services());
    let web = scene.start_web(300);
    std::thread::sleep(Duration::from_millis(300));
    let (alpha, lab) = scene.agent_mut(Server::Alpha);
    let status = alpha.stop(lab, PATIENCE);
    assert!(status.success(), "the agent ended with {status} after SIGTERM");
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    std::thread::sleep(Duration::from_millis(300));
    assert_nothing_lost(web, 100);
    // The gate of the stopped agent stays, closed; a new start moves nothing.
    scene.start_agent(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// Guide 8: pause makes a node stand aside, resume ends that and no more.
#[test]
fn paused_active_hands_over_and_comes_back_as_standby() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.note("vipair pause on alpha");
    scene.agent(Server::Alpha).command(&["pause", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Alpha, GROUP, "paused");
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    scene.agent(Server::Alpha).command(&["resume", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}
