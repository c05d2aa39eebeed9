//! The interface gets another name, or its name gets another interface.

use super::super::{assert_nothing_moves, assert_served_throughout, let_pass};
use super::{assert_nobody_answers, has, ip, wait_log};
use crate::lab::Server;
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::time::Duration;

/// Lines of `ip` that give the interface another name, and its name to another interface.
const TAKE_THE_NAME: &str = "link set dev eth0 name lan0\n\
    link add dev eth0 type veth peer name far0\nlink set dev eth0 up\nlink set dev far0 up";

/// Waits until a server's interface has none of the group's addresses.
fn wait_stripped(scene: &mut Scene, server: Server, interface: &str) {
    scene.wait(&format!("no group address on {interface} of {}", server.name()), |s| {
        [ADDRESS, ADDRESS6].iter().all(|address| !has(s, server, interface, address))
    });
}

/// Deletes whatever sits in an interface's clsact qdisc, if there is one.
fn delete_clsact(scene: &Scene, server: Server, interface: &str) {
    scene.lab.note(format!("{}: clsact of {interface} deleted", server.name()));
    let deleted = scene.lab.server(server).try_tool("tc", &["qdisc", "del", "dev", interface, "clsact"], "");
    // Where the agent has taken its gate away already, there may be nothing to delete.
    drop(deleted);
}

/// The active's interface gets another name; then the gate's place on it is cleared by hand, and
/// the name comes back.
fn rename_the_active(mut scene: Scene) {
    ip(&scene, Server::Alpha, "link set dev eth0 name lan0");
    scene.wait_answered_by(Server::Beta);
    scene.wait_role(Server::Beta, GROUP, "active");
    wait_stripped(&mut scene, Server::Alpha, "lan0");
    delete_clsact(&scene, Server::Alpha, "lan0");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    wait_log(&mut scene, Server::Alpha, "eth0 is called lan0 now");
    ip(&scene, Server::Alpha, "link set dev lan0 name eth0");
    scene.wait_ready(Server::Alpha, GROUP);
    scene.wait_addresses(Server::Alpha);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("the pair is whole");
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha).takeover().handover());
}

// S8 HP-8 S3
#[test]
fn active_whose_interface_is_renamed_closes_before_the_standby_opens() {
    rename_the_active(Scene::start(Setup::of("lan")));
}

// S1 HP-8 S3
#[test]
fn active_whose_interface_is_renamed_closes_before_a_majority_grants_to_another() {
    rename_the_active(Scene::start(Setup::witnessed("lan")));
}

// S8: in a profile whose lease is long, too
#[test]
fn active_of_slow_pulses_whose_interface_is_renamed_closes_before_the_standby_opens() {
    let mut scene = Scene::start(Setup::of("wan"));
    ip(&scene, Server::Alpha, "link set dev eth0 name lan0");
    scene.wait_answered_by(Server::Beta);
    wait_stripped(&mut scene, Server::Alpha, "lan0");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// HP-8: the control; only the groups' interface counts
#[test]
fn another_interface_that_is_renamed_moves_nothing() {
    let mut scene = Scene::start(Setup::of("lan"));
    let from = ip(&scene, Server::Alpha, "link set dev eth1 name sync0");
    let_pass(Duration::from_millis(600));
    ip(&scene, Server::Alpha, "link set dev sync0 name eth1");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(600));
    assert_served_throughout(&scene.answers(from), Server::Alpha);
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S3 S8: while the old interface lives on under another name
#[test]
fn name_that_goes_to_another_interface_leaves_the_old_one_silent() {
    let mut scene = Scene::start(Setup::of("lan"));
    ip(&scene, Server::Alpha, TAKE_THE_NAME);
    scene.wait_answered_by(Server::Beta);
    wait_stripped(&mut scene, Server::Alpha, "lan0");
    scene.wait("alpha to guard the new interface", |s| has(s, Server::Alpha, "eth0", ADDRESS));
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    ip(&scene, Server::Alpha, "link del dev eth0\nlink set dev lan0 name eth0");
    scene.wait("alpha to have the addresses on the old interface again", |s| has(s, Server::Alpha, "eth0", ADDRESS));
    scene.wait_ready(Server::Alpha, GROUP);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("the pair is whole");
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha).takeover().handover());
}

