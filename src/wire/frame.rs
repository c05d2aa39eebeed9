//! ARP (RFC 826, RFC 5227), neighbour discovery (RFC 4861) and the segment link's Ethernet frames.

use crate::types::{MacAddr, Vip};

/// Ethertype of the segment link: IEEE 802 local experimental 1.
pub const SEGMENT_ETHERTYPE: u16 = 0x88b5;

/// What a frame on the clients' segment tells us. Unauthenticated: it can delay a promotion and prove that the
/// segment is alive, nothing more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// `mac` answers for `address`: an ARP reply, a gratuitous ARP of either form, any ARP whose sender is
    /// `address`, or a neighbour advertisement for it.
    Claim {
        /// The address claimed.
        address: Vip,
        /// The hardware address it is claimed for.
        mac: MacAddr,
    },
    /// Somebody with hardware address `mac` is there, and says nothing about an address (probe, solicitation
    /// from the unspecified address).
    Presence {
        /// The sender.
        mac: MacAddr,
    },
}
