//! Groups on a bridge that virtual machines share: what counts is the cable that leads out of the
//! server, and not what is heard from inside it.

use super::{assert_nothing_moves, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::macvlan;
use crate::lab::netns::Netns;
use crate::lab::{Lab, Port, Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::time::Duration;
use vipair::types::MacAddr;

/// How the bridge of a server is built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The interface is the bridge, and its uplink is of a kind that leads out.
    Plain,
    /// The interface is a macvlan on the bridge.
    Above,
    /// The server is a container itself: its uplink is a veth, as the port of its virtual machine is.
    Container,
}

/// Makes the server's interface a bridge of the same name and address, or a macvlan on one. Its uplink is made of
/// the former interface; another port leads to a virtual machine, which talks all the time.
fn build_bridge(lab: &Lab, server: Server, kind: Kind) -> Machine {
    let (port, host) = (server.port(), lab.server(server));
    let machine = Netns::create(&format!("{}-{}-vm", lab.prefix(), server.name()));
    let mac = port.mac();
    // The bridge below a macvlan has an address of its own.
    let of_bridge = if kind == Kind::Above { MacAddr([2, 0, 0, 0, 0x77, 1]) } else { mac };
    let bridge = if kind == Kind::Above { "trunk" } else { "eth0" };
    let uplink = match kind {
        Kind::Plain | Kind::Above => "link add dev uplink link cable type macvlan mode passthru",
        Kind::Container => "link set dev cable down\nlink set dev cable name uplink",
    };
    host.ip(&format!(
        "address flush dev eth0\nlink set dev eth0 down\nlink set dev eth0 name cable\n\
         link set dev cable up\n{uplink}\n\
         link add dev {bridge} address {of_bridge} type bridge stp_state 0 mcast_snooping 0\n\
         link set dev uplink master {bridge} up\nlink set dev {bridge} up\n\
         link add dev vm0 type veth peer name eth0 netns {}\nlink set dev vm0 master {bridge} up\n",
        machine.name()
    ));
    if kind == Kind::Above {
        host.ip(&format!(
            "link add link trunk name eth0 address {mac} type macvlan mode private\nlink set dev eth0 up\n"
        ));
    }
    host.ip(&format!(
        "address add {}/24 dev eth0\naddress add {}/64 dev eth0 nodad\nroute add default via {}\n",
        port.ipv4(),
        port.ipv6(),
        Port::Gateway.ipv4()
    ));
    let queued: &[&str] = match kind {
        Kind::Plain => &["uplink"],
        Kind::Above => &["uplink", "eth0"],
        Kind::Container => &[],
    };
    queued.iter().for_each(|name| host.run(|| macvlan::take_queue_away(name)));
    if kind != Kind::Container {
        // A cable below a macvlan takes broadcasts for itself as well, and has no address to answer for.
        host.sysctl("ipv4/conf/cable/arp_ignore", "1");
    }
    let number = 80 + server.index();
    machine.ip(&format!("link set dev eth0 up\naddress add 10.0.0.{number}/24 dev eth0\n"));
    // It asks for a host that is not there, by broadcast.
    let mut ask = std::process::Command::new("bash");
    ask.args(["-c", "while :; do echo > /dev/udp/10.0.0.99/9; sleep 0.2; done"]);
    let log = lab.dir().join(format!("{}-vm.log", server.name()));
    let talk = crate::lab::process::Process::start(&machine, ask, &log, false);
    Machine { _netns: machine, _talk: talk }
}

/// A virtual machine.
struct Machine {
    _talk: crate::lab::process::Process,
    _netns: Netns,
}

/// A pair with a bridge on each server, alpha active and beta ready.
fn start() -> (Scene, [Machine; 2]) {
    start_on(Kind::Plain, Setup::of("lan"))
}

/// As `start`, with a bridge of this kind.
fn start_on(kind: Kind, setup: Setup) -> (Scene, [Machine; 2]) {
    let mut scene = Scene::build(setup);
    let machines = Server::BOTH.map(|server| build_bridge(&scene.lab, server, kind));
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    (scene, machines)
}

// HP-8: the bridge keeps its carrier by the virtual machine's port
#[test]
fn an_active_whose_uplink_is_lost_hands_over_whatever_its_virtual_machines_say() {
    let (mut scene, _machines) = start();
    let cut = scene.lab.carrier_down(&[Port::Alpha]);
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(cut) < Duration::from_secs(2), "clients were not answered for {:?}", at.since(cut));
    scene.wait("alpha to be in fault", |s| s.agent(Server::Alpha).role(GROUP) == "fault");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(2));
    scene.lab.carrier_up(&[Port::Alpha]);
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(2));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// S8: with all links lost, too, a standby without its uplink takes nothing over
#[test]
fn a_standby_whose_uplink_is_lost_takes_nothing_over_whatever_its_virtual_machines_say() {
    let (mut scene, _machines) = start();
    scene.lab.carrier_down(&[Port::Beta]);
    scene.lab.cut(&[Port::BetaSecondLink]);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(4));
    assert_eq!(scene.role(Server::Beta, GROUP), "fault");
    scene.lab.carrier_up(&[Port::Beta]);
    scene.lab.join(&[Port::BetaSecondLink]);
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(2));
    scene.finish(&Expected::owner(Server::Alpha));
}

