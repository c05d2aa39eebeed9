//! One address of several is missing, or is not the one that the kernel shall send from.

use super::{assert_nothing_moves, assert_served_throughout, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::netns::Netns;
use crate::lab::{Port, Server, clock};
use crate::probe::oracle::Expected;
use crate::probe::socket::{PacketSocket, bpf_program};
use crate::scene::{Scene, Setup};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A group with IPv4 alone, one with both families, one with IPv6 alone.
const FOUR: (&str, &str) = ("four", "10.0.0.100");
const BOTH: (&str, [&str; 2]) = ("both", ["10.0.0.101", "2001:db8::101"]);
const SIX: (&str, &str) = ("six", "2001:db8::102");
/// Multicast that no switch keeps from anybody.
const EVERYBODY: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// The three groups; clients ask for the IPv4 addresses of the first two.
fn three_groups() -> Setup {
    let config = ConfigText::pair("lan")
        .group(GroupText::new(FOUR.0, &[FOUR.1]))
        .group(GroupText::new(BOTH.0, &BOTH.1))
        .group(GroupText::new(SIX.0, &[SIX.1]));
    let mut setup = Setup::with(config);
    setup.asked.retain(IpAddr::is_ipv4);
    setup
}

/// Switches IPv6 off on a server's client interface, or on again.
fn set_ipv6(scene: &Scene, server: Server, on: bool) {
    scene.lab.note(format!("{}: IPv6 on eth0: {on}", server.name()));
    scene.lab.server(server).sysctl("ipv6/conf/eth0/disable_ipv6", if on { "0" } else { "1" });
}

/// The reason that a server gives for a group.
fn reason(scene: &Scene, server: Server, group: &str) -> String {
    scene.agent(server).status().map_or("no status".to_owned(), |status| status.text(group, "reason"))
}

/// Whether a server is ready for a group, or serves it.
fn is_ready(scene: &Scene, server: Server, group: &str) -> bool {
    scene.agent(server).status().is_ok_and(|status| status.is_ready(group))
}

/// Waits until a server gives a reason with these words for a group.
fn wait_reason(scene: &mut Scene, server: Server, group: &str, words: &str) {
    let what = format!("{} to say \"{words}\" of {group}", server.name());
    scene.wait(&what, |s| reason(s, server, group).contains(words));
}

/// What each group's owners were: alpha all the time.
fn all_alpha(expected: &Expected) -> [(&'static str, &Expected); 3] {
    [(FOUR.0, expected), (BOTH.0, expected), (SIX.0, expected)]
}

// HP-8: nobody has the IPv6 addresses; what has IPv4 goes on where it is
#[test]
fn groups_with_ipv4_do_not_suffer_when_both_servers_lose_ipv6() {
    let mut scene = Scene::start(three_groups());
    let from = clock::now();
    // The standby first: an active that lacks what its standby has hands over.
    [Server::Beta, Server::Alpha].into_iter().for_each(|server| set_ipv6(&scene, server, false));
    for server in Server::BOTH {
        wait_reason(&mut scene, server, BOTH.0, "2001:db8::101: Permission denied");
        scene.wait_role(server, SIX.0, "fault");
        let events = scene.agent(server).events();
        assert!(events.contains("missing on eth0: 2001:db8::101: Permission denied (os error 13)"), "{events}");
    }
    let_pass(Duration::from_secs(2));
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    assert_eq!(scene.roles(FOUR.0), ["active", "standby"]);
    assert!(Server::BOTH.into_iter().all(|server| is_ready(&scene, server, FOUR.0)));
    Server::BOTH.into_iter().for_each(|server| set_ipv6(&scene, server, true));
    for server in Server::BOTH {
        scene
            .wait("the addresses to be back", |s| s.agent(server).events().contains("in place again on eth0: 2001:"));
        scene.wait("the reason to go", |s| reason(s, server, BOTH.0).is_empty());
    }
    scene.wait_one_active(SIX.0);
    scene.finish_by_chance();
}

// HP-8 HP-1: the same from the first moment on
#[test]
fn groups_with_ipv4_are_served_by_servers_that_never_had_ipv6() {
    let mut scene = Scene::build(three_groups());
    Server::BOTH.into_iter().for_each(|server| set_ipv6(&scene, server, false));
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, FOUR.0, "active");
    scene.wait_role(Server::Alpha, BOTH.0, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, FOUR.0);
    wait_reason(&mut scene, Server::Beta, BOTH.0, "incomplete");
    wait_reason(&mut scene, Server::Beta, SIX.0, "none of the group's addresses");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    scene.finish_by_chance();
}

// HP-8: a server that has all addresses is better than one that lacks some
#[test]
fn only_the_group_that_lacks_an_address_moves_to_the_server_that_has_it() {
    let mut scene = Scene::start(three_groups());
    set_ipv6(&scene, Server::Alpha, false);
    scene.wait_role(Server::Beta, BOTH.0, "active");
    scene.wait_role(Server::Beta, SIX.0, "active");
    assert_eq!(scene.roles(FOUR.0), ["active", "standby"]);
    wait_reason(&mut scene, Server::Alpha, BOTH.0, "incomplete");
    let_pass(Duration::from_secs(1));
    scene.finish_by_chance();
}

// HP-8: somebody removes one address again and again
#[test]
fn an_address_that_somebody_keeps_removing_is_missing_from_its_own_group_alone() {
    let mut scene = Scene::start(three_groups());
    let (from, over) = (clock::now(), Arc::new(AtomicBool::new(false)));
    let (door, ends) = (scene.lab.server(Server::Beta).door(), Arc::clone(&over));
    let remover = std::thread::spawn(move || {
        door.enter();
        let mut removed = 0;
        while !ends.load(Ordering::Relaxed) {
            let mut command = std::process::Command::new("ip");
            command.args(["addr", "del", "2001:db8::101/128", "dev", "eth0"]).stderr(std::process::Stdio::null());
            removed += u32::from(command.status().is_ok_and(|status| status.success()));
        }
        removed
    });
    wait_reason(&mut scene, Server::Beta, BOTH.0, "somebody keeps removing");
    let_pass(Duration::from_secs(2));
    assert!(is_ready(&scene, Server::Beta, FOUR.0), "another group on the interface");
    over.store(true, Ordering::Relaxed);
    assert!(remover.join().expect("the remover ends") > 10, "the fault did not strike");
    scene.wait_ready(Server::Beta, BOTH.0);
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    scene.finish_groups(&all_alpha(&Expected::owner(Server::Alpha)));
}

/// Sends a datagram to all hosts of the segment, from wherever the kernel likes; returns the source
/// that it chose.
fn send_to_everybody(server: &Netns, port: u16) -> IpAddr {
    server.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        socket.bind_device(Some(b"eth0")).expect("bind to a device");
        socket.connect(&SocketAddr::from((EVERYBODY, port)).into()).expect("connect");
        socket.send(b"hello").expect("send");
        socket.local_addr().ok().and_then(|addr| addr.as_socket()).expect("an address").ip()
    })
}

