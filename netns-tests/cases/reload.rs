//! SIGHUP: a changed configuration, and no client notices.

use super::{assert_nothing_moves, assert_served_throughout, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Server, clock};
use crate::probe::asker::Asker;
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Addresses of the group that reloads add.
const MAIL: &str = "10.0.0.101";
const MAIL6: &str = "2001:db8::101";
/// Address that a reload adds to the group that is there from the beginning.
const SECOND: &str = "10.0.0.102";

/// Writes the configuration that both agents read at the next reload.
fn write_config(scene: &Scene, text: &str) {
    let file = scene.lab.dir().join("vipair.toml");
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
}

/// Number of the agent's events of one kind.
fn count_events(scene: &Scene, server: Server, kind: &str) -> usize {
    let wanted = format!("\"kind\":\"{kind}\"");
    scene.agent(server).events().replace(": ", ":").matches(&wanted).count()
}

/// Sends SIGHUP to the agent and waits for an event of `kind`, which says what came of it.
fn reload(scene: &mut Scene, server: Server, kind: &str) {
    let before = count_events(scene, server, kind);
    scene.agent(server).signal(&scene.lab, Signal::SIGHUP);
    scene.wait(&format!("{} to tell of a {kind}", server.name()), |s| count_events(s, server, kind) > before);
}

/// The group that is there from the beginning.
fn web_group() -> GroupText {
    GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).prefer(Server::Alpha)
}

/// The group that reloads add and remove.
fn mail_group() -> GroupText {
    GroupText::new("mail", &[MAIL, MAIL6]).prefer(Server::Alpha)
}

/// Whether a server has an address on eth0, whether it answers for it or not.
fn has_address(scene: &Scene, server: Server, address: &str) -> bool {
    let shown = scene.lab.server(server).tool("ip", &["-o", "address", "show", "dev", "eth0"], "");
    shown.contains(&format!(" {address}/"))
}

/// Adds a client that asks for `address` to the scene.
fn start_asking(scene: &mut Scene, address: &str) {
    let address = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
    scene.askers.push(Asker::start(&scene.lab, address, Duration::from_millis(1)));
}

// Design 10, L2, L6: both agents reload 25 times each, with other times, policy and addresses, and
// clients notice nothing.
#[test]
fn fifty_reloads_under_load_are_seen_by_no_client() {
    let mut scene = Scene::start(Setup::with(ConfigText::pair("lan").group(web_group())).services().alone());
    let load = scene.start_web(1_000);
    let_pass(Duration::from_millis(200));
    let from = clock::now();
    for turn in 0..25 {
        let addresses = if turn % 2 == 0 { vec![ADDRESS, ADDRESS6, SECOND] } else { vec![ADDRESS, ADDRESS6] };
        let group = GroupText::new(GROUP, &addresses).prefer(Server::Alpha);
        let config = ConfigText::pair("lan")
            .timing_toml(&format!("lease_ms = {}", 250 + turn))
            .group(group.more_toml(&format!("preempt_delay_ms = {}", 5_000 + turn)));
        let config = if turn % 3 == 0 { config.group(mail_group()) } else { config };
        write_config(&scene, &config.to_toml());
        reload(&mut scene, Server::Alpha, "reload");
        reload(&mut scene, Server::Beta, "reload");
    }
    let_pass(Duration::from_millis(300));
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    let requests = load.finish();
    let meanwhile = requests.0.iter().filter(|request| request.at >= from).count();
    assert!(meanwhile >= 50, "only {meanwhile} requests were sent during 50 reloads");
    assert!(requests.lost().is_empty(), "lost {:?}", requests.lost().first());
    for server in Server::BOTH {
        assert_eq!(count_events(&scene, server, "reload_refused"), 0);
        assert_eq!(count_events(&scene, server, "peer_silent"), 0, "{} missed pulses", server.name());
        assert_eq!(count_events(&scene, server, "address_restored"), 0, "what is new was not removed by anybody");
    }
    scene.finish(&Expected::owner(Server::Alpha));
}

