//! When addresses move, as the clients' interface hears it.
//!
//! Owns: a listener in the clients' namespace that takes every claim with the kernel's receive
//! time, when the clients' neighbour table gets it, too. Never does: counting twice: an address has
//! moved with the first claim of its new owner.

use crate::lab::{Lab, Port, clock};
use crate::probe::frames::read;
use crate::probe::socket::{PacketSocket, bpf_program};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use vipair::types::{MacAddr, MonoTime};

/// The address before the first of many; none of the lab's own is among them.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);

/// The first `count` IPv4 addresses of many: 10.1.0.1 to 10.1.0.250, then 10.1.1.1 and so on.
pub fn addresses(count: u32) -> Vec<String> {
    (0..count).map(|n| Ipv4Addr::from(u32::from(FIRST) + n / 250 * 256 + n % 250 + 1).to_string()).collect()
}

/// A listener for ARP claims on the clients' interface.
pub struct Listener(PacketSocket);

impl Listener {
    /// Starts to listen.
    pub fn start(lab: &Lab) -> Listener {
        use libc::{BPF_ABS, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET};
        let arp = bpf_program(&[
            (BPF_LD | BPF_H | BPF_ABS, 0, 0, 12),
            (BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x0806),
            (BPF_RET | BPF_K, 0, 0, 64),
            (BPF_RET | BPF_K, 0, 0, 0),
        ]);
        Listener(lab.host(Port::Client).run(|| PacketSocket::open(Some("eth0"), &arp)))
    }

    /// Drops the claims heard so far.
    pub fn forget_heard(&self) {
        let mut buffer = [0; 64];
        while self.0.receive(&mut buffer).is_some() {}
        self.0.take_lost_count();
    }

    /// Reads claims until `mac` has claimed `count` addresses, or until `limit` has passed.
    pub fn wait_moves(&self, mac: MacAddr, count: u32, limit: Duration) -> Moves {
        let (mut moved, mut buffer) = (HashMap::new(), [0; 64]);
        let count = usize::try_from(count).expect("a number of addresses");
        let until = clock::now() + limit;
        while moved.len() < count && clock::now() < until {
            let Some(arrival) = self.0.receive(&mut buffer) else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            if let Some(said) = read(&buffer[..arrival.length.min(64)]).filter(|said| said.mac == mac)
                && said.how.is_claim()
                && matches!(said.address, IpAddr::V4(a) if u32::from(a) >= u32::from(FIRST))
            {
                moved.entry(said.address).or_insert(arrival.at);
            }
        }
        assert_eq!(self.0.take_lost_count(), 0, "the listener lost frames");
        let times = || moved.values().copied();
        let (Some(first), Some(last)) = (times().min(), times().max()) else { panic!("no address moved") };
        Moves { first, last, missing: u32::try_from(count - moved.len()).expect("at most all") }
    }
}

/// The moves of many addresses.
#[derive(Clone, Copy, Debug)]
pub struct Moves {
    /// When the first address moved.
    pub first: MonoTime,
    /// When the last address moved.
    pub last: MonoTime,
    /// Number of addresses that did not move.
    pub missing: u32,
}
