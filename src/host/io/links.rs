//! A link's socket: UDP between one address of ours and one of a peer's, or to a witness from the
//! address that the kernel picks.
//!
//! The socket is connected: the kernel delivers the datagrams of that peer alone, and tells of
//! ECONNREFUSED, which means that the peer's process is gone and its kernel lives. Sending and
//! receiving never block. What the network does to a datagram is an outcome, to be counted, and
//! never an error. An error means that the socket itself is unusable, so that the caller opens
//! another.

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// DSCP CS6 (RFC 4594: network control) in the upper six bits.
const TOS: u32 = 0xc0;
/// TC_PRIO_INTERACTIVE, the highest that needs no privilege: socket(7), SO_PRIORITY.
const PRIORITY: u32 = 6;
/// Receive buffer in bytes: about 800 datagrams with the kernel's own cost, so that a flood of a
/// few milliseconds loses nothing.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Most errors that one call of `send` or `recv` passes over, each of them about an earlier
/// datagram.
const PENDING_ERRORS: usize = 4;

/// Outcome of one receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A datagram of this many bytes is in the buffer. A datagram longer than the buffer is cut.
    Datagram(usize),
    /// An earlier datagram of ours was refused: no process has the peer's port open.
    Refused,
    /// No datagram waits.
    Empty,
}

/// Outcome of one send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendOutcome {
    /// The kernel took the datagram.
    Sent,
    /// The kernel took the datagram, and reported that an earlier one was refused: no process has
    /// the peer's port open.
    SentAfterRefusal,
    /// Not sent: buffers or queues are full (EAGAIN, ENOBUFS, ENOMEM), or signals or errors of
    /// earlier datagrams broke off every attempt.
    Busy,
    /// Not sent: no route, no neighbour, no interface, or our own address is gone (ENETUNREACH,
    /// EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL, and EINVAL, which is what a vanished source address
    /// gives); or every one of [`PENDING_ERRORS`] attempts was told of a refusal (ECONNREFUSED).
    Unreachable,
    /// Not sent: a local firewall rule forbids it (EPERM, EACCES).
    Forbidden,
    /// Not sent: the datagram is larger than the interface's MTU allows (EMSGSIZE).
    TooLarge,
}

/// A connected, nonblocking UDP socket of one link.
#[derive(Debug)]
pub struct LinkSocket {
    socket: Socket,
}

impl LinkSocket {
    /// Binds `local`:`port` and connects it to `remote`:`port`.
    ///
    /// # Errors
    /// EADDRNOTAVAIL when no interface has `local` (yet: try again), ENETUNREACH when no route
    /// leads to `remote` (try again), EADDRINUSE when a process without SO_REUSEADDR has the port,
    /// EINVAL when the families differ.
    pub fn open(local: IpAddr, remote: IpAddr, port: u16) -> io::Result<LinkSocket> {
        let (local, remote) = (SocketAddr::new(local, port), SocketAddr::new(remote, port));
        let socket = new_socket(local)?;
        // Links to several peers may begin at the same local address.
        socket.set_reuse_address(true)?;
        socket.bind(&local.into())?;
        socket.connect(&remote.into())?;
        Ok(LinkSocket { socket })
    }

    /// Connects to `remote` from the address and port that the kernel picks. The socket keeps them
    /// when routes or addresses change. A new socket may then have another [`LinkSocket::local`]:
    /// if so, use the new one.
    ///
    /// # Errors
    /// ENETUNREACH when no route leads to `remote`: try again.
    pub fn toward(remote: SocketAddr) -> io::Result<LinkSocket> {
        let socket = new_socket(remote)?;
        socket.connect(&remote.into())?;
        Ok(LinkSocket { socket })
    }

