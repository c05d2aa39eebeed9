//! Groups on a bridge that virtual machines share: what counts is the cable that leads out of the
//! server, and not what is heard from inside it.

use super::{assert_nothing_moves, let_pass};
use crate::lab::netns::Netns;
use crate::lab::{Lab, Port, Server};
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use std::time::Duration;

/// Makes the server's interface a bridge of the same name and address. Its uplink is made of the
/// former interface, of a kind that leads out; another port leads to a virtual machine, which talks all the time.
fn build_bridge(lab: &Lab, server: Server) -> Machine {
    let (port, host) = (server.port(), lab.server(server));
    let machine = Netns::create(&format!("{}-{}-vm", lab.prefix(), server.name()));
    let mac = port.mac();
    host.ip(&format!(
        "address flush dev eth0\nlink set dev eth0 down\nlink set dev eth0 name cable\n\
         link set dev cable up\nlink add dev uplink link cable type macvlan mode passthru\n\
         link add dev eth0 address {mac} type bridge stp_state 0 mcast_snooping 0\n\
         link set dev uplink master eth0 up\nlink set dev eth0 up\n\
         link add dev vm0 type veth peer name eth0 netns {}\nlink set dev vm0 master eth0 up\n",
        machine.name()
    ));
    host.ip(&format!(
        "address add {}/24 dev eth0\naddress add {}/64 dev eth0 nodad\nroute add default via {}\n",
        port.ipv4(),
        port.ipv6(),
        Port::Gateway.ipv4()
    ));
    // A cable below a macvlan takes broadcasts for itself as well, and has no address to answer for.
    host.sysctl("ipv4/conf/cable/arp_ignore", "1");
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
    let mut scene = Scene::build(Setup::of("lan"));
    let machines = Server::BOTH.map(|server| build_bridge(&scene.lab, server));
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
