//! Numbers of addresses and of groups: what they change in a takeover and at rest.
//!
//! Owns: the pairs with many addresses, and the rate at which one core sends frames over the same
//! bridge, the limit that announcing can come near. Never does: leaving out an address that did not
//! move; the number of these is a figure.

use super::claims::{Listener, Moves, addresses};
use super::figures::Goal::Every;
use super::figures::Unit::{Count, Mebibytes, Milliseconds, PerSecond, Percent};
use super::figures::{Plot, Section, Shape, figure};
use super::pair::{ms, vanish};
use super::record::Results;
use super::usage::{Usage, resident_mib};
use super::{Block, Topic, sample};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::faults::Fault;
use crate::lab::{Lab, Plan, Port, Server, clock};
use crate::probe::asker::{Asker, Question};
use crate::probe::frames::arp;
use crate::scene::{Scene, Setup};
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Many addresses, in few and in many groups.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("send-limit", 25, send_limit),
        Block::new("scale-1", 25, || measure(1, 1)),
        Block::new("scale-100", 25, || measure(100, 1)),
        Block::new("scale-1000", 25, || measure(1_000, 1)),
        Block::new("scale-10000", 25, || measure(10_000, 1)),
        Block::new("scale-50000", 15, || measure(50_000, 1)),
        Block::new("scale-10-groups", 25, || measure(1_000, 10)),
        Block::new("scale-100-groups", 25, || measure(1_000, 100)),
        Block::new("scale-1000-groups", 25, || measure(1_000, 1_000)),
        Block::new("scale-50000-1000-groups", 15, || measure(50_000, 1_000)),
    ],
    sections,
    configuration: |_| {
        "For the figures over the number of addresses the pair has profile `fast`, its group or groups the addresses 10.1.0.1 \
         to 10.1.0.250, 10.1.1.1 to 10.1.1.250 and so on, in equal parts.\n"
            .to_owned()
    },
};

/// Numbers of addresses and groups of each block, in the order of the table.
const SHAPES: [(u32, u32); 9] = [
    (1, 1),
    (100, 1),
    (1_000, 1),
    (10_000, 1),
    (50_000, 1),
    (1_000, 10),
    (1_000, 100),
    (1_000, 1_000),
    (50_000, 1_000),
];
/// Longest wait for a pair to settle: the kernel takes a while for fifty thousand addresses on one
/// interface.
const PATIENCE: Duration = Duration::from_secs(900);
/// Time over which the cost at rest is counted.
const STRETCH: Duration = Duration::from_secs(10);
/// Longest wait for an address to move; later it is missing.
const LIMIT: Duration = Duration::from_secs(5);
/// Number of frames in one system call, as the agent sends them.
const BATCH: usize = 64;

/// Key of a figure.
pub fn key(count: u32, groups: u32, what: &str) -> String {
    format!("scale-{count}-{groups}-{what}")
}

/// Configuration of a pair with `count` addresses in `groups` groups of equal size.
fn config(count: u32, groups: u32) -> ConfigText {
    let all = addresses(count);
    let each = all.len() / usize::try_from(groups).expect("a small number");
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let parts = names.chunks(each).enumerate();
    parts.fold(ConfigText::pair("fast"), |config, (n, part)| config.group(GroupText::new(&format!("group{n}"), part)))
}

