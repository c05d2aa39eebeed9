//! An interface becomes another one: its name, its hardware address, what it belongs to.

mod masters;
mod names;
mod stations;

use crate::lab::Server;
use crate::lab::clock;
use crate::scene::Scene;
use std::time::Duration;
use vipair::types::MonoTime;

/// Runs lines of `ip` on a server; returns the instant just before.
fn ip(scene: &Scene, server: Server, lines: &str) -> MonoTime {
    let at = scene.lab.note(format!("{}: ip {}", server.name(), lines.replace('\n', "; ip ")));
    scene.lab.server(server).ip(lines);
    at
}

/// Whether an interface of a server has a group address now; false if there is no such interface.
fn has(scene: &Scene, server: Server, interface: &str, address: &str) -> bool {
    let shown = scene.lab.server(server).try_tool("ip", &["-o", "address", "show", "dev", interface], "");
    shown.is_ok_and(|text| text.contains(&format!(" {address}/")))
}

/// Waits until the log of a server's agent has a text.
fn wait_log(scene: &mut Scene, server: Server, text: &str) {
    scene.wait(&format!("{} to say: {text}", server.name()), |s| s.agent(server).log_text().contains(text));
}

/// Asserts that for `time` no question is answered by anybody.
fn assert_nobody_answers(scene: &Scene, time: Duration) {
    let from = clock::now();
    super::let_pass(time);
    for asker in &scene.askers {
        let by = asker.since(from).answerers();
        assert!(by.is_empty(), "{} was answered by {by:?}", asker.target());
    }
}
