//! Programs of a service under the unit that is installed: its sandbox, and its drop-in.

use super::room::{AGENT, Room};
use crate::lab::Server;
use crate::probe::oracle::Expected;
use crate::scene::GROUP;

const LOG: &str = "/var/lib/vipair-test.log";
const DROP_IN: &str = "/etc/systemd/system/vipair.service.d/vipair-hooks.conf";

// HP-8: the unit as it ships lets nothing be run, and its drop-in does
#[test]
fn hooks_run_under_the_unit_with_its_drop_in_and_the_doctor_knows() {
    let program = format!("[\"/bin/sh\", \"-c\", \"echo $VIPAIR_HOOK $VIPAIR_EPOCH >>{LOG}\"]");
    let service = format!("[group.hooks]\nbefore_open = [{program}]\n");
    let room = Room::build_for(false, "", &service);
    for server in Server::BOTH {
        let machine = room.machine(server);
        let doctor = || machine.run(&["sh", "-c", "vipair doctor || true"]);
        assert!(doctor().contains("the agent's unit lets nothing of this be run: /bin/sh"), "{}", doctor());
        machine.run(&["install", "-D", "-m", "644", "/src/systemd/vipair-hooks.conf", DROP_IN]);
        machine.run(&["systemctl", "daemon-reload"]);
        assert!(doctor().contains("the agent's unit lets these programs be run"), "{}", doctor());
    }
    room.enable(Server::Alpha);
    room.wait("alpha to be active", |room| room.is(Server::Alpha, "active"));
    room.enable(Server::Beta);
    room.wait_complete(Server::Alpha);
    assert_served(&room, Server::Alpha);
    room.machine(Server::Alpha).run(&["vipair", "switch", GROUP]);
    room.wait_complete(Server::Beta);
    assert_served(&room, Server::Beta);
    assert_eq!(room.machine(Server::Alpha).property(AGENT, "NRestarts"), "0");
    room.finish(&Expected::owner(Server::Alpha).handover());
}

/// The hook was run for the epoch that the group has there.
fn assert_served(room: &Room, server: Server) {
    let log = room.machine(server).run(&["cat", LOG]);
    let last = format!("before_open {}", room.epoch(server));
    assert_eq!(log.lines().last(), Some(last.as_str()), "{log}");
}