/// Waits until one server has all groups and the other is ready for all of them; returns the first.
pub fn wait_settled(scene: &Scene, groups: u32) -> Server {
    let limit = Instant::now() + PATIENCE;
    let wanted = usize::try_from(groups).expect("a small number");
    let count = |server: Server, role: &str| {
        let status = scene.agent(server).status();
        let known = status.as_ref().ok().and_then(|status| status.0["groups"].as_array());
        known.map_or(0, |all| all.iter().filter(|g| g["role"] == role && g["ready"] == true).count())
    };
    loop {
        let all = |server: Server| count(server, "active") == wanted && count(server.other(), "standby") == wanted;
        if let Some(owner) = Server::BOTH.into_iter().find(|server| all(*server)) {
            return owner;
        }
        assert!(Instant::now() < limit, "after {PATIENCE:?} not every group is active here and ready there");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Brings a pair up: returns its scene, the server that has all groups, and the time from the first
/// start until then.
pub fn bring_up(count: u32, groups: u32) -> (Scene, Server, Duration) {
    let mut setup = Setup::with(config(count, groups)).alone();
    setup.asked.clear();
    let mut scene = Scene::build(setup);
    scene.end_capture();
    let began = Instant::now();
    scene.start_agent(Server::Alpha);
    // Alpha starts first, so that it has all groups; with many addresses both start at once,
    // because each takes the kernel minutes.
    std::thread::sleep(Duration::from_millis(if count < 10_000 { 1_500 } else { 100 }));
    scene.start_agent(Server::Beta);
    let owner = wait_settled(&scene, groups);
    let took = began.elapsed();
    // The announcements of the start end after 5 s, and take their time.
    std::thread::sleep(Duration::from_secs(8));
    (scene, owner, took)
}

/// Measures a pair of this shape at rest, then the loss of the host that has the groups.
fn measure(count: u32, groups: u32) {
    let (mut scene, owner, took) = bring_up(count, groups);
    sample(&key(count, groups, "start"), ms(took));
    measure_rest(&scene, owner, count, groups);
    let (first, moves, fault) = lose_host(&scene.lab, owner, count, LIMIT);
    scene.power_off(owner);
    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
    sample(&key(count, groups, "first"), ms(first));
    sample(&key(count, groups, "spread"), ms(moves.last.since(moves.first)));
    sample(&key(count, groups, "missing"), moves.missing.into());
    if count >= 1_000 {
        let seconds = moves.last.since(moves.first).as_secs_f64();
        sample(&key(count, groups, "rate"), f64::from(count - 1 - moves.missing) / seconds);
    }
}

/// Makes the owner vanish: returns the time from the loss to the first address's move, the moves of
/// all, and the fault.
pub fn lose_host(lab: &Lab, owner: Server, count: u32, limit: Duration) -> (Duration, Moves, Fault) {
    let target = addresses(1)[0].parse().expect("an address");
    let asker = Asker::start(lab, target, Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(200));
    let listener = Listener::start(lab);
    let (at, fault) = vanish(lab, owner);
    let moves = listener.wait_moves(owner.other().port().mac(), count, limit);
    // The rule is in force some time after `nft` began: the last question that was answered tells
    // when.
    let asked = asker.since(at.back(Duration::from_millis(100)));
    let by_owner = |q: &&Question| q.answer.is_some_and(|(_, mac)| mac == owner.port().mac());
    let answered = asked.questions.iter().filter(by_owner);
    let struck = answered.map(|question| question.at).max().expect("it was answered before");
    (moves.first.since(struck), moves, fault)
}

/// Measures what both agents use at rest.
fn measure_rest(scene: &Scene, owner: Server, count: u32, groups: u32) {
    let servers = [owner, owner.other()];
    let usage = || servers.map(|server| Usage::of(&scene.lab, server, scene.agent(server).pid()));
    let before = usage();
    std::thread::sleep(STRETCH);
    for (role, (server, (from, to))) in
        ["active", "standby"].into_iter().zip(servers.into_iter().zip(before.into_iter().zip(usage())))
    {
        let rates = from.rates_until(to);
        sample(&key(count, groups, &format!("cpu-{role}")), rates.cpu);
        sample(&key(count, groups, &format!("bytes-{role}")), rates.bytes);
        sample(&key(count, groups, &format!("memory-{role}")), resident_mib(scene.agent(server).pid()));
    }
}

/// Measures how many announcements one core sends, without an agent or a gate.
fn send_limit() {
    let lab = Lab::build(&Plan { alone: true, ..Plan::default() });
    let address = Ipv4Addr::new(10, 1, 0, 1);
    let frame = arp(1, Port::Alpha.mac(), address, address);
    let rate = lab.server(Server::Alpha).run(|| {
        let socket = crate::probe::socket::PacketSocket::open(Some("eth0"), &crate::probe::socket::deny_all());
        let began = clock::now();
        let mut sent = 0_u32;
        while clock::now().since(began) < Duration::from_secs(2) {
            sent += send_batch(socket.descriptor().as_raw_fd(), &frame);
        }
        f64::from(sent) / clock::now().since(began).as_secs_f64()
    });
    sample("send-limit", rate);
}

/// Sends the frame [`BATCH`] times with one system call; returns how often the kernel took it.
fn send_batch(socket: i32, frame: &[u8]) -> u32 {
    let mut part = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
    // SAFETY: mmsghdr is plain data for which all zero bytes mean "no address, no buffers, no
    // control data".
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    for message in &mut messages {
        message.msg_hdr.msg_iov = &raw mut part;
        message.msg_hdr.msg_iovlen = 1;
    }
    let count = libc::c_uint::try_from(BATCH).expect("a small number");
    // SAFETY: all headers point to `part`, and that to the frame; both outlive the call, and the
    // kernel only reads them.
    let sent = unsafe { libc::sendmmsg(socket, messages.as_mut_ptr(), count, 0) };
    u32::try_from(sent).unwrap_or_else(|_| panic!("send frames: {}", std::io::Error::last_os_error()))
}

/// Sections of the page: host loss and rest over the numbers of addresses and groups.
fn sections() -> Vec<Section> {
    let mut figures = vec![figure("send-limit", "frames that one core sends over this bridge, no agent", PerSecond)];
    for (count, groups) in SHAPES {
        let of = |what: &str, title: &str, unit| {
            figure(key(count, groups, what), format!("{}: {title}", shape_text(count, groups)), unit)
        };
        let more = [
            of("missing", "addresses not announced within 5 s", Count).goal(Every(0.0)),
            of("start", "from the first start until one is active and the other ready", Milliseconds),
        ];
        figures.extend(more);
    }
    vec![Section {
        text: TEXT.to_owned(),
        table: Some(table),
        plots: plots(),
        ..Section::new("Many addresses, many groups (`fast`)", figures)
    }]
}

const TEXT: &str = "\
*First*: from the last question that the lost host answered to the first frame by which the other claims an address, as the
client's interface receives it; the question's pace, 1 ms, is its resolution. *First to last*: from there to the first such
frame of the last address. *Frames*: addresses by that time. The limit is what one core sends over the same bridge, which floods
each frame to every port. At rest: 10 s; *bytes* are what the server sends. *Start*: from the first agent's start, without any
address on the interfaces, until one is active and the other ready. It grows faster than the number of addresses because the kernel
walks the interface's whole list three times for each IPv4 address that is added; both servers do that at once.";

/// Text about a number of addresses and of groups.
pub fn shape_text(count: u32, groups: u32) -> String {
    let plural = |n: u32, what: &str, more: &str| format!("{n} {what}{}", if n == 1 { "" } else { more });
    format!("{} in {}", plural(count, "address", "es"), plural(groups, "group", "s"))
}

/// Table of the section, in Markdown: medians for each number of addresses and groups.
fn table(results: &Results) -> String {
    let mut text =
        "| addresses | groups | runs | first | first to last | frames | CPU active | standby | resident active | \
                    bytes/s active |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
    for (count, groups) in SHAPES {
        let median = |what: &str, unit: super::figures::Unit| {
            results.spread(&key(count, groups, what)).map_or("–".to_owned(), |spread| unit.show(spread.median()))
        };
        let runs = results.spread(&key(count, groups, "first")).map_or(0, |spread| spread.runs());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {count} | {groups} | {runs} | {} | {} | {} | {} | {} | {} | {} |",
            median("first", Milliseconds),
            median("spread", Milliseconds),
            median("rate", PerSecond),
            median("cpu-active", Percent),
            median("cpu-standby", Percent),
            median("memory-active", Mebibytes),
            median("bytes-active", Count),
        );
    }
    text
}

/// Picture of the section: the times of a host loss over the number of addresses in one group.
fn plots() -> Vec<Plot> {
    let over = |what: &str| -> Vec<(f64, String)> {
        let one = SHAPES.into_iter().filter(|(_, groups)| *groups == 1);
        one.map(|(count, groups)| (f64::from(count), key(count, groups, what))).collect()
    };
    vec![Plot {
        file: "scale",
        title: "Host loss over the number of addresses in one group (`fast`)".to_owned(),
        unit: Milliseconds,
        shape: Shape::Curves(
            "addresses".to_owned(),
            vec![("fault to first".to_owned(), over("first")), ("first to last".to_owned(), over("spread"))],
        ),
    }]
}
