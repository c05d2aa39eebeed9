//! Tests of the differences between two files: what a reload tells of them, and what it refuses.

use super::{between, refusals};
use crate::config::{self, Config, KeyFile};
use crate::io::local::LocalAddress;
use std::os::unix::fs::PermissionsExt;

/// The part of a file in front of its groups.
const NODES: &str = "cluster = \"web\"\nkey_file = \"key\"\n
[[node]]\nname = \"alpha\"\nlinks = [\"10.0.0.1\"]\n
[[node]]\nname = \"beta\"\nlinks = [\"10.0.0.2\"]\n";
/// The lines of one witness.
const VOTED: &str = "[witness]\naddress = \"10.0.9.9\"\n";
/// The lines of one group.
const WEB: &str = "[[group]]\nname = \"web\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.100\"]\n";

/// The first node's configuration and keys from a file with this text, written to a directory of
/// its own beside a key file that is always the same.
fn read(text: &str) -> (Config, KeyFile) {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, format!("1 {}\n", "07".repeat(32))).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = dir.path().join("vipair.toml");
    std::fs::write(&file, text).unwrap();
    let local = LocalAddress::unplaced("10.0.0.1".parse().unwrap());
    let mut config = config::load(&file, None, &[local]).unwrap_or_else(|errors| panic!("{errors}")).config;
    let keys = KeyFile::load(&config.key_file).unwrap();
    // Without this the directory's name would be a difference between two files.
    config.key_file = "key".into();
    (config, keys)
}

/// The differences that a reload from `old` to `new` would tell; it must refuse none.
fn changes(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (read(old), read(new));
    assert_eq!(refusals(&old.0, &new.0), Vec::<String>::new());
    between((&old.0, &old.1.prints()), (&new.0, &new.1.prints()))
}

/// Why a reload from `old` to `new` is refused, a line for each reason; empty if it is not.
fn refused(old: &str, new: &str) -> String {
    refusals(&read(old).0, &read(new).0).join("\n")
}

#[test]
fn the_same_file_changes_nothing() {
    assert!(changes(&format!("{NODES}{WEB}"), &format!("{NODES}{WEB}")).is_empty());
}

#[test]
fn every_field_that_changes_is_told_with_both_values() {
    let mail = "[[group]]\nname = \"mail\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.102\"]\n";
    let web = WEB.replace("\"10.0.0.100\"", "\"10.0.0.100\", \"10.0.0.101\"");
    let more = "prefer = \"beta\"\ndrain_ms = 2000\nuplinks = [\"ens3\"]\n";
    let new = format!("{NODES}[timing]\nlease_ms = 400\n{web}{more}{mail}");
    let found = changes(&format!("{NODES}{WEB}"), &new).join("\n");
    for expected in [
        "lease_ms 250 → 400",
        "profile lan → custom",
        "group web: 10.0.0.101 added",
        "group web: prefer alpha → beta",
        "group web: uplinks by kind → ens3",
        "group web: drain_ms 1000 → 2000",
        "group mail added on eth0: 10.0.0.102",
    ] {
        assert!(found.contains(expected), "{expected} is not in:\n{found}");
    }
    let back = changes(&new, &format!("{NODES}{WEB}")).join("\n");
    assert!(back.contains("group mail removed") && back.contains("group web: 10.0.0.101 removed"), "{back}");
}

#[test]
fn what_a_witness_brings_is_told_when_it_changes() {
    let old = format!("{NODES}{WEB}{VOTED}");
    let new = old.replace("[witness]", "promote = \"both\"\n[timing]\nlease_ms = 200\ndrift_ppm = 800\n[witness]");
    let found = changes(&old, &new).join("\n");
    for expected in
        ["profile lan → custom", "lease_ms 170 → 200", "drift_ppm 500 → 800", "group web: promote peer → both"]
    {
        assert!(found.contains(expected), "{expected} is not in:\n{found}");
    }
    let lenient = format!("{old}strict = false\n");
    assert!(refused(&old, &lenient).contains("strict is another; restart the agent"), "{}", refused(&old, &lenient));
}

#[test]
fn a_rotation_of_keys_names_their_numbers_and_never_a_key() {
    let (config, old) = read(&format!("{NODES}{WEB}"));
    let new = KeyFile { keys: vec![(2, [9; 32]), old.keys[0]] };
    let found = between((&config, &old.prints()), (&config, &new.prints()));
    assert_eq!(found, ["keys: seals with key 2 and accepts key 1 as well"]);
}

#[test]
fn what_needs_a_restart_is_refused_and_says_so() {
    let old = format!("{NODES}{WEB}");
    for (new, expected) in [
        (old.replace("cluster = \"web\"", "cluster = \"other\""), "cluster: the name is \"other\" now"),
        (old.replace("10.0.0.2\"", "10.0.0.3\""), "their links are others"),
        (old.replace("beta", "gamma"), "their names or their links are others"),
        (old.replace("eth0", "eth1"), "use eth1 (in this order) and used eth0"),
        (format!("{old}{VOTED}"), "witness: there are others"),
    ] {
        let found = refused(&old, &new);
        assert!(found.contains(expected) && found.contains("restart the agent"), "{expected} is not in: {found}");
    }
}

// S8: one node could go on answering in the old group while the other opens the new one.
#[test]
fn an_address_does_not_move_between_groups_in_one_step() {
    let old = format!("{NODES}{WEB}");
    let found = refused(&old, &old.replace("name = \"web\"\ninterface", "name = \"www\"\ninterface"));
    assert!(found.contains("10.0.0.100 belongs to group web"), "{found}");
}
