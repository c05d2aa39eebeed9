//! The services by themselves, without any agent: what their examples rely on is true.

use crate::lab::home::Home;
use crate::lab::home::services::{POSTGRESQL, REDIS, postgresql, redis, redis_is, sql, wait};
use crate::lab::{Lab, Plan, Server};

fn homes(lab: &Lab, example: &str) -> [Home; 2] {
    Server::BOTH.map(|server| {
        let home = Home::new(lab, server);
        home.install(example);
        home
    })
}

#[test]
fn postgresql_waits_for_its_standby_and_its_standby_can_become_primary() {
    let lab = Lab::build(&Plan::default());
    let [alpha, beta] = homes(&lab, "postgresql");
    postgresql(&alpha, &beta);
    // Once to set it, once to tell the standby.
    for _ in 0..2 {
        alpha.run(
            "setpriv",
            &["--reuid", "postgres", "--regid", "postgres", "--init-groups", "vipair-postgres", "check"],
        );
    }
    assert_eq!(sql(&alpha, "select sync_state from pg_stat_replication"), Ok("sync".into()));
    wait("the standby to know", &beta, || sql(&beta, "select strict from vipair.state") == Ok("t".into()));
    sql(&alpha, "create table t (n int)").expect("the primary writes");
    sql(&alpha, "insert into t values (1)").expect("the primary writes");
    sql(&beta, "insert into t values (2)").expect_err("a standby does not write");
    beta.run("env", &["VIPAIR_EPOCH=513", "vipair-postgres", "promote"]);
    sql(&beta, "insert into t values (2)").expect("the new primary writes");
    assert_eq!(sql(&beta, "select string_agg(n::text, ' ') from t"), Ok("1 2".into()));
    // The old one never learned of it. Without an agent that says it is active, it starts as a standby.
    sql(&alpha, "set synchronous_commit = local; insert into t values (3)").expect("nobody told it");
    alpha.systemctl("restart", POSTGRESQL);
    wait("the old primary to follow", &alpha, || {
        sql(&alpha, "select string_agg(n::text, ' ') from t") == Ok("1 2".into())
    });
    assert_eq!(sql(&alpha, "select pg_is_in_recovery()"), Ok("t".into()));
}

#[test]
fn redis_follows_and_changes_roles() {
    let lab = Lab::build(&Plan::default());
    let [alpha, beta] = homes(&lab, "redis");
    for home in [&alpha, &beta] {
        home.systemctl("start", REDIS);
    }
    alpha.run("env", &["VIPAIR_EPOCH=257", "vipair-redis", "promote"]);
    wait("beta to follow", &beta, || redis_is(&beta, "master_link_status", "up"));
    assert_eq!(redis(&alpha, &["set", "key", "1"]), Ok("OK".into()));
    alpha.run("vipair-redis", &["hand-over"]);
    beta.run("env", &["VIPAIR_EPOCH=514", "vipair-redis", "promote"]);
    wait("alpha to follow", &alpha, || redis_is(&alpha, "master_link_status", "up"));
    assert_eq!(redis(&beta, &["get", "key"]), Ok("1".into()));
    assert_eq!(redis(&beta, &["get", "vipair:epoch"]), Ok("514".into()));
    for home in [&alpha, &beta] {
        home.run("vipair-redis", &["check"]);
    }
}

#[test]
fn nginx_and_haproxy_bind_to_the_shared_address_and_answer_their_checks() {
    let lab = Lab::build(&Plan::default());
    let web = Home::new(&lab, Server::Alpha);
    web.install("nginx");
    let balance = Home::new(&lab, Server::Beta);
    balance.install("haproxy");
    lab.server(Server::Alpha).ip("address add 10.0.0.100/32 dev eth0\naddress add 2001:db8::100/128 dev eth0 nodad");
    lab.server(Server::Beta).ip("address add 10.0.0.100/32 dev eth0");
    web.systemctl("start", "nginx.service");
    balance.systemctl("start", "haproxy.service");
    assert_eq!(web.run("curl", &["-s", "http://10.0.0.100/"]), "alpha");
    assert_eq!(web.run("curl", &["-s", "http://[2001:db8::100]/health"]), "well");
    let status = ["-s", "-o", "/dev/null", "-w", "%{http_code}"];
    let asked = |path: &str| balance.run("curl", &[&status[..], &[&format!("http://10.0.0.100{path}")]].concat());
    assert_eq!(asked("/haproxy-alive"), "200");
    wait("HAProxy to miss its backends", &balance, || asked("/haproxy-has-backends") == "503");
}