// L1: a control. A virtual machine's port comes and goes, and a host is lost
#[test]
fn on_a_bridge_a_takeover_is_what_it_is_elsewhere() {
    let (mut scene, _machines) = start();
    scene.lab.server(Server::Alpha).ip("link set dev vm0 down\n");
    scene.lab.server(Server::Beta).ip("link set dev vm0 down\n");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    scene.lab.server(Server::Beta).ip("link set dev vm0 up\n");
    scene.kill_agent(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let_pass(Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

/// Cuts the standby off, with carrier everywhere, while its virtual machine talks: it must take nothing
/// over, and nothing has changed for clients when it is back.
fn cut_standby_off(scene: &mut Scene) {
    // Everybody has been heard.
    let_pass(Duration::from_secs(2));
    scene.cut_off(Server::Beta);
    assert_nothing_moves(scene, Server::Alpha, Duration::from_secs(4));
    assert_eq!(scene.roles(GROUP), ["active", "standby"], "the standby hears its own virtual machine alone");
    scene.lab.join(&[Port::Beta, Port::BetaSecondLink]);
    scene.wait_ready(Server::Beta, GROUP);
    assert_nothing_moves(scene, Server::Alpha, Duration::from_secs(2));
}

// S8: what is heard from inside the server is no sign that its segment is alive
#[test]
fn a_standby_that_is_cut_off_takes_nothing_over_whatever_its_virtual_machines_say() {
    let (mut scene, _machines) = start();
    cut_standby_off(&mut scene);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S8: the same where the group is on an interface above the bridge
#[test]
fn a_standby_above_a_bridge_takes_nothing_over_either() {
    let (mut scene, _machines) = start_on(Kind::Above, Setup::of("lan"));
    cut_standby_off(&mut scene);
    scene.finish(&Expected::owner(Server::Alpha));
}

// HP-8: the carrier of an interface above a bridge is that of the bridge, which virtual machines keep
#[test]
fn an_active_above_a_bridge_hands_over_when_the_uplink_is_lost() {
    let (mut scene, _machines) = start_on(Kind::Above, Setup::of("lan"));
    let cut = scene.lab.carrier_down(&[Port::Alpha]);
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(cut) < Duration::from_secs(2), "clients were not answered for {:?}", at.since(cut));
    scene.wait("alpha to be in fault", |s| s.agent(Server::Alpha).role(GROUP) == "fault");
    scene.lab.carrier_up(&[Port::Alpha]);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

/// The setup in which the uplinks of the bridge are named.
fn named() -> Setup {
    let group = GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).more_toml("uplinks = [\"uplink\"]\n");
    Setup::with(ConfigText::pair("lan").group(group))
}

// S8: the kind of the port says nothing, the configuration does
#[test]
fn in_a_container_the_uplink_that_the_configuration_names_is_the_one() {
    let (mut scene, _machines) = start_on(Kind::Container, named());
    cut_standby_off(&mut scene);
    scene.finish(&Expected::owner(Server::Alpha));
}

// HP-8
#[test]
fn in_a_container_the_signal_is_that_of_the_named_uplink() {
    let (mut scene, _machines) = start_on(Kind::Container, named());
    let cut = scene.lab.carrier_down(&[Port::Alpha]);
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(cut) < Duration::from_secs(2), "clients were not answered for {:?}", at.since(cut));
    scene.wait("alpha to be in fault", |s| s.agent(Server::Alpha).role(GROUP) == "fault");
    scene.lab.carrier_up(&[Port::Alpha]);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8: its cable has carrier, and its virtual machine is all that it hears
#[test]
fn an_active_that_reaches_its_virtual_machines_alone_hands_over() {
    let (mut scene, _machines) = start();
    let_pass(Duration::from_secs(2));
    let cut = scene.lab.cut(&[Port::Alpha]);
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(cut) < Duration::from_secs(8), "clients were not answered for {:?}", at.since(cut));
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(2));
    scene.lab.join(&[Port::Alpha]);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8: the card is gone from the bridge, which has a carrier all the same
#[test]
fn an_active_whose_bridge_has_lost_its_only_uplink_hands_over() {
    let (mut scene, _machines) = start();
    scene.lab.server(Server::Alpha).ip("link set dev uplink nomaster\n");
    let gone = clock::now();
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(gone) < Duration::from_secs(2), "clients were not answered for {:?}", at.since(gone));
    scene.wait("alpha to be in fault", |s| s.agent(Server::Alpha).role(GROUP) == "fault");
    scene.lab.server(Server::Alpha).ip("link set dev uplink master eth0\n");
    scene.wait_ready(Server::Alpha, GROUP);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// L1: a control. The active's server is lost, and the standby hears others than its own machines
#[test]
fn a_standby_whose_uplink_is_well_takes_over_from_a_lost_server() {
    let (mut scene, _machines) = start();
    let_pass(Duration::from_secs(2));
    let lost = scene.power_off(Server::Alpha);
    let at = scene.wait_answered_by(Server::Beta);
    assert!(at.since(lost) < Duration::from_secs(2), "clients were not answered for {:?}", at.since(lost));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}
