//! The units as they ship, under a systemd that boots: what systemd, sandbox and journal make of
//! the product.

use super::SLACK;
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::GROUP;
use room::{AGENT, Room};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

mod day;
mod room;
mod service;
mod witness;

/// Asserts that alpha has the group, with the epoch that it had before.
fn assert_alpha_kept(room: &Room, epoch: &str) {
    room.wait_complete(Server::Alpha);
    assert_eq!(room.epoch(Server::Alpha), epoch, "it was opened anew");
}

/// Waits until systemd runs the agent again, as another process than `before`.
fn wait_restarted(room: &Room, server: Server, before: &str) {
    room.wait("systemd to start it again", |room| {
        let machine = room.machine(server);
        machine.property(AGENT, "ActiveState") == "active" && room.agent_pid(server) != before
    });
}

// HP-1 S7: an enabled unit comes up by itself at boot
#[test]
fn machine_that_loses_power_is_taken_over_and_comes_back_as_standby_by_its_unit_alone() {
    let mut room = Room::pair();
    let off = room.power_off(Server::Alpha);
    let beta = room.wait_answered_by(Server::Beta);
    assert!(beta.since(off) < Duration::from_secs(1) + SLACK, "taken over after {:?}", beta.since(off));
    room.power_on(Server::Alpha);
    room.wait_complete(Server::Beta);
    assert_eq!(room.machine(Server::Alpha).property(AGENT, "NRestarts"), "0");
    room.finish(&Expected::owner(Server::Alpha).takeover());
}

// L2 S7: the next life finds the gate's maps in the manager's store and adopts it within the lease.
// On a busy machine that takes longer than the profile's 250 ms.
#[test]
fn agent_that_is_killed_is_started_again_at_once_and_nothing_moves() {
    let room = Room::pair_with("lease_ms = 2000\n");
    let (epoch, before) = (room.epoch(Server::Alpha), room.agent_pid(Server::Alpha));
    room.machine(Server::Alpha).kill("KILL", &before);
    wait_restarted(&room, Server::Alpha, &before);
    assert_alpha_kept(&room, &epoch);
    assert_eq!(room.machine(Server::Alpha).property(AGENT, "NRestarts"), "1");
    room.finish(&Expected::owner(Server::Alpha));
}

// L3: SIGTERM hands over first; an agent that is started again takes nothing back
#[test]
fn restart_and_stop_hand_over_without_a_gap_and_reload_moves_nothing() {
    let room = Room::pair();
    let began = clock::now();
    let (epoch, before) = (room.epoch(Server::Alpha), room.agent_pid(Server::Alpha));
    room.machine(Server::Alpha).run(&["systemctl", "reload", AGENT]);
    assert_alpha_kept(&room, &epoch);
    assert_eq!(room.agent_pid(Server::Alpha), before, "a reload is no restart");

    room.machine(Server::Alpha).run(&["systemctl", "restart", AGENT]);
    room.wait_complete(Server::Beta);
    assert_ne!(room.agent_pid(Server::Alpha), before);

    room.machine(Server::Beta).run(&["systemctl", "stop", AGENT]);
    room.wait_answered_by(Server::Alpha);
    assert!(room.has_role(Server::Alpha, "active"));
    assert_eq!(room.machine(Server::Beta).property(AGENT, "ActiveState"), "inactive");
    let gap = room.asker.since(began).longest_gap().length();
    assert!(gap < Duration::from_millis(100) + SLACK, "nobody answered for {gap:?}");
    room.finish(&Expected::owner(Server::Alpha).handover().handover());
}

// S7: a hung agent loses its lease long before the unit's watchdog starts it again
#[test]
fn agent_that_hangs_is_taken_over_and_started_again_by_the_watchdog() {
    let room = Room::pair();
    let (alpha, before) = (room.machine(Server::Alpha), room.agent_pid(Server::Alpha));
    assert_eq!(alpha.property(AGENT, "WatchdogUSec"), "10s", "the unit as it ships");
    alpha.kill("STOP", &before);
    room.wait_answered_by(Server::Beta);
    wait_restarted(&room, Server::Alpha, &before);
    let said = alpha.run(&["journalctl", "--unit", AGENT, "--no-pager"]);
    assert!(said.contains("Watchdog timeout"), "{said}");
    room.wait_complete(Server::Beta);
    room.finish(&Expected::owner(Server::Alpha).takeover());
}

