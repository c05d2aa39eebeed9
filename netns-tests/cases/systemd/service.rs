//! Programs and units of a service under the unit that is installed: its sandbox, its drop-in, the
//! system's own bus.

use super::room::{AGENT, Room};
use crate::lab::Server;
use crate::probe::oracle::Expected;
use crate::scene::GROUP;

/// File on a machine to which the hook writes.
const LOG: &str = "/var/lib/vipair-test.log";
/// Path of the drop-in with which the agent's unit lets programs run.
const DROP_IN: &str = "/etc/systemd/system/vipair.service.d/vipair-hooks.conf";

// HP-8: the unit as it ships forbids programs, its drop-in allows them
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
    room.enable_agent(Server::Alpha);
    room.wait("alpha to be active", |room| room.has_role(Server::Alpha, "active"));
    room.enable_agent(Server::Beta);
    room.wait_complete(Server::Alpha);
    assert_hook_ran(&room, Server::Alpha);
    room.machine(Server::Alpha).run(&["vipair", "switch", GROUP]);
    room.wait_complete(Server::Beta);
    assert_hook_ran(&room, Server::Beta);
    assert_eq!(room.machine(Server::Alpha).property(AGENT, "NRestarts"), "0");
    room.finish(&Expected::owner(Server::Alpha).handover());
}

/// Asserts that the hook was last run for the epoch with which the server is active.
fn assert_hook_ran(room: &Room, server: Server) {
    let log = room.machine(server).run(&["cat", LOG]);
    let last = format!("before_open {}", room.epoch(server));
    assert_eq!(log.lines().last(), Some(last.as_str()), "{log}");
}

/// A service that must not run twice.
const COUNTER: &str = "counter.service";
const COUNTER_UNIT: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

// HP-8: one systemd starts the unit after the other has stopped it; a checked unit that is stopped
// moves the group
#[test]
fn units_run_where_the_group_is_active_and_nowhere_else() {
    let service =
        format!("units = [\"{COUNTER}\"]\n[[group.check]]\nkind = \"unit\"\nunit = \"vipair-test.target\"\n");
    let room = Room::build_for(false, "", &service);
    for server in Server::BOTH {
        let machine = room.machine(server);
        for (unit, text) in [(COUNTER, COUNTER_UNIT), ("vipair-test.target", "[Unit]\nDescription=What it needs\n")] {
            machine.run(&["sh", "-c", &format!("printf '{text}' > /etc/systemd/system/{unit}")]);
        }
        machine.run(&["systemctl", "daemon-reload"]);
        machine.run(&["systemctl", "start", "vipair-test.target"]);
    }
    let runs = |room: &Room| Server::BOTH.map(|server| room.machine(server).property(COUNTER, "ActiveState"));
    room.enable_agent(Server::Alpha);
    room.wait("alpha to be active", |room| room.has_role(Server::Alpha, "active"));
    room.enable_agent(Server::Beta);
    room.wait_complete(Server::Alpha);
    assert_eq!(runs(&room), ["active", "inactive"]);
    room.machine(Server::Alpha).run(&["vipair", "switch", GROUP]);
    room.wait_complete(Server::Beta);
    assert_eq!(runs(&room), ["inactive", "active"]);
    // The agent hears what systemd says of the checked unit.
    room.machine(Server::Beta).run(&["systemctl", "stop", "vipair-test.target"]);
    room.wait_answered_by(Server::Alpha);
    room.wait("alpha to run the unit alone", |room| runs(room) == ["active", "inactive"]);
    room.finish(&Expected::owner(Server::Alpha).handover().handover());
}
