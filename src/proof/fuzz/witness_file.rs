//! The file of a witness: every error says where and what, and what is accepted obeys every bound.
//!
//! The same holds as for the nodes' file, see [`super::cluster_file`]: errors are readable lines
//! that name file, line and key; what is accepted is checked against the bounds of the guide as
//! written here, and is the same when it is written and read again; reading takes memory in
//! proportion to the text.

use super::Taken;
use super::cluster_file::{FILE, check_file, is_name, quoted};
use crate::config::{ConfigErrors, WitnessFile, digest};
use crate::types::NodeId;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Checks one input: `bytes` are the text of a witness's file. Accepted: the file was parsed
/// without an error.
pub(super) fn run(bytes: &[u8]) -> Taken {
    check_file(bytes, parse, |file| {
        check_bounds(file);
        check_written(file);
    })
}

/// Parses the text of a witness's file that is called [`FILE`].
fn parse(text: &str) -> Result<WitnessFile, ConfigErrors> {
    WitnessFile::parse(text, Path::new(FILE))
}

/// Checks that everything in an accepted file is within the bounds of the guide.
fn check_bounds(file: &WitnessFile) {
    assert!((NodeId(241)..=NodeId(255)).contains(&file.me), "{:?}", file.me);
    assert!(file.listen.port() != 0, "nobody knows which port that is");
    assert!((1..=256).contains(&file.clusters.len()), "{} clusters", file.clusters.len());
    let mut numbers = HashSet::new();
    for cluster in &file.clusters {
        assert!(is_name(&cluster.name), "{:?}", cluster.name);
        assert!(numbers.insert(digest::cluster_number(&cluster.name)), "two clusters look alike on the wire");
        assert!((1..=50_000).contains(&cluster.drift_ppm), "{} ppm", cluster.drift_ppm);
        assert!(cluster.checks.len() <= 256, "{} checks", cluster.checks.len());
        for check in &cluster.checks {
            assert!(is_name(&check.group), "{:?} is no group", check.group);
            assert_eq!(check.key, digest::group_key(&check.group));
            let address = check.target.ip();
            assert!(check.target.port() != 0 && !address.is_unspecified() && !address.is_multicast(), "{address}");
            let hour = Duration::from_millis(1)..=Duration::from_secs(3600);
            assert!(hour.contains(&check.interval) && hour.contains(&check.timeout), "{check:?}");
            assert!((1..=1000).contains(&check.fall) && (1..=1000).contains(&check.rise), "{check:?}");
        }
    }
}

/// Checks that a file is the same when it is written and read again.
fn check_written(file: &WitnessFile) {
    let text = written(file);
    match parse(&text) {
        Ok(again) => assert_eq!(written(&again), text, "written and read again"),
        Err(errors) => panic!("what was accepted is refused when written: {errors}\n{text}"),
    }
}

/// An accepted file, written as TOML.
fn written(file: &WitnessFile) -> String {
    let mut text = String::new();
    let mut add = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("writing to a String never fails");
    add(format_args!("listen = \"{}\"\nnumber = {}", file.listen, file.me.0 - 240));
    for cluster in &file.clusters {
        add(format_args!("[[cluster]]\nname = {}\ndrift_ppm = {}", quoted(&cluster.name), cluster.drift_ppm));
        add(format_args!("key_file = {}", quoted(cluster.key_file.to_str().expect("it came from a text"))));
        for check in &cluster.checks {
            add(format_args!("[[cluster.check]]\ngroup = {}\nkind = \"tcp\"", quoted(&check.group)));
            add(format_args!("address = \"{}\"\nport = {}", check.target.ip(), check.target.port()));
            add(format_args!("interval_ms = {}", check.interval.as_millis()));
            add(format_args!("timeout_ms = {}", check.timeout.as_millis()));
            add(format_args!("fall = {}\nrise = {}", check.fall, check.rise));
        }
    }
    text
}

const SMALLEST: &str = "[[cluster]]\nname = \"web\"\nkey_file = \"cluster.key\"\n";

const LARGER: &str = r#"listen = "[fd00::9]:7812"
number = 15
cluster = [
  { name = "web-1.a", key_file = "../k e\ty\\", drift_ppm = 50_000 },
  { name = "db", key_file = "/etc/db.key", drift_ppm = 0x1 },
]
"#;

const CHECK: &str = r#"[[cluster.check]]
group = "shop"
kind = "tcp"
address = "2001:db8::100"
port = 65535
interval_ms = 1
timeout_ms = 3_600
fall = 1000
rise = 1
"#;

/// Witness's files that are right, and files with one thing wrong each.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let with = |old: &str, new: &str| {
        let whole = format!("{SMALLEST}{CHECK}");
        assert!(whole.contains(old), "{old:?} is not in it");
        whole.replacen(old, new, 1)
    };
    let many = |count: usize| -> String {
        (0..count).map(|number| format!("[[cluster]]\nname=\"{number}\"\nkey_file=\"k\"\n")).collect()
    };
    let seeds = [
        ("nothing", String::new()),
        ("smallest", SMALLEST.to_owned()),
        ("larger", LARGER.to_owned()),
        ("check", format!("{SMALLEST}{CHECK}")),
        ("example", include_str!("../../../systemd/witness.toml").to_owned()),
        ("no-name", with("name = \"web\"\n", "")),
        ("name-twice", format!("{SMALLEST}{SMALLEST}")),
        ("wrong-kind", with("tcp", "http")),
        ("host-name", with("2001:db8::100", "shop.example")),
        ("no-port", with("65535", "0")),
        ("found-listens-on-no-port", format!("listen = \"[::]:0\"\n{SMALLEST}")),
        ("found-group-with-a-space", with("\"shop\"", "\"shop 1\"")),
        ("found-service-at-every-address", with("2001:db8::100", "::")),
        ("unknown-key", with("rise", "raise")),
        ("wrong-types", with("\"shop\"", "[1979-05-27, {a.b = 1e400}]")),
        ("no-toml", "[[cluster]\nname".to_owned()),
        ("many", many(100)),
    ];
    seeds.map(|(name, text)| (name, text.into_bytes())).into()
}
