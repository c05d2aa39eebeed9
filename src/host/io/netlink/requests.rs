//! Requests to the kernel: questions and orders, on a socket of their own. See the head of
//! [`super`].
//!
//! Owns: that socket. Never does: wait for an answer; the kernel has answered when `send` returns.
//! On failure the caller reads the present state again.

use super::message::{self, Message, messages};
use super::{InterfaceInfo, Neighbour};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use std::io;
use std::net::IpAddr;

/// Largest answer of the kernel, in bytes: NLMSG_GOODSIZE and dumps of at most 32 KiB at a time
/// (af_netlink.c).
const ANSWER: usize = 64 << 10;
/// Receive buffer in bytes: room for the errors of a whole batch.
const RECEIVE_BUFFER: usize = 2 << 20;
/// Most readings of a table that changes while it is read.
const READINGS: usize = 3;

/// The socket for requests. Every call may block for as long as the kernel is busy with other
/// changes to interfaces.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    answer: Vec<u8>,
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Netlink {
    /// Opens the socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the process is out of descriptors or memory.
    pub fn open() -> io::Result<Netlink> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // Without these options answers are longer, and tables come whole: both are only slower.
        let _best_effort = [socket.set_cap_ack(true), socket.set_netlink_get_strict_chk(true)];
        if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _smaller = socket.set_rx_buf_sz(i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX));
        }
        Ok(Netlink { socket, sequence: 0, answer: Vec::with_capacity(ANSWER) })
    }

    /// The interface of this name, which may be one of its alternative names; `None` if there is
    /// none.
    ///
    /// # Errors
    /// Any error of the kernel but ENODEV.
    pub fn interface(&mut self, name: &str) -> io::Result<Option<InterfaceInfo>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.to_string()));
        self.link(request)
    }

    /// The interface of this number; `None` if there is none in this namespace any more.
    ///
    /// # Errors
    /// Any error of the kernel but ENODEV.
    pub fn interface_at(&mut self, index: u32) -> io::Result<Option<InterfaceInfo>> {
        let mut request = LinkMessage::default();
        request.header.index = index;
        self.link(request)
    }

    /// The interface that a request names.
    fn link(&mut self, request: LinkMessage) -> io::Result<Option<InterfaceInfo>> {
        let mut found = None;
        let result = self.ask(RouteNetlinkMessage::GetLink(request), NLM_F_ACK, |answer| {
            if answer.kind == libc::RTM_NEWLINK {
                found = message::link(answer.payload);
            }
        });
        match result {
            Err(cause) if cause.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            result => result.map(|()| found),
        }
    }

    /// All interfaces of the namespace.
    ///
    /// # Errors
    /// Any error of the kernel.
    pub fn interfaces(&mut self) -> io::Result<Vec<InterfaceInfo>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        self.dump(RouteNetlinkMessage::GetLink(request), |answer| {
            (answer.kind == libc::RTM_NEWLINK).then(|| message::link(answer.payload)).flatten()
        })
    }

    /// The neighbours on an interface, of both families.
    ///
    /// # Errors
    /// ENODEV when the interface is gone.
    pub fn neighbours(&mut self, index: u32) -> io::Result<Vec<Neighbour>> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = NeighbourMessage::default();
            request.header.family = family;
            request.attributes.push(NeighbourAttribute::IfIndex(index));
            found.extend(self.dump(RouteNetlinkMessage::GetNeighbour(request), |answer| {
                let entry = (answer.kind == libc::RTM_NEWNEIGH).then(|| message::neighbour(answer.payload)).flatten();
                entry.filter(|(on, _)| *on == index).map(|(_, neighbour)| neighbour)
            })?);
        }
        Ok(found)
    }

    /// The gateways of all default routes through an interface, of both families, without
    /// repetition. With a full table of the internet this takes the kernel some 100 ms.
    ///
    /// # Errors
    /// ENODEV when the interface is gone.
    pub fn gateways(&mut self, index: u32) -> io::Result<Vec<IpAddr>> {
        let mut found: Vec<IpAddr> = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            request.attributes.push(RouteAttribute::Oif(index));
            let gateways = self.dump(RouteNetlinkMessage::GetRoute(request), |answer| {
                (answer.kind == libc::RTM_NEWROUTE).then(|| message::gateways(answer.payload, index))
            })?;
            for gateway in gateways.into_iter().flatten() {
                if !found.contains(&gateway) {
                    found.push(gateway);
                }
            }
        }
        Ok(found)
    }

    /// Reads a whole table. A table that changes meanwhile is read again, up to [`READINGS`] times;
    /// the last reading stands.
    pub(super) fn dump<T>(
        &mut self,
        request: RouteNetlinkMessage,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        for _ in 0..READINGS {
            let mut disturbed = false;
            found.clear();
            self.ask(request.clone(), NLM_F_DUMP, |answer| {
                disturbed |= answer.flags & NLM_F_DUMP_INTR != 0;
                found.extend(read(answer));
            })?;
            if !disturbed {
                break;
            }
        }
        Ok(found)
    }

    /// Sends one request and passes its answers to `read`.
    pub(super) fn ask(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        mut read: impl FnMut(Message<'_>),
    ) -> io::Result<()> {
        let mut failure = None;
        self.exchange(vec![request], flags, |_, answer| match answer {
            Answer::Message(answer) => read(answer),
            Answer::Failed(cause) => failure = Some(cause),
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Sends orders as one datagram. Returns those that failed, by their position. The kernel
    /// acknowledges the success of the last order alone, and the failure of each.
    pub(super) fn send_orders(
        &mut self,
        requests: Vec<RouteNetlinkMessage>,
        flags: u16,
    ) -> io::Result<Vec<(usize, io::Error)>> {
        let mut failed = Vec::new();
        if requests.is_empty() {
            return Ok(failed);
        }
        self.exchange(requests, flags, |position, answer| match answer {
            Answer::Message(_) => {}
            Answer::Failed(cause) => failed.push((position, cause)),
        })?;
        Ok(failed)
    }

    /// Sends one datagram of requests and passes all answers to `read`, with the position of their
    /// request. After an error of the socket it is unknown what was done: read the present state
    /// again.
    fn exchange(
        &mut self,
        requests: Vec<RouteNetlinkMessage>,
        flags: u16,
        mut read: impl FnMut(usize, Answer<'_>),
    ) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1);
        let count = requests.len();
        let mut datagram = Vec::with_capacity(count * 80);
        for (position, request) in requests.into_iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let ack = if position + 1 == count { flags | ack_of(flags) } else { flags };
            message::append(&mut datagram, request, NLM_F_REQUEST | ack, self.sequence);
        }
        self.socket.send(&datagram, 0)?;
        loop {
            self.answer.clear();
            match self.socket.recv(&mut self.answer, 0) {
                Ok(_) => {}
                Err(cause) if cause.raw_os_error() == Some(libc::EINTR) => continue,
                // The kernel answers within `send`: without an answer now, none will come.
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Err(Errno::ENOMSG.into()),
                Err(cause) => return Err(cause),
            }
            for answer in messages(&self.answer) {
                let position = usize::try_from(answer.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if position >= count {
                    continue; // an answer to an earlier exchange, which ended with an error
                }
                let is_last = position + 1 == count;
                match i32::from(answer.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        if let Some(cause) = message::failure(answer.payload) {
                            read(position, Answer::Failed(cause));
                        }
                        if is_last {
                            return Ok(());
                        }
                    }
                    _ => read(position, Answer::Message(answer)),
                }
            }
        }
    }
}

/// The flag for an acknowledgement. A dump ends with NLMSG_DONE and needs none.
fn ack_of(flags: u16) -> u16 {
    if flags & NLM_F_DUMP == NLM_F_DUMP { 0 } else { NLM_F_ACK }
}

/// One answer of the kernel.
enum Answer<'a> {
    Message(Message<'a>),
    Failed(io::Error),
}
