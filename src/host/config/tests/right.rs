//! Tests of right files: what is right becomes a configuration with every value in its place.

use super::*;
use crate::timing::{Profile, Timing};
use std::time::Duration;

#[test]
fn everything_written_arrives() {
    let text = r#"
cluster = "c-1"
key_file = "keys/cluster.key"
[timing]
profile = "fast"
silence_ms = 20
[[node]]
name = "alpha"
links = ["10.0.0.1", "fd00::1"]
[[node]]
name = "beta"
links = ["10.0.0.2", "fd00::2"]
[[group]]
name = "web"
interface = { beta = "ens3", alpha = "eth0" }
addresses = ["10.0.0.100", "2001:db8::100"]
prefer = "beta"
preempt = true
preempt_delay_ms = 0
drain_ms = 2_500
"#;
    let cluster = ClusterFile::parse(text, Path::new("/etc/vipair/vipair.toml")).expect("it is right");
    let config = cluster.for_node(NodeId(2));
    assert_eq!(config.cluster, "c-1");
    assert_eq!(config.key_file, Path::new("/etc/vipair/keys/cluster.key"));
    assert_eq!(config.timing.silence, Duration::from_millis(20));
    assert_eq!(config.timing.pulse, Duration::from_millis(10));
    assert_eq!((config.me, config.nodes.len()), (NodeId(2), 2));
    assert_eq!(config.nodes[1].links[1], "fd00::2".parse::<IpAddr>().expect("an address"));
    let group = &config.groups[0];
    assert_eq!((group.interface.as_str(), group.addresses.len()), ("ens3", 2));
    assert_eq!((group.prefer, group.preempt), (NodeId(2), true));
    assert_eq!((group.preempt_delay, group.drain), (Duration::ZERO, Duration::from_millis(2500)));
    assert_eq!(cluster.for_node(NodeId(1)).groups[0].interface, "eth0");
}

#[test]
fn what_is_not_written_has_its_documented_default() {
    let cluster = parse(GOOD).expect("it is right");
    assert_eq!((cluster.profile, cluster.timing), (Profile::Lan, Timing::of(Profile::Lan)));
    let group = &cluster.groups[0];
    assert_eq!((group.prefer, group.preempt), (NodeId(1), false));
    assert_eq!((group.preempt_delay, group.drain), (Duration::from_secs(10), Duration::from_secs(1)));
}

#[test]
fn the_example_that_is_shipped_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/vipair.toml");
    let cluster = ClusterFile::read(&path).expect("systemd/vipair.toml is right");
    assert_eq!((cluster.nodes.len(), cluster.groups.len()), (2, 1));
    // What stands there commented out is right, too, and is the default.
    let text = std::fs::read_to_string(&path).expect("it can be read");
    let text = text
        .replace("# pulse_ms", "pulse_ms")
        .replace("# silence_ms", "silence_ms")
        .replace("# lease_ms", "lease_ms")
        .replace("# drift_ppm", "drift_ppm");
    let written = ClusterFile::parse(&text, &path).expect("the commented times are right");
    assert_eq!(written.timing, cluster.timing);
    let voted = text
        .replace("# [witness]", "[witness]")
        .replacen("# address =", "address =", 1)
        .replacen("# port", "port", 1)
        .replace("# strict", "strict")
        .replace("lease_ms = 250", "");
    let voted = ClusterFile::parse(&voted, &path).expect("the commented witness is right");
    let Some(Witness { addresses, port: 7811, strict: true }) = &voted.witness else { panic!("{:?}", voted.witness) };
    assert_eq!(addresses.len(), 1);
    assert_eq!(voted.timing, Timing::with_witness(Profile::Lan));
}

#[test]
fn the_checks_and_hooks_of_the_shipped_example_are_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/vipair.toml");
    let text = std::fs::read_to_string(&path).expect("it can be read");
    let at = text.find("# units").expect("it shows units");
    let is_commented = |line: &str| {
        let content = line.strip_prefix("# ").unwrap_or_default();
        content.starts_with('[') || content.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let shown: Vec<&str> =
        text[at..].lines().map(|line| if is_commented(line) { &line[2..] } else { line }).collect();
    let cluster = ClusterFile::parse(&format!("{}{}", &text[..at], shown.join("\n")), &path);
    let service = &cluster.expect("what is commented out is right").groups[0].service;
    assert_eq!((service.units.len(), service.checks.len()), (1, 4));
    assert_eq!((&service.hooks.timeout, service.hooks.on_failure), (&Duration::from_secs(10), OnFailure::Refuse));
    assert!(service.before_open().is_some() && service.before_close().is_some());
}

#[test]
fn every_profile_obeys_every_rule() {
    for (profile, voted) in Profile::ALL.into_iter().flat_map(|profile| [(profile, false), (profile, true)]) {
        let timing = profile.timing(voted);
        assert!(bounds::rules(voted).iter().all(|rule| rule.holds(&timing)), "{} breaks a rule", profile.name());
        let within = |value: Duration, range: std::ops::RangeInclusive<u64>| {
            u64::try_from(value.as_millis()).is_ok_and(|ms| range.contains(&ms))
        };
        assert!(within(timing.pulse, bounds::PULSE_MS), "{}", profile.name());
        assert!(within(timing.silence, bounds::SILENCE_MS), "{}", profile.name());
        assert!(within(timing.lease, bounds::lease_ms(voted)), "{}", profile.name());
        assert_eq!(Profile::matching(&timing, voted), Some(profile));
        assert_eq!(Profile::matching(&timing, !voted), None);
    }
}

#[test]
fn the_nearest_name_is_found_through_a_swap_a_beginning_or_another_case() {
    use super::super::nearest::nearest;
    assert_eq!(nearest("alhpa", ["alpha", "beta"]), Some("alpha"));
    assert_eq!(nearest("pulse", ["silence_ms", "pulse_ms"]), Some("pulse_ms"));
    assert_eq!(nearest("links", ["name"]), None);
    assert_eq!(nearest("Prefer", ["prefer"]), Some("prefer"));
}