    /// The address of ours that the socket sends from.
    ///
    /// # Errors
    /// Only when the socket itself is unusable.
    pub fn local(&self) -> io::Result<IpAddr> {
        let address = self.socket.local_addr()?.as_socket();
        address.map(|address| address.ip()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Takes one datagram into `buffer`. Passes over at most [`PENDING_ERRORS`] errors of earlier
    /// datagrams, and returns [`Received::Empty`] then. Never blocks.
    ///
    /// # Errors
    /// Only when the socket itself is unusable: open another. ECONNABORTED says that an
    /// administrator destroyed it (`ss -K`): it has lost its peer's address for good.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        for _ in 0..PENDING_ERRORS {
            let cause = match (&self.socket).read(buffer) {
                Ok(length) => return Ok(Received::Datagram(length)),
                Err(cause) => cause,
            };
            match errno(&cause) {
                Errno::EAGAIN => return Ok(Received::Empty),
                Errno::ECONNREFUSED => return Ok(Received::Refused),
                // ICMP errors about earlier datagrams, kept by the socket: a datagram may wait
                // behind them.
                Errno::EINTR
                | Errno::ENETUNREACH
                | Errno::EHOSTUNREACH
                | Errno::ENETDOWN
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EPROTO
                | Errno::ENOPROTOOPT
                | Errno::EMSGSIZE
                | Errno::EACCES
                | Errno::EOPNOTSUPP => {}
                _ => return Err(cause),
            }
        }
        // The socket stays readable, so the caller's next poll returns at once and calls again.
        Ok(Received::Empty)
    }

    /// Sends one datagram, in at most [`PENDING_ERRORS`] attempts: the kernel may tell of an
    /// earlier datagram's refusal instead of taking this one. If every attempt ends in a refusal,
    /// the outcome is [`SendOutcome::Unreachable`]. Never blocks.
    ///
    /// # Errors
    /// Only when the socket itself is unusable: open another. EDESTADDRREQ says that it has lost
    /// its peer's address, because an administrator destroyed it (`ss -K`).
    pub fn send(&self, datagram: &[u8]) -> io::Result<SendOutcome> {
        let mut refused = false;
        let mut last = Errno::EAGAIN;
        for _ in 0..PENDING_ERRORS {
            let cause = match self.socket.send(datagram) {
                Ok(_) if refused => return Ok(SendOutcome::SentAfterRefusal),
                Ok(_) => return Ok(SendOutcome::Sent),
                Err(cause) => cause,
            };
            last = errno(&cause);
            match last {
                // What happened to an earlier datagram is reported *instead of* sending this one:
                // try again.
                Errno::ECONNREFUSED => refused = true,
                // Errors by ICMP that a forger can cause as well: net/ipv4/icmp.c,
                // `icmp_err_convert`.
                Errno::EINTR | Errno::ENONET | Errno::EPROTO | Errno::ENOPROTOOPT | Errno::EOPNOTSUPP => {}
                Errno::ENETUNREACH
                | Errno::EHOSTUNREACH
                | Errno::ENETDOWN
                | Errno::EHOSTDOWN
                | Errno::ENODEV
                | Errno::EADDRNOTAVAIL
                | Errno::EINVAL => return Ok(SendOutcome::Unreachable),
                Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM => return Ok(SendOutcome::Busy),
                Errno::EPERM | Errno::EACCES => return Ok(SendOutcome::Forbidden),
                Errno::EMSGSIZE => return Ok(SendOutcome::TooLarge),
                _ => return Err(cause),
            }
        }
        match last {
            Errno::ECONNREFUSED => Ok(SendOutcome::Unreachable),
            _ => Ok(SendOutcome::Busy),
        }
    }
}

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A UDP socket of the family of the address `family`, with the options of every link.
fn new_socket(family: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(family), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    // These options make the link better; a link without them is better than none.
    let _best_effort = [
        socket.set_recv_buffer_size(RECEIVE_BUFFER),
        if family.is_ipv4() { socket.set_tos_v4(TOS) } else { socket.set_tclass_v6(TOS) },
        // After the type of service, which sets the priority as well (net/ipv4/ip_sockglue.c).
        socket.set_priority(PRIORITY),
        ignore_path_mtu(&socket, family.is_ipv4()),
    ];
    Ok(socket)
}

/// The error code of an operating system's error; 0 if it has none.
fn errno(cause: &io::Error) -> Errno {
    Errno::from_raw(cause.raw_os_error().unwrap_or(0))
}

/// Makes the socket send with the interface's MTU and without "don't fragment", so that a forged
/// "fragmentation needed" cannot make our datagrams too large: ip(7), IP_MTU_DISCOVER.
fn ignore_path_mtu(socket: &Socket, ipv4: bool) -> io::Result<()> {
    let (level, option, value) = if ipv4 {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_INTERFACE)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_INTERFACE)
    };
    // SAFETY: the descriptor is open for the length of the call, and the option value is an int,
    // four bytes.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), 4) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests;
