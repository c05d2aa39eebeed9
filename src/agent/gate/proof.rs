//! The proof by effect: a frame that a closed gate must stop is sent, and seen to be stopped.
//!
//! Owns: two frames about an address that is nobody's, and the order in which they are sent. Never
//! does: send a claim that could leave the machine. A gate that does not stop them is none.
//!
//! First a question, which claims nothing: who has the address? On its way out the gate knows it by
//! its sender, a number made up for this one time, and has it come in again on the same interface;
//! there it refuses to answer, and counts that. So a question that was counted went through both
//! programs of this gate, at both hooks of this interface. Only then a claim of the same address,
//! which must be refused and counted on the way out.
//!
//! Where the gate does not work the question leaves: a probe (RFC 5227) for the dummy address of
//! RFC 7600, to a group address that no bridge forwards (IEEE 802.1Q, table 8-1). Nobody listens
//! to it, and nobody could answer.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::handle::RETIRED;
use super::{Counters, Gate, GateError};
use crate::io::segment::PacketSocket;
use crate::types::{MacAddr, Vip};

/// Addresses that no host has (RFC 7600, RFC 7050). The first one that no group has is asked for.
const NOBODYS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 8), Ipv4Addr::new(192, 0, 0, 170)];
/// The nearest bridge (IEEE 802.1Q): what is sent there stays on the cable.
const NEAREST: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0, 0, 0x0e]);
/// A classic filter that accepts no frame: the socket only sends.
const NOTHING: [libc::sock_filter; 1] = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 }];
/// Times that a frame is sent before its absence counts: a busy kernel may drop one that comes in
/// (net/core/dev.c, enqueue_to_backlog).
const TRIES: u32 = 4;
/// Time between two looks at the counters, and their number after each frame. Most often the first
/// look finds it.
const PAUSE: Duration = Duration::from_micros(500);
const LOOKS: u32 = 40;

const REQUEST: u16 = 1;
const REPLY: u16 = 2;

impl Gate {
    /// Proves that the gate stops what it must, on the way out and on the way in; takes some 20 µs.
    /// False: the interface is switched off, nothing leaves or comes in, and nothing can be tried.
    /// `mac` is the interface's hardware address. Groups that are open are not touched.
    ///
    /// # Errors
    /// [`GateError::Unproven`]: the gate guards nothing. [`GateError::System`]: it could not be
    /// tried.
    pub fn prove(&mut self, mac: MacAddr) -> Result<bool, GateError> {
        let address = NOBODYS.into_iter().find(|address| !self.addresses.contains_key(&Vip::V4(*address)));
        let address =
            address.ok_or_else(|| GateError::Groups("no address is left to try the gate with".to_owned()))?;
        let failed = |error: aya::maps::MapError| GateError::program("try the gate", &self.interface, &error);
        self.object.set_address(address.into(), RETIRED).map_err(failed)?;
        let sender = one_time_sender()?;
        self.object.mapping.expect_question(Some(sender));
        let proven = self.try_both(mac, sender, address);
        self.object.mapping.expect_question(None);
        let failed = |error: aya::maps::MapError| GateError::program("try the gate", &self.interface, &error);
        self.object.remove_address(address.into()).map_err(failed)?;
        proven
    }

    /// Sends the question, and after it the claim.
    fn try_both(&self, mac: MacAddr, sender: MacAddr, address: Ipv4Addr) -> Result<bool, GateError> {
        let system = |cause| GateError::system("try the gate", &self.interface, cause);
        let socket = PacketSocket::open(self.ifindex, &NOTHING).map_err(system)?;
        let question = arp(REQUEST, mac, sender, Ipv4Addr::UNSPECIFIED, address);
        let claim = arp(REPLY, mac, mac, address, address);
        let asked: fn(&Counters) -> u64 = |counters| counters.answers_refused;
        let claimed: fn(&Counters) -> u64 = |counters| counters.claims_refused;
        for (frame, count, what) in [
            (
                question,
                asked,
                "a question that it must turn round on the way out and drop on the way in was not seen",
            ),
            (claim, claimed, "a claim that it must drop on the way out was not seen"),
        ] {
            match self.is_counted(&socket, &frame, count)? {
                Some(true) => {}
                Some(false) => {
                    let cause = format!("{what}; something else decides before it, such as an nftables egress hook");
                    return Err(GateError::Unproven { interface: self.interface.clone(), cause });
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Sends a frame, and says whether the counter of slot 0 has risen for it; `None` if the
    /// interface is switched off.
    fn is_counted(
        &self,
        socket: &PacketSocket,
        frame: &[u8],
        count: fn(&Counters) -> u64,
    ) -> Result<Option<bool>, GateError> {
        let before = count(&self.counters(RETIRED)?);
        for _ in 0..TRIES {
            // A frame that the gate drops may count as sent or not.
            let _sent =
                socket.send(frame).map_err(|cause| GateError::system("try the gate", &self.interface, cause))?;
            for _ in 0..LOOKS {
                if count(&self.counters(RETIRED)?) > before {
                    return Ok(Some(true));
                }
                std::thread::sleep(PAUSE);
            }
        }
        let off = !super::rtnetlink::is_up(self.ifindex, &self.interface)?;
        Ok(if off { None } else { Some(false) })
    }
}

/// A hardware address that nobody has: random, locally administered, of a group. So a question that
/// comes in is no sign of life for whoever listens on the segment.
fn one_time_sender() -> Result<MacAddr, GateError> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes)
        .map_err(|cause| GateError::system("make a number", "getrandom", std::io::Error::other(cause)))?;
    bytes[0] |= 0x03;
    Ok(MacAddr(bytes))
}

/// An ARP frame to [`NEAREST`], padded to the least length of a frame.
fn arp(operation: u16, mac: MacAddr, sender: MacAddr, from: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = [NEAREST.0, mac.0].concat();
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4]);
    frame.extend_from_slice(&operation.to_be_bytes());
    frame.extend_from_slice(&sender.0);
    frame.extend_from_slice(&from.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&target.octets());
    frame.resize(60, 0);
    frame
}
