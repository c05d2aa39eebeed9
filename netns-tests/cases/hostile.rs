//! Others on the segment mean harm, or are broken.

use super::{assert_nothing_moves, let_pass};
use crate::lab::{Port, Server, clock};
use crate::probe::flood::Flood;
use crate::probe::frames::{self, How};
use crate::probe::oracle::Expected;
use crate::probe::socket::{PacketSocket, bpf_program, deny_all};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, PATIENCE, Scene, Setup};
use std::time::{Duration, Instant};

/// Port of pulses.
const PULSES: u16 = 7811;

/// Payloads of `count` pulses as they leave alpha on the segment.
fn recorded_pulses(scene: &Scene, count: usize) -> Vec<Vec<u8>> {
    let everything = bpf_program(&[(libc::BPF_RET | libc::BPF_K, 0, 0, 2_000)]);
    let socket = scene.lab.switch().run(|| PacketSocket::open(Some(Port::Alpha.name()), &everything));
    let (mut pulses, mut buffer, limit) = (Vec::new(), [0; 2_000], Instant::now() + PATIENCE);
    while pulses.len() < count {
        assert!(Instant::now() < limit, "alpha sends no pulses on the segment");
        match socket.receive(&mut buffer) {
            Some(arrival) => pulses.extend(frames::payload(&buffer[..arrival.length], PULSES).map(<[u8]>::to_vec)),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    pulses
}

/// Hostile payloads: the recorded pulses as they were, one of them with one bit flipped in each
/// byte in turn, cut ones, long ones, and noise.
fn hostile_payloads(recorded: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut all = recorded.to_vec();
    let one = &recorded[0];
    for place in 0..one.len() {
        let mut turned = one.clone();
        turned[place] ^= 1 << (place % 8);
        all.push(turned);
    }
    all.extend((0..one.len()).step_by(3).map(|length| one[..length].to_vec()));
    all.extend([vec![0; 1_400], vec![0xff; 1_200], one.repeat(3)]);
    all
}

/// Sum of all numbers in a part of a status report that are below a key with `reject` in it;
/// `inside`: the part itself is below such a key.
fn sum_rejected(value: &serde_json::Value, inside: bool) -> u64 {
    match value {
        serde_json::Value::Number(number) if inside => number.as_u64().unwrap_or(0),
        serde_json::Value::Object(map) => {
            map.iter().map(|(key, value)| sum_rejected(value, inside || key.contains("reject"))).sum()
        }
        serde_json::Value::Array(list) => list.iter().map(|value| sum_rejected(value, inside)).sum(),
        _ => 0,
    }
}

// S6
#[test]
fn ten_thousand_hostile_datagrams_a_second_change_counters_only() {
    let mut scene = Scene::start(Setup::of("lan").alone());
    scene.lab.plug(Port::Stranger);
    let payloads = hostile_payloads(&recorded_pulses(&scene, 20));
    let floods: Vec<Flood> = Server::BOTH
        .into_iter()
        .map(|target| {
            scene.lab.note(format!("5,000 hostile datagrams a second to {}", target.name()));
            let (macs, ends) =
                ((Port::Stranger.mac(), target.port().mac()), (target.other().port().ipv4(), target.port().ipv4()));
            let wrapped = payloads.iter().map(|p| frames::datagram(macs, ends, PULSES, p)).collect();
            Flood::frames(&scene.lab, Port::Stranger, wrapped, 5_000)
        })
        .collect();
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(5));
    for flood in &floods {
        assert!(flood.sent() > 1_000, "only {} datagrams flowed", flood.sent());
    }
    let sent = floods.iter().map(Flood::sent).min().unwrap_or_default();
    drop(floods);
    for server in Server::BOTH {
        let status = scene.agent(server).status().unwrap_or_else(|e| panic!("{e}"));
        let counted = sum_rejected(&status.0, false);
        assert!(counted > sent / 2, "{} counted {counted} of {sent} rejected: {}", server.name(), status.0);
    }
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_ready(Server::Beta, GROUP);
    scene.finish(&Expected::owner(Server::Alpha));
}

// S6: recordings of an earlier life do not make a dead server look alive
#[test]
fn replayed_pulses_do_not_delay_a_takeover() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.plug(Port::Stranger);
    let recorded = recorded_pulses(&scene, 40);
    let (macs, ends) = ((Port::Stranger.mac(), Port::Beta.mac()), (Port::Alpha.ipv4(), Port::Beta.ipv4()));
    let wrapped = recorded.iter().map(|p| frames::datagram(macs, ends, PULSES, p)).collect();
    let flood = Flood::frames(&scene.lab, Port::Stranger, wrapped, 1_000);
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let gap = scene.answers(lost).longest_gap().length();
    assert!(gap < super::LAN_BOUND + super::SLACK, "L1: clients were not answered for {gap:?}");
    assert!(flood.sent() > 100, "only {} datagrams flowed", flood.sent());
    drop(flood);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// S6: a host that has the address holds the first start up for 30 s and no longer, and is named before
// and after
#[test]
fn address_that_another_host_has_is_taken_at_last_and_status_says_who_answers() {
    let mut scene = Scene::build(Setup::of("lan"));
    scene.lab.plug(Port::Stranger);
    let stranger = scene.lab.host(Port::Stranger);
    stranger.ip(&format!("address add {ADDRESS}/24 dev eth0"));
    let mac = Port::Stranger.mac().to_string();
    let line = format!("\"answered_by\":\"{mac}\"");
    scene.start_agent(Server::Alpha);
    scene.wait("alpha to name the host", |scene| scene.status_text(Server::Alpha).contains(&line));
    assert_ne!(scene.role(Server::Alpha, GROUP), "active");
    let_pass(Duration::from_secs(20));
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait("alpha to name the host", |scene| scene.status_text(Server::Alpha).contains(&line));
    let told = |event: &str| event.contains("still_answered") && event.contains(&mac);
    let events = scene.agent(Server::Alpha).events();
    assert!(events.lines().any(told), "no event names {mac}: {events}");
    scene.lab.host(Port::Stranger).ip(&format!("address del {ADDRESS}/24 dev eth0"));
    // Only the servers are checked, because the stranger did answer beside alpha.
    scene.askers.clear();
    scene.finish(&Expected::owner(Server::Alpha));
}

// RFC 5227: the active defends each address at most once per 10 s, alarms, and does not yield
#[test]
fn stranger_that_claims_the_address_is_answered_and_reported_and_gets_nothing() {
    let mut scene = Scene::start(Setup::of("lan"));
    scene.lab.plug(Port::Stranger);
    // Announcements after the opening end within 5 s.
    let_pass(Duration::from_secs(6));
    let from = scene.lab.note("a stranger claims the addresses for 4 s");
    let stranger = scene.lab.host(Port::Stranger);
    stranger.ip(&format!("address add {ADDRESS}/32 dev eth0\naddress add {ADDRESS6}/128 dev eth0 nodad"));
    let until = clock::now() + Duration::from_secs(4);
    let socket = stranger.run(|| PacketSocket::open(Some("eth0"), &deny_all()));
    let address = ADDRESS.parse().expect("an address");
    while clock::now() < until {
        socket.send(&frames::arp(1, Port::Stranger.mac(), address, address)).expect("the stranger is plugged in");
        let_pass(Duration::from_millis(200));
    }
    stranger.ip(&format!("address del {ADDRESS}/32 dev eth0\naddress del {ADDRESS6}/128 dev eth0"));
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_ready(Server::Beta, GROUP);
    let heard = scene.heard();
    let defences =
        heard.iter().filter(|h| h.at > from && h.port == Port::Alpha && h.said.how == How::AnnounceRequest);
    let count = defences.count();
    assert!((1..=2).contains(&count), "{count} announcements in defence within 4 s, one per 10 s is right");
    let mac = Port::Stranger.mac().to_string();
    assert!(scene.agent(Server::Alpha).events().contains(&mac), "no event names {mac}");
    scene.wait_answered_by(Server::Alpha);
    // Only the servers are checked, because the stranger did answer beside alpha.
    scene.askers.clear();
    scene.finish(&Expected::owner(Server::Alpha));
}
