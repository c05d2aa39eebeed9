//! Other cards of the servers on the clients' segment. With the kernel's defaults each of them
//! answers ARP for every address of its server; no claim for a group's address leaves by them.

use super::{LAN_LEASE, assert_nothing_moves, let_pass};
use crate::lab::clock;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::intruder::{Hook, detach_first, programs};
use crate::lab::wiring::SEGMENT;
use crate::lab::{Lab, Port, Server};
use crate::probe::asker::Asker;
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use vipair::types::{MacAddr, MonoTime};

/// Name of the second card inside a server.
const CARD: &str = "eth9";
/// Connections that clients make, each without knowing where the address is.
const CONNECTIONS: usize = 12;

/// Hardware address of a server's second card.
fn card_mac(server: Server) -> MacAddr {
    let [.., last] = server.port().mac().0;
    MacAddr([0x02, 0, 0, 0, 9, last])
}

/// Gives a server a second card on the clients' segment, with this address or without one.
fn plug_in(lab: &Lab, server: Server, address: Option<Ipv4Addr>) {
    let (name, mac, inside) = (format!("{}-card", server.name()), card_mac(server), lab.server(server));
    lab.switch().ip(&format!(
        "link add dev {name} type veth peer name {CARD} address {mac}\n\
         link set dev {CARD} netns {}\nlink set dev {name} master {SEGMENT} up",
        inside.name()
    ));
    inside.ip(&format!("link set dev {CARD} up"));
    if let Some(address) = address {
        inside.ip(&format!("address add {address}/24 dev {CARD}"));
    }
    lab.note(format!("{} has a second card", server.name()));
}

/// Number of [`CONNECTIONS`] to the service that succeed, each from a client that first asks where
/// the address is.
fn connections(scene: &Scene) -> usize {
    let client = scene.lab.host(Port::Client);
    let connect = |_: &usize| {
        client.tool("ip", &["neigh", "flush", "to", ADDRESS], "");
        let at = SocketAddr::new(ADDRESS.parse().expect("an address"), 80);
        client.run(|| TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok())
    };
    (0..CONNECTIONS).filter(connect).count()
}

/// Hardware addresses that have answered for a server's second card since then.
fn answers_of_cards(scene: &Scene, from: MonoTime) -> Vec<MacAddr> {
    let cards = Server::BOTH.map(card_mac);
    let answers = |asker: &Asker| {
        let questions = asker.since(from).questions;
        questions.into_iter().flat_map(|q| [q.answer, q.second]).flatten().map(|(_, mac)| mac).collect::<Vec<_>>()
    };
    scene.askers.iter().flat_map(answers).filter(|mac| cards.contains(mac)).collect()
}