#[test]
fn added_groups_and_addresses_are_served_and_removed_ones_are_not() {
    let mut scene = Scene::start(Setup::with(ConfigText::pair("lan").group(web_group())));
    let from = clock::now();
    let larger = GroupText::new(GROUP, &[ADDRESS, ADDRESS6, SECOND]).prefer(Server::Alpha);
    write_config(&scene, &ConfigText::pair("lan").group(larger.clone()).group(mail_group()).to_toml());
    for server in Server::BOTH {
        reload(&mut scene, server, "reload");
    }
    // Alpha usually opens first, because it is preferred; but it may be slower to write its
    // reservation than beta is patient.
    let first = scene.wait_one_active("mail");
    scene.wait_ready(first.other(), "mail");
    for address in [SECOND, MAIL, MAIL6] {
        start_asking(&mut scene, address);
    }
    scene.wait("the added addresses to be answered", |s| {
        let recent = vipair::types::MonoTime(clock::now().0.saturating_sub(100_000_000));
        let server = |a: &Asker| if a.target().to_string() == SECOND { Server::Alpha } else { first };
        s.askers.iter().skip(2).all(|a| a.since(recent).last_server() == Some(server(a)))
    });
    assert!(has_address(&scene, Server::Beta, SECOND) && has_address(&scene, Server::Beta, MAIL), "both have them");
    // The new address moves with its group, and the new group by itself.
    scene.agent(Server::Alpha).command(&["switch", "mail"]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(first.other(), "mail", "active");
    scene.wait_ready(first, "mail");
    assert_nothing_moves_of(&scene, &[ADDRESS, ADDRESS6, SECOND], Server::Alpha);
    // The standby reloads first, so that it does not take over a group that is about to go.
    write_config(&scene, &ConfigText::pair("lan").group(larger).to_toml());
    reload(&mut scene, first, "reload");
    reload(&mut scene, first.other(), "reload");
    for server in Server::BOTH {
        scene.wait("the addresses of the removed group to be gone", |s| {
            !has_address(s, server, MAIL) && !has_address(s, server, MAIL6)
        });
    }
    let gone = clock::now();
    let_pass(Duration::from_millis(300));
    let silent = |a: &Asker| a.since(gone).questions.iter().all(|q| q.answer.is_none());
    let of_mail = |a: &&Asker| [MAIL, MAIL6].contains(&a.target().to_string().as_str());
    assert!(scene.askers.iter().filter(of_mail).all(silent), "somebody still answers for the removed group");
    for asker in scene.askers.iter().take(2) {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    scene.finish(&Expected::owner(Server::Alpha));
}

/// Asserts that `server` answers every question for these addresses for 300 ms; other addresses
/// that are asked for do not count.
fn assert_nothing_moves_of(scene: &Scene, addresses: &[&str], server: Server) {
    let from = clock::now();
    let_pass(Duration::from_millis(300));
    for asker in scene.askers.iter().filter(|a| addresses.contains(&a.target().to_string().as_str())) {
        assert_served_throughout(&asker.since(from), server);
    }
}

#[test]
fn a_bad_file_is_refused_with_every_error_and_changes_nothing() {
    let mut scene = Scene::start(Setup::of("lan"));
    let good = ConfigText::pair("lan").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6])).to_toml();
    let bad = good.replace("profile = \"lan\"", "profile = \"lam\"").replace(ADDRESS, "10.0.0.1000");
    write_config(&scene, &bad);
    reload(&mut scene, Server::Alpha, "reload_refused");
    let events = scene.agent(Server::Alpha).events();
    assert!(events.contains("lam") && events.contains("10.0.0.1000"), "not every error is told:\n{events}");
    write_config(&scene, &good.replace("cluster = \"lab\"", "cluster = \"other\"").replace("eth0", "eth1"));
    reload(&mut scene, Server::Alpha, "reload_refused");
    let events = scene.agent(Server::Alpha).events();
    assert!(events.contains("restart the agent"), "it does not say what to do:\n{events}");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    write_config(&scene, &good.replace("interface", "drain_ms = 1500\ninterface"));
    reload(&mut scene, Server::Alpha, "reload");
    reload(&mut scene, Server::Beta, "reload");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha));
}

