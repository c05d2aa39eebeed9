//! How a pair comes to life.

use super::{assert_nothing_moves, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::netns::{tool, try_tool};
use crate::lab::process::catches_hangup;
use crate::lab::{Port, Server, clock};
use crate::probe::frames;
use crate::probe::oracle::Expected;
use crate::probe::socket::{PacketSocket, deny_all};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use std::fs::{self, File};
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

// L6: commands are a convenience, serving is none
#[test]
fn agent_without_a_place_for_its_socket_takes_over_and_answers_commands_once_it_has_one() {
    let mut scene = Scene::build(Setup::of("lan"));
    let run_dir = scene.lab.dir().join("beta-run");
    scene.agent_mut(Server::Beta).0.set_socket(run_dir.join("vipair.sock"));
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.wait("alpha to have a ready standby", |s| {
        let status = s.agent(Server::Alpha).status();
        status.is_ok_and(|s| s.text(GROUP, "peer_role") == "standby" && s.text(GROUP, "reason").is_empty())
    });
    scene.kill_agent(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    assert!(scene.agent(Server::Beta).status().is_err(), "it had a place for its socket all the time");
    let warnings = scene.agent(Server::Beta).log_text().matches("there is no control socket").count();
    assert_eq!(warnings, 1, "it says so once, not at every attempt");

    fs::create_dir(&run_dir).expect("the lab's directory is ours");
    scene.wait_role(Server::Beta, GROUP, "active");
    let status = scene.agent(Server::Beta).status().unwrap_or_else(|e| panic!("{e}"));
    let warnings = status.0["warnings"].to_string();
    assert!(warnings.contains("there was no control socket"), "{warnings}");
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(500));
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

/// Waits until alpha's agent, which has just been started, catches SIGHUP.
fn wait_until_caught(scene: &mut Scene) {
    scene.wait("alpha's agent to catch SIGHUP", |s| catches_hangup(s.agent(Server::Alpha).pid()));
}

/// A file system of its own at a place of the lab, until it is dropped.
struct Mounted(std::path::PathBuf);

impl Mounted {
    /// Mounts an empty file system with these options.
    fn new(at: std::path::PathBuf, options: &str) -> Mounted {
        fs::create_dir(&at).expect("the lab's directory is ours");
        tool("mount", &["-t", "tmpfs", "-o", options, "vipair-lab", &at.to_string_lossy()], "");
        Mounted(at)
    }

    /// Changes the options.
    fn remount(&self, options: &str) {
        tool("mount", &["-o", &format!("remount,{options}"), &self.0.to_string_lossy()], "");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // One that stays goes with the lab's directory, and the test has failed already.
        let _gone = try_tool("umount", &["-l", &self.0.to_string_lossy()], "");
    }
}

// L6: a place that takes nothing is no better than none
#[test]
fn agent_serves_where_the_place_of_its_socket_is_read_only_or_full() {
    for (name, harm, remedy) in [("read-only", "ro", "rw"), ("full", "nr_inodes=1", "nr_inodes=9")] {
        let mut scene = Scene::build(Setup::of("lan"));
        let place = Mounted::new(scene.lab.dir().join("run"), harm);
        scene.agent_mut(Server::Alpha).0.set_socket(place.0.join("vipair.sock"));
        scene.start_agent(Server::Alpha);
        scene.wait_answered_by(Server::Alpha);
        assert!(scene.agent(Server::Alpha).status().is_err(), "{name}: it had a place for its socket");
        place.remount(remedy);
        scene.wait_role(Server::Alpha, GROUP, "active");
        assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(300));
        scene.finish(&Expected::owner(Server::Alpha));
    }
}

// L6: a limit on the size of files ends nothing
#[test]
fn agent_that_may_write_no_longer_files_goes_on_and_says_that_its_state_is_not_written() {
    let mut scene = Scene::start(Setup::of("lan"));
    let pid = scene.agent(Server::Beta).pid().to_string();
    tool("prlimit", &["--pid", &pid, "--fsize=16:unlimited"], "");
    scene.lab.note("beta may write files of 16 bytes");
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait("beta to say that its state is not written", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| status.0["warnings"].to_string().contains("state directory cannot be written"))
    });
    tool("prlimit", &["--pid", &pid, "--fsize=unlimited:unlimited"], "");
    scene.wait("beta's state to be written", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| !status.0["warnings"].to_string().contains("state directory cannot be written"))
    });
    assert_nothing_moves(&scene, Server::Beta, Duration::from_millis(300));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// Guide 8: a reload that is asked for while the agent starts is done when it serves.
#[test]
fn signals_that_come_during_the_start_end_it_in_order_or_reload_it_later() {
    let mut scene = Scene::build(Setup::of("lan"));
    scene.start_agent(Server::Alpha);
    wait_until_caught(&mut scene);
    let (alpha, lab) = scene.agent_mut(Server::Alpha);
    assert!(alpha.stop(lab, Duration::from_secs(10)).success(), "SIGTERM is no failure");

    for turn in 0..3 {
        let dir = scene.agent(Server::Alpha).state_dir();
        fs::create_dir_all(&dir).expect("the lab's directory is ours");
        let lock = File::open(dir).expect("it has just been made");
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).expect("no agent runs");
        scene.start_agent(Server::Alpha);
        wait_until_caught(&mut scene);
        // It waits for the lock for almost all of this time.
        for _ in 0..10 {
            scene.agent(Server::Alpha).signal(&scene.lab, Signal::SIGHUP);
            let_pass(Duration::from_millis(30));
        }
        assert!(scene.agent(Server::Alpha).status().is_err(), "turn {turn}: it serves without the lock");
        lock.unlock().unwrap_or_else(|(_, e)| panic!("unlock: {e}"));
        scene.wait_role(Server::Alpha, GROUP, "active");
        let events = scene.agent(Server::Alpha).events();
        assert!(events.contains("configuration read again: nothing changes"), "turn {turn}: {events}");
        scene.wait_answered_by(Server::Alpha);
        let (alpha, lab) = scene.agent_mut(Server::Alpha);
        assert!(alpha.stop(lab, Duration::from_secs(10)).success(), "turn {turn}: it ends in order");
    }
    scene.finish(&Expected::owner(Server::Alpha));
}
