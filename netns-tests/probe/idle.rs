//! Clients that have said all they wanted and wait for the server's next word: blocked in `read()`.
//!
//! Owns: their connections and what became of each. Never does: sending again, because a client
//! that sends learns by that. [`Holder`] is the server's side: it accepts and says nothing.

use crate::lab::{Lab, Port, Server, clock};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vipair::types::MonoTime;

/// Port of a [`Holder`], and the first of its ports.
pub const PORT: u16 = 81;
/// Number of ports of a crowd, from [`PORT`] on. A client finds a free port of its own at once only
/// while few clients go to the same port.
const PORTS: u16 = 5;
/// Number of a crowd's clients that one thread serves.
const CROWD: usize = 15_000;

/// The end of a client's wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// When `read()` returned.
    pub at: MonoTime,
    /// Whether it failed with ECONNRESET.
    pub reset: bool,
}

impl End {
    /// The end that a returned `read()` means, now.
    fn of(result: &std::io::Result<usize>) -> End {
        let reset = result.as_ref().is_err_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionReset);
        End { at: clock::now(), reset }
    }
}

/// Accepts connections on a server's addresses and holds them. The sockets live in this process:
/// [`Lab::power_off`] closes none of them, as a kernel without power closes none, since the
/// interfaces go first.
#[derive(Debug)]
pub struct Holder {
    held: Arc<Mutex<Vec<TcpStream>>>,
    /// Listeners whose queues hold connections that were never accepted.
    queues: Vec<Socket>,
    stop: Arc<AtomicBool>,
}