/// A client's socket that hears what is sent to all hosts.
fn everybody(scene: &Scene, port: u16) -> UdpSocket {
    scene.lab.host(Port::Client).run(|| {
        let socket = UdpSocket::bind((EVERYBODY, port)).expect("bind");
        socket.join_multicast_v4(&EVERYBODY, &Port::Client.ipv4()).expect("join");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set a limit");
        socket
    })
}

/// Removes a server's own IPv4 address and adds it again.
fn renew_own_address(scene: &Scene, server: Server) {
    let own = format!("{}/24", server.port().ipv4());
    scene.lab.note(format!("{}: its own address is removed and added again", server.name()));
    scene.lab.server(server).ip(&format!("address del {own} dev eth0\naddress add {own} dev eth0\n"));
}

// S3 HP-11: what the standby itself sends to all hosts leaves with its own address
#[test]
fn a_standby_goes_on_sending_from_its_own_address_when_that_is_added_again() {
    let scene = Scene::start(three_groups());
    let beta = scene.lab.server(Server::Beta);
    let client = everybody(&scene, 5355);
    let mut buffer = [0; 64];
    for turn in 0..3 {
        let source = send_to_everybody(beta, 5355);
        let (_, from) = client.recv_from(&mut buffer).unwrap_or_else(|e| panic!("turn {turn}: {source}: {e}"));
        assert_eq!(from.ip(), IpAddr::from(Server::Beta.port().ipv4()), "turn {turn}");
        renew_own_address(&scene, Server::Beta);
        let_pass(Duration::from_millis(300));
    }
    scene.finish_groups(&all_alpha(&Expected::owner(Server::Alpha)));
}

