//! Tests of `uplinks`: what arrives, and what each thing that is wrong with it is told.

use super::*;

/// The good configuration with this line in its group, and perhaps with another group behind it.
fn with(line: &str, behind: &str) -> String {
    format!("{}{behind}", good_with("addresses =", &format!("{line}\naddresses =")))
}

/// Expects exactly one error, which begins so.
#[track_caller]
fn one_error(text: &str, expected: &str) {
    let errors = errors_of(text);
    assert!(errors.len() == 1 && errors[0].starts_with(expected), "expected {expected:?}, got {errors:#?}");
}

/// Another group on this interface, with these further lines.
fn second(interface: &str, more: &str) -> String {
    format!("[[group]]\nname = \"mail\"\ninterface = \"{interface}\"\naddresses = [\"10.0.0.101\"]\n{more}")
}

#[test]
fn uplinks_arrive_on_the_node_that_they_are_written_for() {
    let cluster = parse(&with("uplinks = [\"enp1s0\", \"bond0\"]", &second("eth0", ""))).expect("it is right");
    for node in [1, 2] {
        let config = cluster.for_node(NodeId(node));
        assert_eq!(config.groups[0].uplinks, ["enp1s0", "bond0"]);
        assert_eq!(config.uplinks("eth0"), ["enp1s0", "bond0"], "one group speaks for the interface");
        assert!(config.uplinks("eth1").is_empty());
    }
    let cluster = parse(&with("uplinks = { beta = [\"ens3\"] }", "")).expect("it is right");
    assert_eq!(cluster.for_node(NodeId(2)).uplinks("eth0"), ["ens3"]);
    assert!(cluster.for_node(NodeId(1)).uplinks("eth0").is_empty(), "alpha's are told by their kind");
    assert!(parse(GOOD).expect("it is right").for_node(NodeId(1)).groups[0].uplinks.is_empty());
}

#[test]
fn uplinks_are_names_in_a_list() {
    let right = "write names in a list, or a list per node: { alpha = [\"eth0\"], beta = [\"ens3\"] }";
    one_error(&with("uplinks = \"a\"", ""), &format!("15 group.uplinks: is the string \"a\"; {right}"));
    one_error(&with("uplinks = [\"a\", 1]", ""), "15 group.uplinks: is the number 1; write names in a list");
    one_error(&with("uplinks = { beta = \"a\" }", ""), "15 group.uplinks.beta: is the string \"a\"; ");
    one_error(&with("uplinks = []", ""), "15 group.uplinks: is empty; name the ports that lead out of the server");
    one_error(&with("uplinks = [\"a/b\"]", ""), "15 group.uplinks: \"a/b\" is no interface name; write a name");
    one_error(&with("uplinks = [\"a\",\n\"a\"]", ""), "16 group.uplinks: \"a\" stands there twice; write it once");
    one_error(&with("uplinks = { bet = [\"a\"] }", ""), "15 group.uplinks.bet: there is no node \"bet\"; did you");
    let many: Vec<String> = (0..17).map(|number| format!("\"e{number}\"")).collect();
    let many = format!("uplinks = [{}]", many.join(", "));
    one_error(&with(&many, ""), "15 group.uplinks: has 17 names; write 1 to 16 names");
}

#[test]
fn uplinks_are_ports_of_the_groups_bridge_and_the_same_for_every_group_there() {
    one_error(
        &with("uplinks = { beta = [\"eth0\"] }", ""),
        "15 group.uplinks: \"eth0\" is the group's interface on node \"beta\"; name ports of that bridge",
    );
    let named = "uplinks = [\"a\", \"b\"]";
    assert!(parse(&with(named, &second("eth0", "uplinks = [\"b\", \"a\"]\n"))).is_ok(), "in any order");
    assert!(parse(&with(named, &second("eth1", "uplinks = [\"c\"]\n"))).is_ok(), "on another bridge");
    one_error(
        &with(named, &second("eth0", "uplinks = { alpha = [\"a\"] }\n")),
        "21 group.uplinks: group \"web\" names others for eth0 on node \"alpha\"; write the same names in both",
    );
}
