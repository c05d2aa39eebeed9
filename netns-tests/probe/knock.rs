//! Questions to each server at its own port of the switch, once every millisecond, whatever the
//! switch forwards.
//!
//! Owns: one thread with one packet socket in the switch's namespace. A question goes out of the
//! server's port and nowhere else, so a server that is cut off from everybody is asked all the
//! same, and both servers are asked in the same moment. Never does: reading answers. They come in
//! at the port of the server that answers, where the capture hears them; the questions name the
//! switch's own hardware address, and what is sent there is forwarded to nobody.

use super::frames::{echo, question};
use super::socket::{PacketSocket, become_real_time, deny_all};
use crate::lab::clock::now;
use crate::lab::wiring::SEGMENT_MAC;
use crate::lab::{Lab, Server};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Addresses that the questions come from; no host has them.
const FROM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
const FROM6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);
/// Time between two questions.
const PACE: Duration = Duration::from_millis(1);
/// Number of rounds of questions between two with an IPv4 packet.
const ECHO_EVERY: u64 = 5;

/// The running questions.
#[derive(Debug)]
pub struct Knocker {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// The frames for one server.
struct ServerFrames {
    /// Index of the server's port in the switch.
    index: u32,
    /// Frames that ask who has each address.
    questions: Vec<Vec<u8>>,
    /// Echo requests to each IPv4 address.
    echoes: Vec<Vec<u8>>,
}

impl ServerFrames {
    /// Frames that ask one server for all targets.
    fn of(server: Server, targets: &[IpAddr]) -> ServerFrames {
        let macs = (SEGMENT_MAC, server.port().mac());
        let ask = |target: &IpAddr| match target {
            IpAddr::V4(_) => question(SEGMENT_MAC, FROM.into(), *target),
            IpAddr::V6(_) => question(SEGMENT_MAC, FROM6.into(), *target),
        };
        let echoes = targets.iter().filter_map(|target| match target {
            IpAddr::V4(target) => Some(echo(macs, (FROM, *target))),
            IpAddr::V6(_) => None,
        });
        ServerFrames {
            index: server.port().index(),
            questions: targets.iter().map(ask).collect(),
            echoes: echoes.collect(),
        }
    }
}

impl Knocker {
    /// Starts to ask both servers for all `targets`.
    pub fn start(lab: &Lab, targets: &[IpAddr]) -> Knocker {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let socket = lab.switch().run(|| PacketSocket::open(None, &deny_all()));
        let servers = Server::BOTH.map(|server| ServerFrames::of(server, targets));
        let thread = {
            let (stop, rounds) = (stop.clone(), rounds.clone());
            std::thread::spawn(move || {
                become_real_time();
                ask_until_stopped(&socket, &servers, &stop, &rounds);
            })
        };
        Knocker { stop, rounds, thread: Some(thread) }
    }

    /// Number of rounds so far; each round asks both servers.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

/// Sends all frames once every [`PACE`] until `stop` is set. Rounds that are late are left out.
fn ask_until_stopped(socket: &PacketSocket, servers: &[ServerFrames], stop: &AtomicBool, rounds: &AtomicU64) {
    let mut next = now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(next.since(now()));
        let time = now();
        let round = rounds.fetch_add(1, Ordering::Relaxed);
        for frames in servers {
            let echoes = frames.echoes.iter().filter(|_| round.is_multiple_of(ECHO_EVERY));
            for frame in frames.questions.iter().chain(echoes) {
                // A server without an interface is not asked.
                let _ = socket.send_out_of(frames.index, frame);
            }
        }
        next = if time.since(next) > PACE { time + PACE } else { next + PACE };
    }
}

impl Drop for Knocker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by itself and shows as too few rounds.
            let _ = thread.join();
        }
    }
}
