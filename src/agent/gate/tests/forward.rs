//! Tests of forwarding: after a handover the connections of the former active survive, although the
//! clients' frames already go to the new one.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::frames;
use super::lab::{Host, Lab, SOON, VIP4, VIP6, WEB, now, open_web, wait_for};
use crate::gate::{Gate, GateHandle};
use crate::types::{Epoch, MacAddr, MonoTime};

const PORT: u16 = 8080;

/// A TCP service on a host: it answers each line with its own name and the line, until dropped.
struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the service on `host`, at `address` and [`PORT`].
    fn start(host: &Host, address: IpAddr, name: &'static str) -> Service {
        let listener = host.inside(|| TcpListener::bind(SocketAddr::new(address, PORT))).expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        std::thread::spawn(move || answer_lines(stream, name));
                    }
                    Err(_) => std::thread::park_timeout(Duration::from_millis(1)),
                }
            }
        });
        Service { stop, thread: Some(thread) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there shows as a test that gets no answers.
            let _ = thread.join();
        }
    }
}

/// Answers the lines of one connection until its client ends it.
fn answer_lines(stream: TcpStream, name: &'static str) {
    stream.set_nonblocking(false).expect("blocking");
    let mut out = stream.try_clone().expect("a copy");
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if writeln!(out, "{name} {line}").is_err() {
            return;
        }
    }
}

/// A client's connection to the service.
struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects from the host `client`; answers are waited for [`SOON`] long.
    fn open(client: &Host, address: IpAddr) -> Connection {
        let stream = client
            .inside(|| TcpStream::connect_timeout(&SocketAddr::new(address, PORT), SOON))
            .expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("timeout");
        stream.set_nodelay(true).expect("nodelay");
        Connection(BufReader::new(stream))
    }

    /// Sends a line, and waits for the answer.
    fn ask(&mut self, question: &str) -> std::io::Result<String> {
        writeln!(self.0.get_mut(), "{question}")?;
        let mut answer = String::new();
        self.0.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

/// Two nodes with the service behind gates, in a lab with a client; each with its gate, the gate's
/// handle, and the slot of the group `web`.
struct Pair {
    lab: Lab,
    alpha: (Gate, GateHandle, u16),
    beta: (Gate, GateHandle, u16),
    _services: [Service; 2],
}

/// Two nodes with the service, the first one active, and a client (host 3).
fn pair(address: IpAddr) -> Pair {
    let lab = Lab::new(3);
    let (alpha, beta) = (lab.host(1), lab.host(2));
    let (first, second) = (alpha.install_web(), beta.install_web());
    let services = [Service::start(&alpha, address, "alpha"), Service::start(&beta, address, "beta")];
    let slots = (first.slot(WEB).expect("web"), second.slot(WEB).expect("web"));
    // The clients' route to an address outside of their prefix.
    lab.host(3).ip("route add 10.7.0.100/32 dev eth0");
    let handle = open_web(&first, 1, SOON);
    let other = second.handle();
    Pair { lab, alpha: (first, handle, slots.0), beta: (second, other, slots.1), _services: services }
}

/// Moves the group as a handover does, the clients' neighbour entry included.
fn hand_over(pair: &Pair, address: IpAddr, forwarding: bool) {
    let (_, alpha, slot) = &pair.alpha;
    alpha.close(*slot, now() + SOON);
    let (gate, beta, slot) = &pair.beta;
    if forwarding {
        beta.forward(*slot, now() + SOON, pair.lab.host(1).mac());
    }
    open_web(gate, 2, SOON);
    let mac = pair.lab.host(2).mac();
    pair.lab.host(3).ip(&format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent"));
}

/// Hands a group over and checks: an old connection goes on with alpha, a new one is served by
/// beta, and beta's gate forwarded the old one's segments.
fn connections_survive(address: IpAddr) {
    let pair = pair(address);
    let client = pair.lab.host(3);
    let mut old = Connection::open(&client, address);
    assert_eq!(old.ask("one").expect("an answer"), "alpha one");
    hand_over(&pair, address, true);
    for round in 0..50 {
        let question = format!("{round}.{}", "x".repeat(round * 100));
        assert_eq!(old.ask(&question).expect("an answer"), format!("alpha {question}"));
    }
    let mut new = Connection::open(&client, address);
    assert_eq!(new.ask("two").expect("an answer"), "beta two", "a new connection is served by the new active");
    for round in 0..5 {
        assert_eq!(new.ask("again").expect("an answer"), "beta again", "round {round}");
    }
    let (gate, handle, slot) = &pair.beta;
    let counters = gate.counters(*slot).expect("counters");
    assert!(counters.forwarded >= 50, "{counters:?}");
    assert_eq!(counters.carry_refused, 0);

    // The end of a connection is forwarded, too; afterwards the new one is still served here.
    drop(old);
    handle.forward(*slot, MonoTime::ZERO, MacAddr::ZERO);
    assert_eq!(new.ask("last").expect("an answer"), "beta last");
}

// L3
#[test]
fn an_ipv4_connection_survives_a_handover() {
    connections_survive(VIP4.into());
}

// L3
#[test]
fn an_ipv6_connection_survives_a_handover() {
    connections_survive(VIP6.into());
}

// The counterpart: without forwarding the new active's kernel resets what it does not know.
#[test]
fn without_forwarding_an_old_connection_is_reset() {
    let pair = pair(VIP4.into());
    let client = pair.lab.host(3);
    let mut old = Connection::open(&client, VIP4.into());
    assert_eq!(old.ask("one").expect("an answer"), "alpha one");
    hand_over(&pair, VIP4.into(), false);
    let answer = old.ask("two").and_then(|_| old.ask("three"));
    assert!(matches!(&answer, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset), "{answer:?}");
}

#[test]
fn forwarding_ends_at_its_deadline_and_with_the_group() {
    let pair = pair(VIP4.into());
    let client = pair.lab.host(3);
    let tap = client.tap();
    let (gate, handle, slot) = &pair.beta;
    hand_over(&pair, VIP4.into(), true);
    let forwarded = || gate.counters(*slot).expect("counters").forwarded;
    let carried = || gate.counters(*slot).expect("counters").carried;
    let refused = || gate.counters(*slot).expect("counters").carry_refused;
    let stray = frames::tcp4_ack(tap.mac, pair.lab.host(2).mac(), client.address4(), VIP4, PORT);
    tap.send(&stray);
    wait_for("a stray segment is forwarded", || forwarded() == 1);

    // What came from the other node never goes back to it.
    let mut returned = stray.clone();
    returned[6..12].copy_from_slice(&pair.lab.host(1).mac().0);
    let before = carried();
    tap.send(&returned);
    wait_for("it is taken here", || carried() > before);

    handle.forward(*slot, MonoTime(now().0 - 1), pair.lab.host(1).mac());
    let before = carried();
    tap.send(&stray);
    wait_for("after the deadline it is taken here", || carried() > before);

    handle.open(*slot, Epoch(1), MonoTime::FOREVER);
    handle.forward(*slot, now() + SOON, pair.lab.host(1).mac());
    handle.renew(MonoTime(now().0 - 1));
    let before = refused();
    tap.send(&stray);
    wait_for("without a lease it is dropped", || refused() > before);
    assert_eq!(forwarded(), 1);
}
