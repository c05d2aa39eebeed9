//! TCP connections of service checks, made in the same way by the nodes and by the witness.
//!
//! Owns: one connection at a time. Never does: wait longer than the caller's patience. On failure
//! the error is a sentence for the status: refused, unreachable, or too late.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `target` and closes the connection at once with a reset.
///
/// # Errors
/// The connection is refused, the target is unreachable, or connecting takes longer than
/// `patience`.
pub async fn try_port(target: SocketAddr, patience: Duration) -> Result<(), String> {
    let begun = start_connecting(target).map_err(|error| reason(&error))?;
    // The kernel makes or refuses a connection to an address of this machine before it returns:
    // nothing to wait for.
    let socket = if is_decided(&begun) { begun } else { wait_until_decided(begun, patience).await? };
    match socket.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return Err(reason(&error)),
    }
    // A reset: no TIME_WAIT stays behind, of which a thousand checks would make sixty thousand.
    socket.set_linger(Some(Duration::ZERO)).map_err(|error| format!("closing: {error}"))
}

/// A socket that has begun to connect to `target`.
///
/// # Errors
/// The connection is refused or the target unreachable, and the kernel knew at once.
fn start_connecting(target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking().cloexec(), None)?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(socket),
    }
}

/// Whether the connection has been made or refused.
fn is_decided(socket: &Socket) -> bool {
    let mut asked = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Waits until the connection is made or refused, and returns the socket, which knows which of the
/// two.
///
/// # Errors
/// The sentence of [`too_late`] when `patience` is over; of [`reason`] when the socket itself
/// fails.
async fn wait_until_decided(socket: Socket, patience: Duration) -> Result<Socket, String> {
    let stream = TcpStream::from_std(socket.into()).map_err(|error| reason(&error))?;
    let in_time = tokio::time::timeout(patience, stream.writable()).await.map_err(|_| too_late(patience))?;
    in_time.and_then(|()| stream.into_std()).map(Socket::from).map_err(|error| reason(&error))
}

/// Connects to `target` and returns the connection.
///
/// # Errors
/// The connection is refused, the target is unreachable, or connecting takes longer than
/// `patience`.
pub async fn connect(target: SocketAddr, patience: Duration) -> Result<TcpStream, String> {
    let connecting = async {
        let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        socket?.connect(target).await
    };
    match tokio::time::timeout(patience, connecting).await {
        Ok(connected) => connected.map_err(|error| reason(&error)),
        Err(_) => Err(too_late(patience)),
    }
}

/// The sentence about a connection that took longer than `patience`.
fn too_late(patience: Duration) -> String {
    format!("no connection within {} ms", patience.as_millis())
}

/// The sentence about a connection that failed with `error`.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => format!("no connection: {error}"),
    }
}
