//! The classic BPF program that decides in the kernel which frames of a clients' segment wake us
//! up.

use super::SEGMENT_ETHERTYPE;
use libc::{BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, sock_filter};
use pnet::packet::ethernet::EtherTypes;
use pnet::packet::icmpv6::Icmpv6Types;
use pnet::packet::ip::IpNextHeaderProtocols;

const ETHERTYPE_AT: u32 = 12;
const NEXT_HEADER_AT: u32 = 14 + 6;
const ICMPV6_TYPE_AT: u32 = 14 + 40;
/// Number of bytes handed over: more than any frame has.
const WHOLE: u32 = 0x4_0000;

/// Accepts ARP, the segment link, and neighbour solicitations and advertisements that follow the
/// IPv6 header directly. Everything else, frames with a VLAN tag included, is refused; so is a
/// frame too short to tell.
#[must_use]
pub fn segment_filter() -> Vec<sock_filter> {
    let [arp, ipv6] = [EtherTypes::Arp.0, EtherTypes::Ipv6.0].map(u32::from);
    // Jump offsets count from the next instruction.
    vec![
        load(BPF_H, ETHERTYPE_AT),
        jump_if(arp, 7, 0),
        jump_if(u32::from(SEGMENT_ETHERTYPE), 6, 0),
        jump_if(ipv6, 0, 6),
        load(BPF_B, NEXT_HEADER_AT),
        jump_if(u32::from(IpNextHeaderProtocols::Icmpv6.0), 0, 4),
        load(BPF_B, ICMPV6_TYPE_AT),
        jump_if(u32::from(Icmpv6Types::NeighborSolicit.0), 1, 0),
        jump_if(u32::from(Icmpv6Types::NeighborAdvert.0), 0, 1),
        hand_over(WHOLE),
        hand_over(0),
    ]
}

/// The instruction that loads a value at `offset` of the frame; `size` is BPF_B or BPF_H.
fn load(size: u32, offset: u32) -> sock_filter {
    op(BPF_LD | size | BPF_ABS, 0, 0, offset)
}

/// The instruction that skips `then` instructions if the loaded value equals `equal`, else
/// `otherwise`.
fn jump_if(equal: u32, then: u8, otherwise: u8) -> sock_filter {
    op(BPF_JMP | BPF_JEQ | BPF_K, then, otherwise, equal)
}

/// The instruction that ends the program: hands `bytes` bytes of the frame over; 0 refuses it.
fn hand_over(bytes: u32) -> sock_filter {
    op(BPF_RET | BPF_K, 0, 0, bytes)
}

/// One instruction, by the fields of `sock_filter`.
fn op(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("invariant: an opcode has 16 bits"), jt, jf, k }
}
