//! A file gives a group an address that is the server's own, or no host's.

use super::assert_nothing_moves;
use crate::lab::Server;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::program::program;
use crate::probe::oracle::Expected;
use crate::scene::{GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;

/// An address of alpha's own, beside that of its link, with its prefix and its network.
const OWN: &str = "10.0.1.5";
const OWN_PREFIX: &str = "10.0.1.5/24";
const OWN_NETWORK: &str = "10.0.1.0/24";

/// The pair's file with `address` as the group's only one.
fn file_with(address: &str) -> String {
    ConfigText::pair("lan").group(GroupText::new(GROUP, &[address])).to_toml()
}

/// Asserts that alpha refuses to run with `address`, that `vipair check` and `vipair doctor` object
/// as well, and that all of them give `reason`.
#[track_caller]
fn assert_refused(scene: &Scene, address: &str, reason: &str) {
    let at = |name: &str| scene.lab.dir().join(name).to_string_lossy().into_owned();
    let (file, state, socket) = (at("refused.toml"), at("refused-state"), at("refused.sock"));
    let program = program().to_string_lossy().into_owned();
    std::fs::write(&file, file_with(address)).unwrap_or_else(|e| panic!("write {file}: {e}"));
    std::fs::create_dir_all(&state).unwrap_or_else(|e| panic!("make {state}: {e}"));
    let alpha = scene.lab.server(Server::Alpha);
    let options = ["--config", &file, "--node", "alpha", "--state-dir", &state, "--socket", &socket];
    let run = [&["5", program.as_str(), "run"], &options[..]].concat();
    let said = alpha.try_tool("timeout", &run, "").expect_err("it must not run");
    assert!(said.contains("exit status: 2") && said.contains(reason), "run: {said}");
    let check = alpha.try_tool(&program, &["check", &file, "--node", "alpha"], "").expect_err("it must be refused");
    assert!(check.contains("exit status: 2") && check.contains(reason), "check: {check}");
    let doctor = [&["-c", "\"$0\" doctor \"$@\" || true", program.as_str()], &options[..]].concat();
    let doctor = alpha.tool("sh", &doctor, "");
    assert!(doctor.lines().any(|line| line.contains("FAIL") && line.contains(reason)), "doctor: {doctor}");
}

/// Asserts that alpha has its own address as it was, and the route that belongs to it.
#[track_caller]
fn assert_kept(scene: &Scene) {
    let alpha = scene.lab.server(Server::Alpha);
    let addresses = alpha.tool("ip", &["-o", "address", "show", "dev", "eth0"], "");
    assert!(addresses.contains(OWN_PREFIX) && !addresses.contains(&format!("{OWN}/32")), "{addresses}");
    let routes = alpha.tool("ip", &["route", "show", "dev", "eth0"], "");
    assert!(routes.contains(OWN_NETWORK), "{routes}");
}

/// Starts both agents with the scene's own file, alpha first.
fn start_pair(scene: &mut Scene) {
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
}

// Guide 3: refused before anything is touched, at the start and at a reload; with another address
// the pair serves, and the server's own address stays as it was.
#[test]
fn an_address_of_the_server_itself_is_refused_and_stays_with_its_route() {
    let mut scene = Scene::build(Setup::of("lan"));
    scene.lab.server(Server::Alpha).tool("ip", &["address", "add", OWN_PREFIX, "dev", "eth0"], "");
    assert_kept(&scene);
    assert_refused(&scene, OWN, "10.0.1.5 is this server's own address on eth0 (10.0.1.5/24)");
    assert_kept(&scene);
    start_pair(&mut scene);
    let file = scene.lab.dir().join("vipair.toml");
    std::fs::write(&file, file_with(OWN)).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
    scene.agent(Server::Alpha).signal(&scene.lab, Signal::SIGHUP);
    scene.wait("alpha to refuse the reload", |s| s.agent(Server::Alpha).events().contains("reload_refused"));
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
    assert_kept(&scene);
    scene.finish(&Expected::owner(Server::Alpha));
}

// Guide 3: no host has such an address; with another one of the same network the pair serves.
#[test]
fn both_ends_of_a_subnet_are_refused_as_addresses_of_a_group() {
    let mut scene = Scene::build(Setup::of("lan"));
    assert_refused(&scene, "10.0.0.0", "10.0.0.0 is the network address of 10.0.0.0/24 on eth0");
    assert_refused(&scene, "10.0.0.255", "10.0.0.255 is the broadcast address of 10.0.0.0/24 on eth0");
    start_pair(&mut scene);
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
    scene.finish(&Expected::owner(Server::Alpha));
}
