//! TCP connections as the kernel lists them (sock_diag(7)): which there are on some addresses, and
//! ending one.
//!
//! Owns: one socket of the kernel's. Never does: wait; each call does one piece of work. On failure
//! the reading is over, and the caller opens another socket.
//!
//! A reading comes in pieces, so that the reader can do other things in between, while the kernel
//! walks its table of all connections. The request is the older of the kernel's two
//! (TCPDIAG_GETSOCK), which covers sockets of both families in one walk; the newer one would need
//! two walks, since a socket of IPv6 can have a connection of IPv4. The kernel compares up to
//! [`FILTERED`] addresses; with more of them it sends all connections, and the caller drops those
//! that are not its own.
//!
//! A connection to be ended is named with its cookie, which no other socket ever has. By addresses
//! alone the kernel would take, if the connection has ended meanwhile, the socket that gets its
//! packets now (`inet_diag_find_one_icsk`): the service's listener, or another connection with the
//! same ports.
//!
//! Layouts: <linux/inet_diag.h>, <linux/sock_diag.h>. The socket belongs to the network namespace
//! of the thread that opened it.

use crate::io::netlink::message::{failure, messages};
use crate::wire::mirror::Connection;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use std::io;
use std::net::{IpAddr, Ipv6Addr};

#[cfg(test)]
mod tests;

/// Most addresses that the kernel is asked to compare with. Each costs a comparison for every
/// connection of the machine.
pub const FILTERED: usize = 64;
/// Most requests in one datagram.
pub const BATCH: usize = 64;

/// Largest answer of the kernel, in bytes (af_netlink.c).
const ANSWER: usize = 64 << 10;
/// Types of requests: <linux/inet_diag.h>, <linux/sock_diag.h>.
const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DESTROY: u16 = 21;
/// Flags of a request: NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP of <linux/netlink.h>.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
/// Size of struct nlmsghdr.
const HEADER: usize = 16;
/// Size of struct inet_diag_msg.
const MESSAGE: usize = 72;
/// INET_DIAG_REQ_BYTECODE.
const ATTRIBUTE_BYTECODE: u16 = 1;
/// States of include/net/tcp_states.h in which the client may still wait for us: established, and
/// those in which one side has announced the end and the other has not. In FIN_WAIT2 the client has
/// been told.
const STATES: u32 = 1 << ESTABLISHED | 1 << FIN_WAIT1 | 1 << CLOSE_WAIT | 1 << LAST_ACK;
const ESTABLISHED: u32 = 1;
const FIN_WAIT1: u32 = 4;
const CLOSE_WAIT: u32 = 8;
const LAST_ACK: u32 = 9;

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// The kernel's number of the family.
    fn number(self) -> u8 {
        let number = match self {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        };
        u8::try_from(number).unwrap_or(0)
    }
}

/// A connection, and the cookie of the socket that has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TcpSocket {
    /// Addresses and ports of both ends.
    pub connection: Connection,
    /// The kernel's number of the socket, as it sends it.
    pub cookie: [u8; 8],
}

/// A socket to read and end connections.
pub struct SockDiag {
    socket: Socket,
    sequence: u32,
    answer: Vec<u8>,
    /// Whether a reading has begun and is not complete.
    reading: bool,
}

impl std::fmt::Debug for SockDiag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SockDiag").field("reading", &self.reading).finish_non_exhaustive()
    }
}

/// Outcome of an order to end connections: how many of them had which.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Destroyed {
    /// Number of connections that were reset.
    pub reset: usize,
    /// Number of connections that had ended already.
    pub gone: usize,
    /// Number of connections that the kernel did not reset: EOPNOTSUPP where it is built without
    /// INET_DIAG_DESTROY, EPERM without CAP_NET_ADMIN.
    pub refused: usize,
}

