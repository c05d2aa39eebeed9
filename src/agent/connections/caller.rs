//! The caller calls the peer on one link after the other, introduces itself, and sends the changes
//! of our lists.
//!
//! Owns: the connection to the peer, and which lists the peer has. Never does: wait; a turn does
//! what can be done at once. While the kernel has not taken what was sent, nothing more is sent;
//! changes meanwhile are sent together. A peer that does not prove itself within [`PATIENCE`], or
//! confirms nothing for twice that time, is called again on the next link.

use super::list::{List, Lister, changes};
use super::stream::Stream;
use super::{Event, Setup};
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::{
    CHALLENGE_SIZE, Expected, Frame, GREETING_SIZE, Greeting, MAX_CONNECTIONS, PORT, Refusal, Session, TAG_SIZE,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Time for the connection and both proofs; a confirmation may take twice as long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two attempts while some links were not tried yet.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause between two attempts when all links have failed.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// Longest time without a frame to the peer; when nothing changes, a frame says so.
const SILENT: Duration = Duration::from_millis(500);
/// Time without a connection after which that is told: a peer that reads its configuration again, or is
/// started anew, is back before.
const GRACE: Duration = Duration::from_secs(3);
/// Most bytes of the peer's answers that are read at once.
const ANSWERS: usize = 4096;

/// Stage of the connection to the peer.
#[derive(Debug)]
enum State {
    /// No connection; the next call is due at `until`.
    Resting { until: MonoTime },
    /// Called; waits for the connection and the peer's greeting.
    Connecting { stream: Stream, since: MonoTime },
    /// Introduced; waits for the peer's proof.
    Introduced { stream: Stream, expected: Box<Expected>, since: MonoTime },
    /// Both have proven themselves; lists are sent.
    Up(Box<Up>),
}

/// An admitted connection to the peer.
#[derive(Debug)]
struct Up {
    stream: Stream,
    session: Session,
    /// Lists as the peer has them.
    sent: HashMap<GroupKey, List>,
    /// Version of the lists as the peer has them.
    version: Option<u64>,
    /// Number of the newest [`Frame::Complete`].
    round: u64,
    /// Instant of the newest [`Frame::Complete`].
    sent_at: MonoTime,
    /// Arrival of the newest confirmation.
    answered_at: MonoTime,
}

/// Standing of the connection to the peer, for `status`.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Instant since which the peer takes our lists; `None` if it does not.
    pub since: Option<MonoTime>,
    /// Instant since which the peer does not take our lists.
    pub lost: Option<MonoTime>,
    /// Number of connections that the peer says it holds.
    pub held: u32,
    /// Arrival of that number.
    pub held_at: Option<MonoTime>,
    /// Listeners refused since the start.
    pub refused: u64,
}

/// State of the calling end.
#[derive(Debug)]
pub(super) struct Caller {
    state: State,
    /// Position of the link that is called.
    link: usize,
    /// Failed calls in a row.
    failures: u32,
    /// When and why the connection broke, while nobody was told.
    broken: Option<(MonoTime, Why)>,
    pub standing: Standing,
}

impl Caller {
    /// A caller whose first call is due.
    pub fn new(now: MonoTime) -> Caller {
        let standing = Standing { lost: Some(now), ..Standing::default() };
        Caller { state: State::Resting { until: now }, link: 0, failures: 0, broken: None, standing }
    }

    /// Ends the present connection and calls again, because keys or links may have changed.
    pub fn restart(&mut self, now: MonoTime) {
        self.state = State::Resting { until: now };
        if self.standing.since.take().is_some() {
            self.broken = Some((now, Why::Silent));
        }
    }

    /// Instant of the next turn, even if nothing arrives.
    pub fn due(&self) -> MonoTime {
        let told = self.broken.as_ref().map_or(MonoTime::FOREVER, |(since, _)| *since + GRACE);
        told.min(match &self.state {
            State::Resting { until } => *until,
            State::Connecting { since, .. } | State::Introduced { since, .. } => *since + PATIENCE,
            State::Up(up) => (up.sent_at + SILENT).min(up.answered_at + PATIENCE * 2),
        })
    }

