//! The witness's unit: no privilege, keys that only systemd can read, and a state that outlives its
//! process.

use super::SLACK;
use super::room::{AGENT, Room, WITNESS};
use crate::lab::Server;
use crate::lab::machine::Machine;
use crate::probe::oracle::Expected;
use std::time::Duration;

/// Greatest exposure level that `systemd-analyze security` may find, of a loaded unit.
const MOST_EXPOSED: f64 = 1.5;

/// Builds a room in which the witness runs.
fn start_with_witness() -> Room {
    let room = Room::build(true, "");
    room.witness().run(&["systemctl", "enable", "--quiet", "--now", WITNESS]);
    room
}

/// Builds a room in which the witness and both agents run; alpha is active.
fn start_all() -> Room {
    let room = start_with_witness();
    Server::BOTH.into_iter().for_each(|server| room.enable_agent(server));
    room.wait_complete(Server::Alpha);
    room
}

/// Lines of the process's status that begin with `name`.
fn status_lines(machine: &Machine, pid: &str, name: &str) -> Vec<String> {
    let text = machine.run(&["cat", &format!("/proc/{pid}/status")]);
    text.lines().filter(|line| line.starts_with(name)).map(|line| line.replace('\t', " ")).collect()
}

#[test]
fn witness_runs_without_any_privilege_and_reads_keys_that_only_root_can() {
    let room = start_with_witness();
    let machine = room.witness();
    let pid = machine.property(WITNESS, "MainPID");
    let capabilities = status_lines(machine, &pid, "Cap");
    assert_eq!(capabilities.len(), 5, "{capabilities:?}");
    assert!(capabilities.iter().all(|line| line.ends_with(" 0000000000000000")), "{capabilities:?}");
    assert_eq!(status_lines(machine, &pid, "NoNewPrivs"), ["NoNewPrivs: 1"]);
    assert_eq!(status_lines(machine, &pid, "Seccomp:"), ["Seccomp: 2"]);

    let user = machine.run(&["stat", "--format=%u", &format!("/proc/{pid}")]).trim().to_owned();
    assert_ne!(user, "0");
    let as_user = |command: &[&str]| {
        let user = format!("--reuid={user}");
        machine
            .try_run(&[&["setpriv", &user, "--clear-groups", "--regid=65534", "--inh-caps=-all"], command].concat())
    };
    as_user(&["true"]).expect("this user can run programs");
    for mode in ["0440", "0400"] {
        machine.run(&["chmod", mode, "/etc/vipair/cluster.key", "/etc/vipair/witness.toml"]);
        assert!(as_user(&["cat", "/etc/vipair/cluster.key"]).is_err_and(|cause| cause.contains("Permission denied")));
        machine.run(&["systemctl", "restart", WITNESS]);
        assert_eq!(machine.property(WITNESS, "ActiveState"), "active", "with keys of mode {mode}");
    }
    // No other user can read the keys that systemd has lent to the witness.
    let lent = "/run/credentials/vipair-witness.service/cluster.key";
    machine.run(&["test", "-s", lent]);
    let other = machine.try_run(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", lent]);
    assert!(other.is_err_and(|cause| cause.contains("Permission denied")));
}

/// Waits until the log of the witness contains `what`.
fn wait_said(room: &Room, what: &str) {
    room.wait(what, |room| room.witness().run(&["journalctl", "--no-pager", "--unit", WITNESS]).contains(what));
}

#[test]
fn witness_reloads_what_only_root_can_read_and_votes_ahead_of_ordinary_processes() {
    let room = start_with_witness();
    let machine = room.witness();
    let pid = machine.property(WITNESS, "MainPID");
    let add = |line: &str| machine.run(&["sh", "-c", &format!("echo '{line}' >> /etc/vipair/witness.toml")]);
    machine.run(&["install", "-m", "600", "/etc/vipair/cluster.key", "/etc/vipair/db.key"]);
    add("[[cluster]]\nname = \"db\"\nkey_file = \"db.key\"");
    machine.run(&["systemctl", "reload", WITNESS]);
    wait_said(&room, "reload: clusters added: db");
    // A wrong file is refused where the reload was asked for.
    add("nummer = 1");
    assert!(machine.try_run(&["systemctl", "reload", WITNESS]).is_err());
    wait_said(&room, "nummer");
    assert_eq!(machine.property(WITNESS, "MainPID"), pid, "it is the same process");
    assert_eq!(machine.property(WITNESS, "ActiveState"), "active");
    // Of its threads the one that votes is real-time, and no other.
    let policies =
        machine.run(&["sh", "-c", &format!("for task in /proc/{pid}/task/*; do chrt -p ${{task##*/}}; done")]);
    assert_eq!(policies.matches("policy: SCHED_FIFO").count(), 1, "{policies}");
    assert!(policies.matches("policy: SCHED_OTHER").count() >= 2, "{policies}");
}

// One cluster whose key no start can read does not take the others along
#[test]
fn witness_starts_without_the_cluster_whose_key_the_unit_does_not_lend_and_says_so() {
    let room = start_with_witness();
    let machine = room.witness();
    machine.run(&["install", "-m", "600", "/etc/vipair/cluster.key", "/etc/vipair/db.key"]);
    let line = "[[cluster]]\nname = \"db\"\nkey_file = \"db.key\"\n";
    machine.run(&["sh", "-c", "printf '%b' \"$0\" >> /etc/vipair/witness.toml", line]);
    machine.run(&["systemctl", "reload", WITNESS]);
    wait_said(&room, "the next start leaves cluster db out");
    wait_said(&room, "reload: clusters added: db");
    machine.run(&["systemctl", "restart", WITNESS]);
    assert_eq!(machine.property(WITNESS, "ActiveState"), "active");
    wait_said(&room, "cluster db is left out");
    wait_said(&room, "LoadCredential=db.key:/etc/vipair/db.key");
    wait_said(&room, "clusters: 1");
    // What the log advises for until then.
    let before = machine.run(&["journalctl", "--no-pager", "--unit", WITNESS]).matches("clusters added: db").count();
    machine.run(&["systemctl", "reload", WITNESS]);
    room.wait("the cluster to be back", |room| {
        let said = room.witness().run(&["journalctl", "--no-pager", "--unit", WITNESS]);
        said.matches("clusters added: db").count() > before
    });
}

// S6: the steps of the guide, on both nodes and on the witness
#[test]
fn keys_are_rotated_on_nodes_and_witness_without_a_lost_vote() {
    let room = start_all();
    let epoch = room.epoch(Server::Alpha);
    let nodes = Server::BOTH.map(|server| room.machine(server));
    nodes[0].run(&["/usr/local/bin/vipair", "keygen", "--id", "2", "/root/new.key"]);
    let new = nodes[0].run(&["grep", "-v", "^#", "/root/new.key"]).trim().to_owned();
    let file = "/etc/vipair/cluster.key";
    let edits = [
        format!("echo '{new}' >> {file}"),
        format!("sed -i '/^2 /d' {file} && sed -i '1i {new}' {file}"),
        format!("sed -i '/^1 /d' {file}"),
    ];
    for edit in edits {
        for machine in nodes.into_iter().chain([room.witness()]) {
            machine.run(&["sh", "-c", &edit]);
        }
        nodes.into_iter().for_each(|machine| drop(machine.run(&["systemctl", "reload", AGENT])));
        room.witness().run(&["systemctl", "reload", WITNESS]);
        room.wait_complete(Server::Alpha);
    }
    assert_eq!(nodes[0].run(&["cat", file]).lines().filter(|line| !line.starts_with('#')).count(), 1);
    let later = crate::lab::clock::now() + Duration::from_secs(1);
    room.wait("a second to pass", |_| crate::lab::clock::now() > later);
    for server in Server::BOTH {
        let status = room.machine(server).run(&["/usr/local/bin/vipair", "status"]);
        assert!(!status.contains("wrong key") && !status.contains("unknown key"), "{status}");
        assert!(!status.contains("not heard"), "{status}");
    }
    assert_eq!(room.epoch(Server::Alpha), epoch);
    room.finish(&Expected::owner(Server::Alpha));
}

#[test]
fn systemd_finds_the_running_witness_hardly_exposed() {
    let room = start_with_witness();
    let text = room.witness().run(&["systemd-analyze", "security", "--no-pager", WITNESS]);
    let level = text.split(&format!("exposure level for {WITNESS}: ")).nth(1);
    let level = level.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    let level = level.unwrap_or_else(|| panic!("no exposure level in {text}"));
    assert!(level > 0.0 && level <= MOST_EXPOSED, "{text}");
    eprintln!("exposure level for {WITNESS}: {level}");
}

/// Numbers of the two slots, the highest first: big-endian, behind magic and format.
fn slot_numbers(machine: &Machine) -> Vec<u64> {
    let text = machine.run(&[
        "sh",
        "-c",
        "for slot in /var/lib/vipair-witness/*/state.?; do od -An -tx1 -j12 -N8 $slot | tr -d ' '; done",
    ]);
    let mut numbers: Vec<u64> =
        text.lines().map(|line| u64::from_str_radix(line, 16).expect("the number of a slot")).collect();
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    numbers
}

// S5 FJ-4: a restarted witness knows what it has granted; the restart costs its vote for a moment
#[test]
fn restarted_witness_keeps_its_state_and_votes_again() {
    let mut room = start_all();
    let (epoch, before) = (room.epoch(Server::Alpha), slot_numbers(room.witness()));
    assert_eq!(before.len(), 2, "two slots");
    room.witness().run(&["systemctl", "restart", WITNESS]);
    let after = slot_numbers(room.witness());
    assert!(after.len() == 2 && after[0] >= before[0], "{before:?} became {after:?}");
    let fresh = room.witness().run(&["journalctl", "--no-pager", "--unit", WITNESS]);
    assert!(!fresh.contains("votes for nobody until both nodes"), "its state was not whole: {fresh}");
    room.wait_complete(Server::Alpha);
    assert_eq!(room.epoch(Server::Alpha), epoch, "alpha had a majority all the time");

    // The witness votes for epochs above all that its former life can have granted.
    let off = room.power_off(Server::Alpha);
    let beta = room.wait_answered_by(Server::Beta);
    assert!(beta.since(off) < Duration::from_secs(1) + SLACK, "taken over after {:?}", beta.since(off));
    assert_eq!(room.machine(Server::Beta).property(AGENT, "NRestarts"), "0");
    room.finish(&Expected::owner(Server::Alpha).takeover());
}