// L5: systemd gives up an agent that cannot run after ten starts, and the address does not follow
// each of them
#[test]
fn crash_loop_moves_the_group_once_and_ends() {
    let room = Room::pair();
    let alpha = room.machine(Server::Alpha);
    // A release that comes up, takes part, and dies.
    for _ in 0..3 {
        let before = room.agent_pid(Server::Alpha);
        alpha.kill("KILL", &before);
        wait_restarted(&room, Server::Alpha, &before);
    }
    // A release that does not even come up.
    alpha.run(&["install", "-m", "755", "/bin/false", "/usr/local/bin/vipair"]);
    alpha.kill("KILL", &room.agent_pid(Server::Alpha));
    room.wait("systemd to give it up", |_| alpha.property(AGENT, "ActiveState") == "failed");
    room.wait_answered_by(Server::Beta);
    let said = alpha.run(&["journalctl", "--unit", AGENT, "--no-pager"]);
    assert!(said.contains("Start request repeated too quickly"), "{said}");

    alpha.run(&["install", "-m", "755", "/program", "/usr/local/bin/vipair"]);
    alpha.run(&["systemctl", "reset-failed", AGENT]);
    alpha.run(&["systemctl", "start", AGENT]);
    room.wait_complete(Server::Beta);
    room.finish(&Expected::owner(Server::Alpha).takeover());
}

#[test]
fn journal_has_group_role_and_epoch_as_fields() {
    let room = Room::pair();
    let (alpha, epoch) = (room.machine(Server::Alpha), room.epoch(Server::Alpha));
    let entries = |filter: &[&str]| -> Vec<serde_json::Value> {
        let text = alpha.run(&[&["journalctl", "--output=json", "--unit", AGENT], filter].concat());
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let only = |entries: Vec<serde_json::Value>| match <[serde_json::Value; 1]>::try_from(entries) {
        Ok([entry]) => entry,
        Err(entries) => panic!("one entry, not {entries:?}"),
    };
    let opened = only(entries(&["GROUP=web", "ROLE=active", &format!("EPOCH={epoch}")]));
    assert_eq!(opened["KIND"], "takeover", "nobody else was there");
    assert_eq!(opened["PRIORITY"], "4", "somebody may want to know");
    assert_eq!(opened["SYSLOG_IDENTIFIER"], "vipair");
    assert!(opened["MESSAGE"].as_str().is_some_and(|text| text.starts_with("web: ")), "{opened}");
    let heard = only(entries(&["KIND=peer_up"]));
    assert_eq!((&heard["PRIORITY"], &heard["MESSAGE"]), (&"6".into(), &"beta is heard".into()));
    assert!(heard.get("GROUP").is_none(), "it is about no group: {heard}");
    room.finish(&Expected::owner(Server::Alpha));
}

// L6: an agent that cannot write its log decides all the same
#[test]
fn journal_that_hangs_delays_no_takeover() {
    let mut room = Room::pair();
    let beta = room.machine(Server::Beta);
    beta.kill("STOP", &beta.property("systemd-journald.service", "MainPID"));
    fill_socket(&beta.path("/run/systemd/journal/socket"));
    let off = room.power_off(Server::Alpha);
    let answered = room.wait_answered_by(Server::Beta);
    assert!(answered.since(off) < Duration::from_secs(1) + SLACK, "taken over after {:?}", answered.since(off));
    let status = room.status(Server::Beta).unwrap_or_else(|cause| panic!("nor anything else: {cause}"));
    assert_eq!(status.text(GROUP, "role"), "active");
    room.finish(&Expected::owner(Server::Alpha).takeover());
}

/// Sends to a socket until no sender could send any more. One sender alone reaches its own limit
/// earlier.
fn fill_socket(socket: &Path) {
    let sender = || {
        let sender = UnixDatagram::unbound().expect("a socket");
        sender.set_nonblocking(true).expect("a setting");
        sender
    };
    let senders: Vec<UnixDatagram> = (0..64).map(|_| sender()).collect();
    let sent =
        |sender: &UnixDatagram| (0..).take_while(|_| sender.send_to(b"MESSAGE=filler\n", socket).is_ok()).count();
    let waiting: Vec<usize> = senders.iter().map(sent).collect();
    assert_eq!(waiting.last(), Some(&0), "the queue has no end: {waiting:?}");
}
