//! A nonblocking TCP connection with the bytes that wait to be sent and the bytes that have
//! arrived.
//!
//! Owns: the socket and both buffers. Never does: block, or look into the bytes. An error ends the
//! connection; its owner drops it.

use crate::wire::mirror::MAX_BODY;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Most bytes beyond one frame that the inbox takes; more waits in the socket's buffer.
const TURN: usize = 256 << 10;
/// Most bytes of one read(2).
const PIECE: usize = 64 << 10;
/// Time for which data may stay unacknowledged; then the kernel ends the connection (tcp(7),
/// TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);

/// A connection and its buffers.
#[derive(Debug)]
pub(super) struct Stream {
    stream: TcpStream,
    out: Vec<u8>,
    /// Number of bytes of `out` that the kernel has taken.
    sent: usize,
    /// Bytes that have arrived and were not used up yet.
    pub inbox: Vec<u8>,
}

impl Stream {
    /// Begins to connect from our address `from` to `to`.
    pub fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        match socket.connect(&to.into()) {
            Err(cause) if cause.raw_os_error() != Some(libc::EINPROGRESS) => Err(cause),
            Ok(()) | Err(_) => Stream::new(socket.into()),
        }
    }

    /// Buffers around a connection, which is made nonblocking.
    pub fn new(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nonblocking(true)?;
        // Best effort: without these options the connection works, with some delay.
        let _best_effort =
            [stream.set_nodelay(true), SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))];
        Ok(Stream { stream, out: Vec::new(), sent: 0, inbox: Vec::new() })
    }

    /// Buffer to which bytes to be sent are appended.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether bytes wait to be sent.
    pub fn is_waiting(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Sends as much as the kernel takes now.
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

    /// Reads what has arrived until the inbox has `longest` bytes, or one frame and [`TURN`] more.
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

/// Whether a later attempt may succeed; the kind is `NotConnected` while the socket connects.
fn is_later(cause: &io::Error) -> bool {
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted, io::ErrorKind::NotConnected];
    kinds.contains(&cause.kind())
}
