//! What leaves the servers, as the switch's ports see it.
//!
//! Owns: one packet socket in the switch's namespace that hears every port of the product, before
//! any fault of the switch and before the bridge. One socket for all ports keeps the frames of
//! different ports in their true order. Never does: giving a verdict (see `oracle`). If the kernel
//! had to drop a frame, or the store is full, the capture reports an error and no verdict is given.

use super::frames::{Claimed, How, read};
use super::socket::{PacketSocket, bpf_program};
use crate::lab::{Lab, Port};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use vipair::types::MonoTime;

/// A frame from a part of the product that speaks for a watched address.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When the switch took the frame in.
    pub at: MonoTime,
    /// Port where the frame came in.
    pub port: Port,
    /// Content of the frame.
    pub said: Claimed,
}

/// The running capture.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Heard>>>,
    lost: Arc<Mutex<u32>>,
    thread: Option<JoinHandle<()>>,
}

/// Most frames kept: ten minutes of 10,000 a second.
const MOST: usize = 6_000_000;

impl Capture {
    /// Starts to hear the frames that speak for `addresses`, at all ports of servers and witnesses.
    pub fn start(lab: &Lab, addresses: &[IpAddr]) -> Capture {
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, lost) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let socket = lab.switch().run(|| PacketSocket::open(None, &claim_filter()));
        let watched: HashSet<IpAddr> = addresses.iter().copied().collect();
        let thread = {
            let (stop, heard, lost) = (stop.clone(), heard.clone(), lost.clone());
            std::thread::spawn(move || capture_until_stopped(&socket, &watched, &stop, &heard, &lost))
        };
        Capture { stop, heard, lost, thread: Some(thread) }
    }

    /// The frames heard so far.
    pub fn heard_so_far(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The frames heard from `from` on, so far.
    pub fn since(&self, from: MonoTime) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|h| h.at >= from).copied().collect()
    }

    /// The claims heard at `port` from `from` on, so far.
    pub fn claims_since(&self, port: Port, from: MonoTime) -> Vec<Heard> {
        self.since(from).into_iter().filter(|h| h.port == port && h.said.how.is_claim()).collect()
    }

    /// Ends the capture and returns all frames. Fails when the kernel dropped some: then no verdict
    /// is possible.
    pub fn finish(mut self) -> Result<Vec<Heard>, String> {
        self.stop_thread();
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost > 0 {
            return Err(format!("the capture lost {lost} frames: no verdict"));
        }
        Ok(std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Ends the thread; if it has panicked, the capture counts as lossy.
    fn stop_thread(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            *self.lost.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

/// Filter for frames that came in at a port of the product; of each, the bytes that can speak for
/// an address.
fn claim_filter() -> Vec<socket2::SockFilter> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let interface = u32::try_from(i64::from(libc::SKF_AD_OFF) + i64::from(libc::SKF_AD_IFINDEX) + (1 << 32))
        .expect("ancillary offsets are the negative half of 32 bits");
    let mut lines = vec![(BPF_LD | BPF_W | BPF_ABS, 0, 0, interface)];
    let count = u8::try_from(Port::PRODUCT.len()).expect("few ports");
    for (port, left) in Port::PRODUCT.iter().zip((0..count).rev()) {
        lines.push((BPF_JMP | BPF_JEQ | BPF_K, left + 1, 0, port.index()));
    }
    lines.push((BPF_RET | BPF_K, 0, 0, 0));
    lines.push((BPF_RET | BPF_K, 0, 0, 96));
    bpf_program(&lines)
}

/// Takes the frames that speak for a watched address until `stop` is set.
fn capture_until_stopped(
    socket: &PacketSocket,
    watched: &HashSet<IpAddr>,
    stop: &AtomicBool,
    heard: &Mutex<Vec<Heard>>,
    lost: &Mutex<u32>,
) {
    let mut buffer = [0; 96];
    loop {
        // Frames that arrived before the stop are still read.
        let last_round = stop.load(Ordering::Relaxed);
        while let Some(arrival) = socket.receive(&mut buffer) {
            let Some(port) = Port::PRODUCT.into_iter().find(|p| p.index() == arrival.index) else { continue };
            let Some(said) = read(&buffer[..arrival.length.min(96)]) else { continue };
            if !watched.contains(&said.address) {
                continue;
            }
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(heard.len() < MOST, "the capture is full");
            heard.push(Heard { at: arrival.at, port, said });
        }
        *lost.lock().unwrap_or_else(PoisonError::into_inner) += socket.take_lost_count();
        if last_round {
            return;
        }
        let mut polled = [PollFd::new(socket.descriptor(), PollFlags::POLLIN)];
        // A signal only shortens the wait.
        let _ = poll(&mut polled, PollTimeout::from(20_u8));
    }
}

/// Number of the frames of one kind.
pub fn count_frames(heard: &[Heard], how: How) -> usize {
    heard.iter().filter(|h| h.said.how == how).count()
}
