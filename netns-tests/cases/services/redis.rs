//! Redis with a replica: vipair's hooks decide which of the two is primary.

use super::{assert_nothing_missing, homes, start_pair, switch_to, wait_written};
use crate::lab::home::Home;
use crate::lab::home::services::{REDIS, query_redis, redis_reports};
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::probe::writer::{Language, Receipt, Writer, longest_gap};
use crate::scene::{Scene, Setup};

const GROUP: &str = "cache";
/// A client that asks for the copy on the replica after every write, because it must not lose any.
const WRITES: Language = Language {
    command: &["redis-cli", "-h", "10.0.0.100"],
    line: |number| format!("sadd numbers {number}\nwait 1 100"),
    answers: 2,
    read: |answer, _| match answer {
        "0" => Receipt::Taken,
        "1" => Receipt::Copied,
        _ => Receipt::Nothing,
    },
};

/// Starts a pair with Redis.
fn pair() -> Scene {
    let both = |scene: &Scene| Server::BOTH.into_iter().for_each(|s| scene.home(s).systemctl("start", REDIS));
    start_pair(Setup::example("redis"), GROUP, both, |_| {})
}

/// The numbers that a server's Redis has, a line each.
fn numbers(home: &Home) -> String {
    query_redis(home, &["smembers", "numbers"]).unwrap_or_else(|e| panic!("{e}"))
}

// L1 L3
#[test]
fn redis_keeps_what_both_have_over_a_switch_and_a_lost_host() {
    let mut scene = pair();
    let [alpha, beta] = homes(&scene);
    let writer = Writer::start(&scene.lab, WRITES);
    wait_written(&mut scene, &writer, 60);
    let switched = clock::now();
    switch_to(&mut scene, GROUP, Server::Beta);
    wait_written(&mut scene, &writer, 10);
    scene.wait("the roles to change", |_| {
        redis_reports(&beta, "role", "master") && redis_reports(&alpha, "role", "slave")
    });
    scene.wait_ready(Server::Alpha, GROUP);
    eprintln!("redis, switch: no write for {:?}", longest_gap(&writer.acknowledged()));
    // A planned switch loses no number at all, whether the copy was there when the client asked for
    // it or not.
    let mut so_far = writer.acknowledged();
    so_far.iter_mut().filter(|written| written.at < switched).for_each(|written| written.receipt = Receipt::Copied);
    assert_nothing_missing(&so_far, &numbers(&beta));

    let lost = scene.power_off(Server::Beta);
    scene.wait_answered_by(Server::Alpha);
    wait_written(&mut scene, &writer, 10);
    assert!(redis_reports(&alpha, "role", "master"), "the replica was not promoted");
    let token = query_redis(&alpha, &["get", "vipair:epoch"]).unwrap_or_else(|e| panic!("{e}"));
    let status = scene.agent(Server::Alpha).status().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(token, status.text(GROUP, "epoch"), "the data do not carry the epoch");

    // Beta comes back with its old data, and takes those of the server that serves.
    scene.power_on(Server::Beta);
    beta.systemctl("start", REDIS);
    scene.wait_ready(Server::Beta, GROUP);
    assert!(redis_reports(&beta, "role", "slave"), "the old primary is not a replica");
    let written = writer.finish();
    let first = written.iter().find(|number| number.at > lost).map(|number| number.at.since(lost));
    eprintln!("redis, host lost: the next write after {first:?}");
    for home in [&alpha, &beta] {
        assert_nothing_missing(&written, &numbers(home));
    }
    scene.finish(&Expected::owner(Server::Alpha).handover().takeover());
}
