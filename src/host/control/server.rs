//! The agent's side of the control socket: takes requests, passes them on, writes what comes back.
//!
//! Owns: the listening socket and a bounded number of connections. Never does: decide anything, or
//! make one connection wait for another. A client that sends nonsense gets an answer that says so;
//! a client that does not read is cut off after five seconds.

use super::path::check_length;
use super::protocol::{Event, LineBuffer, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Outcome, Request, Response};
use super::protocol::{ProtocolError, decode_request, encode};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::time::timeout;

/// Most connections at a time; further ones wait in the kernel's backlog.
const CONNECTIONS: usize = 32;
/// Longest time for a client to take a line; after it the client is cut off.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for the agent to answer a request; the engine's own limits are shorter.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// One request and the way back for its answer.
#[derive(Debug)]
pub struct Call {
    /// The request.
    pub request: Request,
    /// The way back. If it is dropped without an answer, the client reads that the agent is
    /// stopping.
    pub answer: oneshot::Sender<Answer>,
}

/// The answer to one request.
#[derive(Debug)]
pub enum Answer {
    /// One response.
    One(Box<Response>),
    /// Events so far, and the source of those to come if the client follows.
    Events(Vec<Event>, Option<broadcast::Receiver<Event>>),
}

/// Binds the socket at `path`, mode 0600. A socket that an earlier agent left behind is replaced.
/// Waits for nobody.
///
/// # Errors
/// When the path is too long for a socket, when the directory does not exist or cannot be written,
/// when something else lies at the path, or
/// with `AddrInUse` when another agent listens there.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    check_length(path)?;
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            let text = format!("{} exists and is no socket: remove it", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        if is_listened_at(path)? {
            let text = format!("another agent listens on {}", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Whether somebody listens at the socket `path`. Never waits: where the queue of a listener is
/// full, somebody listens.
///
/// # Errors
/// When the system has no room for a socket, or the path is too long for one.
fn is_listened_at(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => Ok(error.kind() == io::ErrorKind::WouldBlock),
    }
}

/// Accepts connections and serves each on a task of its own, until this task is dropped.
pub async fn serve(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let calls = calls.clone();
                tokio::spawn(async move {
                    // A connection's end, whatever its reason, concerns nobody else.
                    let _ended = converse(stream, calls).await;
                    drop(place);
                });
            }
            // Out of descriptors: wait for some to be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Serves one connection: answers each line in its order, until the client closes or a line is too
/// long.
///
/// # Errors
/// The connection broke, or the client did not take its answer in time; the connection is over.
pub async fn converse(mut stream: UnixStream, calls: mpsc::Sender<Call>) -> io::Result<()> {
    let mut lines = LineBuffer::new(MAX_REQUEST_BYTES);
    let mut buffer = [0; 4096];
    loop {
        let taken = stream.read(&mut buffer).await?;
        if taken == 0 {
            return Ok(());
        }
        lines.extend(&buffer[..taken]);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => reply(&mut stream, &line, &calls).await?,
                Ok(None) => break,
                Err(error) => {
                    refuse(&mut stream, &error).await?;
                    return Ok(());
                }
            }
        }
    }
}

/// Answers one line: passes the request on, waits for the answer, and writes it.
async fn reply(stream: &mut UnixStream, line: &[u8], calls: &mpsc::Sender<Call>) -> io::Result<()> {
    let request = match decode_request(line) {
        Ok(request) => request,
        Err(error) => return refuse(stream, &error).await,
    };
    let (answer, wait) = oneshot::channel();
    let gone = || Response::Outcome(Outcome { ok: false, message: "the agent is stopping".to_owned() });
    if calls.send(Call { request, answer }).await.is_err() {
        return write(stream, &gone()).await;
    }
    match timeout(ANSWER_PATIENCE, wait).await {
        Ok(Ok(Answer::One(response))) => write(stream, &response).await,
        Ok(Ok(Answer::Events(past, follow))) => write_events(stream, past, follow).await,
        Ok(Err(_)) | Err(_) => write(stream, &gone()).await,
    }
}

/// Writes events: those so far, and if the client follows, those to come until it closes.
async fn write_events(
    stream: &mut UnixStream,
    past: Vec<Event>,
    follow: Option<broadcast::Receiver<Event>>,
) -> io::Result<()> {
    for event in past {
        write(stream, &Response::Event(event)).await?;
    }
    let Some(mut follow) = follow else { return write(stream, &Response::End).await };
    let mut nothing = [0; 1];
    loop {
        tokio::select! {
            event = follow.recv() => match event {
                Ok(event) => write(stream, &Response::Event(event)).await?,
                // A reader that is too slow misses some; the sequence numbers tell.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return write(stream, &Response::End).await,
            },
            read = stream.read(&mut nothing) => if read? == 0 { return Ok(()) },
        }
    }
}

/// Writes that a line was not understood.
async fn refuse(stream: &mut UnixStream, error: &ProtocolError) -> io::Result<()> {
    write(stream, &Response::Outcome(Outcome { ok: false, message: error.to_string() })).await
}

/// Writes one response as a line, within [`WRITE_PATIENCE`].
async fn write(stream: &mut UnixStream, response: &Response) -> io::Result<()> {
    let line = encode(response, MAX_RESPONSE_BYTES).map_err(io::Error::other)?;
    timeout(WRITE_PATIENCE, stream.write_all(&line)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