// HP-9 S3: the active's address is never gone while it is moved behind the server's own
#[test]
fn an_active_address_is_there_at_every_moment_while_the_own_one_is_added_again() {
    let scene = Scene::start(three_groups());
    let alpha = scene.lab.server(Server::Alpha);
    let (over, from) = (Arc::new(AtomicBool::new(false)), clock::now());
    let (door, ends) = (alpha.door(), Arc::clone(&over));
    let binder = std::thread::spawn(move || {
        door.enter();
        let (mut tried, mut refused) = (0_u32, 0_u32);
        while !ends.load(Ordering::Relaxed) {
            tried += 1;
            refused += u32::from(UdpSocket::bind((FOUR.1, 0)).is_err());
        }
        (tried, refused)
    });
    for _ in 0..10 {
        renew_own_address(&scene, Server::Alpha);
        let_pass(Duration::from_millis(200));
    }
    over.store(true, Ordering::Relaxed);
    let (tried, refused) = binder.join().expect("the binder ends");
    assert!(tried > 1_000 && refused == 0, "{refused} of {tried} found no address");
    assert_eq!(send_to_everybody(alpha, 5355), IpAddr::from(Server::Alpha.port().ipv4()));
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    scene.finish_groups(&all_alpha(&Expected::owner(Server::Alpha)));
}

/// Types of ICMPv6 messages, each with its source, that a server sends in `time`.
fn discovery_of(scene: &Scene, server: Server, time: Duration, act: impl FnOnce()) -> Vec<(u8, [u8; 16])> {
    let all = bpf_program(&[(0x06, 0, 0, 0xffff)]);
    let socket = scene.lab.host(Port::Client).run(|| PacketSocket::open(Some(Port::Client.inside()), &all));
    act();
    let (mut heard, mut buffer) = (Vec::new(), [0; 2048]);
    let end = std::time::Instant::now() + time;
    while std::time::Instant::now() < end {
        let Some(arrival) = socket.receive(&mut buffer) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let frame = &buffer[..arrival.length];
        if frame.len() < 64 || frame[6..12] != server.port().mac().0 || frame[12..14] != [0x86, 0xdd] {
            continue;
        }
        // MLD stands behind a hop-by-hop option of eight bytes.
        let at = if frame[20] == 0 { 62 } else { 54 };
        heard.push((frame[at], frame[22..38].try_into().expect("sixteen bytes")));
    }
    heard
}

// S3 HP-11: a link-local service address does not silence the standby's own IPv6
#[test]
fn a_standby_with_a_link_local_service_address_reports_and_solicits_after_a_restart_of_its_link() {
    let service = "fe80::100";
    let config = ConfigText::pair("lan").group(GroupText::new("web", &["10.0.0.100", service]));
    let mut setup = Setup::with(config);
    setup.asked.retain(IpAddr::is_ipv4);
    let mut scene = Scene::build(setup);
    // A server whose own address is still being tested would give the group to the other.
    for server in Server::BOTH {
        let own = |scene: &mut Scene| {
            let shown = scene.lab.server(server).tool("ip", &["-6", "-o", "address", "show", "dev", "eth0"], "");
            shown.lines().any(|line| line.contains("fe80::") && !line.contains("tentative"))
        };
        scene.wait("the server's own link-local address", own);
    }
    scene.begin();
    let service: std::net::Ipv6Addr = service.parse().expect("an address");
    let heard = discovery_of(&scene, Server::Beta, Duration::from_secs(8), || {
        scene.lab.server(Server::Beta).ip("link set dev eth0 down\nlink set dev eth0 up\n");
    });
    let own = |kind: u8| heard.iter().any(|(found, from)| *found == kind && from[..2] == [0xfe, 0x80]);
    assert!(heard.iter().all(|(_, from)| *from != service.octets()), "S3: {heard:?}");
    assert!(own(143), "no report of multicast groups: {heard:?}");
    assert!(own(133), "no router solicitation: {heard:?}");
    scene.wait_ready(Server::Beta, "web");
    scene.finish(&Expected::owner(Server::Alpha));
}