impl Holder {
    /// Listens on a server that has these addresses.
    pub fn start(lab: &Lab, server: Server, addresses: &[IpAddr]) -> Holder {
        let held = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        for address in addresses {
            let target = SocketAddr::new(*address, PORT);
            let listener =
                lab.server(server).run(|| TcpListener::bind(target).unwrap_or_else(|e| panic!("{target}: {e}")));
            listener.set_nonblocking(true).expect("it can be set");
            let (held, stop) = (Arc::clone(&held), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((stream, _)) => held.lock().expect("nobody panics with it").push(stream),
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            });
        }
        Holder { held, queues: Vec::new(), stop }
    }

    /// Listens for thousands of connections, up to `each` on each address. They stay in the queues
    /// of the listeners, where they are as established as accepted ones and cost this process
    /// nothing.
    pub fn crowd(lab: &Lab, server: Server, addresses: &[IpAddr], each: i32) -> Holder {
        let host = lab.server(server);
        host.sysctl("core/somaxconn", &each.to_string());
        let targets = addresses.iter().flat_map(|address| (0..PORTS).map(|n| SocketAddr::new(*address, PORT + n)));
        let open = |target: SocketAddr| {
            let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).expect("a socket");
            socket
                .bind(&target.into())
                .and_then(|()| socket.listen(each))
                .unwrap_or_else(|e| panic!("{target}: {e}"));
            socket
        };
        let queues = host.run(|| targets.map(open).collect());
        Holder { held: Arc::default(), queues, stop: Arc::default() }
    }

    /// Number of held connections that have ended, with an error or without.
    pub fn ended_count(&self) -> usize {
        let held = self.held.lock().expect("nobody panics with it");
        held.iter().filter(|stream| has_ended(stream)).count()
    }

    /// Waits until `count` of the held connections have ended, with an error or without.
    pub fn wait_ended(&self, count: usize) {
        let limit = std::time::Instant::now() + crate::lab::PATIENCE;
        loop {
            let ended = self.ended_count();
            if ended >= count {
                return;
            }
            assert!(std::time::Instant::now() < limit, "{ended} of {count} connections have ended");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether a held connection has ended, with an error or without; reads a byte of it if there is
/// one.
fn has_ended(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("it can be set");
    !stream.read(&mut [0]).is_err_and(|cause| cause.kind() == std::io::ErrorKind::WouldBlock)
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Clients that wait, some on each address.
#[derive(Debug)]
pub struct Idle {
    ends: Arc<Mutex<Vec<Option<End>>>>,
    streams: Arc<Vec<TcpStream>>,
    stop: Arc<AtomicBool>,
}

impl Idle {
    /// Connects `each` clients to each address. Each client is a thread of its own, blocked in
    /// `read()`.
    pub fn start(lab: &Lab, addresses: &[IpAddr], each: usize) -> Idle {
        let idle = Idle::connect(lab, addresses, each);
        idle.streams.iter().enumerate().for_each(|(place, stream)| {
            let mut reader = stream.try_clone().expect("duplicate a socket");
            let ends = Arc::clone(&idle.ends);
            let body = move || {
                let result = reader.read(&mut [0; 16]);
                ends.lock().expect("nobody panics with it")[place] = Some(End::of(&result));
            };
            std::thread::Builder::new().stack_size(64 << 10).spawn(body).expect("start a thread");
        });
        idle
    }

    /// Connects any number of clients, `each` to each address. One thread connects and waits for
    /// each [`CROWD`] of them, with a descriptor table of its own, since a process may not have as
    /// many.
    pub fn crowd(lab: &Lab, addresses: &[IpAddr], each: usize) -> Idle {
        let ports = (0..PORTS).cycle().map(|n| PORT + n);
        let targets = targets(addresses, each).zip(ports);
        let targets: Vec<SocketAddr> = targets.map(|(target, port)| SocketAddr::new(target.ip(), port)).collect();
        let ends = Arc::new(Mutex::new(vec![None; targets.len()]));
        let idle = Idle { ends, streams: Arc::default(), stop: Arc::default() };
        let crowds = targets.len().div_ceil(CROWD);
        let (connected, all) = std::sync::mpsc::sync_channel(crowds);
        for (part, targets) in targets.chunks(CROWD).enumerate() {
            let (ends, stop, connected) = (Arc::clone(&idle.ends), Arc::clone(&idle.stop), connected.clone());
            let (door, targets) = (lab.host(Port::Client).door(), targets.to_vec());
            std::thread::spawn(move || {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).expect("descriptors of its own");
                door.enter();
                let streams = connect_to(&targets);
                connected.send(()).expect("it is waited for");
                drop(connected);
                record_ends(&streams, part * CROWD, &ends, &stop);
            });
        }
        drop(connected);
        assert_eq!(all.iter().count(), crowds, "a crowd could not connect");
        idle
    }

    /// Connects `each` clients to each address, and lets none wait yet.
    fn connect(lab: &Lab, addresses: &[IpAddr], each: usize) -> Idle {
        let targets: Vec<SocketAddr> = targets(addresses, each).collect();
        let streams = lab.host(Port::Client).run(|| connect_to(&targets));
        let ends = Arc::new(Mutex::new(vec![None; streams.len()]));
        Idle { ends, streams: Arc::new(streams), stop: Arc::default() }
    }

    /// The end of each client's wait; `None` for those that still wait.
    pub fn ends(&self) -> Vec<Option<End>> {
        self.ends.lock().expect("nobody panics with it").clone()
    }

    /// Number of clients that still wait.
    pub fn waiting_count(&self) -> usize {
        self.ends.lock().expect("nobody panics with it").iter().filter(|end| end.is_none()).count()
    }

    /// Times from `from` to each client's reset, shortest first; clients that were not reset are
    /// left out.
    pub fn resets_after(&self, from: MonoTime) -> Vec<Duration> {
        let ends = self.ends();
        let mut found: Vec<Duration> =
            ends.iter().flatten().filter(|end| end.reset).map(|end| end.at.since(from)).collect();
        found.sort_unstable();
        found
    }
}

/// The holder's socket address for each client: `each` times each address.
fn targets(addresses: &[IpAddr], each: usize) -> impl Iterator<Item = SocketAddr> + '_ {
    addresses.iter().flat_map(move |address| std::iter::repeat_n(SocketAddr::new(*address, PORT), each))
}

/// Connects to all targets from the calling thread's namespace; panics if one cannot be reached.
fn connect_to(targets: &[SocketAddr]) -> Vec<TcpStream> {
    let open = |t: &SocketAddr| TcpStream::connect(t).unwrap_or_else(|e| panic!("connect to {t}: {e}"));
    targets.iter().map(open).collect()
}

/// Records the end of each stream until `stop` is set. Stream number n has place `first` + n in
/// `ends`.
fn record_ends(streams: &[TcpStream], first: usize, ends: &Mutex<Vec<Option<End>>>, stop: &AtomicBool) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll");
    for (place, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true).expect("it can be set");
        // Each stream is reported once: behind the reset there is nothing more to read.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        epoll.add(stream, EpollEvent::new(flags, place as u64)).expect("epoll");
    }
    let mut events = [EpollEvent::empty(); 512];
    while !stop.load(Ordering::Relaxed) {
        let count = epoll.wait(&mut events, EpollTimeout::from(20_u16)).unwrap_or(0);
        for event in &events[..count] {
            let place = usize::try_from(event.data()).expect("it was a position");
            let end = End::of(&(&streams[place]).read(&mut [0; 16]));
            ends.lock().expect("nobody panics with it")[first + place] = Some(end);
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Threads that still wait end by this.
        for stream in self.streams.iter() {
            let _gone = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}
