//! Tests of what `vipair status` and `vipair events` print, and of the status as JSON.

use crate::cli::render;
use crate::control::protocol::{
    CheckStatus, ConnectionsStatus, Event, GroupRole, GroupStatus, LinkState, LinkStatus, MirrorStatus, Severity,
    StatusReport, TimingStatus,
};

/// A status with something in every field that is printed: node alpha, standby for the group web,
/// with one link that is up and one that is silent.
fn report() -> StatusReport {
    let timing = TimingStatus { profile: "lan".to_owned(), pulse_ms: 50.0, silence_ms: 180.0, lease_ms: 250.0 };
    let group = GroupStatus {
        name: "web".to_owned(),
        role: GroupRole::Standby,
        epoch: (12 << 8) | 1,
        peer: "beta".to_owned(),
        peer_role: Some(GroupRole::Active),
        ready: false,
        reason: "no carrier on eth0".to_owned(),
        timer: None,
        since: "2026-11-21T01:00:00.000Z".to_owned(),
        active: Some("beta".to_owned()),
        answered_by: None,
        interface: "eth0".to_owned(),
        address_count: 10,
        addresses: (1..=8).map(|n| format!("10.0.0.{n}")).collect(),
        connections: Some(ConnectionsStatus {
            known: None,
            mirrored: 12,
            mirrored_age_ms: Some(210.0),
            tickled: 36,
            reset: 2,
        }),
        counters: [("refused".to_owned(), 4), ("answered".to_owned(), 0)].into(),
        health: 255,
        peer_health: Some(0),
        check_count: 10,
        checks: checks(),
    };
    let link = LinkStatus {
        peer: "beta".to_owned(),
        path: "0".to_owned(),
        local: "10.0.0.1".to_owned(),
        remote: "10.0.0.2".to_owned(),
        state: LinkState::Up,
        last_heard_ms: Some(12.4),
        received: 100,
        sent: 103,
        rejected: 2,
        too_large: 0,
        longest: None,
    };
    let down = LinkStatus { path: "segment".to_owned(), state: LinkState::Silent, ..LinkStatus::default() };
    StatusReport {
        node: "alpha".to_owned(),
        cluster: "web".to_owned(),
        version: "0.1.0".to_owned(),
        uptime_ms: 3_723_000,
        timing,
        groups: vec![group],
        links: vec![link, down],
        differences: vec!["silence_ms is 18 here and 180 on beta".to_owned()],
        mirror: Some(MirrorStatus {
            told: true,
            held: 7,
            held_age_ms: Some(90.0),
            refused: 3,
            ..MirrorStatus::default()
        }),
        worst_lateness_ms: 0.1,
        lateness_p999_ms: 0.0,
        lateness_us: vec![(48, 3)],
        renewal_us: Vec::new(),
        warnings: vec!["memory is not locked".to_owned()],
        alike: Vec::new(),
        not_loaded: Vec::new(),
        rejected: Vec::new(),
    }
}

/// Three checks of the group: one fails, one is well and has a weight, one has no verdict yet.
fn checks() -> Vec<CheckStatus> {
    let check = |kind: &str, ok, error: &str| CheckStatus {
        kind: kind.to_owned(),
        target: "10.0.0.1:80".to_owned(),
        ok,
        weight: (kind == "http").then_some(20),
        since: "2026-11-21T01:00:00.000Z".to_owned(),
        error: error.to_owned(),
    };
    vec![check("tcp", Some(false), "connection refused"), check("http", Some(true), ""), check("exec", None, "")]
}

