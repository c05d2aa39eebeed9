//! How a pair comes to life.

use super::{assert_nothing_moves, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Port, Server, clock};
use crate::probe::frames;
use crate::probe::oracle::Expected;
use crate::probe::socket::{PacketSocket, deny_all};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::time::Duration;

// HP-1 HP-4 L1
#[test]
fn first_start_alone_becomes_active() {
    let mut scene = Scene::build(Setup::of("lan"));
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}

// HP-7
#[test]
fn server_that_is_not_preferred_serves_when_it_is_alone() {
    let mut scene = Scene::build(Setup::of("lan"));
    scene.start_agent(Server::Beta);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    // preempt = false: the preferred server that comes later moves nothing.
    scene.start_agent(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Beta));
}

// HP-1 HP-2 HP-4
#[test]
fn simultaneous_start_gives_exactly_one_active() {
    let mut scene = Scene::build(Setup::of("lan").services());
    scene.start_agents();
    // Either may win: a start is simultaneous only to some ms, and there is no preempt.
    let owner = scene.wait_one_active(GROUP);
    scene.wait_ready(owner.other(), GROUP);
    // Both servers have the same addresses at the same time, services bound to them, no DAD
    // failure.
    for server in Server::BOTH {
        scene.wait_addresses(server);
        scene.start_service(server);
        let addresses = scene.lab.server(server).tool("ip", &["-o", "address", "show", "dev", "eth0"], "");
        let shared: Vec<&str> = addresses.lines().filter(|l| l.contains(ADDRESS) || l.contains(ADDRESS6)).collect();
        assert!(!shared.iter().any(|l| l.contains("dadfailed") || l.contains("tentative")), "{shared:?}");
    }
    scene.wait_answered_by(owner);
    scene.finish(&Expected::owner(owner));
}

// HP-4 S3: the addresses are there, the gate is closed, and nothing answers.
#[test]
fn standby_answers_nothing_although_it_has_the_address() {
    let scene = Scene::start(Setup::of("lan"));
    scene.lab.static_neighbour(ADDRESS, Server::Beta);
    scene.lab.static_neighbour(ADDRESS6, Server::Beta);
    let web = scene.start_web(50);
    // Beta answers neither through a packet socket of its own nor by its kernel's announcements.
    let beta = scene.lab.server(Server::Beta);
    let socket = beta.run(|| PacketSocket::open(Some("eth0"), &deny_all()));
    let (mac, client) = (Server::Beta.port().mac(), Port::Client);
    let (address, address6) = (ADDRESS.parse().expect("an address"), ADDRESS6.parse().expect("an address"));
    let forbidden = [
        frames::arp(1, mac, address, address),
        frames::arp(2, mac, address, address),
        frames::arp(1, mac, address, client.ipv4()),
        frames::arp(2, mac, address, client.ipv4()),
        frames::question(mac, address6, client.ipv6().into()),
        frames::datagram((mac, client.mac()), (address, client.ipv4()), 9, b"from the address"),
    ];
    for _ in 0..50 {
        for frame in &forbidden {
            let sent = socket.send(frame);
            // A frame that the gate drops may be reported to its sender.
            assert!(sent.is_ok() || sent.is_err_and(|e| e.raw_os_error() == Some(libc::ENOBUFS)));
        }
        let_pass(Duration::from_millis(10));
    }
    for setting in ["ipv4/conf/eth0/arp_notify", "ipv6/conf/eth0/ndisc_notify"] {
        beta.sysctl(setting, "1");
    }
    scene.lab.admin_down(Server::Beta.port());
    scene.lab.admin_up(Server::Beta.port());
    let_pass(Duration::from_millis(500));
    drop(web);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S7 L5
#[test]
fn both_agents_killed_leave_nobody_answering_until_they_start_again() {
    let mut scene = Scene::start(Setup::of("lan"));
    for server in Server::BOTH {
        scene.kill_agent(server);
    }
    let_pass(super::LAN_LEASE + Duration::from_millis(50));
    let closed = clock::now();
    let_pass(Duration::from_millis(500));
    let answered = scene.answers(closed).questions.iter().filter(|q| q.answer.is_some()).count();
    assert_eq!(answered, 0, "S7: a gate was open although its agent was dead for longer than a lease");
    scene.start_agents();
    let owner = scene.wait_one_active(GROUP);
    scene.wait_answered_by(owner);
    scene.finish(&match owner {
        Server::Alpha => Expected::owner(Server::Alpha),
        Server::Beta => Expected::owner(Server::Alpha).takeover(),
    });
}

// Design 3: a restarted agent adopts the running gate.
#[test]
fn restart_within_a_lease_changes_nothing() {
    // The shortest lease that surely outlives the start of an unoptimized agent on a busy machine.
    let config =
        ConfigText::pair("lan").timing_toml("lease_ms = 3000").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]));
    let mut scene = Scene::start(Setup::with(config));
    let epoch = scene.agent(Server::Alpha).status().map(|s| s.text(GROUP, "epoch"));
    let from = scene.kill_agent(Server::Alpha);
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(4));
    for asker in &scene.askers {
        super::assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    assert!(epoch.is_ok());
    scene.finish(&Expected::owner(Server::Alpha));
}
