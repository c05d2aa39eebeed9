//! The listener takes calls of the peer at our link addresses, admits a caller that has the key,
//! and passes the peer's lists on to `mirrored`.
//!
//! Owns: the listening sockets and the callers' streams. Never does: call the peer. A stranger
//! costs little, within bounds: only a call from the peer's own link address is read at all; at
//! most [`GUESTS`] callers without proof are there at once, each for [`PATIENCE`] and with as many
//! bytes as an introduction has; and after [`CALLS`] calls in a moment the rest waits in the
//! kernel, whose queue is short. Of the admitted callers the newest counts. A caller that fails is
//! refused and counted; a link address that is missing, or whose socket failed, is tried again.

use super::mirrored::Mirrored;
use super::stream::Stream;
use super::{Event, Setup};
use crate::io::poll::Poll;
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::{
    CHALLENGE_SIZE, Greeting, INTRODUCTION_SIZE, Introduction, MAX_BODY, PORT, Refusal, Session, greeting,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

/// Most callers that have proven nothing yet.
const GUESTS: usize = 4;
/// Time that a caller has for its proof.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most calls taken in one [`MOMENT`].
const CALLS: u32 = 16;
/// Span in which calls are counted.
const MOMENT: Duration = Duration::from_millis(100);
/// Most calls that wait in the kernel.
const BACKLOG: i32 = 8;
/// Pause before listening is tried again where the address is missing or the socket failed.
const AGAIN: Duration = Duration::from_millis(500);
/// Silence after which the peer's connection is given up; the peer sends twice a second.
const SILENCE: Duration = Duration::from_secs(5);

/// Listening end of one link.
#[derive(Debug)]
struct Door {
    local: IpAddr,
    remote: IpAddr,
    /// Listening socket; `None` while the local address is missing, and for [`AGAIN`] after the
    /// socket failed.
    listener: Option<TcpListener>,
}

/// A caller that has proven nothing yet.
#[derive(Debug)]
struct Guest {
    stream: Stream,
    greeting: Greeting,
    since: MonoTime,
    from: IpAddr,
}

/// The peer as an admitted caller.
#[derive(Debug)]
struct Member {
    stream: Stream,
    session: Session,
    /// Arrival of the newest frame.
    heard: MonoTime,
}

/// State of the listening end.
#[derive(Debug)]
pub(super) struct Listener {
    doors: Vec<Door>,
    /// Instant of the next attempt to open missing doors.
    again: MonoTime,
    /// Beginning of the present [`MOMENT`], and the calls taken in it.
    moment: (MonoTime, u32),
    /// Whether no calls are taken until the moment is over.
    resting: bool,
    guests: Vec<Guest>,
    member: Option<Member>,
    /// Callers refused since the start.
    pub refused: u64,
}

impl Listener {
    /// A listener on no link.
    pub fn new() -> Listener {
        let moment = (MonoTime::ZERO, 0);
        let (doors, guests) = (Vec::new(), Vec::new());
        Listener { doors, again: MonoTime::ZERO, moment, resting: false, guests, member: None, refused: 0 }
    }

    /// Listens on the setup's links from now on; an admitted peer has to call again.
    pub fn restart(&mut self, setup: &Setup, now: MonoTime) {
        let door = |(local, remote): &(IpAddr, IpAddr)| Door { local: *local, remote: *remote, listener: None };
        let same = self.doors.iter().map(|door| (door.local, door.remote)).eq(setup.links.iter().copied());
        if !same {
            self.doors = setup.links.iter().map(door).collect();
            self.again = now;
        }
        self.guests.clear();
        self.member = None;
    }

    /// Whether the peer is admitted.
    pub fn has_peer(&self) -> bool {
        self.member.is_some()
    }

    /// Instant of the next turn, even if nothing arrives.
    pub fn due(&self) -> MonoTime {
        let guests = self.guests.iter().map(|guest| guest.since + PATIENCE);
        let closed = self.doors.iter().any(|door| door.listener.is_none()).then_some(self.again);
        let member = self.member.iter().map(|member| member.heard + SILENCE);
        let rest = self.resting.then_some(self.moment.0 + MOMENT);
        guests.chain(closed).chain(member).chain(rest).min().unwrap_or(MonoTime::FOREVER)
    }

    /// Takes calls, introductions and lists that have arrived, without waiting. Returns an event if
    /// a caller was refused.
    pub fn turn(
        &mut self,
        now: MonoTime,
        (poll, token): (&Poll, u64),
        setup: &Setup,
        mirrored: &mut Mirrored,
    ) -> Option<Event> {
        self.open_doors(now, (poll, token));
        let call = self.take_calls(now, (poll, token));
        let guest = self.handle_guests(now, setup);
        let member = self.handle_member(now, setup, mirrored);
        call.or(guest).or(member)
    }

    /// Opens the listening sockets that are missing.
    fn open_doors(&mut self, now: MonoTime, (poll, token): (&Poll, u64)) {
        if now < self.again {
            return;
        }
        self.again = now + AGAIN;
        let resting = self.resting;
        for door in self.doors.iter_mut().filter(|door| door.listener.is_none()) {
            // A missing address is tried again; an address that another program has shows in the
            // peer's status.
            let Ok(listener) = listen(door.local) else { continue };
            if resting || poll.add(&listener, token).is_ok() {
                door.listener = Some(listener);
            }
        }
    }

    /// Takes the calls that wait, at most [`CALLS`] in one [`MOMENT`]; until the moment is over the
    /// rest waits in the kernel. Returns an event if a stranger was refused.
    fn take_calls(&mut self, now: MonoTime, (poll, token): (&Poll, u64)) -> Option<Event> {
        if now >= self.moment.0 + MOMENT {
            self.moment = (now, 0);
            if std::mem::take(&mut self.resting) {
                let listeners = self.doors.iter().filter_map(|door| door.listener.as_ref());
                // The listener was in the set before, so there is room.
                listeners.for_each(|listener| drop(poll.add(listener, token)));
            }
        }
        let mut event = None;
        for door in 0..self.doors.len() {
            while self.moment.1 < CALLS {
                let Some(listener) = &self.doors[door].listener else { break };
                let (stream, from) = match listener.accept() {
                    Ok(call) => call,
                    Err(error) => {
                        if !is_passing(&error) {
                            // It would be reported as ready for ever.
                            self.doors[door].listener = None;
                            self.again = now + AGAIN;
                        }
                        break;
                    }
                };
                self.moment.1 += 1;
                let stranger = from.ip() != self.doors[door].remote;
                if stranger {
                    self.refused += 1;
                    event =
                        Some(Event::Refused { what: format!("{}: it is no link address of the peer", from.ip()) });
                } else {
                    self.greet(stream, from.ip(), now);
                }
            }
        }
        if self.moment.1 >= CALLS && !std::mem::replace(&mut self.resting, true) {
            let listeners = self.doors.iter().filter_map(|door| door.listener.as_ref());
            listeners.for_each(|listener| drop(poll.remove(listener)));
        }
        event
    }

    /// Sends the greeting to a caller and makes it a guest; the oldest guest beyond the bound goes.
    fn greet(&mut self, stream: std::net::TcpStream, from: IpAddr, now: MonoTime) {
        let mut challenge = [0; CHALLENGE_SIZE];
        let (Ok(mut stream), Ok(())) = (Stream::new(stream), getrandom::fill(&mut challenge)) else { return };
        let greeting = greeting(challenge);
        stream.out().extend_from_slice(&greeting);
        if stream.push().is_err() {
            return;
        }
        if self.guests.len() >= GUESTS {
            // The peer proves itself within a round trip.
            self.guests.remove(0);
            self.refused += 1;
        }
        self.guests.push(Guest { stream, greeting, since: now, from });
    }

    /// Reads the guests' introductions; a guest with the key becomes the admitted peer.
    fn handle_guests(&mut self, now: MonoTime, setup: &Setup) -> Option<Event> {
        let mut event = None;
        for mut guest in std::mem::take(&mut self.guests) {
            match admit(&mut guest, now, setup) {
                Ok(None) => self.guests.push(guest),
                Ok(Some(session)) => self.member = Some(Member { stream: guest.stream, session, heard: now }),
                Err(why) => {
                    self.refused += 1;
                    event = Some(Event::Refused { what: format!("{}: {why}", guest.from) });
                }
            }
        }
        event
    }

    /// Takes the admitted peer's frames; drops its connection when it fails or falls silent.
    fn handle_member(&mut self, now: MonoTime, setup: &Setup, mirrored: &mut Mirrored) -> Option<Event> {
        let member = self.member.as_mut()?;
        let is_ours = |group: GroupKey| setup.groups.iter().any(|watched| watched.key == group);
        match member.handle_frames(now, &is_ours, mirrored) {
            Ok(()) if now < member.heard + SILENCE => None,
            Ok(()) => {
                self.member = None;
                None
            }
            Err(why) => {
                self.member = None;
                why.map(|why| {
                    self.refused += 1;
                    Event::Refused { what: format!("the peer's connection: {why}") }
                })
            }
        }
    }

    /// Streams on which something may arrive.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.guests.iter().map(|guest| &guest.stream).chain(self.member.iter().map(|member| &member.stream))
    }
}

