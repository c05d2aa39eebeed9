//! Tests of every class of error in the nodes' file: line, key, what is wrong, what would be right.

use super::*;

/// Replaces `old` by `new` in the good configuration and expects exactly one error that begins with
/// `expected`.
#[track_caller]
fn one_error(old: &str, new: &str, expected: &str) {
    let errors = errors_of(&good_with(old, new));
    assert!(errors.len() == 1 && errors[0].starts_with(expected), "expected {expected:?}, got {errors:#?}");
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    one_error("interface =", "drain = 1\ninterface =", "14 group.drain: unknown key; did you mean \"drain_ms\"?");
    one_error("[[node]]", "[timings]\n[[node]]", "4 timings: unknown key; did you mean \"timing\"?");
    one_error(
        "[[node]]",
        "[timing]\nzebra = 1\n[[node]]",
        "5 timing.zebra: unknown key; known here: profile, pulse_ms",
    );
    one_error(
        "addresses = [",
        "preempt_dleay_ms = 1\naddresses = [",
        "15 group.preempt_dleay_ms: unknown key; did you mean \"preempt_delay_ms\"?",
    );
}

#[test]
fn a_key_of_no_letters_is_shown_as_it_is_written() {
    one_error("cluster =", "\"\" = 1\ncluster =", "1 \"\": unknown key; known here: cluster, key_file");
    one_error("interface =", "'' = 1\ninterface =", "14 group.\"\": unknown key; known here: name, interface");
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    one_error(
        "links = [\"10.0.0.1\"]",
        "links = [\"10.0.0.1\"]\nprefer = \"alpha\"",
        "7 node.prefer: unknown key; \"prefer\" belongs to [[group]]",
    );
    one_error(
        "addresses",
        "cluster = \"x\"\naddresses",
        "15 group.cluster: unknown key; \"cluster\" belongs to the top",
    );
}

#[test]
fn missing_keys_are_named_where_they_belong() {
    one_error("cluster = \"web\"\n", "", "1 cluster: missing at the top of the file; write a name both nodes share");
    one_error("key_file = \"cluster.key\"\n", "", "1 key_file: missing at the top of the file; make a key with");
    one_error("name = \"beta\"\n", "", "8 node.name: missing in this [[node]]; ");
    one_error("links = [\"10.0.0.2\"]\n", "", "8 node.links: missing in this [[node]]; ");
    one_error("name = \"web\"\n", "", "12 group.name: missing in this [[group]]; ");
    one_error("interface = \"eth0\"\n", "", "12 group.interface: missing in this [[group]]; ");
    one_error("addresses = [\"10.0.0.100\"]\n", "", "12 group.addresses: missing in this [[group]]; ");
    let without_groups = &GOOD[..GOOD.find("[[group]]").expect("it has a group")];
    assert_eq!(errors_of(without_groups).len(), 1);
    assert!(errors_of(without_groups)[0].starts_with("1 group: missing at the top of the file; write at least one"));
    assert_eq!(errors_of("").len(), 4, "an empty file lacks four things");
}

#[test]
fn wrong_types_say_what_stands_there_and_what_should() {
    one_error("cluster = \"web\"", "cluster = 5", "1 cluster: is the number 5; write a name in quotes");
    one_error(
        "links = [\"10.0.0.1\"]",
        "links = \"10.0.0.1\"",
        "6 node.links: is the string \"10.0.0.1\"; write this node's",
    );
    one_error("[\"10.0.0.1\"]", "[\"10.0.0.1\",\n 7]", "7 node.links: is the number 7; ");
    one_error(
        "addresses",
        "preempt = \"yes\"\naddresses",
        "15 group.preempt: is the string \"yes\"; write true or false",
    );
    one_error(
        "addresses",
        "drain_ms = 1.5\naddresses",
        "15 group.drain_ms: is the fraction 1.5; write a whole number",
    );
    one_error(
        "[[node]]",
        "[timing]\npulse_ms = \"5\"\n[[node]]",
        "5 timing.pulse_ms: is the string \"5\"; write a whole",
    );
    one_error("\"eth0\"", "[\"eth0\"]", "14 group.interface: is a list; write a name in quotes, or one per node");
    one_error("\"eth0\"", "{ alpha = 1, beta = \"e\" }", "14 group.interface.alpha: is the number 1; ");
    one_error("cluster =", "timing = 5\ncluster =", "1 timing: is the number 5; write [timing] once");
}

#[test]
fn a_table_in_single_brackets_is_told_to_double_them() {
    let text = GOOD.replace("[[group]]", "[group]");
    assert_eq!(errors_of(&text), ["12 group: is a table; write [[group]], in double brackets, above each one"]);
}

