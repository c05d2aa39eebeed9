//! PostgreSQL with streaming replication: vipair's hooks decide which of the two is primary, and
//! its epoch fences the other.

use super::{assert_nothing_missing, homes, start_pair, switch_to, wait_written};
use crate::lab::Server;
use crate::lab::home::Home;
use crate::lab::home::services::{POSTGRESQL, query_postgresql, start_postgresql};
use crate::probe::oracle::Expected;
use crate::probe::writer::{Language, Receipt, Writer, Written, longest_gap};
use crate::scene::{Scene, Setup};

const GROUP: &str = "db";
/// An application that reconnects. An acknowledged commit is on both servers, unless the standby
/// was known to be lost.
const WRITES: Language = Language {
    command: &[
        "/usr/lib/postgresql/15/bin/psql",
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
        "host=10.0.0.100 dbname=postgres user=app password=secret connect_timeout=2",
    ],
    line: |number| format!("insert into numbers values ({number}) returning n;"),
    answers: 1,
    read: |answer, number| {
        if answer == number.to_string() { Receipt::Copied } else { Receipt::Nothing }
    },
};

/// Starts a pair with PostgreSQL; `settings` goes to /etc/default/vipair-postgres.
fn pair(settings: &str) -> Scene {
    let both = |scene: &Scene| {
        let [alpha, beta] = homes(scene);
        for home in [&alpha, &beta] {
            std::fs::write(home.path("/etc/default/vipair-postgres"), settings).expect("servers have /etc/default");
        }
        start_postgresql(&alpha, &beta);
        let table = "create role app login password 'secret'; create table numbers (n bigint primary key);
            grant select, insert on numbers to app";
        query_postgresql(&alpha, table).unwrap_or_else(|e| panic!("{e}"));
    };
    start_pair(Setup::example("postgresql"), GROUP, both, |_| {})
}

/// Answer of a server's own PostgreSQL; panics with the server's logs if there is none.
fn answer(home: &Home, question: &str) -> String {
    query_postgresql(home, question).unwrap_or_else(|e| panic!("{e}\n{}", home.logs()))
}

/// The numbers that a server's PostgreSQL has, a line each.
fn numbers(home: &Home) -> String {
    answer(home, "select n from numbers order by n")
}

/// Whether a server's PostgreSQL follows the other; false also if it does not answer.
fn is_standby(home: &Home) -> bool {
    query_postgresql(home, "select pg_is_in_recovery()") == Ok("t".into())
}

/// Waits until the second server has all rows of the first.
fn wait_same(scene: &mut Scene, first: &Home, second: &Home) {
    scene.wait("both to have the same rows", |_| numbers(first) == numbers(second));
}

// L1 L3: nothing acknowledged is lost, and the epoch fences the old primary
#[test]
fn postgresql_loses_no_acknowledged_commit_by_a_switch_nor_with_its_host() {
    let mut scene = pair("");
    let [alpha, beta] = homes(&scene);
    let writer = Writer::start(&scene.lab, WRITES);
    wait_written(&mut scene, &writer, 60);
    switch_to(&mut scene, GROUP, Server::Beta);
    wait_written(&mut scene, &writer, 10);
    scene.wait_ready(Server::Alpha, GROUP);
    scene.wait("the roles to change", |_| is_standby(&alpha) && !is_standby(&beta));
    let written = writer.acknowledged();
    eprintln!("postgresql, switch: no commit for {:?}", longest_gap(&written));
    assert_nothing_missing(&written, &numbers(&beta));

    // A commit that is on the active alone is acknowledged to no client.
    scene.lab.cut(&[Server::Beta.second_link()]);
    answer(&beta, "set synchronous_commit = local; insert into numbers values (-1)");
    let lost = scene.power_off(Server::Beta);
    scene.wait_answered_by(Server::Alpha);
    wait_written(&mut scene, &writer, 10);
    assert!(!is_standby(&alpha), "the standby was not promoted");
    let status = scene.agent(Server::Alpha).status().unwrap_or_else(|e| panic!("{e}"));
    let epoch = answer(&alpha, "select epoch from vipair.state");
    assert_eq!(epoch, status.text(GROUP, "epoch"), "the data do not carry the epoch");

    scene.power_on(Server::Beta);
    beta.systemctl("start", POSTGRESQL);
    scene.wait_ready(Server::Beta, GROUP);
    assert!(is_standby(&beta), "the old primary started as a primary");
    let written = writer.finish();
    wait_same(&mut scene, &alpha, &beta);
    for home in [&alpha, &beta] {
        let there = numbers(home);
        assert_nothing_missing(&written, &there);
        assert!(there.lines().all(|line| line != "-1"), "a row of the old epoch came back");
    }
    let first = written.iter().find(|number| number.at > lost).map(|number| number.at.since(lost));
    eprintln!("postgresql, host lost: the next commit after {first:?}");
    scene.finish(&Expected::owner(Server::Alpha).handover().takeover());
}

/// Starts a pair and takes beta's power, then alpha's, which has acknowledged more meanwhile. Then
/// beta alone gets its power back, and refuses to serve. Returns the scene, and the numbers that
/// were acknowledged.
fn beta_alone_with_old_data() -> (Scene, Vec<Written>) {
    let mut scene = pair("FRESH='2 s' ALONE='4 s' PATIENCE=1\n");
    let [alpha, beta] = homes(&scene);
    let writer = Writer::start(&scene.lab, WRITES);
    wait_written(&mut scene, &writer, 60);
    scene.power_off(Server::Beta);
    // Commits wait for the standby until it is given up.
    wait_written(&mut scene, &writer, 10);
    assert_eq!(answer(&alpha, "select strict from vipair.state"), "f");
    scene.power_off(Server::Alpha);
    let written = writer.finish();

    scene.power_on(Server::Beta);
    beta.systemctl("start", POSTGRESQL);
    scene.wait("beta to refuse", |s| s.agent(Server::Beta).log_text().contains("these data may be old"));
    (scene, written)
}

// S1 in the words of a database: a server that lacks a commit does not serve, even alone
#[test]
fn postgresql_that_lacks_commits_does_not_serve_when_it_comes_back_alone() {
    let (mut scene, written) = beta_alone_with_old_data();
    let [alpha, beta] = homes(&scene);
    assert_ne!(scene.role(Server::Beta, GROUP), "active");
    assert!(is_standby(&beta), "it was promoted all the same");

    scene.power_on(Server::Alpha);
    alpha.systemctl("start", POSTGRESQL);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_answered_by(Server::Alpha);
    assert_nothing_missing(&written, &numbers(&alpha));
    wait_same(&mut scene, &alpha, &beta);
    scene.finish(&Expected::owner(Server::Alpha));
}

#[test]
fn postgresql_serves_old_data_when_an_operator_says_so() {
    let (mut scene, _) = beta_alone_with_old_data();
    let [alpha, beta] = homes(&scene);
    beta.run("/usr/local/sbin/vipair-postgres", &["overrule"]);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    answer(&beta, "insert into numbers values (-1)");

    // Alpha, with the newer data, finds a later epoch and is wound back.
    scene.power_on(Server::Alpha);
    alpha.systemctl("start", POSTGRESQL);
    scene.wait_ready(Server::Alpha, GROUP);
    assert!(is_standby(&alpha), "the old primary started as a primary");
    wait_same(&mut scene, &alpha, &beta);
    assert!(numbers(&alpha).lines().any(|line| line == "-1"), "what was written since is lost");
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}
