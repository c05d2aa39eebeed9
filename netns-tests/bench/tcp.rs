//! Clients with open connections when their server is lost: how long until their work goes on, with
//! and without tickling.
//!
//! Owns: a small service on both servers, and three kinds of clients: one blocked in `read()`, one
//! that writes without end, and a pool of idle connections that is used again. Work goes on when
//! the client has noticed, has connected again and has an answer. Never does: setting a limit of
//! the client's own before the server is lost; noticing is what is measured.

use super::figures::Unit::{Count, Milliseconds};
use super::figures::{Figure, Section, figure};
use super::pair::{ms, vanish};
use super::record::Results;
use super::{Block, Topic, sample};
use crate::lab::clock::now;
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Lab, Port, Server};
use crate::probe::asker::Question;
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vipair::types::MonoTime;

/// Readers, writers and pools at a host loss.
pub const TOPIC: Topic = Topic {
    blocks: &[Block::new("tcp-tickled", 50, || measure(true)), Block::new("tcp-plain", 50, || measure(false))],
    sections,
    configuration: |_| "For the clients without tickling the group has besides: `tickle = false`.\n".to_owned(),
};

/// Port of the service.
const PORT: u16 = 83;
/// Number of clients of each kind.
const EACH: usize = 10;
/// Time after the loss that is watched; a client that still waits then counts as that long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time after the loss at which a pool is used again.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait of a client that knows of the loss for a new connection, and for its answer, before
/// it tries again.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Kinds of clients: key, and text for people.
const KINDS: [(&str, &str); 3] = [
    ("reader", "blocked in `read()`"),
    ("writer", "blocked in `write()`"),
    ("pool", "idle connection, used again after 1 s"),
];
/// Ways to measure: key, and text for people.
const WAYS: [(&str, &str); 2] = [("tickled", "with tickling"), ("plain", "without")];

/// When the work of each client went on, `None` while it waits; for a pool, also when it was used
/// again.
type Ends = Arc<Mutex<Vec<Option<(MonoTime, Option<MonoTime>)>>>>;

/// Measures one host loss with all kinds of clients, with tickling or without.
fn measure(tickled: bool) {
    let way = WAYS[usize::from(!tickled)].0;
    let group_toml = if tickled { "" } else { "tickle = false" };
    let config = ConfigText::pair("fast").group(GroupText::new(GROUP, &[ADDRESS]).more_toml(group_toml));
    let mut scene = Scene::start(Setup::with(config).alone());
    scene.end_capture();
    scene.wait_addresses(Server::Beta);
    let _services = Server::BOTH.map(|server| Service::start(&scene.lab, server));
    let lost: Arc<Mutex<Option<MonoTime>>> = Arc::default();
    let all: Vec<(&str, Ends)> = KINDS.map(|(kind, _)| (kind, start_clients(&scene.lab, kind, &lost))).into();
    if tickled {
        let expected = u64::try_from(EACH * KINDS.len()).expect("a small number");
        scene.wait("the connections to be mirrored", |s| {
            let status = s.agent(Server::Beta).status();
            status.is_ok_and(|status| status.connection_count(GROUP, "mirrored") >= expected)
        });
    }
    // The writers' congestion windows are open by then.
    std::thread::sleep(Duration::from_secs(1));
    let (at, fault) = vanish(&scene.lab, Server::Alpha);
    *lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(now());
    scene.wait_answered_by(Server::Beta);
    std::thread::sleep(PATIENCE);
    // The rule is in force some time after `nft` began: the last question that alpha answered tells
    // when.
    let asked = scene.answers(at.back(Duration::from_millis(100))).questions;
    let by_alpha = |q: &&Question| q.answer.is_some_and(|(_, mac)| mac == Server::Alpha.port().mac());
    let struck = asked.iter().filter(by_alpha).map(|question| question.at).max().expect("it answered before");
    for (kind, ends) in all {
        let ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.iter().for_each(|end| {
            sample(
                &format!("tcp-{way}-{kind}"),
                ms(end.map_or(PATIENCE, |(end, since)| end.since(since.unwrap_or(struck)))),
            )
        });
        let waiting = ends.iter().filter(|end| end.is_none()).count();
        sample(&format!("tcp-{way}-{kind}-waiting"), f64::from(u32::try_from(waiting).expect("a small number")));
    }
    scene.power_off(Server::Alpha);
    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
}

/// A service that answers every line with a line, and takes bytes without a line end unanswered.
struct Service(Arc<AtomicBool>);

