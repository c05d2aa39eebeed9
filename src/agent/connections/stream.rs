//! A nonblocking TCP connection with what is waiting to be sent and what has arrived of the next message.

use crate::wire::mirror::MAX_BODY;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Read in one turn at most: what comes faster waits in the socket's buffer.
const TURN: usize = 256 << 10;
const PIECE: usize = 64 << 10;
/// Unacknowledged data for this long, and the kernel ends it (tcp(7), TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Stream {
    stream: TcpStream,
    out: Vec<u8>,
    sent: usize,
    pub inbox: Vec<u8>,
}

impl Stream {
    /// Begins to connect `from` one address `to` another.
    pub fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        match socket.connect(&to.into()) {
            Err(cause) if cause.raw_os_error() != Some(libc::EINPROGRESS) => Err(cause),
            Ok(()) | Err(_) => Stream::new(socket.into()),
        }
    }

    pub fn new(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nonblocking(true)?;
        // Without them it works, a little later.
        let _best_effort =
            [stream.set_nodelay(true), SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))];
        Ok(Stream { stream, out: Vec::new(), sent: 0, inbox: Vec::new() })
    }

    /// What is to be sent is appended here.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Something waits to be sent.
    pub fn is_waiting(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Sends what the kernel takes.
    pub fn push(&mut self) -> io::Result<()> {
        while self.is_waiting() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(cause) if is_later(&cause) => return Ok(()),
                Err(cause) => return Err(cause),
            }
        }
        if self.sent > 0 {
            // A first list may have been megabytes.
            self.out = Vec::new();
            self.sent = 0;
        }
        Ok(())
    }

    /// Reads what has arrived, so that the inbox has at most `longest` bytes, or a frame and what came with it.
    pub fn pull(&mut self, longest: usize) -> io::Result<()> {
        let mut piece = [0; PIECE];
        let longest = longest.min(MAX_BODY + TURN);
        while self.inbox.len() < longest {
            let room = PIECE.min(longest - self.inbox.len());
            match self.stream.read(&mut piece[..room]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.inbox.extend_from_slice(&piece[..count]),
                Err(cause) if is_later(&cause) => break,
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Not now; ENOTCONN while it is connecting.
fn is_later(cause: &io::Error) -> bool {
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted, io::ErrorKind::NotConnected];
    kinds.contains(&cause.kind())
}
