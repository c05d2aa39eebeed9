//! Raw sockets that only send: packets with an IP header of our making, from addresses of this
//! host.
//!
//! Owns: one socket per family. Never does: receive, or wait for room. A packet that the kernel
//! does not take is the caller's to send again. The protocol is IPPROTO_RAW: no packet of the
//! machine is ever queued for them (raw(7)), as each TCP segment would be for a raw socket of TCP.
//! The route is looked up with the packet's own source (IP_PKTINFO), as for the service's own
//! packets. The packets pass the gate on egress like all others.

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

/// Most packets handed to one sendmmsg(2).
pub const BATCH: usize = 64;
/// Send buffer in bytes. The kernel doubles it, which is room for some three hundred packets at
/// what it counts for each: so many may wait in the queue of an interface, 2 ms at 100 Mbit/s.
const BUFFER: usize = 128 << 10;
/// TC_PRIO_BULK of <linux/pkt_sched.h>: behind other packets where the interface's queue has bands
/// (pfifo_fast).
const PRIORITY: u32 = 2;
/// Room for control data in bytes: an in6_pktinfo with its header, the larger of the two, fits.
const CONTROL: usize = 64;

/// Control data, aligned as the kernel requires.
#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// A packet, and the addresses between which it travels, both in their IPv6 form.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Bytes of the packet, IP header included.
    pub bytes: Vec<u8>,
    /// Source: an address of this host.
    pub from: Ipv6Addr,
    /// Destination.
    pub to: Ipv6Addr,
}

/// A raw socket for packets of one family.
#[derive(Debug)]
pub struct RawSender {
    socket: Socket,
    is_v4: bool,
}

impl RawSender {
    /// Opens the socket, for IPv4 or for IPv6.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, EAFNOSUPPORT where IPv6 is not compiled in.
    pub fn open(is_v4: bool) -> io::Result<RawSender> {
        let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(libc::IPPROTO_RAW)))?;
        let _usual = [socket.set_send_buffer_size(BUFFER), socket.set_priority(PRIORITY)];
        // Otherwise a packet that the interface's queue drops counts as sent (ip(7)).
        let _untold = if is_v4 {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
        };
        Ok(RawSender { socket, is_v4 })
    }

    /// Hands up to [`BATCH`] packets to the kernel. Returns how many it took, at least one. Never
    /// blocks.
    ///
    /// # Errors
    /// EAGAIN and ENOBUFS when the kernel has no room; any other error is about the first packet
    /// (no route, a local rule).
    pub fn send(&self, packets: &[Packet]) -> Result<usize, Errno> {
        let count = packets.len().min(BATCH);
        let targets: Vec<SockAddr> = packets[..count].iter().map(|packet| self.destination(packet.to)).collect();
        let mut controls = [Control([0; CONTROL]); BATCH];
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: mmsghdr is plain data for which all zero bytes mean "no address, no buffers, no
        // control data".
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (at, packet) in packets[..count].iter().enumerate() {
            let message = &mut messages[at].msg_hdr;
            parts[at] =
                libc::iovec { iov_base: packet.bytes.as_ptr().cast_mut().cast(), iov_len: packet.bytes.len() };
            message.msg_iov = &raw mut parts[at];
            message.msg_iovlen = 1;
            message.msg_name = targets[at].as_ptr().cast_mut().cast();
            message.msg_namelen = targets[at].len();
            let length = self.write_source(packet.from, &mut controls[at]);
            message.msg_control = controls[at].0.as_mut_ptr().cast();
            message.msg_controllen = length;
        }
        let count = libc::c_uint::try_from(count).unwrap_or(0);
        // SAFETY: the first `count` headers each point to one element of `parts`, `targets` and
        // `controls` and to one packet; all of them outlive the call, and the kernel only reads
        // them.
        let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| Errno::last())
    }

    /// The destination as a socket address. Its port would be the protocol; 0 stands for any
    /// (raw(7), ipv6(7)).
    fn destination(&self, to: Ipv6Addr) -> SockAddr {
        match to.to_ipv4_mapped().filter(|_| self.is_v4) {
            Some(four) => SocketAddr::new(four.into(), 0).into(),
            None => SocketAddr::new(to.into(), 0).into(),
        }
    }

    /// Writes the control data that names the source. Returns its length.
    fn write_source(&self, from: Ipv6Addr, control: &mut Control) -> usize {
        // struct cmsghdr is a length of a machine word, level and kind.
        const HEAD: usize = size_of::<libc::cmsghdr>();
        let (level, kind, data) = match from.to_ipv4_mapped().filter(|_| self.is_v4) {
            // struct in_pktinfo: interface, source, destination (ignored).
            Some(four) => (libc::IPPROTO_IP, libc::IP_PKTINFO, [[0; 4].as_slice(), &four.octets(), &[0; 4]].concat()),
            // struct in6_pktinfo: source, interface.
            None => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, [from.octets().as_slice(), &[0; 4]].concat()),
        };
        let length = HEAD + data.len();
        let word = size_of::<usize>();
        control.0[..word].copy_from_slice(&length.to_ne_bytes());
        control.0[word..word + 4].copy_from_slice(&level.to_ne_bytes());
        control.0[word + 4..word + 8].copy_from_slice(&kind.to_ne_bytes());
        control.0[HEAD..length].copy_from_slice(&data);
        length.next_multiple_of(word)
    }
}
