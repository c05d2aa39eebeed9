//! The commands' side of the control socket, blocking, with a deadline on every wait.
//!
//! Owns: one connection. Never does: retry or print. On failure the error says what an operator can
//! do.

use super::path::check_length;
use super::protocol::{
    Asked, LineBuffer, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, ProtocolError, Request, Response, decode_response,
    encode,
};
use crate::io::clock;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Longest time for an answer to a question: an agent that takes longer hangs.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time for an answer to an order. A switch, pause or resume is answered when it is done or
/// refused, which may take a drain.
pub const ORDER_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time for an answer to a leave: that of the unit for a stop, since every group may drain.
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(85);
/// How much sooner than the client the agent gives an order up.
const SOONER: Duration = Duration::from_secs(1);

/// The reason for which there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No agent listens at the socket.
    #[error(
        "no agent answers at {}: {source}; start it with `systemctl start vipair`, or name its socket with --socket. If it \
         runs, its log says why it has none",
        socket.display()
    )]
    NotRunning {
        /// Path of the socket.
        socket: PathBuf,
        /// The kernel's error.
        source: std::io::Error,
    },
    /// The socket is there, and we may not use it.
    #[error("{} may not be used: {source}; run this command as root", socket.display())]
    NotAllowed {
        /// Path of the socket.
        socket: PathBuf,
        /// The kernel's error.
        source: std::io::Error,
    },
    /// No socket can have this path.
    #[error("{}: {source}, with --socket", socket.display())]
    NoSocket {
        /// Path that was named.
        socket: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The agent took longer than [`ANSWER_TIMEOUT`] or [`ORDER_TIMEOUT`].
    #[error("the agent does not answer in time; see `journalctl -u vipair`")]
    Timeout,
    /// The connection ended before the answer.
    #[error("the agent closed the connection before it answered; see `journalctl -u vipair`")]
    Closed,
    /// Reading or writing failed.
    #[error("the connection to the agent failed: {0}")]
    Io(std::io::Error),
    /// The answer is no message of the protocol.
    #[error("the agent's answer is unreadable ({0}); agent and command may be of different versions")]
    Protocol(#[from] ProtocolError),
}

/// One connection to the agent.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    lines: LineBuffer,
}

impl Client {
    /// Connects to the agent at `socket`.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`], [`ClientError::NotAllowed`] or [`ClientError::NoSocket`]; show it
    /// and exit with 1.
    pub fn connect(socket: &Path) -> Result<Client, ClientError> {
        check_length(socket).map_err(|source| ClientError::NoSocket { socket: socket.to_owned(), source })?;
        let stream = UnixStream::connect(socket).map_err(|source| match source.kind() {
            std::io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket: socket.to_owned(), source },
            _ => ClientError::NotRunning { socket: socket.to_owned(), source },
        })?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(ClientError::Io)?;
        Ok(Client { stream, lines: LineBuffer::new(MAX_RESPONSE_BYTES) })
    }

    /// Sends a request and waits for the first line of the answer.
    ///
    /// # Errors
    /// Any [`ClientError`]; the connection is of no further use then.
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request without waiting.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let patience = match request {
            Request::Status | Request::Running | Request::Events { .. } => ANSWER_TIMEOUT,
            Request::Switch { .. }
            | Request::Pause { .. }
            | Request::Resume { .. }
            | Request::Record
            | Request::Reload => ORDER_TIMEOUT,
            Request::Leave => LEAVE_TIMEOUT,
        };
        // The agent gives up before the client does, so that its answer is heard.
        let until_ms = (clock::now() + (patience - SOONER)).0 / 1_000_000;
        let line = encode(&Asked { request, until_ms }, MAX_REQUEST_BYTES)?;
        self.stream.set_read_timeout(Some(patience)).map_err(ClientError::Io)?;
        self.stream.write_all(&line).map_err(failed)
    }

    /// Waits for the next line.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn receive(&mut self) -> Result<Response, ClientError> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(line) = self.lines.next_line()? {
                return Ok(decode_response(&line)?);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => self.lines.extend(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Takes the limit off the time that [`Client::receive`] waits, for `events --follow`.
    ///
    /// # Errors
    /// [`ClientError::Io`] if the kernel refuses.
    pub fn wait_for_ever(&mut self) -> Result<(), ClientError> {
        self.stream.set_read_timeout(None).map_err(ClientError::Io)
    }
}

/// The error of a failed read or write. A timeout of a unix socket shows as `WouldBlock`.
fn failed(error: std::io::Error) -> ClientError {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => ClientError::Timeout,
        std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset => ClientError::Closed,
        _ => ClientError::Io(error),
    }
}
