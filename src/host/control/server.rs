//! The agent's side of the control socket: takes requests, passes them on, writes what comes back.
//!
//! Owns: the listening socket and a bounded number of connections. Never does: decide anything, or
//! make one connection wait for another. A client that sends nonsense gets an answer that says so;
//! a client that does not read is cut off after five seconds, and one that asks nothing as well, so
//! that whoever holds connections open keeps nobody from giving an order.

use super::path::check_length;
use super::protocol::{Event, LineBuffer, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Outcome, Request, Response};
use super::protocol::{decode_deadline, decode_request, encode};
use crate::types::MonoTime;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// Most connections at a time; further ones wait in the kernel's backlog, until one that says nothing
/// has been closed.
pub const CONNECTIONS: usize = 64;
/// Most connections at a time that follow events: the other places are left to orders.
pub const FOLLOWERS: usize = 16;
/// Longest time for a client to send its next request; after it the connection is closed. Shorter than
/// a client waits for an answer, so that a place comes free in time.
pub const IDLE: Duration = Duration::from_secs(2);
/// Longest time for a client to take a line; after it the client is cut off.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for the agent to answer a request; the engine's own limits are shorter.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// The same for a leave, in which every group may drain.
const LEAVE_PATIENCE: Duration = Duration::from_secs(90);

/// Interval at which it is seen whether a client that waits is still there.
const LOOK: Duration = Duration::from_millis(250);

/// One request and the way back for its answer.
#[derive(Debug)]
pub struct Call {
    /// The request.
    pub request: Request,
    /// Until when the client waits for the answer, if it has told.
    pub until: Option<MonoTime>,
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
    let followers = Arc::new(Semaphore::new(FOLLOWERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (calls, followers) = (calls.clone(), Arc::clone(&followers));
                tokio::spawn(async move {
                    // A connection's end, whatever its reason, concerns nobody else.
                    let _ended = converse(stream, calls, &followers).await;
                    drop(place);
                });
            }
            // Out of descriptors: wait for some to be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Serves one connection: answers each line in its order, until the client closes, says nothing for
/// [`IDLE`], or sends a line that is too long. `followers` are the places of those who follow events.
///
/// # Errors
/// The connection broke, or the client did not take its answer in time; the connection is over.
pub async fn converse(mut stream: UnixStream, calls: mpsc::Sender<Call>, followers: &Semaphore) -> io::Result<()> {
    let mut lines = LineBuffer::new(MAX_REQUEST_BYTES);
    let mut buffer = [0; 4096];
    let mut limit = Instant::now() + IDLE;
    loop {
        let taken = timeout_at(limit, stream.read(&mut buffer)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if taken == 0 {
            return Ok(());
        }
        lines.extend(&buffer[..taken]);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => {
                    reply(&mut stream, &line, &calls, followers).await?;
                    limit = Instant::now() + IDLE;
                }
                Ok(None) => break,
                Err(error) => {
                    refuse(&mut stream, &error.to_string()).await?;
                    return Ok(());
                }
            }
        }
    }
}

/// Answers one line: passes the request on, waits for the answer, and writes it.
async fn reply(
    stream: &mut UnixStream,
    line: &[u8],
    calls: &mpsc::Sender<Call>,
    followers: &Semaphore,
) -> io::Result<()> {
    let request = match decode_request(line) {
        Ok(request) => request,
        Err(error) => return refuse(stream, &error.to_string()).await,
    };
    let _place = match &request {
        Request::Events { follow: true } => match followers.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => {
                let text = format!("{FOLLOWERS} others follow events already; end some, or ask without --follow");
                return refuse(stream, &text).await;
            }
        },
        Request::Status
        | Request::Switch { .. }
        | Request::Pause { .. }
        | Request::Resume { .. }
        | Request::Events { follow: false }
        | Request::Record
        | Request::Running
        | Request::Reload
        | Request::Leave => None,
    };
    let (answer, wait) = oneshot::channel();
    let stopping = || Response::Outcome(Outcome { ok: false, message: "the agent is stopping".to_owned() });
    let patience = if request == Request::Leave { LEAVE_PATIENCE } else { ANSWER_PATIENCE };
    if calls.send(Call { request, until: decode_deadline(line), answer }).await.is_err() {
        return write(stream, &stopping()).await;
    }
    let answered = tokio::select! {
        answered = timeout(patience, wait) => answered,
        // A client that goes away waits for nothing; its call is dropped.
        () = gone(stream) => return Ok(()),
    };
    match answered {
        Ok(Ok(Answer::One(response))) => write(stream, &response).await,
        Ok(Ok(Answer::Events(past, follow))) => write_events(stream, past, follow).await,
        Ok(Err(_)) | Err(_) => write(stream, &stopping()).await,
    }
}

/// Returns when the client has gone. One that has only ended its requests is there, and waits.
async fn gone(stream: &UnixStream) {
    loop {
        tokio::time::sleep(LOOK).await;
        // Without wishes poll(2) tells of nothing but a connection that is over in both directions.
        let mut watched = [PollFd::new(stream.as_fd(), PollFlags::empty())];
        if poll(&mut watched, PollTimeout::ZERO).is_err() || watched[0].any() == Some(true) {
            return;
        }
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

/// Writes why a line was not understood, or a request not taken.
async fn refuse(stream: &mut UnixStream, why: &str) -> io::Result<()> {
    write(stream, &Response::Outcome(Outcome { ok: false, message: why.to_owned() })).await
}

/// Writes one response as a line, within [`WRITE_PATIENCE`].
async fn write(stream: &mut UnixStream, response: &Response) -> io::Result<()> {
    let line = encode(response, MAX_RESPONSE_BYTES).map_err(io::Error::other)?;
    timeout(WRITE_PATIENCE, stream.write_all(&line)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