#[test]
fn names_are_short_and_of_plain_letters() {
    one_error("cluster = \"web\"", "cluster = \"\"", "1 cluster: is empty; use 1 to 64 letters");
    one_error("cluster = \"web\"", "cluster = \"w b\"", "1 cluster: \"w b\" contains ' '; use 1 to 64 letters");
    one_error("name = \"web\"", "name = \"-web\"", "13 group.name: \"-web\" begins with \"-\"; ");
    one_error("name = \"web\"", &format!("name = \"{}\"", "x".repeat(65)), "13 group.name: has 65 bytes; ");
    one_error(
        "\"beta\"",
        "\"alpha\"",
        "9 node.name: \"alpha\" is the name in line 5 already; give each its own name",
    );
    let twice = format!("{GOOD}[[group]]\nname = \"web\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.101\"]\n");
    assert_eq!(errors_of(&twice), ["17 group.name: \"web\" is the name in line 13 already; give each its own name"]);
}

#[test]
fn this_version_runs_exactly_two_nodes() {
    let one = good_with("[[node]]\nname = \"beta\"\nlinks = [\"10.0.0.2\"]\n", "");
    assert_eq!(errors_of(&one), ["4 node: there is only one node; write exactly two [[node]] tables"]);
    let three = format!("{GOOD}[[node]]\nname = \"gamma\"\nlinks = [\"10.0.0.3\"]\n");
    assert_eq!(
        errors_of(&three),
        ["16 node: there are 3 nodes, and this version runs pairs; write exactly two [[node]] tables"]
    );
    let many: String = (3..=256)
        .map(|n| format!("[[node]]\nname = \"n{n}\"\nlinks = [\"10.1.{}.{}\"]\n", n / 256, n % 256))
        .collect();
    let errors = errors_of(&format!("{GOOD}{many}"));
    assert!(errors[0].contains("there are 256 nodes, and numbers end at 240"), "{errors:#?}");
}

#[test]
fn links_pair_by_position_number_and_family() {
    one_error(
        "[\"10.0.0.2\"]",
        "[\"10.0.0.2\", \"10.1.0.2\"]",
        "10 node.links: \"beta\" has 2 links and \"alpha\" has 1; ",
    );
    one_error(
        "[\"10.0.0.2\"]",
        "[\"fd00::2\"]",
        "10 node.links: fd00::2 pairs with 10.0.0.1 of \"alpha\", which is another",
    );
    one_error("[\"10.0.0.2\"]", "[]", "10 node.links: is empty; write 1 to 16 of this node's own addresses");
}

#[test]
fn only_addresses_of_one_host_are_accepted() {
    let link = |text: &str, expected: &str| one_error("\"10.0.0.2\"", text, &format!("10 node.links: {expected}"));
    link("\"10.0.0\"", "\"10.0.0\" is no IP address; write an address such as 10.0.0.1");
    link("\"alpha.example\"", "\"alpha.example\" is no IP address; ");
    link("\"10.0.0.2/24\"", "\"10.0.0.2/24\" is no IP address; write the address without a prefix length");
    link("\"0.0.0.0\"", "0.0.0.0 is no host's address");
    link("\"127.0.0.1\"", "127.0.0.1 is a loopback address");
    link("\"224.0.0.1\"", "224.0.0.1 is a multicast address");
    link("\"255.255.255.255\"", "255.255.255.255 is a broadcast or reserved address");
    for (text, expected) in [
        ("::", ":: is the unspecified address"),
        ("::1", "::1 is a loopback address"),
        ("ff02::1", "ff02::1 is a multicast address"),
        ("fe80::1", "fe80::1 is a link-local address, which means nothing without an interface"),
        ("fe80::1%eth0", "\"fe80::1%eth0\" is no IP address; write an address without a zone"),
        ("::ffff:10.0.0.2", "::ffff:10.0.0.2 is an IPv4 address in IPv6 clothes"),
    ] {
        link(&format!("\"{text}\""), expected);
    }
    one_error("10.0.0.100", "ff02::1", "15 group.addresses: ff02::1 is a multicast address; ");
    assert!(parse(&good_with("10.0.0.100", "fe80::100")).is_ok(), "a group has an interface, so link-local is right");
}

#[test]
fn no_address_is_used_twice() {
    one_error("10.0.0.2", "10.0.0.1", "10 node.links: 10.0.0.1 is used in line 6 already (node.links); ");
    one_error("10.0.0.100", "10.0.0.1", "15 group.addresses: 10.0.0.1 is used in line 6 already (node.links); ");
    one_error(
        "\"10.0.0.100\"",
        "\"2001:db8::1\",\n\"2001:DB8:0::1\"",
        "16 group.addresses: 2001:db8::1 is used in line 15 already (group.addresses); ",
    );
    one_error("[\"10.0.0.100\"]", "[]", "15 group.addresses: is empty; write at least one address");
}

