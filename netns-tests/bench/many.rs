//! Ten thousand addresses in one group: the time from the first's move to the last's.
//!
//! Owns: one switch and one host loss with them. Never does: leaving an address out; the number of
//! missing ones is a figure.

use super::claims::{Listener, Moves, addresses};
use super::figures::Goal::{Every, Median};
use super::figures::Unit::{Count, Milliseconds};
use super::figures::{Section, figure};
use super::pair::{just_before, ms, vanish};
use super::{Block, Topic, sample};
use crate::lab::Server;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::scene::{GROUP, Scene, Setup};
use std::time::Duration;

/// One group of ten thousand addresses.
pub const TOPIC: Topic = Topic {
    blocks: &[Block::new("many", 20, measure)],
    sections,
    configuration: |_| format!("For {COUNT} addresses the group has 10.1.0.1 to 10.1.39.250.\n"),
};

/// Number of addresses.
pub const COUNT: u32 = 10_000;
/// Longest wait for an address to move; later it is missing.
const LIMIT: Duration = Duration::from_secs(3);

/// Hands over the time from the first move to the last under `key`, and the number of addresses
/// that did not move.
fn hand_over_moves(key: &str, moves: Moves) {
    sample(key, ms(moves.last.since(moves.first)));
    sample("many-missing", moves.missing.into());
}

/// Measures a planned switch, then the loss of the new owner's host.
pub fn measure() {
    let addresses = addresses(COUNT);
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let config = ConfigText::pair("lan").group(GroupText::new(GROUP, &names));
    let mut scene = Scene::start(Setup::with(config).alone());
    scene.end_capture();
    scene.wait_answered_by(Server::Alpha);
    scene.wait_addresses(Server::Beta);
    // Alpha's announcements at its start end after 5 s. They do not count, but they cost time.
    std::thread::sleep(Duration::from_millis(5_500));
    let listener = Listener::start(&scene.lab);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    hand_over_moves("many-switch", listener.wait_moves(Server::Beta.port().mac(), COUNT, LIMIT));
    scene.wait_ready(Server::Alpha, GROUP);
    std::thread::sleep(Duration::from_millis(5_500));
    listener.forget_heard();
    let (at, fault) = vanish(&scene.lab, Server::Beta);
    hand_over_moves("many-loss", listener.wait_moves(Server::Alpha.port().mac(), COUNT, LIMIT));
    scene.wait_answered_by(Server::Alpha);
    std::thread::sleep(Duration::from_millis(100));
    sample("many-loss-gap", ms(scene.answers(just_before(at)).longest_gap().length()));
    scene.power_off(Server::Beta);
    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
}

/// Sections of the page: the time in which ten thousand addresses move.
fn sections() -> Vec<Section> {
    vec![
        Section {
 text: "*First to last address moved*: receive times at the client's interface of the first frame by which the new owner claims\neach address.".into(),
..Section::new("10,000 IPv4 addresses in one group (`lan`)", vec![
            figure("many-switch", "planned switch: first to last address moved", Milliseconds).goal(Median(120.0)),
            figure("many-loss", "host loss: first to last address moved", Milliseconds).goal(Median(120.0)),
            figure("many-loss-gap", "host loss: gap of the address that is asked for", Milliseconds),
            figure("many-missing", "addresses not announced within 3 s", Count).goal(Every(0.0)),
        ])},
    ]
}
