//! Tests of `[witness]`, `promote` and `drift_ppm` in the nodes' file: what is right, and every
//! class of error. And of the bound on the clusters in a witness's own file.

use super::*;
use crate::timing::{Profile, Timing};
use std::time::Duration;

/// The good configuration with `lines` in front of its group, which is line 12.
fn with(lines: &str) -> String {
    good_with("[[group]]", &format!("{lines}\n[[group]]"))
}

/// The lines of one witness.
const ONE: &str = "[witness]\naddress = \"10.0.9.9\"";

/// Expects exactly one error of the configuration with `lines`, which begin in line 12.
#[track_caller]
fn one_error(lines: &str, expected: &str) {
    let errors = errors_of(&with(lines));
    assert!(errors.len() == 1 && errors[0].starts_with(expected), "expected {expected:?}, got {errors:#?}");
}

/// The first node's configuration with `lines`, which must be right.
fn config(lines: &str) -> Config {
    parse(&with(lines)).unwrap_or_else(|errors| panic!("{errors}")).for_node(NodeId(1))
}

#[test]
fn one_witness_has_its_defaults_and_the_number_241() {
    let config = config(ONE);
    let witness = config.witness.clone().expect("it is written");
    assert_eq!((witness.port, witness.strict), (7811, true));
    let expected = (NodeId(241), "10.0.9.9:7811".parse().expect("an address"));
    assert_eq!(config.witnesses().collect::<Vec<_>>(), [expected]);
    assert!(expected.0.is_witness() && !NodeId(240).is_witness());
    assert_eq!(config.groups[0].promote, Promote::Peer);
    assert_eq!(config.timing, Timing::with_witness(Profile::Lan));
}

#[test]
fn several_witnesses_have_numbers_by_their_order() {
    let lines = "[witness]\naddresses = [\"10.0.9.3\", \"fd00:9::1\", \"10.0.9.2\"]\nport = 8000\nstrict = false";
    let config = config(lines);
    let found: Vec<String> = config.witnesses().map(|(id, at)| format!("{} {at}", id.0)).collect();
    assert_eq!(found, ["241 10.0.9.3:8000", "242 [fd00:9::1]:8000", "243 10.0.9.2:8000"]);
    assert!(!config.witness.expect("it is written").strict);
}

#[test]
fn a_bare_pair_has_the_times_of_its_profile_and_no_witness() {
    let bare = config("[timing]");
    assert_eq!((bare.witness, bare.timing), (None, Timing::of(Profile::Lan)));
    assert_eq!(bare.timing.lease, Duration::from_millis(250));
    let listen = Duration::from_nanos(251_250_126);
    assert_eq!((bare.timing.listen, bare.timing.drift_ppm), (listen, 500));
}

// S5
#[test]
fn promises_outlast_leases_and_abstention_outlasts_promises_at_any_drift() {
    for (profile, lease) in [(Profile::Fast, 35), (Profile::Lan, 170), (Profile::Wan, 3500)] {
        assert_eq!(Timing::with_witness(profile).lease, Duration::from_millis(lease), "{}", profile.name());
    }
    for ppm in [1, 500, 10_000, 50_000] {
        let found = config(&format!("[timing]\ndrift_ppm = {ppm}\n{ONE}")).timing;
        assert_eq!(found.drift_ppm, ppm);
        // A holder whose clock is slow and a voter whose clock is fast: real time × 1 million.
        let (holder, voter) = (found.lease.as_nanos() * 1_000_000 / u128::from(1_000_000 - ppm), 1_000_000 + ppm);
        let ends = found.promise.as_nanos() * 1_000_000 / u128::from(voter);
        assert!(ends > holder, "at {ppm} ppm the promise ends {ends} ns after it, the lease {holder} ns");
        let voted = found.abstain.as_nanos() * 1_000_000 / u128::from(voter);
        let forgotten = found.promise.as_nanos() * 1_000_000 / u128::from(1_000_000 - ppm);
        assert!(voted > forgotten, "at {ppm} ppm");
    }
}

#[test]
fn a_broken_inequality_of_promises_is_seen() {
    let good = Timing::with_witness(Profile::Lan);
    let broken = |timing: &Timing| bounds::rules(true).iter().filter(|rule| !rule.holds(timing)).count();
    assert_eq!(broken(&good), 0);
    assert_eq!(broken(&Timing { promise: good.lease, ..good }), 1);
    assert_eq!(broken(&Timing { abstain: good.promise, ..good }), 1);
    assert_eq!(broken(&Timing { drift_ppm: 5_000, ..good }), 2);
    assert_eq!(broken(&Timing { lease: good.pulse * 3, ..good }), 1);
}

#[test]
fn a_lease_too_short_for_votes_says_so() {
    one_error(
        &format!("{ONE}\n[timing]\nlease_ms = 153"),
        "15 timing.lease_ms: 153 ms breaks lease ≥ 3 × pulse + 4 ms: two grants in a row may be lost, and the third \
         still has 4 ms for its round trip and its jitter; write 154 or more",
    );
    one_error(
        &format!("{ONE}\n[timing]\npulse_ms = 80"),
        "15 timing.lease_ms: 170 ms (from the profile) breaks lease",
    );
    one_error(
        &format!("{ONE}\n[timing]\nlease_ms = 18"),
        "15 timing.lease_ms: 18 is out of range; write a whole number from 19 to 60000 ms",
    );
    let shortest = "[timing]\nprofile = \"fast\"\npulse_ms = 5\nlease_ms = 19";
    assert_eq!(errors_of(&with(&format!("{ONE}\n{shortest}"))), [""; 0]);
    one_error(shortest, "15 timing.lease_ms: 19 is out of range; write a whole number from 50 to");
}

