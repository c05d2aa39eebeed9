//! Clients that wait on open connections: how long after a takeover they know that their server is
//! gone, and what looking after them costs.
//!
//! Owns: the clients and both ends of their connections. Never does: deciding how an application
//! reconnects. Clients and both servers share this machine's processors, so with very many clients
//! their own work is part of the time.

use super::figures::Goal::{Every, Median};
use super::figures::Unit::{Count, Mebibytes, Milliseconds, PerSecond, Percent};
use super::figures::{Figure, Plot, Section, Shape, figure};
use super::pair::{self, ms};
use super::usage::{processor_time, resident_mib};
use super::{Block, Topic, sample};
use crate::lab::{Port, Server, clock};
use crate::probe::idle::{Holder, Idle};
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use std::net::IpAddr;
use std::time::Duration;
use vipair::types::MonoTime;

/// Clients that wait on open connections.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("clients-50", 20, || measure(50)),
        Block::new("clients-2000", 20, || measure(2_000)),
        Block::new("clients-10000", 20, || measure(10_000)),
        Block::new("clients-100000", 10, || measure(100_000)),
    ],
    sections,
    configuration: |_| String::new(),
};

/// Numbers of connections, half of them to each address, and how they are written.
const COUNTS: [(u32, &str); 4] = [(50, "50"), (2_000, "2,000"), (10_000, "10,000"), (100_000, "100,000")];
/// Time over which the cost at rest is counted.
const REST: Duration = Duration::from_secs(10);

/// Measures rest and loss with `count` waiting clients.
fn measure(count: usize) {
    let addresses: [IpAddr; 2] = [ADDRESS, ADDRESS6].map(|address| address.parse().expect("an address"));
    let mut scene = Scene::start(Setup::with(pair::config("lan")).alone());
    // A capture would look at every packet.
    scene.end_capture();
    scene.lab.host(Port::Client).sysctl("ipv4/ip_local_port_range", "1024 65535");
    let each = count / 2;
    let room = i32::try_from(each + 1_000).expect("a small number");
    let _queues = Holder::crowd(&scene.lab, Server::Alpha, &addresses, room);
    let idle = Idle::crowd(&scene.lab, &addresses, each);
    scene.wait("all connections to be mirrored", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| status.connection_count(GROUP, "mirrored") == count as u64)
    });
    measure_rest(&scene, count);
    measure_loss(&mut scene, &idle, count);
}

/// Measures what the list and the mirror cost while nothing happens.
fn measure_rest(scene: &Scene, count: usize) {
    let mirrored =
        |scene: &Scene| bytes_sent(&scene.lab.server(Server::Alpha).tool("ss", &["-tinH", "dport = :7812"], ""));
    let pids = [(Server::Alpha, "active"), (Server::Beta, "standby")];
    let pids = pids.map(|(server, role)| (scene.agent(server).pid(), role));
    let used = pids.map(|(pid, _)| processor_time(pid));
    let (bytes, began) = (mirrored(scene), clock::now());
    std::thread::sleep(REST);
    let took = clock::now().since(began).as_secs_f64();
    sample(&format!("clients-mirror-{count}"), (mirrored(scene) - bytes) / took);
    for ((pid, role), before) in pids.into_iter().zip(used) {
        sample(&format!("clients-cpu-{role}-{count}"), (processor_time(pid) - before).as_secs_f64() / took * 100.0);
        sample(&format!("clients-memory-{role}-{count}"), resident_mib(pid));
    }
    let status = scene.agent(Server::Alpha).status().unwrap_or_else(|e| panic!("{e}")).0;
    for (key, field) in [("took", "list_took_ms"), ("every", "list_every_ms")] {
        let value = status["mirror"][field].as_f64().unwrap_or_else(|| panic!("no {field} in the status"));
        sample(&format!("clients-list-{key}-{count}"), value);
    }
}

/// Sum of the bytes sent by the sockets in `ss`'s output.
fn bytes_sent(text: &str) -> f64 {
    let of = |word: &str| word.strip_prefix("bytes_sent:").and_then(|number| number.parse::<f64>().ok());
    text.split_whitespace().filter_map(of).sum()
}

