//! Tests of every fuzz target over its seeds and over mutations of them; and the cost of hostile
//! input.

use super::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

mod cost;
mod mutation;
mod planted;

use mutation::Mutator;

#[global_allocator]
static HEAP: Counting = Counting;

/// Number of mutations of each target in `cargo test`: about two seconds without optimisation.
/// `scripts/fuzz` runs longer.
fn mutations(target: &Target) -> usize {
    match target.name {
        "peer" | "recording" => 150,
        "voter" => 200,
        "hostile" => 300,
        "server" | "auth" | "mirror" => 1500,
        "slot" | "cluster_file" | "witness_file" => 6000,
        _ => 15_000,
    }
}

/// The target's corpus in the tree.
fn directory(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target.name)
}

/// The inputs of the target's corpus with their paths, sorted by path, so that every run goes the
/// same way.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let directory = directory(target);
    let read = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

/// The name and bytes of the input under test, which are printed when a promise is broken: the
/// panic itself only names the promise.
struct Naming<'a>(&'a str, &'a [u8]);

impl Drop for Naming<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("the input was {}: {hex}", self.0);
        }
    }
}

/// Checks the target called `name` on its corpus and on seeded mutations of it, the same ones in
/// every run. The corpus must have inputs that are accepted and inputs that are refused.
fn smoke(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    let mut seen = HashSet::new();
    for (name, bytes) in &corpus {
        let _named = Naming(name, bytes);
        seen.insert((target.run)(bytes) == Taken::Accepted);
    }
    assert_eq!(seen.len(), 2, "{name}: the corpus has inputs that are accepted and inputs that are refused");
    let inputs: Vec<&[u8]> = corpus.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let mut mutator = Mutator::new(0x5eed);
    for number in 0..mutations(target) {
        let bytes = mutator.mutate(&inputs);
        let _named = Naming(&format!("mutation {number}"), &bytes);
        (target.run)(&bytes);
    }
}

#[test]
fn pulses_are_read_as_documented() {
    smoke("pulse");
}

#[test]
fn nothing_opens_without_the_key() {
    smoke("auth");
}

// S6
#[test]
fn nobody_without_the_key_tells_connections() {
    smoke("mirror");
}

#[test]
fn frames_tell_what_their_rfcs_say() {
    smoke("frame");
}

// S6
#[test]
fn an_attacker_without_the_key_changes_counters_only() {
    smoke("hostile");
}

#[test]
fn a_peer_that_says_anything_neither_stops_this_node_nor_makes_it_forget() {
    smoke("peer");
}

#[test]
fn whatever_the_kernel_says_is_read() {
    smoke("netlink");
}

#[test]
fn configuration_errors_say_where_and_what() {
    smoke("cluster_file");
}

#[test]
fn key_files_are_keys_or_refused() {
    smoke("key_file");
}

#[test]
fn a_damaged_slot_is_never_read() {
    smoke("slot");
}

// S2 S5 S6
#[test]
fn a_voter_keeps_its_promises_whatever_it_is_told() {
    smoke("voter");
}

#[test]
fn a_witness_file_is_read_or_refused_with_reason() {
    smoke("witness_file");
}

#[test]
fn a_recording_flies_again_or_is_refused() {
    smoke("recording");
}

#[test]
fn control_lines_are_understood_or_refused() {
    smoke("control");
}

#[test]
fn every_line_to_the_control_socket_is_answered() {
    smoke("server");
}

#[test]
fn every_target_has_a_smoke_run_a_binary_and_its_seeds_in_the_tree() {
    let tests = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/tests.rs")).unwrap();
    let crates =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml")).unwrap();
    for target in &TARGETS {
        assert!(tests.contains(&format!("smoke(\"{}\")", target.name)), "{} has no test", target.name);
        assert!(crates.contains(&format!("name = \"{}\"", target.name)), "{} has no binary", target.name);
        assert!(
            (target.seeds)().iter().all(|(name, bytes)| {
                std::fs::read(directory(target).join(name)).is_ok_and(|found| found == *bytes)
            }),
            "{}: write the seeds anew: cargo test -p vipair-proof --features fuzz --lib fuzz::tests::writes_the_seeds -- --ignored",
            target.name
        );
    }
}

/// Writes the inputs with which searches begin. Inputs that searches have found stay.
#[test]
#[ignore = "changes the tree"]
fn writes_the_seeds() {
    for target in &TARGETS {
        std::fs::create_dir_all(directory(target)).unwrap();
        for (name, bytes) in (target.seeds)() {
            std::fs::write(directory(target).join(name), bytes).unwrap();
        }
    }
}
