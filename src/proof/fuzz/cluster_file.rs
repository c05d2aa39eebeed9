//! The configuration file: every error says where and what, and what is accepted obeys every bound.
//!
//! - An error names the file, a line that exists and its key (but for TOML's own syntax, which has
//!   none), what is wrong and what would be right, in one line of readable length; errors come in
//!   the order of the file.
//! - What is accepted is checked against the bounds of the guide as written here, and is the same,
//!   digests included, when it is written as TOML and read again.
//! - Reading takes memory in proportion to the text.

mod service;

use super::Taken;
use crate::config::{ClusterFile, ClusterGroup, ConfigError, ConfigErrors, MAX_ERRORS, digest};
use crate::timing::Promote;
use crate::types::NodeId;
use std::collections::HashSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use vipair_host::testing::measured;

/// Path that every error must name as its file.
pub(super) const FILE: &str = "/etc/vipair/v.toml";
/// Longest text of one error in letters: wider than a screen, and less than a page.
const READABLE: usize = 1000;
/// Bytes of memory for each byte of text, which can be a key of its own, or an error.
const PER_BYTE: u64 = 512;
/// Bytes of memory that even the shortest text may take.
const AT_LEAST: u64 = 256 << 10;

/// Checks one input: `bytes` are the text of a cluster file. Accepted: the file was parsed without
/// an error.
pub(super) fn run(bytes: &[u8]) -> Taken {
    check_file(bytes, parse, |file| {
        check_bounds(file);
        check_written(file);
    })
}

/// Checks a file of either kind, the nodes' or the witness's: the memory that `parse` takes, its
/// errors, and by `check` what `parse` accepts. Accepted: `parse` had no error.
pub(super) fn check_file<T>(
    bytes: &[u8],
    parse: impl Fn(&str) -> Result<T, ConfigErrors>,
    check: impl Fn(&T),
) -> Taken {
    let Ok(text) = std::str::from_utf8(bytes) else { return Taken::Refused };
    let (parsed, usage) = measured(|| parse(text));
    assert!(usage.peak <= allowance(text.len()), "{} bytes of memory for {}", usage.peak, text.len());
    match &parsed {
        Ok(file) => check(file),
        Err(errors) => check_errors(text, errors),
    }
    Taken::of(parsed.is_ok())
}

/// Bytes of memory that reading a text of this length may take.
pub(super) fn allowance(length: usize) -> u64 {
    AT_LEAST + PER_BYTE * u64::try_from(length).expect("64 bits")
}

/// Parses the text of a cluster file that is called [`FILE`].
pub(super) fn parse(text: &str) -> Result<ClusterFile, ConfigErrors> {
    ClusterFile::parse(text, Path::new(FILE))
}

/// Checks that each error is one readable line that names file, line and key.
pub(super) fn check_errors(text: &str, errors: &ConfigErrors) {
    assert!(!errors.errors.is_empty(), "refused for no reason");
    assert!(errors.errors.len() <= MAX_ERRORS, "{} errors", errors.errors.len());
    assert!(errors.errors.is_sorted_by_key(|error| error.line), "errors in the order of the file");
    let lines = text.split('\n').count();
    for error in &errors.errors {
        let ConfigError { file, line, key, wrong, right } = error;
        assert_eq!(file, Path::new(FILE));
        assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{line:?} of {lines}: {error}");
        assert!(!key.is_empty() || wrong.starts_with("is no TOML: "), "no key: {error}");
        assert!(!wrong.is_empty() && !right.is_empty(), "{error}");
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?} is more than one line of text");
        assert!(shown.chars().count() <= READABLE, "an error of {} letters: {shown}", shown.chars().count());
    }
}