/// Reads more of a guest's introduction; `Ok(None)` while it is not complete. Once it is, answers
/// with our proof and returns the session.
///
/// # Errors
/// The reason for refusing the guest, for people.
fn admit(guest: &mut Guest, now: MonoTime, setup: &Setup) -> Result<Option<Session>, String> {
    guest.stream.pull(INTRODUCTION_SIZE).map_err(|cause| cause.to_string())?;
    let Ok(introduction) = Introduction::try_from(guest.stream.inbox.as_slice()) else {
        return if now < guest.since + PATIENCE { Ok(None) } else { Err("it did not introduce itself".to_owned()) };
    };
    guest.stream.inbox.clear();
    let admitted = setup.keys.admit(&guest.greeting, &introduction, setup.me);
    let (from, confirmation, session) = admitted.map_err(|why| why.to_string())?;
    if from != setup.peer {
        return Err(Refusal::Addressee.to_string());
    }
    guest.stream.out().extend_from_slice(&confirmation);
    guest.stream.push().map_err(|cause| cause.to_string())?;
    Ok(Some(session))
}

impl Member {
    /// Applies the frames that have arrived to `mirrored`, and confirms them. `Err(None)`: the peer
    /// went away.
    fn handle_frames(
        &mut self,
        now: MonoTime,
        is_ours: &impl Fn(GroupKey) -> bool,
        mirrored: &mut Mirrored,
    ) -> Result<(), Option<Refusal>> {
        // Frames that came before the end count.
        let ended = self.stream.pull(4 * MAX_BODY).is_err();
        let mut taken = 0;
        while let Some((frame, length)) = self.session.open(&self.stream.inbox[taken..]).map_err(Some)? {
            taken += length;
            self.heard = now;
            if let Some(answer) = mirrored.apply(frame, is_ours, now)
                && !self.stream.is_waiting()
            {
                self.session.seal(&answer, self.stream.out());
            }
        }
        self.stream.inbox.drain(..taken);
        let pushed = self.stream.push();
        if ended || pushed.is_err() { Err(None) } else { Ok(()) }
    }
}

/// Whether a listening socket goes on after this error: no call waits, or the call is gone. After
/// any other error it is closed, and opened again later: an administrator has destroyed it
/// (EINVAL), or the system is out of descriptors.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted)
}

/// Listening socket at a link address.
fn listen(local: IpAddr) -> io::Result<TcpListener> {
    let address = SocketAddr::new(local, PORT);
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    // The connections of a former life may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
