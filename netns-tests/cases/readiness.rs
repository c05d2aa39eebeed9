//! Ready means that clients would be served: the kernel would answer as they ask, and the way back
//! to them is what it was.

use super::{assert_nothing_moves, let_pass};
use crate::lab::{Port, Server};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::net::UdpSocket;
use std::time::Duration;

/// Time within which a node finds out what it lacks, and the group has moved: three looks.
const FOUND_OUT: Duration = Duration::from_secs(8);
/// Time after which a way that is there is missed when it has gone.
const SETTLED: Duration = Duration::from_secs(14);
/// An address behind the gateway, of a client that is reached by the default route alone.
const REMOTE: &str = "10.99.0.1";

/// Waits until a server is not ready for this reason.
fn wait_lacking(scene: &mut Scene, server: Server, reason: &str) {
    let said = |s: &mut Scene| {
        let status = s.agent(server).status();
        status.is_ok_and(|s| s.text(GROUP, "reason").starts_with(reason) && !s.is_ready(GROUP))
    };
    scene.wait(&format!("{} to lack something: {reason}", server.name()), said);
}

/// Asserts that alpha refuses to hand the group to beta, in these words, and that nothing moves.
fn assert_not_given(scene: &Scene, words: &str) {
    let refused = scene.agent(Server::Alpha).command(&["switch", GROUP]).expect_err("the switch was carried out");
    assert!(refused.contains(words), "{refused}");
    assert_nothing_moves(scene, Server::Alpha, Duration::from_secs(2));
}

/// Whether a client behind the gateway is answered at the group's address: nobody listens at the
/// port, which the server says.
fn remote_is_served(scene: &Scene) -> bool {
    let asked = || -> std::io::Result<()> {
        let socket = UdpSocket::bind((REMOTE, 0))?;
        socket.connect((ADDRESS, 9))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send(b"?")?;
        socket.recv(&mut [0; 16]).map(drop)
    };
    let answer = scene.lab.host(Port::Gateway).run(asked);
    answer.is_err_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Gives the gateway the address of a remote client.
fn add_remote(scene: &Scene) {
    scene.lab.host(Port::Gateway).ip(&format!("address add {REMOTE}/32 dev lo\nlink set dev lo up\n"));
}

/// Gives a server its default routes back.
fn restore_routes(scene: &Scene, server: Server) {
    let (four, six) = (Port::Gateway.ipv4(), Port::Gateway.ipv6());
    let lines = format!("route replace default via {four} dev eth0\nroute replace default via {six} dev eth0\n");
    scene.lab.server(server).ip(&lines);
}

// HP-8 HP-2
#[test]
fn a_standby_whose_kernel_would_not_answer_is_not_ready_and_is_not_given_the_group() {
    let mut scene = Scene::start(Setup::of("lan"));
    let beta = scene.lab.server(Server::Beta);
    beta.sysctl("ipv4/conf/all/arp_ignore", "8");
    wait_lacking(&mut scene, Server::Beta, "mute");
    assert!(scene.agent(Server::Beta).events().contains("arp_ignore is 8"), "no event names the setting");
    assert_not_given(&scene, "would not answer");
    scene.lab.server(Server::Beta).sysctl("ipv4/conf/all/arp_ignore", "0");
    scene.wait_ready(Server::Beta, GROUP);
    // The kernel is asked of the clients that were seen: their route leads elsewhere.
    scene.lab.server(Server::Beta).ip("route add 10.0.0.192/26 dev eth1\n");
    let_pass(Duration::from_secs(5));
    assert!(scene.agent(Server::Beta).status().expect("a status").is_ready(GROUP), "a route alone mutes nobody");
    scene.lab.server(Server::Beta).sysctl("ipv4/conf/eth0/arp_filter", "1");
    wait_lacking(&mut scene, Server::Beta, "mute");
    assert_not_given(&scene, "would not answer");
    scene.lab.server(Server::Beta).ip("route del 10.0.0.192/26 dev eth1\n");
    scene.wait_ready(Server::Beta, GROUP);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("a standby that would answer takes the group");
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8
#[test]
fn an_active_whose_kernel_does_not_answer_hands_over_to_one_that_does() {
    let mut scene = Scene::start(Setup::of("lan"));
    let at = scene.lab.note("alpha's kernel answers no ARP");
    scene.lab.server(Server::Alpha).sysctl("ipv4/conf/eth0/arp_ignore", "8");
    let moved = scene.wait_answered_by(Server::Beta);
    assert!(moved.since(at) < FOUND_OUT, "clients were not answered for {:?}", moved.since(at));
    wait_lacking(&mut scene, Server::Alpha, "mute");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(2));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8
#[test]
fn a_node_that_has_lost_its_default_route_is_worse_than_one_that_has_it() {
    let mut scene = Scene::start(Setup::of("lan"));
    add_remote(&scene);
    assert!(remote_is_served(&scene), "the remote client is served by alpha");
    let_pass(SETTLED);
    scene.lab.admin_down(Port::Beta);
    scene.lab.admin_up(Port::Beta);
    wait_lacking(&mut scene, Server::Beta, "no way back");
    assert!(scene.agent(Server::Beta).events().contains("the default route"), "no event names the route");
    assert_not_given(&scene, "no way back");
    restore_routes(&scene, Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    let at = scene.lab.note("alpha loses its default route");
    scene.lab.server(Server::Alpha).ip("route del default via 10.0.0.254\n");
    let moved = scene.wait_answered_by(Server::Beta);
    assert!(moved.since(at) < FOUND_OUT, "remote clients were not answered for {:?}", moved.since(at));
    wait_lacking(&mut scene, Server::Alpha, "no way back");
    scene.wait("the remote client to be served by beta", |s| remote_is_served(s));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// L2: where neither does better nothing moves, and a reload accepts what has gone
#[test]
fn a_route_that_has_gone_on_both_moves_nothing_and_a_reload_forgets_it() {
    let mut scene = Scene::start(Setup::of("lan"));
    let_pass(SETTLED);
    for server in [Server::Beta, Server::Alpha] {
        scene.lab.server(server).ip("route del default via 10.0.0.254\n");
        wait_lacking(&mut scene, server, "no way back");
    }
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(3));
    // The active first: otherwise the standby would be the better one for a moment.
    for server in Server::BOTH {
        scene.agent(server).signal(&scene.lab, Signal::SIGHUP);
        let ready = |s: &mut Scene| s.agent(server).status().is_ok_and(|status| status.is_ready(GROUP));
        scene.wait(&format!("{} to be ready again", server.name()), ready);
    }
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(6));
    assert_eq!(scene.roles(GROUP), ["active", "standby"]);
    let ready = |server| scene.agent(server).status().is_ok_and(|status| status.is_ready(GROUP));
    assert!(ready(Server::Alpha) && ready(Server::Beta), "what was accepted is not missed again");
    scene.finish(&Expected::owner(Server::Alpha));
}
