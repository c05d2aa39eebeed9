//! The packet that tells a client that the server of its connection is gone: an empty ACK from the
//! service address, with sequence number 0.
//!
//! RFC 9293 section 3.10.7.4: the client answers a segment that is not acceptable with an ACK that
//! has the true numbers. That ACK reaches the server that has the address now, whose kernel has no
//! such connection and resets it (section 3.5.2, group 1). So the client learns at once what it
//! would otherwise learn when it next sends, or never. A client that has no such connection any
//! more answers with a reset, which changes nothing. Owns: the bytes. Never does: sockets, pace.

use super::mirror::Connection;
use std::net::{Ipv4Addr, Ipv6Addr};

#[cfg(test)]
mod tests;

/// Bytes of a TCP header without options.
const TCP: usize = 20;
const IPV4: usize = 20;
const IPV6: usize = 40;
/// Bytes of the longer of the two packets.
pub const MAX_PACKET: usize = IPV6 + TCP;
/// The TCP window of the packet: recognisable in a capture, without a meaning.
pub const WINDOW: u16 = 1234;
const PROTOCOL_TCP: u8 = 6;
const HOPS: u8 = 64;
const ACK: u8 = 0x10;

/// Writes the packet for `connection`, IP header included, replacing what was in `out`. In IPv4 the
/// header's checksum and identification are the kernel's to fill (raw(7)).
pub fn packet(connection: &Connection, out: &mut Vec<u8>) {
    out.clear();
    let sum = match connection.v4() {
        Some((local, remote)) => {
            ipv4(local, remote, out);
            let both = u64::from(local.to_bits()) + u64::from(remote.to_bits());
            folded_input(both)
        }
        None => {
            ipv6(connection.local, connection.remote, out);
            words(&connection.local.octets()) + words(&connection.remote.octets())
        }
    };
    let begin = out.len();
    out.extend_from_slice(&connection.local_port.to_be_bytes());
    out.extend_from_slice(&connection.remote_port.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[5 << 4, ACK]);
    out.extend_from_slice(&WINDOW.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    // The pseudo header besides addresses: length and protocol.
    let sum = sum + words(&out[begin..]) + TCP as u64 + u64::from(PROTOCOL_TCP);
    let checksum = finish(sum);
    out[begin + 16..begin + 18].copy_from_slice(&checksum.to_be_bytes());
}

/// Appends the IPv4 header of a packet from `local` to `remote`, without its checksum.
fn ipv4(local: Ipv4Addr, remote: Ipv4Addr, out: &mut Vec<u8>) {
    let length = u16::try_from(IPV4 + TCP).unwrap_or(u16::MAX);
    out.extend_from_slice(&[4 << 4 | 5, 0]);
    out.extend_from_slice(&length.to_be_bytes());
    // Identification, "don't fragment", time to live, protocol, checksum.
    out.extend_from_slice(&[0, 0, 0x40, 0, HOPS, PROTOCOL_TCP, 0, 0]);
    out.extend_from_slice(&local.octets());
    out.extend_from_slice(&remote.octets());
}

/// Appends the IPv6 header of a packet from `local` to `remote`.
fn ipv6(local: Ipv6Addr, remote: Ipv6Addr, out: &mut Vec<u8>) {
    let length = u16::try_from(TCP).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[6 << 4, 0, 0, 0, length[0], length[1], PROTOCOL_TCP, HOPS]);
    out.extend_from_slice(&local.octets());
    out.extend_from_slice(&remote.octets());
}

/// The sum of 16-bit words, RFC 1071, not yet folded. Everything here has an even length.
fn words(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(2).map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum()
}

/// Words of 32 bits as words of 16: the sum is the same after folding.
fn folded_input(sum: u64) -> u64 {
    (sum >> 16) + (sum & 0xffff)
}

/// The checksum for a sum of 16-bit words: folded and complemented (RFC 1071).
fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = folded_input(sum);
    }
    !u16::try_from(sum).unwrap_or(0)
}
