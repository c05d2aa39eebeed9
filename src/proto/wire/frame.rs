//! ARP (RFC 826, RFC 5227), neighbour discovery (RFC 4861) and the segment link's Ethernet frames.
//!
//! Owns: the bytes of frames for the clients' segment (`build`), the meaning of frames from it
//! (`sight`), and which of them the kernel hands over at all (`filter`). Never does: sockets;
//! deciding whether a frame may leave, which the gate does. A frame that breaks a rule of its RFC
//! tells us nothing; no input can make this panic. Frames with a VLAN tag are none of ours: a VLAN
//! is an interface of its own.

use crate::types::{MacAddr, Vip};
use pnet::packet::Packet;
use pnet::packet::ethernet::{EthernetPacket, MutableEthernetPacket};

mod build;
mod filter;
#[cfg(any(test, feature = "proof"))]
mod interpreter;
mod sight;
#[cfg(test)]
mod tests;

pub use build::{
    arp_announce_reply, arp_announce_request, arp_probe, arp_request, na_announce, ns_probe, ns_request, question,
};
pub use filter::segment_filter;
#[cfg(any(test, feature = "proof"))]
pub use interpreter::passes;
pub use sight::sight;

/// Ethertype of the segment link: IEEE 802 local experimental 1.
pub const SEGMENT_ETHERTYPE: u16 = 0x88b5;

/// The meaning of a frame on the clients' segment. Unauthenticated: it can delay a promotion and
/// prove that the segment is alive, nothing more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Sighting {
    /// `mac` answers for `address`: an ARP reply, a gratuitous ARP of either form, any ARP whose
    /// sender is `address`, or a neighbour advertisement for it.
    Claim {
        /// The address claimed.
        address: Vip,
        /// The hardware address it is claimed for.
        mac: MacAddr,
        /// Who has asked, if this is an ARP reply to a question that named no sender (0.0.0.0): it
        /// shows that such questions are answered here.
        nameless: Option<MacAddr>,
    },
    /// A machine with hardware address `mac` is there, and says nothing about an address (probe,
    /// solicitation from the unspecified address).
    Presence {
        /// The sender.
        mac: MacAddr,
    },
}

/// Bytes of an Ethernet header without a VLAN tag.
const ETHERNET_HEADER: usize = 14;
/// Bytes of an IPv6 header.
const IPV6_HEADER: usize = 40;

/// Writes a frame of the segment link that carries `payload`, one sealed pulse, replacing what was
/// in `out`.
///
/// # Panics
/// If the payload is longer than 65,535 bytes; a pulse has at most 1,200.
pub fn segment_frame(source: MacAddr, to: MacAddr, payload: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(payload.len()).expect("invariant: a pulse is short");
    ethernet(source, to, SEGMENT_ETHERTYPE, 2, out);
    out[ETHERNET_HEADER..].copy_from_slice(&length.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The payload of a segment link's frame, without the zeros that Ethernet may have appended; `None`
/// if it is not such a frame or shorter than it says.
#[must_use]
pub fn segment_payload(frame: &[u8]) -> Option<&[u8]> {
    if EthernetPacket::new(frame)?.get_ethertype().0 != SEGMENT_ETHERTYPE {
        return None;
    }
    let (length, rest) = frame.get(ETHERNET_HEADER..)?.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// The sender of a frame by its Ethernet header; `None` if the frame is shorter than that.
#[must_use]
pub fn frame_source(frame: &[u8]) -> Option<MacAddr> {
    let ethernet = EthernetPacket::new(frame)?;
    Some(from_pnet(ethernet.get_source()))
}

/// Begins a frame in `out`: the header, then `length` zero bytes.
fn ethernet(source: MacAddr, to: MacAddr, ethertype: u16, length: usize, out: &mut Vec<u8>) {
    out.clear();
    out.resize(ETHERNET_HEADER + length, 0);
    let mut header = MutableEthernetPacket::new(out).expect("invariant: the buffer holds an Ethernet header");
    header.set_source(to_pnet(source));
    header.set_destination(to_pnet(to));
    header.set_ethertype(pnet::packet::ethernet::EtherType(ethertype));
    debug_assert_eq!(header.to_immutable().payload().len(), length);
}

fn to_pnet(mac: MacAddr) -> pnet::util::MacAddr {
    pnet::util::MacAddr::from(mac.0)
}

fn from_pnet(mac: pnet::util::MacAddr) -> MacAddr {
    MacAddr(mac.octets())
}
