//! Tests of what `vipair check --against-running` says about a reload.

use super::{Plan, plan_reload};
use crate::cli::Failure;
use crate::config::{ClusterFile, KeyFile};
use crate::control::protocol::Running;
use std::path::Path;

/// The part of a file in front of its groups.
const NODES: &str = "cluster = \"web\"\nkey_file = \"key\"\n
[[node]]\nname = \"alpha\"\nlinks = [\"10.0.0.1\"]\n
[[node]]\nname = \"beta\"\nlinks = [\"10.0.0.2\"]\n";
/// Two groups.
const WEB: &str = "[[group]]\nname = \"web\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.100\"]\n";
const MAIL: &str = "[[group]]\nname = \"mail\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.101\"]\n";

/// A key file with one key of this number.
fn keys(id: u8) -> KeyFile {
    KeyFile { keys: vec![(id, [id; 32])] }
}

/// The plan of the node beta, which runs with the file `old` and key 1, for the file `new` and the
/// key number `key`. `named`: beta was started with `--node beta`.
fn plan_with(old: &str, new: &str, key: u8, named: bool) -> Result<Plan, Failure> {
    let running = Running {
        file: "/etc/vipair/vipair.toml".to_owned(),
        node: "beta".to_owned(),
        named,
        text: old.to_owned(),
        keys: keys(1).prints(),
    };
    let new =
        ClusterFile::parse(new, Path::new("/etc/vipair/vipair.toml")).unwrap_or_else(|errors| panic!("{errors}"));
    plan_reload(&running, &new, &keys(key), None, &[])
}

/// The plan of a reload from `old` to `new` with the same key, for a node that finds itself by its
/// addresses.
fn plan(old: &str, new: &str) -> Plan {
    plan_with(old, new, 1, false).unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// The text of a plan that must not be refused.
fn accepted(plan: Plan) -> String {
    match plan {
        Plan::Done(text) => text,
        Plan::Refused(text) => panic!("{text}"),
    }
}

#[test]
fn the_same_file_would_change_nothing_and_a_group_more_is_told() {
    let old = format!("{NODES}{WEB}");
    assert!(accepted(plan(&old, &old)).contains("change nothing"), "nothing changes");
    let text = accepted(plan(&old, &format!("{NODES}{WEB}{MAIL}")));
    assert!(text.contains("node beta") && text.contains("\n  group mail added on eth0: 10.0.0.101\n"), "{text}");
}

#[test]
fn another_key_is_told_and_no_digit_of_it() {
    let file = format!("{NODES}{WEB}");
    let text = accepted(plan_with(&file, &file, 2, false).expect("it can be compared"));
    assert!(text.contains("keys: seals with key 2") && !text.contains("0202"), "{text}");
}

#[test]
fn what_a_reload_refuses_is_refused() {
    let old = format!("{NODES}{WEB}");
    let moved = format!("{NODES}{}", WEB.replace("eth0", "eth1"));
    let Plan::Refused(text) = plan(&old, &moved) else { panic!("it must be refused") };
    assert!(text.contains("REFUSED") && text.contains("eth1"), "{text}");
}

#[test]
fn a_file_without_this_node_is_wrong() {
    let file = format!("{NODES}{WEB}");
    let others = file.replace("beta", "gamma").replace("10.0.0.2", "10.0.0.3");
    for (named, word) in [(true, "beta"), (false, "link")] {
        let failure = plan_with(&file, &others, 1, named).expect_err("beta is not there");
        assert!(matches!(&failure, Failure::Wrong(text) if text.contains(word)), "{failure:?}");
    }
}