/// Whether the guide permits `name` as a name of a cluster, node or group.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Checks that everything in an accepted file is within the bounds of the guide.
fn check_bounds(file: &ClusterFile) {
    assert!(is_name(&file.cluster), "{:?}", file.cluster);
    let [one, other] = file.nodes.as_slice() else { panic!("a pair, not {} nodes", file.nodes.len()) };
    assert!(is_name(&one.name) && is_name(&other.name) && one.name != other.name);
    assert_eq!((one.id, other.id), (NodeId(1), NodeId(2)));
    assert!((1..=16).contains(&one.links.len()) && one.links.len() == other.links.len(), "links in pairs");
    assert!(one.links.iter().zip(&other.links).all(|(one, other)| one.is_ipv4() == other.is_ipv4()));
    check_times(file);
    if let Some(witness) = &file.witness {
        let count = witness.addresses.len();
        assert!(count % 2 == 1 && count <= 15 && witness.port > 0, "{witness:?}");
        assert!(file.nodes.iter().all(|node| node.name != "witness"));
    }
    assert!((1..=1024).contains(&file.groups.len()), "{} groups", file.groups.len());
    let mut names = HashSet::new();
    let mut used: HashSet<IpAddr> = HashSet::new();
    let links = file.nodes.iter().flat_map(|node| &node.links);
    let witnesses = file.witness.iter().flat_map(|witness| &witness.addresses);
    for address in links.chain(witnesses).chain(file.groups.iter().flat_map(|group| &group.addresses)) {
        assert!(used.insert(*address), "{address} is used twice");
        assert!(!address.is_unspecified() && !address.is_multicast() && !address.is_loopback(), "{address}");
    }
    for group in &file.groups {
        assert!(is_name(&group.name) && names.insert(&group.name), "{:?}", group.name);
        assert_eq!(group.key, digest::group_key(&group.name));
        assert!(!group.addresses.is_empty() && used.len() <= 50_000 + 32 + 15);
        assert!(file.nodes.iter().any(|node| node.id == group.prefer));
        assert!(file.witness.is_some() || group.promote == Promote::Peer, "{:?} by nobody", group.promote);
        assert!(group.preempt_delay <= Duration::from_secs(3600) && group.drain <= Duration::from_secs(60));
        service::check_bounds(group);
        assert_eq!(group.interfaces.len(), 2, "an interface on each node");
        for name in &group.interfaces {
            assert!((1..=15).contains(&name.len()) && name != "lo", "{name:?}");
            assert!(!name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()), "{name:?}");
        }
        check_uplinks(file, group);
    }
}

/// Checks the uplinks of a group: on each node at most sixteen ports, none of them the group's own
/// interface, and the same ones as every other group that names some there.
fn check_uplinks(file: &ClusterFile, group: &ClusterGroup) {
    assert_eq!(group.uplinks.len(), 2, "uplinks on each node");
    for (at, uplinks) in group.uplinks.iter().enumerate() {
        let names: HashSet<&String> = uplinks.iter().collect();
        assert!(names.len() == uplinks.len() && names.len() <= 16, "{uplinks:?}");
        assert!(names.iter().all(|name| (1..=15).contains(&name.len()) && **name != group.interfaces[at]));
        for other in &file.groups {
            let others: HashSet<&String> = other.uplinks[at].iter().collect();
            let free = names.is_empty() || others.is_empty() || other.interfaces[at] != group.interfaces[at];
            assert!(free || names == others, "{:?} and {:?}", group.name, other.name);
        }
    }
}

/// Checks that the times of an accepted file are within their bounds and fit each other.
fn check_times(file: &ClusterFile) {
    let ms = |times: std::ops::RangeInclusive<u64>| {
        Duration::from_millis(*times.start())..=Duration::from_millis(*times.end())
    };
    let times = &file.timing;
    assert!(ms(5..=10_000).contains(&times.pulse), "{times:?}");
    assert!(ms(8..=60_000).contains(&times.silence), "{times:?}");
    let (least, way) = if file.witness.is_some() { (19, 4) } else { (50, 0) };
    assert!(ms(least..=60_000).contains(&times.lease), "{times:?}");
    assert!(times.silence >= times.suspicion + times.probe * 3, "three questions within the silence: {times:?}");
    assert!(times.lease >= times.pulse * 3 + Duration::from_millis(way), "two late renewals: {times:?}");
    assert!((1..=50_000).contains(&times.drift_ppm), "{times:?}");
    // The error of the clocks, as a share.
    let ppm = f64::from(u32::try_from(times.drift_ppm).expect("it is in bounds")) / 1e6;
    let least = |time: Duration| time.as_secs_f64() * (1.0 + ppm) / (1.0 - ppm) + 0.000_999;
    assert!(times.promise.as_secs_f64() >= least(times.lease), "promises outlast leases: {times:?}");
    assert!(times.abstain.as_secs_f64() >= least(times.promise), "abstention outlasts promises: {times:?}");
}

