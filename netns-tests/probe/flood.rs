//! Hostile datagrams at a fixed rate: forged, replayed and malformed.
//!
//! Owns: one thread that sends from a host that is no server, under a server's address. Never does:
//! anything but sending; others look at the effect. It counts what it sent, so that a flood
//! that never flowed is noticed.

use super::socket::{PacketSocket, deny_all};
use crate::lab::clock::now;
use crate::lab::{Lab, Port};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running flood.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Starts to send the payloads in turn, as datagrams from the stranger's host to `target`.
    pub fn datagrams(lab: &Lab, target: SocketAddr, payloads: Vec<Vec<u8>>, per_second: u32) -> Flood {
        let socket = lab.host(Port::Stranger).run(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("open a socket");
            socket.connect(target).expect("a way to the target");
            socket
        });
        // A refused datagram is the target's business.
        Flood::start_thread(payloads, per_second, move |payload| drop(socket.send(payload)))
    }

    /// Starts to send whole frames in turn from the host of `port`, with any source address.
    pub fn frames(lab: &Lab, port: Port, frames: Vec<Vec<u8>>, per_second: u32) -> Flood {
        let socket = lab.host(port).run(|| PacketSocket::open(Some(port.inside()), &deny_all()));
        // While the interface is down, the frame is lost.
        Flood::start_thread(frames, per_second, move |frame| drop(socket.send(frame)))
    }

    /// Starts the thread that calls `send` with the payloads in turn, `per_second` times a second.
    fn start_thread(payloads: Vec<Vec<u8>>, per_second: u32, send: impl Fn(&[u8]) + Send + 'static) -> Flood {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = {
            let (stop, sent) = (stop.clone(), sent.clone());
            std::thread::spawn(move || {
                let start = now();
                let mut round = payloads.iter().cycle();
                while !stop.load(Ordering::Relaxed) {
                    let due = now().since(start).as_micros() * u128::from(per_second) / 1_000_000;
                    while u128::from(sent.load(Ordering::Relaxed)) < due {
                        let Some(payload) = round.next() else { return };
                        send(payload);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_micros(500));
                }
            })
        };
        Flood { stop, sent, thread: Some(thread) }
    }

    /// Number of payloads or frames sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by itself and shows as too few datagrams.
            let _ = thread.join();
        }
    }
}