/// Port of a client that sends back what it gets.
const ECHO: u16 = 7007;

/// Answers datagrams at the client, until `over`.
fn echo(scene: &Scene, target: IpAddr, over: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (door, ends) = (scene.lab.host(Port::Client).door(), Arc::clone(over));
    std::thread::spawn(move || {
        door.enter();
        let socket = UdpSocket::bind((target, ECHO)).expect("bind");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set a limit");
        let mut buffer = [0; 16];
        while !ends.load(Ordering::Relaxed) {
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                socket.send_to(&buffer[..length], from).expect("send back");
            }
        }
    })
}

/// Lets a process of a server send from `source` to `target` every 50 ms, if there is one, whose
/// neighbour entry is taken away all the time; asks `target` ten times from the server's own address
/// meanwhile. The number of answers within a second each.
fn questions_answered(scene: &Scene, server: Server, source: Option<&str>, target: IpAddr) -> usize {
    let netns = scene.lab.server(server);
    let over = Arc::new(AtomicBool::new(false));
    let (answers, ends, door) = (echo(scene, target, &over), Arc::clone(&over), netns.door());
    let source = source.map(|text| SocketAddr::from((text.parse::<IpAddr>().expect("an address"), 0)));
    let sender = std::thread::spawn(move || {
        door.enter();
        let socket = source.map(|source| UdpSocket::bind(source).expect("bind to the service address"));
        while !ends.load(Ordering::Relaxed) {
            // The gate may refuse it: that is what it is for.
            let _refused = socket.as_ref().map(|socket| socket.send_to(b"x", (target, 9)));
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let own: IpAddr = if target.is_ipv4() { server.port().ipv4().into() } else { server.port().ipv6().into() };
    let socket = netns.run(|| UdpSocket::bind((own, 0)).expect("bind to the own address"));
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("set a limit");
    let (mut answered, mut buffer) = (0, [0; 16]);
    for turn in 0..10_u8 {
        netns.tool("ip", &["neigh", "flush", "to", &target.to_string(), "dev", "eth0"], "");
        // The process asks first.
        std::thread::sleep(Duration::from_millis(120));
        socket.send_to(&[turn], (target, ECHO)).expect("send");
        answered += usize::from(socket.recv(&mut buffer).is_ok_and(|length| buffer[..length] == [turn]));
    }
    over.store(true, Ordering::Relaxed);
    sender.join().expect("the sender ends");
    answers.join().expect("the client ends");
    answered
}

// HP-11 S3: the server's own traffic does not wait for a question that the gate drops
#[test]
fn a_standby_finds_its_neighbours_while_a_process_sends_from_the_service_address() {
    let scene = Scene::start(three_groups());
    let (four, six) = (IpAddr::from(Port::Client.ipv4()), IpAddr::from(Port::Client.ipv6()));
    for (target, address) in [(four, FOUR.1), (six, SIX.1)] {
        assert_eq!(questions_answered(&scene, Server::Beta, None, target), 10, "{target}, nobody else asks");
        assert_eq!(questions_answered(&scene, Server::Beta, Some(address), target), 10, "{target}");
    }
    scene.finish_groups(&all_alpha(&Expected::owner(Server::Alpha)));
}