    /// Stream on which something may arrive.
    pub fn stream(&self) -> Option<&Stream> {
        match &self.state {
            State::Resting { .. } => None,
            State::Connecting { stream, .. } | State::Introduced { stream, .. } => Some(stream),
            State::Up(up) => Some(&up.stream),
        }
    }

    /// Whether the peer takes our lists.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Takes the next step of the connection, if it can be taken without waiting. Returns an event
    /// when the connection has come up, has been broken for long enough, or was refused.
    pub fn turn(&mut self, now: MonoTime, setup: &Setup, lister: &Lister) -> Option<Event> {
        let state = std::mem::replace(&mut self.state, State::Resting { until: MonoTime::FOREVER });
        let next = match state {
            State::Resting { until } if now < until => Ok(State::Resting { until }),
            State::Resting { .. } => self.call(now, setup),
            State::Connecting { stream, since } => introduce(stream, since, now, setup),
            State::Introduced { stream, expected, since } => confirm(stream, expected, since, now),
            State::Up(mut up) => self.go_on(&mut up, now, lister).map(|()| State::Up(up)),
        };
        match next {
            Ok(state) => {
                self.state = state;
                self.note_up(now)
            }
            Err(why) => self.fail(why, now, setup),
        }
    }

    /// Begins a connection on the present link.
    fn call(&self, now: MonoTime, setup: &Setup) -> Result<State, Why> {
        let (from, to) = setup.links[self.link % setup.links.len().max(1)];
        let stream = Stream::connect(from, SocketAddr::new(to, PORT))?;
        Ok(State::Connecting { stream, since: now })
    }

    /// Reports a connection that has just come up, unless nobody was told that it had broken; or one
    /// that has been broken for long enough.
    fn note_up(&mut self, now: MonoTime) -> Option<Event> {
        if !self.is_up() {
            let (_, why) = self.broken.take_if(|(since, _)| now >= *since + GRACE)?;
            return Some(Event::MirrorDown { why: why.to_string() });
        }
        if self.standing.since.is_some() {
            return None;
        }
        self.standing.since = Some(now);
        self.standing.lost = None;
        self.failures = 0;
        self.broken.take().is_none().then_some(Event::MirrorUp { link: self.link })
    }

    /// Rests before the next link is tried, and reports a connection that was refused, or has been broken
    /// for long enough.
    fn fail(&mut self, why: Why, now: MonoTime, setup: &Setup) -> Option<Event> {
        self.failures = self.failures.saturating_add(1);
        self.link = (self.link + 1) % setup.links.len().max(1);
        let all_failed = usize::try_from(self.failures).unwrap_or(usize::MAX) > setup.links.len();
        self.state = State::Resting { until: now + if all_failed { LONG_PAUSE } else { PAUSE } };
        if matches!(why, Why::Refused(_)) {
            self.standing.refused += 1;
        }
        let refused = match &why {
            Why::Refused(_) => Some(Event::Refused { what: format!("whoever listens at the peer's address: {why}") }),
            Why::Failed(_) | Why::Silent => None,
        };
        if self.standing.since.take().is_some() {
            self.standing.lost = Some(now);
            self.broken = Some((now, why));
        }
        refused.or_else(|| self.note_up(now))
    }

    /// Takes the peer's confirmations, and sends the changes of our lists. An error ends the
    /// connection.
    fn go_on(&mut self, up: &mut Up, now: MonoTime, lister: &Lister) -> Result<(), Why> {
        up.stream.pull(ANSWERS)?;
        while let Some((frame, length)) = up.session.open(&up.stream.inbox)? {
            up.stream.inbox.drain(..length);
            let Frame::Held(_, count) = frame else { return Err(Why::Refused(Refusal::Malformed)) };
            up.answered_at = now;
            self.standing.held = count;
            self.standing.held_at = Some(now);
        }
        if now >= up.answered_at + PATIENCE * 2 {
            return Err(Why::Silent);
        }
        if !up.stream.is_waiting() {
            up.send_changes(now, lister);
        }
        Ok(up.stream.push()?)
    }
}

