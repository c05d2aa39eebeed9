//! The end that tells: calls the peer on one link after the other, introduces itself, and says what changed in the lists.
//!
//! Nothing is waited for: a turn does what can be done at once. When the peer does not confirm what it holds for
//! [`PATIENCE`], the next link is tried. While the kernel has not taken what was said, nothing more is said; what
//! changes meanwhile is told in one.

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

/// Time for a connection and both proofs, and for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two attempts; grows to the second while all links fail.
const PAUSE: Duration = Duration::from_millis(100);
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// While nothing changes the peer is told that.
const SILENT: Duration = Duration::from_millis(500);
/// Most that may wait in the inbox of whoever is called.
const ANSWERS: usize = 4096;

#[derive(Debug)]
enum State {
    Resting { until: MonoTime },
    Connecting { stream: Stream, since: MonoTime },
    Introduced { stream: Stream, expected: Box<Expected>, since: MonoTime },
    Up(Box<Up>),
}

#[derive(Debug)]
struct Up {
    stream: Stream,
    session: Session,
    /// What the peer was told.
    told: HashMap<GroupKey, List>,
    /// Which version of the lists that was.
    version: Option<u64>,
    round: u64,
    told_at: MonoTime,
    answered_at: MonoTime,
}

/// What the caller has to say of itself.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub since: Option<MonoTime>,
    pub lost: Option<MonoTime>,
    pub held: u32,
    pub held_at: Option<MonoTime>,
    pub refused: u64,
}

#[derive(Debug)]
pub(super) struct Caller {
    state: State,
    link: usize,
    failures: u32,
    pub standing: Standing,
}

impl Caller {
    pub fn new(now: MonoTime) -> Caller {
        let standing = Standing { lost: Some(now), ..Standing::default() };
        Caller { state: State::Resting { until: now }, link: 0, failures: 0, standing }
    }

    /// Ends what there is: keys or links are others.
    pub fn restart(&mut self, now: MonoTime) {
        self.state = State::Resting { until: now };
        self.standing.since = None;
    }

    /// When a turn is due even if nothing arrives.
    pub fn due(&self) -> MonoTime {
        match &self.state {
            State::Resting { until } => *until,
            State::Connecting { since, .. } | State::Introduced { since, .. } => *since + PATIENCE,
            State::Up(up) => (up.told_at + SILENT).min(up.answered_at + PATIENCE * 2),
        }
    }

    /// The stream to wait for.
    pub fn stream(&self) -> Option<&Stream> {
        match &self.state {
            State::Resting { .. } => None,
            State::Connecting { stream, .. } | State::Introduced { stream, .. } => Some(stream),
            State::Up(up) => Some(&up.stream),
        }
    }

    /// True if the peer takes lists.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Does what can be done now.
    pub fn turn(&mut self, now: MonoTime, setup: &Setup, lister: &Lister) -> Option<Event> {
        let state = std::mem::replace(&mut self.state, State::Resting { until: MonoTime::FOREVER });
        let next = match state {
            State::Resting { until } if now < until => Ok(State::Resting { until }),
            State::Resting { .. } => self.call(now, setup),
            State::Connecting { stream, since } => introduce(stream, since, now, setup),
            State::Introduced { stream, expected, since } => confirmed(stream, expected, since, now),
            State::Up(mut up) => self.go_on(&mut up, now, lister).map(|()| State::Up(up)),
        };
        match next {
            Ok(state) => {
                self.state = state;
                self.note_up(now)
            }
            Err(why) => self.fail(&why, now, setup),
        }
    }

    fn call(&self, now: MonoTime, setup: &Setup) -> Result<State, Why> {
        let (from, to) = setup.links[self.link % setup.links.len().max(1)];
        let stream = Stream::connect(from, SocketAddr::new(to, PORT))?;
        Ok(State::Connecting { stream, since: now })
    }

    fn note_up(&mut self, now: MonoTime) -> Option<Event> {
        if !self.is_up() || self.standing.since.is_some() {
            return None;
        }
        self.standing.since = Some(now);
        self.standing.lost = None;
        self.failures = 0;
        Some(Event::MirrorUp { link: self.link })
    }

    fn fail(&mut self, why: &Why, now: MonoTime, setup: &Setup) -> Option<Event> {
        self.failures = self.failures.saturating_add(1);
        self.link = (self.link + 1) % setup.links.len().max(1);
        let all_failed = usize::try_from(self.failures).unwrap_or(usize::MAX) > setup.links.len();
        self.state = State::Resting { until: now + if all_failed { LONG_PAUSE } else { PAUSE } };
        if matches!(why, Why::Refused(_)) {
            self.standing.refused += 1;
        }
        if self.standing.since.take().is_some() {
            self.standing.lost = Some(now);
            return Some(Event::MirrorDown { why: why.to_string() });
        }
        match why {
            Why::Refused(_) => Some(Event::Refused { what: format!("whoever listens at the peer's address: {why}") }),
            Why::Failed(_) | Why::Silent => None,
        }
    }

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
            up.tell(now, lister);
        }
        Ok(up.stream.push()?)
    }
}

impl Up {
    /// Says what is new, and that this is all.
    fn tell(&mut self, now: MonoTime, lister: &Lister) {
        if self.version == Some(lister.version) && now < self.told_at + SILENT {
            return;
        }
        self.version = Some(lister.version);
        let known = &lister.known;
        let is_same = |told: &List, list: &List| std::sync::Arc::ptr_eq(told, list);
        let mut anything = false;
        for (group, list) in known {
            let told = self.told.get(group);
            if told.is_some_and(|told| is_same(told, list)) {
                continue;
            }
            anything = true;
            let (came, went) = match told {
                Some(told) => changes(told, list),
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
            self.told.insert(*group, List::clone(list));
        }
        // A group that is not open here any more is told anew when it is again.
        self.told.retain(|group, _| known.contains_key(group));
        if anything || now >= self.told_at + SILENT {
            self.round += 1;
            self.told_at = now;
            self.session.seal(&Frame::Complete(self.round), self.stream.out());
        }
    }
}

/// Answers the greeting.
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

/// Waits for the proof.
fn confirmed(mut stream: Stream, expected: Box<Expected>, since: MonoTime, now: MonoTime) -> Result<State, Why> {
    stream.push()?;
    stream.pull(TAG_SIZE)?;
    let Ok(confirmation) = <[u8; TAG_SIZE]>::try_from(stream.inbox.as_slice()) else {
        return in_time(since, now).map(|()| State::Introduced { stream, expected, since });
    };
    stream.inbox.clear();
    let session = expected.confirm(&confirmation)?;
    let told_at = MonoTime::ZERO;
    Ok(State::Up(Box::new(Up {
        stream,
        session,
        told: HashMap::new(),
        version: None,
        round: 0,
        told_at,
        answered_at: now,
    })))
}

fn in_time(since: MonoTime, now: MonoTime) -> Result<(), Why> {
    if now < since + PATIENCE { Ok(()) } else { Err(Why::Silent) }
}

/// Why a call ended.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("{0}")]
    Failed(#[from] std::io::Error),
    #[error("no answer")]
    Silent,
    #[error("{0}")]
    Refused(#[from] Refusal),
}
