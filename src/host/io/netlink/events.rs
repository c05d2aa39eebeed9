//! Events of the kernel: interfaces, addresses and traffic-control filters that come, change and
//! go, and on request what bridges learn.
//!
//! Owns: the socket, whose buffer is the queue. Never does: decide what an event means. When the
//! buffer overflows, the kernel drops events and says so, which becomes [`NetlinkEvent::Overrun`]:
//! the listener then reads the whole state again, so that nothing is missed for good.

use super::message::{self, Message, messages};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use socket2::{SockFilter, SockRef};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// RTNLGRP_ numbers, <linux/rtnetlink.h>: LINK, TC, IPV4_IFADDR, IPV6_IFADDR.
const GROUPS: [u32; 4] = [1, 4, 5, 9];
/// RTNLGRP_NEIGH: neighbours, and what bridges learn.
const NEIGHBOURS: u32 = 3;
/// Receive buffer in bytes: room for the echo of some thousand addresses, about 1 KiB each with the
/// kernel's cost.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Room for one datagram, in bytes.
const DATAGRAM: usize = 64 << 10;

/// One event of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetlinkEvent {
    /// An interface came or changed.
    Link(super::InterfaceInfo),
    /// An interface is gone from this namespace.
    LinkGone {
        /// Number of the interface.
        index: u32,
        /// Name of the interface.
        name: String,
    },
    /// An address is new or has changed.
    AddressAdded {
        /// Number of the interface.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// An address is gone.
    AddressRemoved {
        /// Number of the interface.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// A queueing discipline or filter of an interface came, changed or went: check that the gate
    /// is still there.
    FilterChanged {
        /// Number of the interface.
        index: u32,
    },
    /// A bridge has learned behind which port a hardware address is. Only after
    /// [`NetlinkEvents::follow_bridges`].
    Learned(super::BridgeEntry),
    /// Events were lost: read the whole state again.
    Overrun,
}

/// The socket for events.
pub struct NetlinkEvents {
    socket: AsyncFd<Socket>,
    buffer: Vec<u8>,
    /// Events of the datagram that was read last, not yet returned.
    queue: VecDeque<NetlinkEvent>,
    /// Whether it hears what bridges learn.
    follows_bridges: bool,
}

impl std::fmt::Debug for NetlinkEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetlinkEvents").field("queue", &self.queue.len()).finish_non_exhaustive()
    }
}

impl NetlinkEvents {
    /// Opens the socket in the calling thread's network namespace and subscribes. Needs a tokio
    /// runtime with I/O. Open the socket before reading the present state, so that a change in
    /// between is reported.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn open() -> io::Result<NetlinkEvents> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _smaller = socket.set_rx_buf_sz(i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX));
        }
        socket.bind_auto()?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        // SAFETY: `Socket` owns its descriptor, gives out the same one each time, and closes it
        // when it is dropped, which `AsyncFd` does after it has left the reactor.
        let socket =
            unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(io::Error::from)?;
        let buffer = Vec::with_capacity(DATAGRAM);
        Ok(NetlinkEvents { socket, buffer, queue: VecDeque::new(), follows_bridges: false })
    }

    /// Subscribes to what bridges learn as well. The neighbours of the network layer, which come from
    /// the same source and may be thousands, stay in the kernel. Read the bridges' tables afterwards.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn follow_bridges(&mut self) -> io::Result<()> {
        if !self.follows_bridges {
            SockRef::from(self.socket.get_ref()).attach_filter(&bridge_filter())?;
            self.socket.get_mut().add_membership(NEIGHBOURS)?;
            self.follows_bridges = true;
        }
        Ok(())
    }

    /// Waits for the next event. Dropping the future loses no event.
    ///
    /// # Errors
    /// Only when the socket itself is unusable: open another and read the whole state again.
    pub async fn next(&mut self) -> io::Result<NetlinkEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            let mut guard = self.socket.readable().await?;
            self.buffer.clear();
            match guard.try_io(|socket| socket.get_ref().recv(&mut self.buffer, 0)) {
                Ok(Ok(_)) => self.queue.extend(read(&self.buffer)),
                Ok(Err(cause)) => match cause.raw_os_error() {
                    Some(libc::ENOBUFS) => self.queue.push_back(NetlinkEvent::Overrun),
                    Some(libc::EINTR) => {}
                    _ => return Err(cause),
                },
                Err(_not_ready) => {}
            }
        }
    }
}

/// The filter that refuses neighbours which are no bridge's, and all that go.
fn bridge_filter() -> [SockFilter; 7] {
    let code = |parts: u32| u16::try_from(parts).unwrap_or(0);
    let (half, byte) = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
    let (equal, answer) = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::BPF_RET | libc::BPF_K);
    // The program reads the type of the message as if it were in network order.
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    [
        SockFilter::new(code(half), 0, 0, 4),
        SockFilter::new(code(equal), 3, 0, kind(libc::RTM_DELNEIGH)),
        SockFilter::new(code(equal), 0, 3, kind(libc::RTM_NEWNEIGH)),
        SockFilter::new(code(byte), 0, 0, 16),
        SockFilter::new(code(equal), 1, 0, libc::AF_BRIDGE.cast_unsigned()),
        SockFilter::new(code(answer), 0, 0, 0),
        SockFilter::new(code(answer), 0, 0, u32::MAX),
    ]
}

/// Events in one datagram of the kernel. Messages of other kinds are skipped.
pub fn read(datagram: &[u8]) -> impl Iterator<Item = NetlinkEvent> {
    messages(datagram).filter_map(parse_event)
}

/// The event that one message tells; `None` for other kinds and for a message that is cut short.
fn parse_event(message: Message<'_>) -> Option<NetlinkEvent> {
    match message.kind {
        libc::RTM_NEWLINK => message::link(message.payload).map(NetlinkEvent::Link),
        libc::RTM_DELLINK => {
            message::link(message.payload).map(|link| NetlinkEvent::LinkGone { index: link.index, name: link.name })
        }
        libc::RTM_NEWADDR => message::address_message(message.payload)
            .map(|read| NetlinkEvent::AddressAdded { index: read.index, address: read.address }),
        libc::RTM_DELADDR => message::address_message(message.payload)
            .map(|read| NetlinkEvent::AddressRemoved { index: read.index, address: read.address }),
        libc::RTM_NEWQDISC | libc::RTM_DELQDISC | libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER => {
            message::filter_index(message.payload).map(|index| NetlinkEvent::FilterChanged { index })
        }
        libc::RTM_NEWNEIGH => message::bridge_entry(message.payload).map(NetlinkEvent::Learned),
        _ => match i32::from(message.kind) {
            libc::NLMSG_OVERRUN => Some(NetlinkEvent::Overrun),
            _ => None,
        },
    }
}
