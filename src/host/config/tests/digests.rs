//! Tests of digests: equal where configurations mean the same, different where they do not.

use super::*;
use crate::types::GroupKey;

/// The configuration of the node with this number from a right file.
fn config(text: &str, node: u8) -> Config {
    parse(text).expect("it is right").for_node(NodeId(node))
}

#[test]
fn both_nodes_compute_the_same_digests_from_one_file() {
    let text = good_with("\"eth0\"", "{ alpha = \"eth0\", beta = \"ens3\" }");
    let (alpha, beta) = (config(&text, 1), config(&text, 2));
    assert_eq!(digest::digests(&alpha), digest::digests(&beta));
    assert_eq!(digest::addresses(&alpha.groups[0]), digest::addresses(&beta.groups[0]));
    assert_eq!(digest::policy(&alpha, &alpha.groups[0]), digest::policy(&beta, &beta.groups[0]));
}

/// For each of the four digests nodes, groups, addresses and policy, whether the file's differs
/// from the good configuration's.
fn differs(text: &str) -> [bool; 4] {
    let all = |config: &Config| {
        let digests = digest::digests(config);
        let group = &config.groups[0];
        [digests.nodes, digests.groups, digest::addresses(group), digest::policy(config, group)]
    };
    let (one, other) = (all(&config(GOOD, 1)), all(&config(text, 1)));
    std::array::from_fn(|part| one[part] != other[part])
}

#[test]
fn each_digest_covers_its_part_and_no_other() {
    let nodes = [true, false, false, false];
    let policy = [false, false, false, true];
    assert_eq!(differs(GOOD), [false; 4]);
    assert_eq!(differs(&good_with("10.0.0.2", "10.0.0.3")), nodes);
    assert_eq!(differs(&good_with("\"beta\"", "\"gamma\"")), nodes);
    assert_eq!(differs(&good_with("name = \"web\"", "name = \"www\"")), [false, true, false, false]);
    assert_eq!(differs(&good_with("10.0.0.100", "10.0.0.101")), [false, false, true, false]);
    for key in ["prefer = \"beta\"", "preempt = true", "preempt_delay_ms = 1", "drain_ms = 1", "tickle = false"] {
        assert_eq!(differs(&good_with("addresses", &format!("{key}\naddresses"))), policy, "{key}");
    }
    for lines in [
        "units = [\"a.service\"]",
        "[[group.check]]\nkind = \"tcp\"\nport = 80",
        "[group.hooks]\non_fault = [[\"/bin/true\"]]",
    ] {
        assert_eq!(differs(&format!("{GOOD}{lines}\n")), policy, "{lines}");
    }
    assert_eq!(differs(&good_with("[[group]]", "[timing]\ndrift_ppm = 501\n[[group]]")), nodes);
    let voted = |lines: &str| good_with("[[group]]", &format!("[witness]\naddress = \"10.0.9.9\"{lines}\n[[group]]"));
    assert_eq!(differs(&voted("")), nodes, "who votes");
    let promote = voted("").replace("addresses", "promote = \"both\"\naddresses");
    assert_eq!(differs(&promote), [true, false, false, true]);
}

#[test]
fn who_votes_and_how_strictly_is_in_the_digest_of_nodes() {
    let of = |lines: &str| {
        let text = good_with("[[group]]", &format!("[witness]\n{lines}\n[[group]]"));
        digest::digests(&config(&text, 1)).nodes
    };
    let all = [
        "address = \"10.0.9.9\"",
        "address = \"10.0.9.8\"",
        "address = \"10.0.9.9\"\nstrict = false",
        "address = \"10.0.9.9\"\nport = 7812",
        "addresses = [\"10.0.9.1\", \"10.0.9.2\", \"10.0.9.3\"]",
        "addresses = [\"10.0.9.1\", \"10.0.9.3\", \"10.0.9.2\"]",
    ];
    let found: std::collections::HashSet<u32> = all.into_iter().map(of).collect();
    assert_eq!(found.len(), all.len());
    assert_eq!(of(all[0]), of("addresses = [\"10.0.9.9\"]\nport = 7811\nstrict = true"), "the same in other words");
}

#[test]
fn the_order_of_addresses_and_groups_means_nothing() {
    let one = config(&good_with("\"10.0.0.100\"", "\"10.0.0.100\", \"fd00::1\""), 1);
    let other = config(&good_with("\"10.0.0.100\"", "\"fd00::1\", \"10.0.0.100\""), 1);
    assert_eq!(digest::addresses(&one.groups[0]), digest::addresses(&other.groups[0]));
    assert_eq!(digest::groups(["a", "b"].into_iter()), digest::groups(["b", "a"].into_iter()));
    assert_ne!(digest::groups(["a", "b"].into_iter()), digest::groups(["ab"].into_iter()));
}

#[test]
fn values_on_the_wire_never_change_within_a_protocol_version() {
    // As `printf web | sha256sum` and `printf "group web\n" | sha256sum` say.
    assert_eq!(digest::group_key("web"), GroupKey(0x4b5e_57f6_eb2f_42b9));
    assert_eq!(digest::cluster_number("web"), 0x4b5e_57f6);
    assert_eq!(config(GOOD, 1).groups[0].key, GroupKey(0x4b5e_57f6_eb2f_42b9));
    assert_eq!(digest::groups(["web"].into_iter()), 0x6b18_3cc8);
}
