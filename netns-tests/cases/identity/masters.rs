//! The interface becomes a port of another one: of a bridge, of a bond; and interfaces that are
//! bridges themselves.

use super::super::{assert_nothing_moves, assert_served_throughout, let_pass};
use super::{has, ip, wait_log};
use crate::lab::{Port, Server, clock};
use crate::probe::frames;
use crate::probe::oracle::Expected;
use crate::probe::socket::{PacketSocket, bpf_program};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::net::Ipv4Addr;
use std::time::Duration;
use vipair::types::MacAddr;

/// Hardware address of a virtual machine behind a bridge.
const GUEST: MacAddr = MacAddr([0x02, 0, 0, 0, 0xbb, 0x01]);

/// Makes a bridge br0 on a server, with a guest's port.
fn make_bridge(scene: &Scene, server: Server) {
    ip(scene, server, "link add dev br0 type bridge stp_state 0 mcast_snooping 0\nlink set dev br0 up");
    plug_guest(scene, server, "br0", MacAddr([0xfe, 0, 0, 0, 0, 1]));
}

/// Plugs a guest into a bridge of a server; the bridge's port has this hardware address. The
/// guest's own end, `guest`, is in the namespace of the lab's neighbour.
fn plug_guest(scene: &Scene, server: Server, bridge: &str, port: MacAddr) {
    let home = scene.lab.host(Port::Gateway);
    let add = format!(
        "link add dev vnet0 address {port} type veth peer name guest address {GUEST} netns {}\n\
         link set dev vnet0 master {bridge} up",
        home.name()
    );
    ip(scene, server, &add);
    home.ip("link set dev guest up");
}

/// Asks from the guest's port who has the group's address, for `time`, and returns who answered.
fn asked_by_guest(scene: &Scene, time: Duration) -> Vec<MacAddr> {
    let replies = bpf_program(&[
        (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 12),
        (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, 0x0806),
        (libc::BPF_RET | libc::BPF_K, 0, 0, 96),
        (libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]);
    let socket = scene.lab.host(Port::Gateway).run(|| PacketSocket::open(Some("guest"), &replies));
    let (from, target) = (Ipv4Addr::new(10, 0, 0, 77), ADDRESS.parse().expect("an address"));
    let (mut macs, mut buffer, limit) = (Vec::new(), [0; 96], clock::now() + time);
    while clock::now() < limit {
        socket.send(&frames::arp(1, GUEST, from, target)).expect("send");
        std::thread::sleep(Duration::from_millis(5));
        while let Some(arrival) = socket.receive(&mut buffer) {
            let said = frames::read(&buffer[..arrival.length.min(96)]);
            macs.extend(said.filter(|said| said.address == std::net::IpAddr::V4(target)).map(|said| said.mac));
        }
    }
    macs.sort_unstable();
    macs.dedup();
    macs
}

/// Waits until a server is not ready because its interface is a port of `master`.
fn wait_enslaved(scene: &mut Scene, server: Server) {
    scene.wait(&format!("{} to say that its interface is a port", server.name()), |s| {
        let status = s.agent(server).status();
        status.is_ok_and(|status| !status.is_ready(GROUP) && status.text(GROUP, "reason").contains("port of"))
    });
}

// HP-8 S3
#[test]
fn active_whose_interface_becomes_a_port_of_a_bridge_hands_over_and_serves_again_when_it_is_free() {
    let mut scene = Scene::start(Setup::of("lan"));
    make_bridge(&scene, Server::Alpha);
    let from = ip(&scene, Server::Alpha, "link set dev eth0 master br0");
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(from).longest_gap().length();
    assert!(gap < super::super::SLACK, "clients were not answered for {gap:?}");
    wait_enslaved(&mut scene, Server::Alpha);
    wait_log(&mut scene, Server::Alpha, "eth0 is a port of br0");
    scene.wait("no address to answer for behind the bridge", |s| {
        [ADDRESS, ADDRESS6].iter().all(|address| !has(s, Server::Alpha, "eth0", address))
    });
    let by = asked_by_guest(&scene, Duration::from_millis(500));
    assert_eq!(by, vec![Port::Beta.mac()], "who answered a guest behind alpha");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    ip(&scene, Server::Alpha, "link set dev eth0 nomaster");
    scene.wait_ready(Server::Alpha, GROUP);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("the pair is whole");
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha).takeover().handover());
}