impl SockDiag {
    /// Opens the socket.
    ///
    /// # Errors
    /// EPROTONOSUPPORT where the kernel has no sock_diag.
    pub fn open() -> io::Result<SockDiag> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        let _longer_answers = socket.set_cap_ack(true);
        Ok(SockDiag { socket, sequence: 0, answer: Vec::with_capacity(ANSWER), reading: false })
    }

    /// Begins a reading of the connections of these addresses. A reading under way is dropped.
    ///
    /// # Errors
    /// Any error of the kernel: open another socket.
    pub fn begin(&mut self, addresses: &[IpAddr]) -> io::Result<()> {
        if std::mem::take(&mut self.reading) {
            // Answers of the unfinished reading would be taken for the new one's.
            *self = SockDiag { sequence: self.sequence, ..SockDiag::open()? };
        }
        let filter = if addresses.len() <= FILTERED { bytecode(addresses) } else { Vec::new() };
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&dump_request(&filter, self.sequence), 0)?;
        self.reading = true;
        Ok(())
    }

    /// Reads one datagram of some hundred connections and passes each to `found`. False when the
    /// reading is complete.
    ///
    /// # Errors
    /// Any error of the kernel: the reading is over; begin another with another socket.
    pub fn read_on(&mut self, mut found: impl FnMut(TcpSocket)) -> io::Result<bool> {
        if !self.reading {
            return Ok(false);
        }
        self.answer.clear();
        match self.socket.recv(&mut self.answer, 0) {
            Ok(_) => {}
            Err(cause) if cause.raw_os_error() == Some(libc::EINTR) => return Ok(true),
            Err(cause) => {
                self.reading = false;
                return Err(cause);
            }
        }
        for message in messages(&self.answer).filter(|message| message.sequence == self.sequence) {
            match i32::from(message.kind) {
                libc::NLMSG_DONE => self.reading = false,
                libc::NLMSG_ERROR => {
                    self.reading = false;
                    return Err(failure(message.payload).unwrap_or_else(|| io::ErrorKind::InvalidData.into()));
                }
                _ => parse_connection(message.payload).into_iter().for_each(&mut found),
            }
        }
        Ok(self.reading)
    }

    /// Resets connections, at most [`BATCH`] of them: the client gets a reset if the gate still
    /// carries, the service an error.
    ///
    /// # Errors
    /// When the socket itself fails. A connection that cannot be reset is no error: it is counted
    /// in the outcome.
    pub fn destroy(&mut self, sockets: &[TcpSocket]) -> io::Result<Destroyed> {
        let mut done = Destroyed::default();
        let mut datagram = Vec::with_capacity(sockets.len() * 72);
        let first = self.sequence.wrapping_add(1);
        for socket in sockets.iter().take(BATCH) {
            self.sequence = self.sequence.wrapping_add(1);
            datagram.extend_from_slice(&destroy_request(socket, self.sequence));
        }
        self.socket.send(&datagram, 0)?;
        // The kernel answers within `send`: one acknowledgement each.
        let mut answers = sockets.len().min(BATCH);
        while answers > 0 {
            self.answer.clear();
            match self.socket.recv(&mut self.answer, 0) {
                Ok(_) => {}
                Err(cause) if cause.raw_os_error() == Some(libc::EINTR) => continue,
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Err(cause) => return Err(cause),
            }
            for message in messages(&self.answer) {
                let ours = message.sequence.wrapping_sub(first) < u32::try_from(BATCH).unwrap_or(u32::MAX);
                if !ours || i32::from(message.kind) != libc::NLMSG_ERROR {
                    continue;
                }
                answers = answers.saturating_sub(1);
                match failure(message.payload).and_then(|cause| cause.raw_os_error()) {
                    None => done.reset += 1,
                    Some(libc::ENOENT) => done.gone += 1,
                    Some(_) => done.refused += 1,
                }
            }
        }
        Ok(done)
    }
}

/// The bytes of a struct nlmsghdr in front of a message of `length` bytes, its own included.
fn message_header(length: usize, kind: u16, flags: u16, sequence: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    bytes
}