#[test]
fn an_interface_is_a_name_or_one_for_every_node() {
    one_error("\"eth0\"", "\"a-much-too-long-name\"", "14 group.interface: \"a-much-too-long-name\" has 20 bytes; ");
    one_error("\"eth0\"", "\"eth0/1\"", "14 group.interface: \"eth0/1\" is no interface name; ");
    one_error("\"eth0\"", "\"\"", "14 group.interface: is empty; ");
    one_error("\"eth0\"", "\"lo\"", "14 group.interface: the loopback has no clients; ");
    one_error("\"eth0\"", "{ alpha = \"eth0\" }", "14 group.interface: has no entry for node \"beta\"; add beta = ");
    let errors = errors_of(&good_with("\"eth0\"", "{ alpha = \"eth0\", beat = \"eth1\" }"));
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors.iter().any(|e| e == "14 group.interface.beat: there is no node \"beat\"; did you mean \"beta\"?"));
}

#[test]
fn prefer_names_a_node() {
    one_error(
        "addresses",
        "prefer = \"alhpa\"\naddresses",
        "15 group.prefer: there is no node \"alhpa\"; did you mean \"alpha\"?",
    );
    one_error(
        "addresses",
        "prefer = \"zz\"\naddresses",
        "15 group.prefer: there is no node \"zz\"; write one of alpha, beta",
    );
}

#[test]
fn times_that_do_not_fit_together_say_why() {
    let timing = |keys: &str, expected: &str| one_error("[[node]]", &format!("[timing]\n{keys}\n[[node]]"), expected);
    timing("profile = \"fats\"", "5 timing.profile: \"fats\" is no profile; did you mean \"fast\"?");
    timing("pulse_ms = 4", "5 timing.pulse_ms: 4 is out of range; write a whole number from 5 to 10000 ms");
    timing("pulse_ms = -1", "5 timing.pulse_ms: -1 is out of range; ");
    timing("pulse_ms = 99999999999999999999", "5 timing.pulse_ms: 99999999999999999999 is out of range; ");
    timing(
        "silence_ms = 77",
        "5 timing.silence_ms: 77 ms breaks silence ≥ suspicion + 3 × probe: a standby must have time to ask three times before it takes over; write 78 or more",
    );
    timing("lease_ms = 149", "5 timing.lease_ms: 149 ms breaks lease ≥ 3 × pulse: two renewals");
    timing(
        "profile = \"fast\"\nlease_ms = 49",
        "6 timing.lease_ms: 49 is out of range; write a whole number from 50 to",
    );
    assert_eq!(errors_of(&good_with("[[node]]", "[timing]\nsilence_ms = 78\nlease_ms = 150\n[[node]]")), [""; 0]);
    // Only the pulse is written: the profile's other times break, and the remedy names them.
    let errors = errors_of(&good_with("[[node]]", "[timing]\npulse_ms = 200\n[[node]]"));
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("5 timing.silence_ms: 180 ms (from the profile) breaks"), "{}", errors[0]);
    assert!(errors[1].ends_with("write lease_ms = 600 or more, or a shorter pulse_ms"), "{}", errors[1]);
}

#[test]
fn counts_are_bounded() {
    let addresses: Vec<String> =
        (0..=50_000_u32).map(|n| format!("\"10.{}.{}.{}\"", 1 + n / 65_536, n / 256 % 256, n % 256)).collect();
    let text = good_with("\"10.0.0.100\"", &addresses.join(","));
    assert_eq!(errors_of(&text).len(), 1, "50,000 addresses are right and one more is not");
    assert!(
        errors_of(&text)[0].starts_with("15 group.addresses: the file has more than 50000 addresses up to here; ")
    );
    let group = |n: u32| {
        format!("[[group]]\nname = \"g{n}\"\ninterface = \"e\"\naddresses = [\"10.9.{}.{}\"]\n", n / 256, n % 256)
    };
    let groups: String = (1..=1024).map(group).collect();
    let errors = errors_of(&format!("{GOOD}{groups}"));
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].contains("there are 1025 groups; write 1 to 1024"), "{}", errors[0]);
}

#[test]
fn all_errors_are_shown_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("cluster = \"web\"", "clutser = \"web\"")
        .replace("10.0.0.1\"", "10.0.0.1/24\"")
        .replace("name = \"beta\"", "name = 7")
        .replace("eth0", "eth0/0")
        .replace("10.0.0.100", "nonsense");
    let keys: Vec<(Option<usize>, String)> =
        parse(&text).expect_err("five things are wrong").errors.into_iter().map(|e| (e.line, e.key)).collect();
    let expected = [
        (1, "cluster"),
        (1, "clutser"),
        (6, "node.links"),
        (9, "node.name"),
        (14, "group.interface"),
        (15, "group.addresses"),
    ];
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(sorted, expected.map(|(line, key)| (Some(line), key.to_owned())));
    assert!(keys.is_sorted_by_key(|(line, _)| *line));
}

