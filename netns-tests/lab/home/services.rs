//! Services on a server's own files, brought up as docs/examples says, step by step.
//!
//! Owns: those steps, and the questions how the services are. Never does: deciding who serves. That
//! is up to the product, or to the case, where a case is about the lab itself.

use super::super::files::copy_dir;
use super::Home;
use crate::lab::PATIENCE;
use std::time::{Duration, Instant};

/// PostgreSQL's unit.
pub const POSTGRESQL: &str = "postgresql@15-main.service";
/// Redis's unit.
pub const REDIS: &str = "redis-server.service";
/// nginx's unit.
pub const NGINX: &str = "nginx.service";
/// HAProxy's unit.
pub const HAPROXY: &str = "haproxy.service";

/// Makes two PostgreSQL servers: the first a primary, the second its copy. Both run afterwards.
pub fn start_postgresql(first: &Home, second: &Home) {
    for home in [first, second] {
        home.run("setpriv", &[&AS_POSTGRES, &["sh", "-c", PASSWORD][..]].concat());
        // The package comes first, the example's files after it.
        std::fs::remove_dir_all(home.path("/etc/postgresql")).expect("the example is installed");
    }
    // The package made the cluster when it was installed; the second server's data would only be
    // thrown away.
    first.run("pg_createcluster", &["15", "main", "--", "--no-sync", "--locale", "C.UTF-8"]);
    copy_dir(&first.path("/etc/postgresql"), &second.path("/etc/postgresql"));
    second.run("install", &["-d", "-o", "postgres", "-g", "postgres", "/var/lib/postgresql/15"]);
    [first, second].into_iter().for_each(|home| home.install_example("postgresql"));
    // The drop-in of the unit comes last: without it, what was a primary starts as one.
    let drop_in = first.path(&format!("/etc/systemd/system/{POSTGRESQL}.d"));
    std::fs::remove_dir_all(&drop_in).expect("the example has a drop-in");
    first.systemctl("start", POSTGRESQL);
    first.run("vipair-postgres", &["create"]);
    first.install_example("postgresql");
    second.run("vipair-postgres", &["clone"]);
    second.systemctl("start", POSTGRESQL);
    wait_for("the second PostgreSQL to follow", second, || {
        query_postgresql(second, "select status from pg_stat_wal_receiver") == Ok("streaming".into())
    });
}

/// Arguments of `setpriv` with which a program runs as PostgreSQL's user.
const AS_POSTGRES: [&str; 5] = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"];
/// Shell line that gives PostgreSQL's user the password of the example.
const PASSWORD: &str = "umask 077 && echo '*:*:*:vipair:a-long-secret' >/var/lib/postgresql/.pgpass";

/// Answer of a server's own PostgreSQL to its superuser.
pub fn query_postgresql(home: &Home, question: &str) -> Result<String, String> {
    let ask = ["/usr/lib/postgresql/15/bin/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", question];
    home.try_run("setpriv", &[&AS_POSTGRES, &ask[..]].concat())
}

/// Answer of a server's own Redis.
pub fn query_redis(home: &Home, words: &[&str]) -> Result<String, String> {
    home.try_run("redis-cli", words)
}

/// Whether the field `field` of Redis's replication report is `value`.
pub fn redis_reports(home: &Home, field: &str, value: &str) -> bool {
    let wanted = format!("{field}:{value}");
    query_redis(home, &["info", "replication"]).is_ok_and(|text| text.lines().any(|line| line.trim_end() == wanted))
}

/// Waits until a condition about a service holds; panics with the server's logs after [`PATIENCE`].
pub fn wait_for(what: &str, home: &Home, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < limit, "waited {PATIENCE:?} in vain for: {what}\n{}", home.logs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