#[test]
fn status_says_who_is_active_and_why_this_node_is_not_ready() {
    let expected = "\
alpha in cluster web · vipair 0.1.0 · up 1 h 2 min
times: lan (pulse 50 ms, silence 180 ms, lease 250 ms)

group web · active on beta
  this node  standby, epoch 12.1, since 2026-11-21T01:00:00.000Z
  peer       beta: active
  ready      no
  why        no carrier on eth0
  addresses  10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, 10.0.0.8 and 2 more on eth0
  check      tcp 10.0.0.1:80: FAILS since 2026-11-21T01:00:00.000Z: connection refused
  check      http 10.0.0.1:80 (weight 20): ok since 2026-11-21T01:00:00.000Z
  check      exec 10.0.0.1:80: no verdict yet since 2026-11-21T01:00:00.000Z
  check      and 7 more, which do not fail
  clients    12 of the other node known, 0.2 s ago; 36 packets to tell of a takeover; 2 reset
  counters   refused 4

links
  beta 0    10.0.0.1 → 10.0.0.2  up      heard 12 ms ago  sent 103, received 100, rejected 2
   segment   →                   silent  never heard      sent 0, received 0, rejected 0

mirror of connections: the other node knows 7 of ours, 0.1 s ago; it tells none of its own; listed every 0 ms in 0.0 ms; refused 3

different configuration
  ! silence_ms is 18 here and 180 on beta

warnings
  ! memory is not locked
";
    assert_eq!(render::status(&report(), false), expected);
}

#[test]
fn every_role_has_a_why() {
    for role in [
        GroupRole::Starting,
        GroupRole::Standby,
        GroupRole::Active,
        GroupRole::Handover,
        GroupRole::Fault,
        GroupRole::Paused,
    ] {
        let mut report = report();
        report.groups[0].role = role;
        report.groups[0].reason = String::new();
        let text = render::status(&report, false);
        let why = text.lines().find_map(|line| line.strip_prefix("  why")).expect("there is a why");
        assert!(!why.trim().is_empty(), "{}", role.name());
    }
}

#[test]
fn nobody_active_and_nobody_heard_is_said_in_words() {
    let mut report = report();
    report.groups[0].active = None;
    report.groups[0].peer_role = None;
    let text = render::status(&report, false);
    assert!(text.contains("group web · active nowhere that is known"), "{text}");
    assert!(text.contains("peer       beta: not heard"), "{text}");
}

#[test]
fn colour_changes_no_letter_and_no_column() {
    let mut plain = String::new();
    let mut in_code = false;
    for letter in render::status(&report(), true).chars() {
        match letter {
            '\x1b' => in_code = true,
            'm' if in_code => in_code = false,
            other if !in_code => plain.push(other),
            _ => {}
        }
    }
    assert_eq!(plain, render::status(&report(), false));
}

#[test]
fn json_status_has_at_least_what_the_contract_names() {
    let value = serde_json::to_value(report()).expect("it is plain data");
    for key in ["node", "cluster", "groups", "links"] {
        assert!(value.get(key).is_some(), "{key}");
    }
    for key in ["name", "role", "epoch", "peer", "ready", "reason", "since"] {
        assert!(value["groups"][0].get(key).is_some(), "{key}");
    }
    let roles: Vec<String> = [
        GroupRole::Starting,
        GroupRole::Standby,
        GroupRole::Active,
        GroupRole::Handover,
        GroupRole::Fault,
        GroupRole::Paused,
    ]
    .iter()
    .map(|role| serde_json::to_value(role).expect("a word").as_str().expect("a word").to_owned())
    .collect();
    assert_eq!(roles, ["starting", "standby", "active", "handover", "fault", "paused"]);
}

#[test]
fn an_event_is_one_line() {
    let event = Event {
        time: "2026-11-21T01:00:00.123Z".to_owned(),
        sequence: 7,
        severity: Severity::Warning,
        kind: "takeover".to_owned(),
        group: Some("web".to_owned()),
        text: "took over from beta".to_owned(),
        fields: [("silence_ms".to_owned(), "181".to_owned())].into(),
    };
    let expected = "2026-11-21T01:00:00.123Z  warning  web           took over from beta  silence_ms=181\n";
    assert_eq!(render::event(&event, false), expected);
}