// HP-4 S3: what is behind the bridge asks, too
#[test]
fn standby_whose_interface_becomes_a_port_of_a_bridge_answers_no_guest() {
    let mut scene = Scene::start(Setup::of("lan"));
    make_bridge(&scene, Server::Beta);
    ip(&scene, Server::Beta, "link set dev eth0 master br0");
    wait_enslaved(&mut scene, Server::Beta);
    scene.wait("no address to answer for behind the bridge", |s| !has(s, Server::Beta, "eth0", ADDRESS));
    let by = asked_by_guest(&scene, Duration::from_millis(500));
    assert_eq!(by, vec![Port::Alpha.mac()], "who answered the guest");
    ip(&scene, Server::Beta, "link set dev eth0 nomaster");
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// HP-8: at start
#[test]
fn interface_that_is_a_port_of_a_bridge_at_start_is_named_and_waited_for() {
    let mut scene = Scene::build(Setup::of("lan"));
    make_bridge(&scene, Server::Alpha);
    ip(&scene, Server::Alpha, "link set dev eth0 master br0");
    scene.start_agents();
    scene.wait_answered_by(Server::Beta);
    wait_enslaved(&mut scene, Server::Alpha);
    assert!(!has(&scene, Server::Alpha, "eth0", ADDRESS), "an address on a port");
    ip(&scene, Server::Alpha, "link set dev eth0 nomaster");
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Beta));
}

// HP-8: the control
#[test]
fn interface_that_is_a_bridge_with_ports_of_its_own_serves() {
    let mut scene = Scene::build(Setup::of("lan"));
    Server::BOTH.into_iter().for_each(|server| put_on_bridge(&scene, server));
    start_pair(&mut scene);
    let from = clock::now();
    plug_guest(&scene, Server::Alpha, "eth0", MacAddr([0xfe, 0, 0, 0, 0, 1]));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    assert_served_throughout(&scene.answers(from), Server::Alpha);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("the pair is whole");
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// L4: a bridge takes the lowest hardware address of its ports
#[test]
fn bridge_whose_hardware_address_follows_a_port_corrects_its_clients() {
    let mut scene = Scene::build(super::stations::unasked());
    Server::BOTH.into_iter().for_each(|server| put_on_bridge(&scene, server));
    start_pair(&mut scene);
    let web = super::stations::learn(&mut scene);
    let_pass(Duration::from_secs(6));
    let low = MacAddr([0, 0x16, 0x3e, 0, 0, 1]);
    let from = clock::now();
    plug_guest(&scene, Server::Alpha, "eth0", low);
    super::stations::wait_corrected(&mut scene, low, from);
    drop(web);
    scene.finish(&Expected::owner(Server::Alpha));
}

/// Makes a bridge of a server's interface: the cable is called nic0 then, and eth0 is the bridge,
/// with the addresses.
fn put_on_bridge(scene: &Scene, server: Server) {
    let port = server.port();
    let lines = [
        "link set dev eth0 name nic0".to_owned(),
        "address flush dev nic0".to_owned(),
        "link add dev eth0 type bridge stp_state 0 mcast_snooping 0".to_owned(),
        "link set dev nic0 master eth0".to_owned(),
        "link set dev eth0 up".to_owned(),
        format!("address add {}/24 dev eth0", port.ipv4()),
        format!("address add {}/64 dev eth0 nodad", port.ipv6()),
        format!("route add default via {} dev eth0", Port::Gateway.ipv4()),
    ];
    ip(scene, server, &lines.join("\n"));
}

/// Starts alpha, then beta, and waits until both are what they are to be.
fn start_pair(scene: &mut Scene) {
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
}