impl Up {
    /// Puts the changes of all lists into the stream, and a frame that says that these are all.
    fn send_changes(&mut self, now: MonoTime, lister: &Lister) {
        if self.version == Some(lister.version) && now < self.sent_at + SILENT {
            return;
        }
        self.version = Some(lister.version);
        let known = &lister.known;
        let is_same = |sent: &List, list: &List| std::sync::Arc::ptr_eq(sent, list);
        let mut anything = false;
        for (group, list) in known {
            let sent = self.sent.get(group);
            if sent.is_some_and(|sent| is_same(sent, list)) {
                continue;
            }
            anything = true;
            let (came, went) = match sent {
                Some(sent) => changes(sent, list),
                None => {
                    self.session.seal(&Frame::Begin(*group), self.stream.out());
                    (list.to_vec(), Vec::new())
                }
            };
            for part in went.chunks(MAX_CONNECTIONS) {
                self.session.seal(&Frame::Remove(*group, part.to_vec()), self.stream.out());
            }
            for part in came.chunks(MAX_CONNECTIONS) {
                self.session.seal(&Frame::Add(*group, part.to_vec()), self.stream.out());
            }
            self.sent.insert(*group, List::clone(list));
        }
        // The list of a group that closed here is sent as a whole when the group opens again.
        self.sent.retain(|group, _| known.contains_key(group));
        if anything || now >= self.sent_at + SILENT {
            self.round += 1;
            self.sent_at = now;
            self.session.seal(&Frame::Complete(self.round), self.stream.out());
        }
    }
}

/// Answers the peer's greeting with our introduction, once the greeting has arrived; returns the
/// next stage.
fn introduce(mut stream: Stream, since: MonoTime, now: MonoTime, setup: &Setup) -> Result<State, Why> {
    stream.pull(GREETING_SIZE)?;
    let Ok(greeting) = Greeting::try_from(stream.inbox.as_slice()) else {
        return in_time(since, now).map(|()| State::Connecting { stream, since });
    };
    stream.inbox.clear();
    let mut challenge = [0; CHALLENGE_SIZE];
    getrandom::fill(&mut challenge).map_err(|cause| Why::Failed(std::io::Error::other(cause.to_string())))?;
    let (introduction, expected) = setup.keys.introduce(&greeting, (setup.me, setup.peer), challenge)?;
    stream.out().extend_from_slice(&introduction);
    stream.push()?;
    Ok(State::Introduced { stream, expected: Box::new(expected), since })
}

/// Checks the peer's proof, once the proof has arrived; returns the next stage.
fn confirm(mut stream: Stream, expected: Box<Expected>, since: MonoTime, now: MonoTime) -> Result<State, Why> {
    stream.push()?;
    stream.pull(TAG_SIZE)?;
    let Ok(confirmation) = <[u8; TAG_SIZE]>::try_from(stream.inbox.as_slice()) else {
        return in_time(since, now).map(|()| State::Introduced { stream, expected, since });
    };
    stream.inbox.clear();
    let session = expected.confirm(&confirmation)?;
    let sent_at = MonoTime::ZERO;
    Ok(State::Up(Box::new(Up {
        stream,
        session,
        sent: HashMap::new(),
        version: None,
        round: 0,
        sent_at,
        answered_at: now,
    })))
}

/// Success while a step that began at `since` is within [`PATIENCE`]; an error afterwards.
fn in_time(since: MonoTime, now: MonoTime) -> Result<(), Why> {
    if now < since + PATIENCE { Ok(()) } else { Err(Why::Silent) }
}

/// Reason why a call ended.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("{0}")]
    Failed(#[from] std::io::Error),
    #[error("no answer")]
    Silent,
    #[error("{0}")]
    Refused(#[from] Refusal),
}