/// Checks that a file is the same when it is written and read again, and that every node finds
/// itself in it.
fn check_written(file: &ClusterFile) {
    let again = match parse(&written(file)) {
        Ok(again) => again,
        Err(errors) => panic!("what was accepted is refused when written: {errors}\n{}", written(file)),
    };
    assert_eq!(again.unplaced(), file.unplaced());
    for (node, number) in file.nodes.iter().zip(0..) {
        assert_eq!(file.identify(Some(&node.name), &[]).ok(), Some(node.id));
        assert_eq!(file.identify(None, &node.links[..1]).ok(), Some(node.id));
        let (config, other) = (file.for_node(node.id), again.for_node(node.id));
        assert_eq!(digest::digests(&config), digest::digests(&other), "the same digests");
        for (group, twin) in config.groups.iter().zip(&other.groups) {
            assert_eq!(digest::addresses(group), digest::addresses(twin));
            assert_eq!(digest::policy(&config, group), digest::policy(&other, twin));
        }
        let interfaces: Vec<&String> = file.groups.iter().map(|group| &group.interfaces[number]).collect();
        assert!(config.groups.iter().map(|group| &group.interface).eq(interfaces));
    }
}

/// An accepted file, written as TOML.
fn written(file: &ClusterFile) -> String {
    let mut text = format!("cluster = {}\n", quoted(&file.cluster));
    let times = &file.timing;
    let mut add = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("writing to a String never fails");
    add(format_args!("key_file = {}", quoted(file.key_file.to_str().expect("it came from a text"))));
    add(format_args!("[timing]\nprofile = \"{}\"", file.profile.name()));
    for (key, time) in [("pulse_ms", times.pulse), ("silence_ms", times.silence), ("lease_ms", times.lease)] {
        add(format_args!("{key} = {}", time.as_millis()));
    }
    add(format_args!("drift_ppm = {}", times.drift_ppm));
    let list = |addresses: &[IpAddr]| {
        addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
    };
    for node in &file.nodes {
        add(format_args!("[[node]]\nname = {}\nlinks = [{}]", quoted(&node.name), list(&node.links)));
    }
    if let Some(witness) = &file.witness {
        add(format_args!("[witness]\naddresses = [{}]", list(&witness.addresses)));
        add(format_args!("port = {}\nstrict = {}", witness.port, witness.strict));
    }
    for group in &file.groups {
        let interfaces: Vec<String> = (file.nodes.iter().zip(&group.interfaces))
            .map(|(node, name)| format!("{} = {}", quoted(&node.name), quoted(name)))
            .collect();
        add(format_args!("[[group]]\nname = {}", quoted(&group.name)));
        add(format_args!("interface = {{ {} }}", interfaces.join(", ")));
        let uplinks: Vec<String> = (file.nodes.iter().zip(&group.uplinks).filter(|(_, names)| !names.is_empty()))
            .map(|(node, names)| {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                format!("{} = [{}]", quoted(&node.name), names.join(", "))
            })
            .collect();
        add(format_args!("uplinks = {{ {} }}", uplinks.join(", ")));
        add(format_args!("addresses = [{}]", list(&group.addresses)));
        add(format_args!("prefer = {}", quoted(&file.nodes[usize::from(group.prefer.0) - 1].name)));
        add(format_args!("preempt = {}", group.preempt));
        add(format_args!("preempt_delay_ms = {}", group.preempt_delay.as_millis()));
        add(format_args!("drain_ms = {}", group.drain.as_millis()));
        add(format_args!("promote = \"{}\"", group.promote.name()));
        add(format_args!("{}", service::written(group)));
    }
    text
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

const SMALLEST: &str = r#"cluster = "web"
key_file = "cluster.key"
[[node]]
name = "alpha"
links = ["10.0.0.1"]
[[node]]
name = "beta"
links = ["10.0.0.2"]
[[group]]
name = "web"
interface = "eth0"
addresses = ["10.0.0.100"]
"#;

const LARGER: &str = r#"cluster = "web-1.a"
key_file = "../k e\ty\\"
timing = { profile = "fast", pulse_ms = 10, silence_ms = 0x20, lease_ms = 2_50 }
node = [
  { name = "alpha", links = ["10.0.0.1", "fd00::1"] },
  { name = "beta", links = ["10.0.0.2", "fd00::2"] },
]
[[group]]
name = "web"
interface = { alpha = "eth0", beta = "ens3" }
addresses = ["10.0.0.100", "2001:db8::100", "fe80::1"]
prefer = "beta"
preempt = true
preempt_delay_ms = 0
drain_ms = 60000
[[group]]
name = "mail"
interface.alpha = "br-mail.7"
interface.beta = "b"
addresses = ["10.0.0.101"]
"#;

const WITNESSES: &str = r#"[witness]
addresses = ["10.0.9.1", "fd00:9::2", "10.0.9.3"]
port = 7812
strict = false
[timing]
drift_ppm = 50_000
[[group]]
promote = "both"
"#;

const SERVICE: &str = r#"units = ["a@1.service"]
[[group.check]]
kind = "http"
port = 80
path = "/health"
status = "200-204"
body = "well"
weight = 7
[[group.check]]
kind = "process"
process = "nginx"
[[group.check]]
kind = "exec"
command = ["/bin/test", "-e", "/x y"]
user = "www-data"
[group.hooks]
before_open = [["/sbin/one", "x"], ["/sbin/two"]]
on_failure = "proceed"
timeout_ms = 500
"#;

/// Cluster files that are right, and files with one thing wrong each.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let with = |old: &str, new: &str| {
        assert!(SMALLEST.contains(old), "{old:?} is not in the smallest configuration");
        SMALLEST.replacen(old, new, 1)
    };
    let all = [
        ("smallest", SMALLEST.to_owned()),
        ("larger", LARGER.to_owned()),
        ("witness", with("[[group]]", "[witness]\naddress = \"10.0.9.9\"\n[[group]]")),
        ("witnesses", with("[[group]]", WITNESSES)),
        ("even-witnesses", with("[[group]]", "[witness]\naddresses = [\"10.0.9.9\", \"10.0.0.2\"]\n[[group]]")),
        ("check", format!("{SMALLEST}[[group.check]]\nkind = \"tcp\"\nport = 80\ninterval_ms = 5\nfall = 0\n")),
        ("check-by-command", format!("{SMALLEST}[[group.check]]\nkind = \"exec\"\ncommand = [\"/bin/true\", 5]\n")),
        ("service", format!("{SMALLEST}{SERVICE}")),
        ("unknown-key", with("name = \"web\"", "nmae = \"web\"")),
        ("times-that-do-not-fit", with("[[group]]", "[timing]\nprofile = \"wan\"\npulse_ms = 900\n[[group]]")),
        ("address-used-twice", with("10.0.0.100", "10.0.0.2")),
        ("other-family", with("10.0.0.2", "fd00::2")),
        ("uplinks", with("addresses", "uplinks = [\"enp1s0\", \"bond0\"]\naddresses")),
        ("uplinks-per-node", with("addresses", "uplinks = { beta = [\"e\", \"e\"], x = [1] }\naddresses")),
        ("unknown-preference", with("interface", "prefer = \"betta\"\ninterface")),
        ("wrong-types", with("[\"10.0.0.1\"]", "[1, 2.5, true, 1979-05-27, {}, []]")),
        ("no-toml", with("]\n[[group]]", "\n[[group]]")),
        ("control-characters", with("name = \"alpha\"", r#"name = "a\u001b[2J\n""#)),
        ("long-key", format!("{} = 1\n{SMALLEST}", "k".repeat(3000))),
        ("one-node", with("[[node]]\nname = \"beta\"\nlinks = [\"10.0.0.2\"]\n", "")),
        ("deep", format!("a = {}", "[".repeat(500))),
        ("nothing", String::new()),
    ];
    all.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}
