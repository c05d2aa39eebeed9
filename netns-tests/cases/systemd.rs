//! The units as they ship, under a systemd that boots: what systemd, sandbox and journal make of the product.

use super::SLACK;
use crate::lab::Server;
use crate::probe::oracle::Expected;
use room::{AGENT, Room};
use std::time::Duration;

mod room;

// HP-1 S7: what is enabled comes up by itself at boot
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
