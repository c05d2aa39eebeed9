//! Events of the kernel: interfaces, addresses and traffic-control filters that come, change and
//! go.
//!
//! Owns: the socket, whose buffer is the queue. Never does: decide what an event means. When the
//! buffer overflows, the kernel drops events and says so, which becomes [`NetlinkEvent::Overrun`]:
//! the listener then reads the whole state again, so that nothing is missed for good.

use super::message::{self, Message, messages};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// RTNLGRP_ numbers, <linux/rtnetlink.h>: LINK, TC, IPV4_IFADDR, IPV6_IFADDR.
const GROUPS: [u32; 4] = [1, 4, 5, 9];
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
    /// Events were lost: read the whole state again.
    Overrun,
}

/// The socket for events.
pub struct NetlinkEvents {
    socket: AsyncFd<Socket>,
    buffer: Vec<u8>,
    /// Events of the datagram that was read last, not yet returned.
    queue: VecDeque<NetlinkEvent>,
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
        Ok(NetlinkEvents { socket, buffer: Vec::with_capacity(DATAGRAM), queue: VecDeque::new() })
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
        _ => match i32::from(message.kind) {
            libc::NLMSG_OVERRUN => Some(NetlinkEvent::Overrun),
            _ => None,
        },
    }
}
