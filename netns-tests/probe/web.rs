//! A web client that sends requests at a fixed pace, each on a new connection, and does not wait
//! for answers.
//!
//! Owns: one thread that keeps all connections in flight by epoll, so a slow answer delays no other
//! request. Never does: retrying. A request is lost when it is reset, refused, unreachable, garbled
//! or not answered within its limit.

use super::socket::become_real_time;
use crate::lab::clock::now;
use crate::lab::{Lab, Port, Server};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vipair::types::MonoTime;

/// The end of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A whole answer that names its server.
    Answered(Server),
    /// The connection was reset.
    Reset,
    /// The connection was refused.
    Refused,
    /// No route to the address.
    Unreachable,
    /// No whole answer within the limit.
    TimedOut,
    /// An answer that is not nginx's of the lab, or an end before a whole answer.
    Garbled,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// When the request was begun.
    pub at: MonoTime,
    /// When and how the request ended, if it has.
    pub end: Option<(MonoTime, Outcome)>,
}

/// The running client.
#[derive(Debug)]
pub struct Web {
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

/// Longest wait for an answer; later the request is lost.
const LIMIT: Duration = Duration::from_secs(5);
/// Most connections open at once: five seconds of 1,000 a second, and some. At the bound no request
/// is begun, so the pace slows down.
const MOST_OPEN: usize = 5_500;

impl Web {
    /// Starts to ask port 80 of the targets in turn, `per_second` requests in all.
    pub fn start(lab: &Lab, targets: &[IpAddr], per_second: u32) -> Web {
        assert!((1..=2_000).contains(&per_second), "a pace from 1 to 2,000 requests a second");
        let stop = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let thread = {
            let (stop, requests, door) = (stop.clone(), requests.clone(), lab.host(Port::Client).door());
            let targets = targets.iter().map(|t| SocketAddr::new(*t, 80).into()).collect();
            std::thread::spawn(move || {
                door.enter();
                become_real_time();
                Client::new(targets, Duration::from_secs(1) / per_second, requests).ask_until_stopped(&stop);
            })
        };
        Web { stop, requests, thread: Some(thread) }
    }