#[test]
fn an_error_begins_with_file_line_and_key() {
    let errors = parse(&good_with("10.0.0.100", "x")).expect_err("x is no address");
    assert!(errors.to_string().starts_with("v.toml:15: group.addresses: \"x\" is no IP address; write"), "{errors}");
}

#[test]
fn errors_of_syntax_come_with_those_before_them() {
    let errors = errors_of("clutser = \"x\"\n\n[[node]\nname = \"a\"\n= 5\nlinsk = 1\n");
    assert!(errors[0].starts_with("1 clutser: unknown key; did you mean \"cluster\"?"), "{errors:#?}");
    assert!(errors[1].starts_with("3 : is no TOML: "), "{errors:#?}");
    assert!(errors[2].starts_with("5 : is no TOML: "), "{errors:#?}");
    assert_eq!(errors.len(), 3, "what stands after an error of syntax is not judged: {errors:#?}");
    let twice = errors_of(&good_with("cluster = \"web\"", "cluster = \"web\"\ncluster = \"x\""));
    assert_eq!(twice.len(), 1);
    assert_eq!(twice[0], "2 : is no TOML: duplicate key cluster; write every key of a table once");
}

#[test]
fn a_long_file_is_searched_for_errors_of_syntax_as_far_as_that_is_of_use() {
    let lines = vec!["    \"10.0.0.1\","; 20_000].join("\n");
    let long =
        |first: &str, behind: &str| format!("cluster = \"web\"\n{first}\naddresses = [\n{lines}\n]\n{behind}\n");
    let far = errors_of(&long("= 5", "= 6"));
    assert_eq!(far.len(), 1, "an array that goes on is no error, and nobody searches for the last: {far:#?}");
    assert!(far[0].starts_with("2 : is no TOML: "), "{far:#?}");
    let late = errors_of(&long("key_file = \"key\"", "= 6\n= 7"));
    let syntax: Vec<&String> = late.iter().filter(|error| error.contains("is no TOML")).collect();
    assert!(syntax[0].starts_with("20005 : ") && syntax[1].starts_with("20006 : "), "{late:#?}");
    assert_eq!(syntax.len(), 2, "{late:#?}");
    assert!(late[0].starts_with("3 addresses: unknown key"), "what stands before is judged: {late:#?}");
}

#[test]
fn more_errors_than_a_screen_holds_are_counted() {
    let bad = vec!["\"x\""; 500].join(",");
    let errors = parse(&good_with("\"10.0.0.100\"", &bad)).expect_err("x is no address");
    assert_eq!((errors.errors.len(), errors.omitted), (MAX_ERRORS, 400));
    assert!(errors.to_string().ends_with("… and 400 more"));
}

#[test]
fn unreadable_files_are_errors_of_the_same_form() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("v.toml");
    let missing = ClusterFile::read(&path).expect_err("there is no file").to_string();
    assert!(missing.contains("v.toml: cannot be read: No such file"), "{missing}");
    assert!(missing.ends_with("; see that the path is right, and that the file is there"), "{missing}");
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("it can be made");
    let waited = ClusterFile::read(&fifo).expect_err("nobody writes to it").to_string();
    assert!(waited.contains("fifo: is not a regular file; "), "{waited}");
    std::fs::write(&path, b"cluster = \"a\"\nkey_file = \"\xff\"\n").expect("it can be written");
    let encoding = ClusterFile::read(&path).expect_err("0xff is no UTF-8").to_string();
    assert!(encoding.ends_with("v.toml:2: is not UTF-8; save the file as UTF-8"), "{encoding}");
    let huge = std::fs::File::create(&path).expect("it can be made");
    huge.set_len(MAX_FILE_BYTES + 1).expect("it can be sparse");
    let large = ClusterFile::read(&path).expect_err("it is too large").to_string();
    assert!(large.contains("is larger than 8 MiB"), "{large}");
}

#[test]
fn an_error_is_one_line_of_readable_length_whatever_the_file_says() {
    one_error(
        "name = \"web\"",
        r#"name = "a\u001b[2J\n""#,
        r#"13 group.name: "a\u{1b}[2J\n" contains '\u{1b}'; use"#,
    );
    let key = format!("\"{}\\n\" = 1\ncluster =", "k".repeat(5000));
    let errors = errors_of(&good_with("cluster =", &key));
    assert!(errors.len() == 1 && errors[0].len() < 1000 && errors[0].contains("kk…: unknown key"), "{errors:?}");
}
