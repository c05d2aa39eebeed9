//! Times in which a living peer answers, and what they say of the shortest time in which its loss
//! can be known.
//!
//! Owns: asking, a thousand times a second, what the active's kernel answers (a probe: ARP) and
//! what its agent answers (a query: a sealed datagram of a node that introduces itself), on a
//! machine at rest and on a busy one. Never does: a fault. A question without an answer before the
//! next one counts as that long.

use super::busy::Busy;
use super::figures::Unit::{Count, Microseconds};
use super::figures::{Figure, Section, figure};
use super::pair;
use super::record::Results;
use super::spread::exceeded_by;
use super::{Block, Topic, sample};
use crate::lab::clock::now;
use crate::lab::{Port, Server};
use crate::probe::frames::{How, arp, read};
use crate::probe::socket::{PacketSocket, become_real_time, bpf_program};
use crate::scene::{ADDRESS, Scene, Setup};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use vipair::host::config::{KeyFile, digest};
use vipair::types::NodeId;
use vipair::wire::auth::KeyRing;
use vipair::wire::pulse::{Digests, Flags, Header, encode};

/// Answer times of a living peer.
pub const TOPIC: Topic =
    Topic { blocks: &[Block::new("limits", 25, measure)], sections, configuration: |_| String::new() };

/// Number of questions of each kind in each run.
const QUESTIONS: usize = 20_000;
/// Time from one question to the next, and longest wait for an answer.
const PACE: Duration = Duration::from_millis(1);
/// Number of processes that make the machine busy.
const CROWD: u32 = 32;
/// Sender address of an ARP probe, which claims no address.
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Kinds of questions: key, and text for people.
const KINDS: [(&str, &str); 2] =
    [("probe", "probe, answered by the kernel"), ("query", "query, answered by the agent")];
/// States of the machine: key, and text for people.
const STATES: [(&str, &str); 2] = [("idle", "at rest"), ("busy", "32 busy processes")];
/// Figures: key, name, and how many of a million answers take longer.
const SHARES: [(&str, &str, usize); 5] = [
    ("p50", "half", 500_000),
    ("p99", "1 in 100", 10_000),
    ("p999", "1 in 1,000", 1_000),
    ("p9999", "1 in 10,000", 100),
    ("max", "longest", 0),
];

/// Asks alpha's kernel and agent, at rest and on a busy machine.
fn measure() {
    let mut scene = Scene::build(Setup::with(pair::config("fast")).alone());
    scene.askers.clear();
    scene.end_capture();
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, crate::scene::GROUP, "active");
    for (state, _) in STATES {
        let busy = (state == "busy").then(|| Busy::start(CROWD));
        std::thread::sleep(Duration::from_millis(500));
        hand_over_times("probe", state, time_probes(&scene));
        hand_over_times("query", state, time_queries(&scene));
        drop(busy);
    }
}

/// Hands over the quantiles of one kind of question and state of the machine.
fn hand_over_times(kind: &str, state: &str, mut times: Vec<Duration>) {
    let unanswered = times.iter().filter(|time| **time >= PACE).count();
    times.sort_unstable();
    for (name, _, share) in SHARES {
        sample(&format!("limits-{kind}-{state}-{name}"), exceeded_by(&times, share).as_secs_f64() * 1e6);
    }
    sample(&format!("limits-{kind}-{state}-late"), f64::from(u32::try_from(unanswered).expect("a small number")));
}

/// Asks [`QUESTIONS`] times on a real-time thread in beta's namespace, from where a standby asks;
/// returns the times.
fn ask_repeatedly(scene: &Scene, mut one: impl FnMut() -> Duration + Send) -> Vec<Duration> {
    scene.lab.server(Server::Beta).run(|| {
        become_real_time();
        let mut next = now();
        let question = |_| {
            next = next + PACE;
            std::thread::sleep(next.since(now()));
            one()
        };
        (0..QUESTIONS).map(question).collect()
    })
}

/// Waits until `socket` can be read; false when the time for the answer is over.
fn wait_readable(socket: &impl AsFd, began: vipair::types::MonoTime) -> bool {
    let left = PACE.saturating_sub(now().since(began));
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    !left.is_zero() && ppoll(&mut polled, Some(TimeSpec::from_duration(left)), None).is_ok_and(|ready| ready > 0)
}

/// Answer times of the active's kernel to unicast ARP probes.
fn time_probes(scene: &Scene) -> Vec<Duration> {
    let target: Ipv4Addr = ADDRESS.parse().expect("an address");
    let (from, to) = (Port::Beta.mac(), Port::Alpha.mac());
    let mut frame = arp(1, from, NOBODY, target);
    frame[..6].copy_from_slice(&to.0);
    let socket = scene.lab.server(Server::Beta).run(|| PacketSocket::open(Some("eth0"), &reply_filter()));
    ask_repeatedly(scene, || {
        let mut buffer = [0; 64];
        // A late answer is not the answer to this question.
        while socket.receive(&mut buffer).is_some() {}
        let began = now();
        // An interface that is down is a question without an answer.
        let _lost = socket.send(&frame);
        while wait_readable(&socket.descriptor(), began) {
            let Some(arrival) = socket.receive(&mut buffer) else { continue };
            let said = read(&buffer[..arrival.length.min(64)]);
            if said.is_some_and(|said| said.address == IpAddr::from(target) && said.how != How::Packet) {
                return now().since(began);
            }
        }
        PACE
    })
}