    /// Begins no more requests, waits for the end of those in flight, and returns all.
    pub fn finish(mut self) -> Requests {
        self.stop_thread();
        Requests(std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The requests begun from `from` on, so far.
    pub fn since(&self, from: MonoTime) -> Requests {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        Requests(requests[requests.partition_point(|r| r.at < from)..].to_vec())
    }

    /// Lets the thread begin no more requests, and waits until it has ended.
    fn stop_thread(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by itself and shows as requests without an end.
            let _ = thread.join();
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

/// Milliseconds to wait for the next request: 0 when it is due, else at least 1, and 20 at most so
/// that a stop is noticed.
fn longest_wait(until: Duration) -> u8 {
    if until.is_zero() { 0 } else { u8::try_from(until.as_millis()).unwrap_or(u8::MAX).clamp(1, 20) }
}

/// A request on its connection.
struct Connection {
    socket: Socket,
    /// Position of the request in the client's list.
    request: usize,
    /// Whether the request was written.
    wrote: bool,
    /// Bytes of the answer so far.
    answer: Vec<u8>,
}

/// The client on its thread.
struct Client {
    targets: Vec<SockAddr>,
    pace: Duration,
    requests: Arc<Mutex<Vec<Request>>>,
    epoll: Epoll,
    /// Connections in their slots; `None` in a free slot.
    open: Vec<Option<Connection>>,
    /// Slots that are free.
    free: Vec<usize>,
    /// Beginning, slot and position of each request whose limit is still watched, oldest first.
    order: VecDeque<(MonoTime, usize, usize)>,
}

impl Client {
    /// A client that has begun no request yet.
    fn new(targets: Vec<SockAddr>, pace: Duration, requests: Arc<Mutex<Vec<Request>>>) -> Client {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("make an epoll");
        Client { targets, pace, requests, epoll, open: Vec::new(), free: Vec::new(), order: VecDeque::new() }
    }

    /// Begins requests at the pace until `stop` is set, and returns when all have ended.
    fn ask_until_stopped(mut self, stop: &AtomicBool) {
        let mut next = now();
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            if stopping && self.free.len() == self.open.len() {
                return;
            }
            let time = now();
            if !stopping && time >= next {
                self.begin_request(time);
                next = if time.since(next) > self.pace * 20 { time + self.pace } else { next + self.pace };
            }
            let wait = if stopping { 1 } else { longest_wait(next.since(now())) };
            let count = self.epoll.wait(&mut events, EpollTimeout::from(wait)).unwrap_or(0);
            for event in &events[..count] {
                self.advance_slot(usize::try_from(event.data()).expect("a slot"));
            }
            self.drop_overdue(now());
        }
    }

    /// Begins a request on a new connection, unless too many are open.
    fn begin_request(&mut self, at: MonoTime) {
        if self.free.is_empty() && self.open.len() >= MOST_OPEN {
            return;
        }
        let request = {
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.push(Request { at, end: None });
            requests.len() - 1
        };
        let target = &self.targets[request % self.targets.len()];
        let socket = Socket::new(target.domain(), Type::STREAM, None).expect("open a socket");
        debug_assert!(target.domain() == Domain::IPV4 || target.domain() == Domain::IPV6);
        socket.set_nonblocking(true).expect("make a socket non-blocking");
        if let Err(cause) = socket.connect(target)
            && cause.raw_os_error() != Some(libc::EINPROGRESS)
        {
            self.end_request(request, outcome_of(&cause));
            return;
        }
        let slot = self.free.pop().unwrap_or(self.open.len());
        if slot == self.open.len() {
            self.open.push(None);
        }
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll.add(&socket, EpollEvent::new(flags, slot as u64)).expect("watch a socket");
        self.open[slot] = Some(Connection { socket, request, wrote: false, answer: Vec::new() });
        self.order.push_back((at, slot, request));
    }

    /// Goes on with the connection in a slot, and closes it when its request has ended.
    fn advance_slot(&mut self, slot: usize) {
        let Some(connection) = self.open[slot].as_mut() else { return };
        if let Some(outcome) = connection.advance() {
            let request = connection.request;
            self.close_slot(slot);
            self.end_request(request, outcome);
        }
    }

    /// Closes connections whose requests are older than [`LIMIT`].
    fn drop_overdue(&mut self, time: MonoTime) {
        while let Some((at, slot, request)) = self.order.front().copied() {
            let is_open = self.open[slot].as_ref().is_some_and(|c| c.request == request);
            if is_open && time.since(at) < LIMIT {
                return;
            }
            self.order.pop_front();
            if is_open {
                self.close_slot(slot);
                self.end_request(request, Outcome::TimedOut);
            }
        }
    }

    /// Closes the connection in a slot and frees the slot.
    fn close_slot(&mut self, slot: usize) {
        // Dropping the socket closes it and takes it out of the epoll.
        self.open[slot] = None;
        self.free.push(slot);
    }

    /// Records how a request ended, now.
    fn end_request(&self, request: usize, outcome: Outcome) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests[request].end = Some((now(), outcome));
    }
}

impl Connection {
    /// Does what can be done without waiting; returns the request's end once it has come.
    fn advance(&mut self) -> Option<Outcome> {
        if !self.wrote {
            if let Ok(Some(cause)) = self.socket.take_error() {
                return Some(outcome_of(&cause));
            }
            match (&self.socket).write(b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n") {
                Ok(_) => self.wrote = true,
                Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return None,
                Err(cause) => return Some(outcome_of(&cause)),
            }
        }
        let mut buffer = [0; 1024];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(0) => return Some(read_answer(&self.answer)),
                Ok(count) if self.answer.len() < 4096 => self.answer.extend(&buffer[..count]),
                Ok(_) => return Some(Outcome::Garbled),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => return None,
                Err(cause) => return Some(outcome_of(&cause)),
            }
        }
    }
}

/// The outcome of a request whose connection has ended: answered if the answer is a whole one that
/// names its server.
fn read_answer(answer: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(answer);
    let named = Server::BOTH.into_iter().find(|s| text.ends_with(&format!("\r\n\r\n{}", s.name())));
    named.filter(|_| text.starts_with("HTTP/1.1 200")).map_or(Outcome::Garbled, Outcome::Answered)
}

/// The outcome of a request whose connection failed.
fn outcome_of(cause: &std::io::Error) -> Outcome {
    match cause.raw_os_error() {
        Some(libc::ECONNREFUSED) => Outcome::Refused,
        Some(libc::ECONNRESET | libc::EPIPE) => Outcome::Reset,
        Some(libc::ETIMEDOUT) => Outcome::TimedOut,
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EADDRNOTAVAIL) => Outcome::Unreachable,
        _ => panic!("a request failed in a way that is a mistake of the lab: {cause}"),
    }
}

/// Requests of a stretch of time.
#[derive(Clone, Debug)]
pub struct Requests(pub Vec<Request>);

impl Requests {
    /// Requests that ended without an answer: when each was begun, and how it ended.
    pub fn lost(&self) -> Vec<(MonoTime, Outcome)> {
        let ends = self.0.iter().filter_map(|r| r.end.map(|(_, outcome)| (r.at, outcome)));
        ends.filter(|(_, outcome)| !matches!(outcome, Outcome::Answered(_))).collect()
    }

    /// Number of requests that a server answered.
    pub fn answered_by(&self, server: Server) -> usize {
        self.0.iter().filter(|r| r.end.is_some_and(|(_, o)| o == Outcome::Answered(server))).count()
    }

    /// The longest time without an answer up to the beginning of the last request. Later answers
    /// tell nothing of the service: they are the few whose packets the client's kernel sent a
    /// second time.
    pub fn longest_gap(&self) -> Duration {
        let Some(last) = self.0.iter().map(|r| r.at).max() else { return Duration::ZERO };
        let ends = self.0.iter().filter_map(|r| r.end);
        let answered = ends.filter(|(_, o)| matches!(o, Outcome::Answered(_))).map(|e| e.0);
        let mut arrivals: Vec<MonoTime> = answered.filter(|at| *at < last).collect();
        arrivals.sort_unstable();
        arrivals.push(last);
        arrivals.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap_or_default()
    }

    /// The longest time that an answered request took.
    pub fn slowest(&self) -> Duration {
        let ends = self.0.iter().filter_map(|r| r.end.map(|(end, o)| (end.since(r.at), o)));
        ends.filter(|(_, o)| matches!(o, Outcome::Answered(_))).map(|(took, _)| took).max().unwrap_or_default()
    }
}