/// The first bytes of a struct inet_diag_req_v2, up to the socket's identity: a request about TCP
/// sockets of this family in these states.
fn request_head(family: Family, states: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[0] = family.number();
    bytes[1] = u8::try_from(libc::IPPROTO_TCP).unwrap_or(0);
    bytes[4..].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// A request for all connections that pass `filter`; an empty filter passes all.
fn dump_request(filter: &[u8], sequence: u32) -> Vec<u8> {
    // struct inet_diag_req: family, lengths and identity, which the kernel ignores here, states,
    // and an unused number.
    const REQUEST_SIZE: usize = 60;
    let attribute = if filter.is_empty() { 0 } else { 4 + filter.len() };
    let length = HEADER + REQUEST_SIZE + attribute;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&message_header(length, TCPDIAG_GETSOCK, REQUEST | DUMP, sequence));
    bytes.extend_from_slice(&[0; 52]);
    bytes.extend_from_slice(&STATES.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    if !filter.is_empty() {
        bytes.extend_from_slice(&u16::try_from(attribute).unwrap_or(u16::MAX).to_ne_bytes());
        bytes.extend_from_slice(&ATTRIBUTE_BYTECODE.to_ne_bytes());
        bytes.extend_from_slice(filter);
    }
    bytes
}

/// A request to end one connection.
fn destroy_request(TcpSocket { connection, cookie }: &TcpSocket, sequence: u32) -> Vec<u8> {
    let family = if connection.v4().is_some() { Family::V4 } else { Family::V6 };
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend_from_slice(&message_header(HEADER + 56, SOCK_DESTROY, REQUEST | ACK, sequence));
    bytes.extend_from_slice(&request_head(family, u32::MAX));
    // struct inet_diag_sockid: ports and addresses in network order, interface, cookie.
    bytes.extend_from_slice(&connection.local_port.to_be_bytes());
    bytes.extend_from_slice(&connection.remote_port.to_be_bytes());
    for address in [connection.local, connection.remote] {
        match address.to_ipv4_mapped() {
            Some(four) => bytes.extend_from_slice(&[four.octets().as_slice(), &[0; 12]].concat()),
            None => bytes.extend_from_slice(&address.octets()),
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(cookie);
    bytes
}

/// The connection that a struct inet_diag_msg describes; `None` if the message is cut short.
fn parse_connection(payload: &[u8]) -> Option<TcpSocket> {
    let message = payload.first_chunk::<MESSAGE>()?;
    let is_v4 = message[0] == Family::V4.number();
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let address = |at: usize| -> Ipv6Addr {
        let bytes: [u8; 16] = std::array::from_fn(|byte| message[at + byte]);
        if is_v4 {
            std::net::Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).to_ipv6_mapped()
        } else {
            Ipv6Addr::from(bytes)
        }
    };
    let connection = Connection { local: address(8), remote: address(24), local_port: port(4), remote_port: port(6) };
    Some(TcpSocket { connection, cookie: std::array::from_fn(|byte| message[44 + byte]) })
}

/// The filter "local address is one of these", as a chain of struct inet_diag_bc_op: each
/// comparison but the last is followed by a jump to the end. After a comparison that holds the
/// kernel goes on with the next operation; after one that fails it skips the jump. Arriving exactly
/// at the end accepts, beyond it refuses (net/ipv4/inet_diag.c, `inet_diag_bc_run`).
fn bytecode(addresses: &[IpAddr]) -> Vec<u8> {
    const JUMP: u8 = 1;
    const SOURCE: u8 = 7;
    const OPERATION: usize = 4;
    const HOST: usize = 8;
    let size = |address: &IpAddr| OPERATION + HOST + if address.is_ipv4() { 4 } else { 16 };
    let total: usize = addresses.iter().map(|address| size(address) + OPERATION).sum();
    let total = total.saturating_sub(OPERATION);
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    let byte = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    let mut code = Vec::with_capacity(total);
    for address in addresses {
        let own = size(address);
        let (family, bits) = if address.is_ipv4() { (Family::V4, 32) } else { (Family::V6, 128) };
        code.extend_from_slice(&[SOURCE, byte(own)]);
        code.extend_from_slice(&short(own + OPERATION).to_ne_bytes());
        // struct inet_diag_hostcond; port -1 is any.
        code.extend_from_slice(&[family.number(), bits, 0, 0]);
        code.extend_from_slice(&(-1_i32).to_ne_bytes());
        match address {
            IpAddr::V4(address) => code.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => code.extend_from_slice(&address.octets()),
        }
        if code.len() < total {
            code.extend_from_slice(&[JUMP, byte(OPERATION)]);
            code.extend_from_slice(&short(total - (code.len() - 2)).to_ne_bytes());
        }
    }
    code
}