// S8 HP-8
#[test]
fn interface_that_is_moved_to_another_namespace_and_back_serves_again() {
    let mut scene = Scene::start(Setup::of("lan"));
    let elsewhere = scene.lab.host(crate::lab::Port::Gateway).name().to_owned();
    // Addresses and routes of an interface do not travel with it.
    ip(&scene, Server::Alpha, &format!("link set dev eth0 name out0\nlink set dev out0 netns {elsewhere}"));
    scene.wait_answered_by(Server::Beta);
    scene.wait_role(Server::Beta, GROUP, "active");
    let back = format!("link set dev out0 netns {}", scene.lab.server(Server::Alpha).name());
    scene.lab.host(crate::lab::Port::Gateway).ip(&back);
    let own = crate::lab::Port::Alpha;
    let lines = [
        "link set dev out0 name eth0".to_owned(),
        "link set dev eth0 up".to_owned(),
        format!("address add {}/24 dev eth0", own.ipv4()),
        format!("address add {}/64 dev eth0 nodad", own.ipv6()),
    ];
    ip(&scene, Server::Alpha, &lines.join("\n"));
    scene.wait_ready(Server::Alpha, GROUP);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(300));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("the pair is whole");
    scene.wait_answered_by(Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha).takeover().handover());
}

// S3 S7
#[test]
fn standby_whose_interface_is_renamed_opens_for_nobody_until_the_name_is_back() {
    let mut scene = Scene::start(Setup::of("lan"));
    ip(&scene, Server::Beta, "link set dev eth0 name lan0");
    scene.wait("beta to say that it is not ready", |s| {
        s.agent(Server::Beta).status().is_ok_and(|status| !status.is_ready(GROUP))
    });
    wait_stripped(&mut scene, Server::Beta, "lan0");
    delete_clsact(&scene, Server::Beta, "lan0");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.power_off(Server::Alpha);
    assert_nobody_answers(&scene, Duration::from_millis(500));
    ip(&scene, Server::Beta, "link set dev lan0 name eth0");
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// HP-8: a name that is an alternative one
#[test]
fn interface_that_is_found_by_an_alternative_name_serves() {
    let mut scene = Scene::start(Setup::of("lan"));
    ip(&scene, Server::Alpha, "link set dev eth0 name lan0");
    scene.wait_answered_by(Server::Beta);
    ip(&scene, Server::Alpha, "link property add dev lan0 altname eth0");
    scene.wait_ready(Server::Alpha, GROUP);
    scene.wait("alpha to have the addresses", |s| has(s, Server::Alpha, "lan0", ADDRESS6));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).expect("the pair is whole");
    scene.wait_answered_by(Server::Alpha);
    let held = "/proc/sys/net/ipv6/conf/lan0/keep_addr_on_down";
    let held = scene.lab.server(Server::Alpha).run(|| std::fs::read_to_string(held).expect("readable"));
    assert_eq!(held.trim(), "1", "the settings of the interface itself");
    scene.finish(&Expected::owner(Server::Alpha).takeover().handover());
}

// S7 S8: what a killed agent left behind is found under any name
#[test]
fn interface_that_is_renamed_while_the_agent_is_dead_is_cleared_by_the_next_one() {
    let mut scene = Scene::start(Setup::of("wan"));
    scene.kill_agent(Server::Alpha);
    // The lease of this profile lasts long enough to be found open under the new name.
    ip(&scene, Server::Alpha, &format!("{TAKE_THE_NAME}\nlink set dev far0 down"));
    scene.start_agent(Server::Alpha);
    wait_stripped(&mut scene, Server::Alpha, "lan0");
    scene.wait_answered_by(Server::Beta);
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}