/// Starts the pair, with second cards that are there before it, and moves the group.
fn serve_beside_second_cards(addresses: [Option<Ipv4Addr>; 2]) {
    let mut scene = Scene::build(Setup::of("lan").services());
    for (server, address) in Server::BOTH.into_iter().zip(addresses) {
        plug_in(&scene.lab, server, address);
    }
    let start = scene.start_agent(Server::Alpha);
    let active = scene.wait_role(Server::Alpha, GROUP, "active");
    let took = active.since(start);
    assert!(took < Duration::from_secs(10), "its own second card delayed the first start: {took:?}");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    Server::BOTH.into_iter().for_each(|server| scene.start_service(server));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    assert_eq!(connections(&scene), CONNECTIONS);
    scene.power_off(Server::Alpha);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    assert_eq!(connections(&scene), CONNECTIONS);
    assert_eq!(answers_of_cards(&scene, MonoTime::ZERO), Vec::new());
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// The control of this file: without an agent the kernel answers on both cards.
#[test]
fn without_a_guard_a_kernel_answers_for_its_address_on_a_second_card() {
    let scene = Scene::build(Setup::of("lan"));
    plug_in(&scene.lab, Server::Alpha, None);
    scene.lab.server(Server::Alpha).ip(&format!("address add {ADDRESS}/32 dev eth0"));
    let_pass(Duration::from_millis(500));
    let twice = scene.askers[0].since(MonoTime::ZERO).answered_twice();
    assert!(twice.len() > 50, "only {} questions were answered twice", twice.len());
    assert!(answers_of_cards(&scene, MonoTime::ZERO).contains(&card_mac(Server::Alpha)));
}

// S3 HP-4 HP-9
#[test]
fn a_second_card_without_an_address_never_answers_for_the_group() {
    serve_beside_second_cards([None, None]);
}

// S3 HP-4 HP-9
#[test]
fn a_second_card_with_an_address_of_the_segment_never_answers_for_the_group() {
    serve_beside_second_cards([Some(Ipv4Addr::new(10, 0, 0, 11)), Some(Ipv4Addr::new(10, 0, 0, 12))]);
}

/// Whether beta's second card has a guard, and nothing else.
fn is_guarded(scene: &Scene) -> bool {
    programs(scene.lab.server(Server::Beta), CARD, Hook::Egress).is_none_or(|programs| programs.len() == 1)
}

// S3 S7: a card that appears later, a guard that somebody takes away, agents that are killed
#[test]
fn guards_come_with_the_card_come_back_and_outlive_the_agent() {
    let mut scene = Scene::start(Setup::of("lan"));
    Server::BOTH.into_iter().for_each(|server| plug_in(&scene.lab, server, None));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.wait("a guard on beta's second card", |s| is_guarded(s));
    if programs(scene.lab.server(Server::Beta), CARD, Hook::Egress).is_some() {
        // The kernel tells nobody that a program is gone: until the next look the card may answer.
        scene.lab.switch().ip("link set dev beta-card down");
        detach_first(scene.lab.server(Server::Beta), CARD, Hook::Egress);
        scene.wait("the guard to come back", |s| is_guarded(s));
        scene.lab.switch().ip("link set dev beta-card up");
        let told = |s: &mut Scene| s.agent(Server::Beta).events().contains("guard_restored");
        scene.wait("that to be told", told);
    }
    scene.kill_agent(Server::Beta);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    assert!(is_guarded(&scene), "the guard of the life before is gone");
    scene.kill_agent(Server::Beta);
    let last = scene.kill_agent(Server::Alpha);
    let_pass(LAN_LEASE + Duration::from_millis(300));
    assert_eq!(answers_of_cards(&scene, MonoTime::ZERO), Vec::new());
    let silent = scene.answers(last + LAN_LEASE + Duration::from_millis(50));
    assert!(silent.questions.len() > 50 && silent.answerers().is_empty(), "{:?}", silent.answerers());
    scene.finish(&Expected::owner(Server::Alpha));
}

// S3 HP-4: on one segment, each group is answered for by its own card alone
#[test]
fn two_groups_on_two_cards_of_a_segment_are_each_answered_by_their_own() {
    const MAIL: &str = "10.0.0.110";
    let config = ConfigText::pair("lan")
        .group(GroupText::new(GROUP, &[ADDRESS]))
        .group(GroupText::new("mail", &[MAIL, "2001:db8::110"]).on(CARD));
    let mut scene = Scene::build(Setup::with(config));
    for (server, address) in Server::BOTH.into_iter().zip([[10, 0, 0, 11], [10, 0, 0, 12]]) {
        plug_in(&scene.lab, server, Some(address.into()));
    }
    let start = scene.start_agent(Server::Alpha);
    for group in [GROUP, "mail"] {
        let took = scene.wait_role(Server::Alpha, group, "active").since(start);
        assert!(took < Duration::from_secs(10), "{group} was delayed by its own server: {took:?}");
    }
    scene.start_agent(Server::Beta);
    for group in [GROUP, "mail"] {
        scene.wait_ready(Server::Beta, group);
    }
    let assert_own = |scene: &Scene, server: Server| {
        let from = clock::now();
        let_pass(Duration::from_millis(500));
        for (asker, mac) in scene.askers.iter().zip([server.port().mac(), card_mac(server), card_mac(server)]) {
            let answers = asker.since(from);
            let by: Vec<MacAddr> = answers.answerers().into_iter().map(|(_, mac)| mac).collect();
            assert_eq!((by, answers.answered_twice().len()), (vec![mac], 0), "{}", asker.target());
            assert!(answers.questions.len() > 50, "{} was hardly asked for", asker.target());
        }
    };
    assert_own(&scene, Server::Alpha);
    scene.power_off(Server::Alpha);
    for group in [GROUP, "mail"] {
        scene.wait_role(Server::Beta, group, "active");
    }
    assert_own(&scene, Server::Beta);
}

/// Time on a processor that all threads of a server's agent have had until now.
fn busy(scene: &Scene, server: Server) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", scene.agent(server).pid())).expect("the agent runs");
    let nanos = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
    };
    Duration::from_nanos(tasks.flatten().map(nanos).sum())
}

// L6: guards are looked at in turn, so their number does not matter
#[test]
fn a_hundred_other_interfaces_cost_an_agent_at_rest_next_to_nothing() {
    let mut scene = Scene::start(Setup::of("lan"));
    // Every question of a client wakes the agent: at rest nobody asks.
    scene.askers.clear();
    let measure = |scene: &Scene| {
        let before = busy(scene, Server::Beta);
        let_pass(Duration::from_secs(5));
        busy(scene, Server::Beta) - before
    };
    let few = measure(&scene);
    let pairs = (0..50).map(|number| {
        let (one, other) = (format!("more{number}"), format!("other{number}"));
        format!("link add dev {one} type veth peer name {other}\nlink set dev {one} up\nlink set dev {other} up\n")
    });
    scene.lab.server(Server::Beta).ip(&pairs.collect::<String>());
    let guarded = |s: &mut Scene| {
        programs(s.lab.server(Server::Beta), "other49", Hook::Egress).is_none_or(|programs| programs.len() == 1)
    };
    scene.wait("a guard on the last of them", guarded);
    // The kernel itself has much to say about new interfaces in the first seconds.
    let_pass(Duration::from_secs(4));
    let many = measure(&scene);
    println!("busy in 5 s: {few:?} with three interfaces, {many:?} with a hundred more");
    // A quarter of a percent of one processor.
    assert!(many < few * 3 / 2 + Duration::from_micros(12_500), "{few:?}, then {many:?}");
    scene.finish(&Expected::owner(Server::Alpha));
}
