//! Who may use whom: one table, held against the manifests, the sources and the map.
//!
//! Owns: [`WINGS`]. Never does: trust a compiler error to come; a wing that could name another, but must not, fails here.

use super::{code, files, has_word, is_test, read, root, shown};

/// A wing of the house: a crate of the workspace.
struct Wing {
    /// The folder of the crate, from the root. The root package has its own in two places.
    folder: &'static str,
    /// The name of the wing, as the map says it.
    name: &'static str,
    /// The wings that this one may use.
    may_use: &'static [&'static str],
}

/// Every wing, from the ground up.
const WINGS: [Wing; 6] = [
    Wing { folder: "src/proto", name: "proto", may_use: &[] },
    Wing { folder: "src/host", name: "host", may_use: &["proto"] },
    Wing { folder: "src/agent", name: "agent", may_use: &["host", "proto"] },
    Wing { folder: "src/witness", name: "witness", may_use: &["host", "proto"] },
    Wing { folder: "src/proof", name: "proof", may_use: &["proto", "host", "agent", "witness"] },
    Wing { folder: "src/cli", name: "cli", may_use: &["proto", "host", "agent", "witness", "proof"] },
];

/// What simulator and model must not name: the modules of `src/proof/lib.rs` that know an operating system.
const NOT_IN_SIMULATION: [&str; 7] = ["config", "control", "io", "store", "flight", "witness", "fuzz"];

/// What the pure wing must not reach for: clocks, sockets, files, threads, processes, randomness.
const BANNED: [&str; 19] = [
    "std::time::Instant",
    "std::time::SystemTime",
    "SystemTime::now",
    "Instant::now",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::os",
    "File::open",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "tokio",
    "tracing",
    "getrandom",
    "rand::",
    "nix::",
    "socket2",
];

/// What the manifest of the pure wing must not have.
const BANNED_CRATES: [&str; 7] = ["tokio", "nix", "socket2", "aya", "tracing", "getrandom", "zbus"];

impl Wing {
    /// The path of the wing's manifest: the root's for the command line.
    fn manifest(&self) -> String {
        if self.name == "cli" { "Cargo.toml".to_owned() } else { format!("{}/Cargo.toml", self.folder) }
    }

    /// The wings that this one must not use.
    fn must_not_use(&self) -> impl Iterator<Item = &'static str> {
        let other = WINGS.iter().map(|wing| wing.name).filter(|name| *name != self.name);
        other.filter(|name| !self.may_use.contains(name))
    }
}

/// The crates that a manifest depends on, those of its tests included.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in read(&root().join(manifest)).lines() {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            inside = !header.starts_with("workspace") && header.ends_with("dependencies");
        } else if inside && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            found.push(name.to_owned());
        }
    }
    found
}

#[test]
fn every_wing_is_in_the_table() {
    let workspace = read(&root().join("Cargo.toml"));
    let members = workspace.lines().find(|line| line.starts_with("members = ")).expect("the workspace has members");
    for member in members.split('"').filter(|part| part.starts_with("src/")) {
        assert!(WINGS.iter().any(|wing| wing.folder == member), "{member} is a crate without a row in the table");
    }
    for wing in WINGS.iter().filter(|wing| wing.name != "cli") {
        assert!(members.contains(&format!("\"{}\"", wing.folder)), "{} is no member of the workspace", wing.folder);
    }
}

#[test]
fn no_manifest_depends_on_a_wing_that_it_may_not_use() {
    for wing in &WINGS {
        let found = dependencies(&wing.manifest());
        for used in found.iter().filter_map(|name| name.strip_prefix("vipair-")) {
            assert!(wing.may_use.contains(&used), "{}: {} may not use {used}", wing.manifest(), wing.name);
        }
        for used in wing.may_use {
            let expected = format!("vipair-{used}");
            assert!(
                found.contains(&expected),
                "{}: says nothing of {expected}; so the table is wrong",
                wing.manifest()
            );
        }
    }
}

#[test]
fn no_source_names_a_wing_that_it_may_not_use() {
    let mut broken = Vec::new();
    for wing in &WINGS {
        for path in files(wing.folder, "rs") {
            for (number, line) in read(&path).lines().enumerate() {
                for other in wing.must_not_use() {
                    if has_word(code(line), &format!("vipair_{other}")) {
                        broken.push(format!("{}:{}: {} may not use {other}", shown(&path), number + 1, wing.name));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The names that a source takes from its own crate: what follows `crate::`, in braces as well.
fn taken_from_crate(text: &str) -> String {
    let plain: String = text.lines().map(code).collect::<Vec<_>>().join(" ");
    let parts = plain.split("crate::").skip(1);
    let names = parts.map(|part| match part.strip_prefix('{') {
        Some(list) => list.split(';').next().unwrap_or_default().to_owned(),
        None => part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned(),
    });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn simulator_and_model_know_the_protocol_alone() {
    let mut broken = Vec::new();
    for path in ["src/proof/sim", "src/proof/model"].into_iter().flat_map(|room| files(room, "rs")) {
        let text = read(&path);
        let taken = taken_from_crate(&text);
        for name in NOT_IN_SIMULATION.iter().filter(|name| has_word(&taken, name)) {
            broken.push(format!("{}: crate::{name}", shown(&path)));
        }
        for name in ["vipair_host", "vipair_agent", "vipair_witness"] {
            if text.lines().any(|line| has_word(code(line), name)) {
                broken.push(format!("{}: {name}", shown(&path)));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let braces =
        taken_from_crate("use crate::{\n    engine::Engine, // io\n    config,\n};\nuse crate::types::Epoch;");
    assert!(has_word(&braces, "config") && has_word(&braces, "types") && !has_word(&braces, "io"), "{braces}");
}

#[test]
fn the_pure_wing_reaches_for_nothing_outside() {
    let mut broken = Vec::new();
    // These two run while the crate is built, and read the crate's files.
    let builds = |path: &std::path::PathBuf| {
        ["build.rs", "tag.rs"].iter().any(|name| shown(path) == format!("src/proto/{name}"))
    };
    for path in files("src/proto", "rs").into_iter().filter(|path| !is_test(path) && !builds(path)) {
        for (number, line) in read(&path).lines().enumerate() {
            for word in BANNED.iter().filter(|word| code(line).contains(*word)) {
                broken.push(format!("{}:{}: {word}", shown(&path), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let found = dependencies("src/proto/Cargo.toml");
    let outside: Vec<&str> =
        BANNED_CRATES.into_iter().filter(|name| found.iter().any(|found| found == name)).collect();
    assert!(outside.is_empty(), "src/proto/Cargo.toml has {outside:?}");
}

#[test]
fn the_table_on_the_map_is_the_table_of_this_test() {
    let map = read(&root().join("docs/house/map.md"));
    for wing in &WINGS {
        let begins = format!("| `{}` |", wing.folder);
        let row = map.lines().find(|line| line.starts_with(&begins));
        let row = row.unwrap_or_else(|| panic!("docs/house/map.md has no row {begins}"));
        // What follows a semicolon tells of a part of the wing.
        let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let cell = cell.split(';').next().unwrap_or_default().trim();
        let mut told: Vec<&str> = cell.split(", ").filter(|name| *name != "nothing").collect();
        let mut rule = wing.may_use.to_vec();
        told.sort_unstable();
        rule.sort_unstable();
        assert_eq!(told, rule, "docs/house/map.md says of {} that it may use this", wing.folder);
    }
}