/// Filter for ARP replies.
fn reply_filter() -> Vec<socket2::SockFilter> {
    use libc::{BPF_ABS, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET};
    bpf_program(&[
        (BPF_LD | BPF_H | BPF_ABS, 0, 0, 12),
        (BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0x0806),
        (BPF_LD | BPF_H | BPF_ABS, 0, 0, 20),
        (BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 2),
        (BPF_RET | BPF_K, 0, 0, 64),
        (BPF_RET | BPF_K, 0, 0, 0),
    ])
}

/// Answer times of the active's agent to queries.
fn time_queries(scene: &Scene) -> Vec<Duration> {
    let (local, remote) = (Port::BetaSecondLink.ipv4(), Port::AlphaSecondLink.ipv4());
    let keys = KeyFile::load(Path::new(&scene.lab.dir().join("cluster.key"))).unwrap_or_else(|e| panic!("{e}"));
    let ring = KeyRing::new("lab", &keys.keys);
    let socket = scene.lab.server(Server::Beta).run(|| {
        let socket = UdpSocket::bind(SocketAddr::new(local.into(), 7811)).expect("beta's agent does not run");
        socket.connect(SocketAddr::new(remote.into(), 7811)).expect("a way to alpha");
        socket.set_nonblocking(true).expect("it can be set");
        socket
    });
    let (mut session, mut datagram) = (now().0, Vec::new());
    ask_repeatedly(scene, || {
        // Each question is of a session that the agent has not heard of, so the agent answers it at
        // once.
        session += 1;
        encode(&ring, &introduction(session), std::iter::empty(), &mut datagram);
        let mut buffer = [0; 1_300];
        while socket.recv(&mut buffer).is_ok() {}
        let began = now();
        // A refusal means that the agent is gone, and the run is over.
        socket.send(&datagram).unwrap_or_else(|e| panic!("ask alpha: {e}"));
        while wait_readable(&socket, began) {
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            let answer = ring.open(&buffer[..length]).and_then(vipair::wire::pulse::decode);
            if answer.is_ok_and(|(header, _)| header.echo_session == session) {
                return now().since(began);
            }
        }
        PACE
    })
}

/// Header of a query from beta, in a session that nobody has heard of.
fn introduction(session: u64) -> Header {
    Header {
        sender: NodeId(2),
        receiver: NodeId(1),
        cluster: digest::cluster_number("lab"),
        session,
        counter: 1,
        echo_session: 0,
        echo_counter: 0,
        flags: Flags { query: true, ..Flags::default() },
        pulse_us: 10_000,
        silence_us: 18_000,
        lease_us: 250_000,
        digests: Digests::default(),
        table_version: 1,
        base_version: 0,
        upto_version: 0,
        ack_version: 0,
    }
}

/// Sections of the page: answer times of a living peer.
fn sections() -> Vec<Section> {
    let mut figures: Vec<Figure> = Vec::new();
    for ((kind, title), (state, of)) in KINDS.into_iter().flat_map(|kind| STATES.map(|state| (kind, state))) {
        for (share, name, _) in SHARES {
            figures.push(figure(
                format!("limits-{kind}-{state}-{share}"),
                format!("{title}, {of}: {name}"),
                Microseconds,
            ));
        }
        figures.push(figure(
            format!("limits-{kind}-{state}-late"),
            format!("{title}, {of}: not within 1 ms, of {QUESTIONS}"),
            Count,
        ));
    }
    vec![Section {
        text: TEXT.to_owned(),
        table: Some(table),
        ..Section::new("How near the limit: answer times of a living peer", figures)
    }]
}

const TEXT: &str = "\
A server that is lost is not heard at its next pulse; nobody can know of it before that. If it is asked then, it may still be
alive for as long as an answer may take. So the shortest time in which a loss can be known at a given rate of false alarms is one
pulse (10 ms in `fast`) and the answer time that is exceeded at that rate. Each run asks 20,000 times, one question a millisecond,
from the standby's side; what is not answered within that millisecond is counted as 1 ms. `fast` waits for 18 ms of silence and
for three probes without an answer, 1 ms each.";

/// Table of the section, in Markdown: quantiles of the answer times, and the bound that follows
/// from them.
fn table(results: &Results) -> String {
    let mut text =
        "| answered by | machine | half | 1 in 100 take longer than | 1 in 1,000 | 1 in 10,000 | longest | bound at \
                    1 in 10,000 |\n|---|---|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
    for ((kind, title), (state, of)) in KINDS.into_iter().flat_map(|kind| STATES.map(|state| (kind, state))) {
        let median = |share: &str| results.spread(&format!("limits-{kind}-{state}-{share}")).map(|s| s.median());
        let Some(rare) = median("p9999") else { continue };
        let cells: Vec<String> = SHARES
            .iter()
            .map(|(share, ..)| median(share).map_or("–".to_owned(), |us| Microseconds.show(us)))
            .collect();
        let bound = Microseconds.show(10_000.0 + rare);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {title} | {of} | {} | {bound} |", cells.join(" | "));
    }
    text
}