// Design 10: `vipair check` tells beforehand what a reload then does.
#[test]
fn the_plan_of_a_reload_is_what_the_reload_does() {
    let mut scene = Scene::start(Setup::of("lan"));
    let file = scene.lab.dir().join("vipair.toml");
    let file = file.to_str().expect("paths of the lab are text");
    let plan = |scene: &Scene| scene.agent(Server::Alpha).command(&["check", file, "--against-running"]);
    let nothing = plan(&scene).unwrap_or_else(|e| panic!("{e}"));
    assert!(nothing.contains("would change nothing") && nothing.contains("node alpha"), "{nothing}");
    let good = ConfigText::pair("lan").group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6])).to_toml();
    write_config(&scene, &good.replace("eth0", "eth1"));
    let refused = plan(&scene).expect_err("the agent would refuse it");
    assert!(refused.contains("REFUSED") && refused.contains("eth1"), "{refused}");
    write_config(&scene, &good.replace("interface", "drain_ms = 1500\ninterface"));
    let told = plan(&scene).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        scene.agent(Server::Alpha).events().matches("configuration read again").count(),
        0,
        "nothing was read"
    );
    reload(&mut scene, Server::Alpha, "reload");
    let events = scene.agent(Server::Alpha).events();
    let planned: Vec<&str> = told.lines().skip(1).map(str::trim).collect();
    assert!(!planned.is_empty() && planned.iter().all(|line| events.contains(line)), "{told}\n{events}");
    assert!(plan(&scene).unwrap_or_else(|e| panic!("{e}")).contains("would change nothing"), "it runs with it");
    scene.finish(&Expected::owner(Server::Alpha));
}

// The gate's maps have room for 1,024 addresses; a larger gate takes its place.
#[test]
fn a_gate_that_becomes_too_small_is_replaced_without_a_move() {
    let mut scene = Scene::start(Setup::of("lan"));
    let from = clock::now();
    let more: Vec<String> = (0..1_100).map(|n| format!("10.1.{}.{}", n / 250, n % 250 + 1)).collect();
    let all: Vec<&str> = [ADDRESS, ADDRESS6].into_iter().chain(more.iter().map(String::as_str)).collect();
    write_config(&scene, &ConfigText::pair("lan").group(GroupText::new(GROUP, &all)).to_toml());
    for server in Server::BOTH {
        reload(&mut scene, server, "reload");
        scene.wait("the last address to be there", |s| has_address(s, server, &more[1_099]));
    }
    start_asking(&mut scene, &more[1_099]);
    scene.wait_answered_by(Server::Alpha);
    for asker in scene.askers.iter().take(2) {
        assert_served_throughout(&asker.since(from), Server::Alpha);
        eprintln!(
            "longest gap of {} over the change: {:?}",
            asker.target(),
            asker.since(from).longest_gap().length()
        );
    }
    scene.finish(&Expected::owner(Server::Alpha));
}

// Guide 9
#[test]
fn the_key_is_rotated_while_clients_are_served() {
    let mut scene = Scene::start(Setup::of("lan"));
    let from = clock::now();
    let file = scene.lab.dir().join("cluster.key");
    let old = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("read the key: {e}"));
    let new = format!("2 {}\n", "5a".repeat(32));
    for keys in [format!("{old}\n{new}"), format!("{new}\n{old}"), new.clone()] {
        std::fs::write(&file, keys).unwrap_or_else(|e| panic!("write the key: {e}"));
        for server in Server::BOTH {
            reload(&mut scene, server, "reload");
        }
        let_pass(Duration::from_millis(300));
    }
    for asker in &scene.askers {
        assert_served_throughout(&asker.since(from), Server::Alpha);
    }
    for server in Server::BOTH {
        assert_eq!(count_events(&scene, server, "peer_silent"), 0);
        let status = scene.agent(server).status().unwrap_or_else(|e| panic!("{e}")).0.to_string();
        assert!(!status.contains("key number") && !status.contains("wrong key"), "{status}");
    }
    scene.finish(&Expected::owner(Server::Alpha));
}