impl Service {
    /// Starts the service on a server that has the address.
    fn start(lab: &Lab, server: Server) -> Service {
        let target = SocketAddr::new(ADDRESS.parse().expect("an address"), PORT);
        let open = || TcpListener::bind(target).unwrap_or_else(|e| panic!("{target}: {e}"));
        let listener = lab.server(server).run(open);
        listener.set_nonblocking(true).expect("it can be set");
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(std::thread::spawn(move || serve_connection(stream))),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Service(stop)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers lines on one connection until its end.
fn serve_connection(mut stream: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length) = stream.read(&mut buffer) {
        let is_line = length > 0 && buffer[..length].ends_with(b"\n");
        if length == 0 || (is_line && stream.write_all(b"yes\n").is_err()) {
            return;
        }
    }
}

/// Starts the clients of one kind, each on a thread of its own; returns when their work goes on.
fn start_clients(lab: &Lab, kind: &'static str, lost: &Arc<Mutex<Option<MonoTime>>>) -> Ends {
    let ends: Ends = Arc::new(Mutex::new(vec![None; EACH]));
    for client in 0..EACH {
        let (ends, lost, door) = (Arc::clone(&ends), Arc::clone(lost), lab.host(Port::Client).door());
        std::thread::spawn(move || {
            door.enter();
            let stream = connect().unwrap_or_else(|e| panic!("connect at first: {e}"));
            stream.set_read_timeout(None).expect("none is right");
            let since = match kind {
                "reader" => read_on(stream),
                "writer" => write_on(stream),
                _ => Some(use_again(stream, &lost)),
            };
            while connect().and_then(converse).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
            ends.lock().unwrap_or_else(PoisonError::into_inner)[client] = Some((now(), since));
        });
    }
    ends
}

/// Connects to the service; each step fails after [`ATTEMPT`].
fn connect() -> std::io::Result<TcpStream> {
    let target = SocketAddr::new(ADDRESS.parse().expect("an address"), PORT);
    let stream = TcpStream::connect_timeout(&target, ATTEMPT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ATTEMPT))?;
    Ok(stream)
}

/// Sends a line and takes its answer.
fn converse(mut stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.write_all(b"there?\n")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    Ok(stream)
}

/// When the server was lost, once it was.
fn lost_at(lost: &Mutex<Option<MonoTime>>) -> Option<MonoTime> {
    *lost.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a reader: waits for an answer without a question, until the connection ends. `None`,
/// because its time counts from the loss.
fn read_on(mut stream: TcpStream) -> Option<MonoTime> {
    // Any end of the connection will do.
    let _end = stream.read(&mut [0; 16]);
    None
}

/// Plays a writer: writes without end, until the connection ends. `None`, because its time counts
/// from the loss.
fn write_on(mut stream: TcpStream) -> Option<MonoTime> {
    let block = vec![b'.'; 1 << 14];
    while stream.write_all(&block).is_ok() {
        // As much as a client with something to say sends, and less than the machine can carry.
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

/// Plays a client of a pool: uses the connection, rests, and uses it again [`PAUSE`] after the
/// loss. Returns when it was used again: its time counts from then.
fn use_again(stream: TcpStream, lost: &Mutex<Option<MonoTime>>) -> MonoTime {
    let stream = converse(stream).unwrap_or_else(|e| panic!("the first question: {e}"));
    let since = loop {
        match lost_at(lost) {
            Some(at) if now() >= at + PAUSE => break now(),
            Some(_) | None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    stream.set_read_timeout(None).expect("none is right");
    match converse(stream) {
        // The new owner of the address knows nothing of this connection.
        Ok(_) => panic!("an answer from a server that is lost"),
        Err(_) => since,
    }
}

/// Sections of the page: when clients with open connections go on after a host loss.
fn sections() -> Vec<Section> {
    let mut figures: Vec<Figure> = Vec::new();
    for ((kind, title), (way, called)) in KINDS.into_iter().flat_map(|kind| WAYS.map(|way| (kind, way))) {
        figures.push(figure(format!("tcp-{way}-{kind}"), format!("{title}, {called}"), Milliseconds));
        let waiting = format!("{title}, {called}: still waiting after 10 s, of {EACH}");
        figures.push(figure(format!("tcp-{way}-{kind}-waiting"), waiting, Count));
    }
    vec![Section {
        text: TEXT.to_owned(),
        table: Some(table),
        ..Section::new("Open connections at a host loss (`fast`)", figures)
    }]
}

const TEXT: &str = "\
Each client has one connection when the host is lost, and no limit of its own. It goes on when it has learned that the connection
is of no use, has connected again and has an answer; counted from the loss, for the pool from its use. Who still waits after 10 s
counts as 10 s: without tickling, one that only reads waits until its own keep-alive, two hours by default.";

/// Table of the section, in Markdown: times until clients went on, by kind of client, with and
/// without tickling.
fn table(results: &Results) -> String {
    let mut text = "| client | | clients | half | nine of ten | longest | still waiting after 10 s |\n\
                    |---|---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for ((kind, title), (way, called)) in KINDS.into_iter().flat_map(|kind| WAYS.map(|way| (kind, way))) {
        let Some(spread) = results.spread(&format!("tcp-{way}-{kind}")) else { continue };
        let waiting: f64 = results.values(&format!("tcp-{way}-{kind}-waiting")).iter().sum();
        let show = |value: f64| Milliseconds.show(value);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {title} | {called} | {} | {} | {} | {} | {} |",
            spread.runs(),
            show(spread.median()),
            show(spread.p90()),
            show(spread.max()),
            Count.show(waiting)
        );
    }
    text
}