/// Takes alpha's power and measures when the clients know.
fn measure_loss(scene: &mut Scene, idle: &Idle, count: usize) {
    let before = worst_lateness_ms(scene);
    let lost = scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    let answered = first_answered(scene, lost);
    scene.wait("all clients to know", |_| idle.waiting_count() == 0);
    let resets = idle.resets_after(answered);
    let percentile = |percent: usize| ms(resets[(resets.len() - 1) * percent / 100]);
    for (key, percent) in [("half", 50), ("most", 95), ("last", 100)] {
        sample(&format!("clients-{key}-{count}"), percentile(percent));
    }
    let within = resets.iter().take_while(|time| **time <= Duration::from_millis(100)).count();
    sample(&format!("clients-within-{count}"), f64::from(u32::try_from(within).expect("a small number")));
    // Clients that learned otherwise, or never.
    sample(&format!("clients-otherwise-{count}"), f64::from(u32::try_from(count - resets.len()).expect("small")));
    scene.wait("three packets to each", |s| {
        let status = s.agent(Server::Beta).status();
        status.is_ok_and(|status| status.connection_count(GROUP, "tickled") == 3 * count as u64)
    });
    scene.wait("beta to say how long it took", |s| first_round_ms(&s.agent(Server::Beta).log_text()).is_some());
    sample(
        &format!("clients-round-{count}"),
        first_round_ms(&scene.agent(Server::Beta).log_text()).expect("it was waited for"),
    );
    sample(&format!("clients-latest-before-{count}"), before);
    sample(&format!("clients-latest-{count}"), worst_lateness_ms(scene));
}

/// The worst lateness of beta's hot thread so far, in milliseconds.
fn worst_lateness_ms(scene: &Scene) -> f64 {
    let status = scene.agent(Server::Beta).status().unwrap_or_else(|e| panic!("{e}"));
    status.0["worst_lateness_ms"].as_f64().expect("status tells it")
}

/// When beta had answered for every address that is asked for.
fn first_answered(scene: &Scene, lost: MonoTime) -> MonoTime {
    let mac = Server::Beta.port().mac();
    let first = |answers: crate::probe::asker::Answers| {
        let mut times = answers.questions.iter().filter_map(|question| question.answer);
        times.find(|(_, who)| *who == mac).map(|(at, _)| at)
    };
    scene.askers.iter().map(|asker| first(asker.since(lost)).expect("it answers")).max().expect("two are asked for")
}

/// The time of the first round of packets in the log, in milliseconds.
fn first_round_ms(said: &str) -> Option<f64> {
    let (_, rest) = said.split_once("the first round within ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Sections of the page: when waiting clients know of a loss, and what looking after them costs.
fn sections() -> Vec<Section> {
    let clients = |(count, written): (u32, &str)| {
        let of = |key: &str, title: &str, unit| {
            figure(format!("clients-{key}-{count}"), format!("{written}: {title}"), unit)
        };
        // With very many clients the goal would need a machine for each of the parts.
        let last = of("last", "the last one knows after", Milliseconds);
        [
            of("half", "half of them know after", Milliseconds),
            of("most", "95 of 100 know after", Milliseconds),
            if count <= 2_000 { last.goal(Median(100.0)) } else { last },
            of("within", "know within 100 ms", Count),
            of("otherwise", "not told by a reset", Count).goal(Every(0.0)),
            of("round", "the first round is sent within", Milliseconds),
            of("latest-before", "latest pulse of the standby before", Milliseconds),
            of("latest", "the same after all of them were told", Milliseconds),
        ]
    };
    let cost = |(count, written): (u32, &str)| {
        let of = |key: &str, title: &str, unit| {
            figure(format!("clients-{key}-{count}"), format!("{written}: {title}"), unit)
        };
        [
            of("list-took", "a list takes of a processor", Milliseconds),
            of("list-every", "from one list to the next", Milliseconds),
            of("mirror", "bytes on the mirror", PerSecond),
            of("cpu-active", "active: CPU of one core", Percent),
            of("cpu-standby", "standby: CPU of one core", Percent),
            of("memory-active", "active: resident", Mebibytes),
            of("memory-standby", "standby: resident", Mebibytes),
        ]
    };
    let curve = |title: &str, key: &str| {
        let point = |(count, _): (u32, &str)| (f64::from(count), format!("clients-{key}-{count}"));
        (title.to_owned(), COUNTS.map(point).to_vec())
    };
    let told: Vec<Figure> = COUNTS.into_iter().flat_map(clients).collect();
    vec![
        Section {
            text: TOLD.to_owned(),
            plots: vec![Plot {
                file: "clients",
                title: "Host loss: clients that wait know after".to_owned(),
                unit: Milliseconds,
                shape: Shape::Curves(
                    "connections".to_owned(),
                    vec![curve("half of them", "half"), curve("95 of 100", "most"), curve("the last one", "last")],
                ),
            }],
            ..Section::new("Clients with open connections that wait, host loss (`lan`)", told)
        },
        Section::new(
            "Cost of looking after open connections at rest (`lan`)",
            COUNTS.into_iter().flat_map(cost).collect(),
        ),
    ]
}

/// Text of the page: how it is measured.
const TOLD: &str = "\
Clients are blocked in `read()` and say nothing. Times count from the first answer of the new owner to who has the address, for
both families. Clients, both servers and the switch share this machine's processors, and each client that is told is four
packets through all of them: with very many it is the machine that is measured.";