#[test]
fn drift_has_bounds() {
    let right = "write a whole number from 1 to 50000 ppm, without quotes";
    for wrong in ["0", "50001"] {
        one_error(
            &format!("[timing]\ndrift_ppm = {wrong}"),
            &format!("13 timing.drift_ppm: {wrong} is out of range; {right}"),
        );
    }
    one_error("[timing]\ndrift_ppm = 0.5", &format!("13 timing.drift_ppm: is the fraction 0.5; {right}"));
    one_error(
        "[witness]\naddress = \"10.0.9.9\"\ndrift_ppm = 5",
        "14 witness.drift_ppm: unknown key; \"drift_ppm\" belongs to [timing]",
    );
}

#[test]
fn a_witness_has_an_address_of_its_own() {
    let right = "use every address of the file once";
    one_error(
        "[witness]\naddress = \"10.0.0.2\"",
        &format!("13 witness.address: 10.0.0.2 is used in line 10 already (node.links); {right}"),
    );
    one_error(
        "[witness]\naddresses = [\"10.0.9.1\",\n\"10.0.9.2\", \"10.0.9.1\"]",
        &format!("14 witness.addresses: 10.0.9.1 is used in line 13 already (witness.addresses); {right}"),
    );
    one_error(
        "[witness]\naddress = \"10.0.0.100\"",
        &format!("17 group.addresses: 10.0.0.100 is used in line 13 already (witness.address); {right}"),
    );
    one_error(
        "[witness]\naddress = \"wit\"",
        "13 witness.address: \"wit\" is no IP address; write an address such as 10.0.9.9 or fd00:9::9",
    );
    one_error("[witness]\naddress = \"127.0.0.1\"", "13 witness.address: 127.0.0.1 is a loopback address");
    one_error("[witness]\naddress = \"fe80::1\"", "13 witness.address: fe80::1 is a link-local address");
    one_error("[witness]\naddress = [\"10.0.9.9\"]", "13 witness.address: is a list; write an IP address in quotes");
}

#[test]
fn witnesses_are_an_odd_number() {
    let witnesses = |count: usize| {
        let addresses: Vec<String> = (1..=count).map(|n| format!("\"10.0.9.{n}\"")).collect();
        format!("[witness]\naddresses = [{}]", addresses.join(", "))
    };
    let right = "write an odd number of witnesses, at most 15";
    one_error(&witnesses(0), &format!("13 witness.addresses: is empty; {right}"));
    one_error(
        &witnesses(2),
        &format!("13 witness.addresses: has 2 entries: 4 voters bear no more failures than 3; {right}"),
    );
    one_error(&witnesses(17), &format!("13 witness.addresses: has 17 entries; {right}"));
    for count in [1, 3, 15] {
        assert_eq!(config(&witnesses(count)).witnesses().count(), count);
    }
    assert_eq!(config(&witnesses(15)).witnesses().last().map(|(id, _)| id), Some(NodeId(255)));
}

#[test]
fn other_keys_of_a_witness_mean_nothing_without_an_address() {
    one_error(
        "[witness]\nstrict = false",
        "12 witness.address: missing in this [witness]; write where the witness listens",
    );
    one_error(
        &format!("{ONE}\naddresses = [\"10.0.9.8\"]"),
        "14 witness.addresses: is written beside witness.address; write address for one",
    );
    one_error(
        &format!("{ONE}\nport = 0"),
        "14 witness.port: 0 is out of range; write a whole number from 1 to 65535",
    );
    one_error(&format!("{ONE}\nstrict = \"no\""), "14 witness.strict: is the string \"no\"; write true or false");
    let node = good_with("\"beta\"", "\"witness\"");
    assert_eq!(errors_of(&node), [""; 0], "without a witness the name is free");
    let errors = errors_of(&node.replace("[[group]]", &format!("{ONE}\n[[group]]")));
    assert_eq!(errors, ["9 node.name: \"witness\" is what the witness is called; give the node another name"]);
}

#[test]
fn promotion_by_a_witness_needs_one() {
    let promote = |value: &str| good_with("addresses", &format!("promote = \"{value}\"\naddresses"));
    for value in ["witness", "both"] {
        let expected = format!(
            "15 group.promote: \"{value}\" needs a witness, and the file has none; add [witness] with its address, or write \"peer\""
        );
        assert_eq!(errors_of(&promote(value)), [expected]);
    }
    assert_eq!(errors_of(&promote("peer")), [""; 0]);
    let errors = errors_of(&promote("witnes"));
    assert_eq!(errors, ["15 group.promote: \"witnes\" is nobody's evidence; did you mean \"witness\"?"]);
    let broken = promote("both").replace("[[group]]", "[[witness]]\naddress = \"10.0.9.9\"\n[[group]]");
    assert_eq!(errors_of(&broken), ["12 witness: is a list; write [witness] once, in single brackets"]);
    for expected in Promote::ALL {
        let text = promote(expected.name()).replace("[[group]]", &format!("{ONE}\n[[group]]"));
        assert_eq!(parse(&text).expect("it is right").groups[0].promote, expected);
    }
}

#[test]
fn a_witness_file_has_at_most_max_clusters() {
    let parse_with = |count: usize| {
        let table = |number| format!("[[cluster]]\nname = \"c{number}\"\nkey_file = \"k\"\n");
        let text: String = (0..count).map(table).collect();
        WitnessFile::parse(&text, Path::new("w.toml"))
    };
    let most = parse_with(MAX_CLUSTERS).expect("that many are right");
    assert_eq!(most.clusters.len(), MAX_CLUSTERS);
    let errors = parse_with(MAX_CLUSTERS + 1).expect_err("one too many").to_string();
    assert!(errors.contains(&format!("at most {MAX_CLUSTERS}")), "{errors}");
}
