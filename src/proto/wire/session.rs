//! Decides which authentic datagrams of one peer are fresh. Pure: no clock, no random source.
//!
//! Owns, per peer: our session number, the peer's verified session with its replay window, and the
//! sessions that introduced themselves without proof. Never does: authentication (done before),
//! sending. Whatever is rejected here changes nothing but the caller's counters.
//!
//! # Who is believed
//! Our own counter is the clock. A datagram that says "of your session M I have received counter k"
//! was made after we sent k in session M. Sessions are random, so nobody can say that of a session
//! or counter not sent yet.
//!
//! - A session X of the peer is *verified* by a datagram that echoes our session with a counter at
//!   or above the one in which we first echoed X. We had learned X from its own datagram, so X had
//!   begun before we sent that.
//! - Recordings from before our process began echo another session of ours: worthless.
//! - Recordings of the verified session: the window of [`WINDOW`] counters lets each datagram in
//!   once.
//! - Recordings of an earlier life of the peer were made before X began, so the counters they echo
//!   are below the one that verified X. Hence a session can only displace the verified one with an
//!   `echo_counter` above every one believed so far (`floor`). No list of retired sessions is
//!   needed and nothing runs full. A recording that an attacker kept from being delivered while it
//!   was young is as useless as any other: the newest life always ends up believed, and stays.
//!
//! # How a restarted peer comes to be believed
//! Its first datagram echoes nothing: [`Verdict::Unproven`]. Nothing it says is used, and the
//! running session is not touched. The caller answers *that datagram* with a pulse that echoes the
//! session it learned ([`Sessions::answer`]), while ordinary pulses go on echoing the verified
//! session ([`Sessions::echo`]). A live peer echoes the answer, and with that it is believed: one
//! round trip. It learned our session from the same answer and believes us with our next pulse,
//! which is sent at once after [`Verdict::Fresh`] with `new_session`.
//!
//! Nobody lives behind a recording: the answer to it reaches the live peer, who sees its own
//! session not echoed by a session it has verified already, and drops it. So floods of recordings
//! never reach the running session; they cost one answer for each recording, not for each replay,
//! as long as no more than [`UNPROVEN_MAX`] sessions introduce themselves. A caller may bound
//! answers in time: a restarted peer introduces itself anew with every pulse.
//!
//! # Two processes with one node number
//! By mistake, or a cloned machine. Both are live and both can prove it, so they displace each
//! other: the caller sees `new_session` again and again, which deserves an alarm. When one of them
//! ends, the other is believed again after a round trip; a list of retired sessions would shut it
//! out for good.
//!
//! An attacker who can delay datagrams can delay them here, too: freshness means "not before, and
//! once", not "just now". [`Sessions::newest`] tells whether a fresh datagram arrived after a
//! younger one.

use super::auth::Reject;
use super::pulse::Header;
use super::rules;
use crate::mutant::Mutants;

#[cfg(any(test, feature = "proof"))]
mod canon;
#[cfg(test)]
mod tests;

/// Span of counters below the highest one that are still told apart; older ones are rejected. At
/// one datagram per millisecond on each of two links that is about half a second of reordering.
pub const WINDOW: u64 = 1024;
/// Number of unproven sessions that are remembered; one more replaces the one that was learned
/// first.
pub const UNPROVEN_MAX: usize = 8;

/// The verdict on an authentic datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Fresh: to be believed.
    Fresh {
        /// Whether it is the first one of its session: the peer's process, or what we know of it,
        /// began anew, and nothing remembered of its table holds any longer. The caller sends the
        /// peer a pulse at once, so that it believes us, too.
        new_session: bool,
    },
    /// Authentic, and without proof of being recent. The caller believes nothing, not even that the
    /// peer lives, and answers with a pulse that carries [`Sessions::answer`] of `learned`.
    Unproven {
        /// The session to echo in the answer.
        learned: u64,
    },
    /// To be counted and dropped.
    Rejected(Reject),
}

/// The values for `echo_session` and `echo_counter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Echo {
    /// The peer's session, 0 when none is known.
    pub session: u64,
    /// The highest counter received from it, 0 for none.
    pub counter: u64,
}

/// Freshness of one peer's datagrams.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Sessions {
    /// Our own session.
    mine: u64,
    verified: Option<Verified>,
    /// The highest `echo_counter` believed since `mine` began.
    floor: u64,
    /// Ring of the sessions that introduced themselves; the default marks a free place.
    unproven: [Unproven; UNPROVEN_MAX],
    next_unproven: usize,
    /// The unproven session heard last.
    latest: Echo,
    #[serde(skip)]
    mutants: Mutants,
}

#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Unproven {
    /// The session and its highest counter so far.
    heard: Echo,
    /// Our counter when we first echoed the session; a proof echoes this or a higher one.
    first_echoed_at: Option<u64>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Verified {
    session: u64,
    window: Window,
}

impl Sessions {
    /// The freshness of a peer of whom nothing is known yet. `mine` is our own session.
    ///
    /// # Panics
    /// If `mine` is 0, which on the wire means "not known": the caller draws again.
    #[must_use]
    pub fn new(mine: u64) -> Sessions {
        assert!(mine != 0, "invariant: a session is never 0");
        Sessions {
            mine,
            verified: None,
            floor: 0,
            unproven: [Unproven::default(); UNPROVEN_MAX],
            next_unproven: 0,
            latest: Echo::default(),
            mutants: Mutants::NONE,
        }
    }

    /// The same with a rule broken on purpose; no rule in what ships.
    #[must_use]
    pub fn mutated(self, mutants: Mutants) -> Sessions {
        Sessions { mutants, ..self }
    }

    /// Our own session, for [`Header::session`].
    #[must_use]
    pub fn mine(&self) -> u64 {
        self.mine
    }

    /// The peer's verified session.
    #[must_use]
    pub fn verified(&self) -> Option<u64> {
        self.verified.as_ref().map(|verified| verified.session)
    }

    /// The highest counter believed of the verified session. A fresh datagram whose counter is
    /// lower arrived late: what it says about the present is outdated.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.verified.as_ref().map(|verified| verified.window.highest)
    }

    /// Whether a datagram of the verified session, younger than all that were believed, echoes
    /// another session of ours than the present one: its sender has not learned of us yet. For a
    /// voter, which says nothing of its own accord, and whose answer may have been lost.
    #[must_use]
    pub fn is_unaware(&self, header: &Header) -> bool {
        let verified = self.verified.as_ref().filter(|verified| verified.session == header.session);
        header.echo_session != self.mine && verified.is_some_and(|verified| header.counter > verified.window.highest)
    }

    /// The echo for an ordinary pulse that will be sent with our `counter`: the verified session;
    /// without one, the unproven session heard last.
    pub fn echo(&mut self, counter: u64) -> Echo {
        match &self.verified {
            Some(verified) => Echo { session: verified.session, counter: verified.window.highest },
            None => self.answer(self.latest.session, counter),
        }
    }

    /// The echo for the answer to an unproven datagram of session `learned`, for this one answer
    /// only, which will be sent with our `counter`.
    pub fn answer(&mut self, learned: u64, counter: u64) -> Echo {
        match self.unproven.iter_mut().find(|place| place.heard.session == learned) {
            Some(_) if learned == 0 => Echo::default(),
            Some(place) => {
                place.first_echoed_at.get_or_insert(counter);
                place.heard
            }
            // Replaced in the meantime: the peer will introduce itself again.
            None => Echo { session: learned, counter: 0 },
        }
    }

    /// True if a session has introduced itself, and was never answered.
    #[must_use]
    pub fn is_unanswered(&self, learned: u64) -> bool {
        let known = self.unproven.iter().find(|place| place.heard.session == learned);
        known.is_some_and(|place| place.first_echoed_at.is_none())
    }

    /// Decides whether an authentic datagram of this peer is fresh, and remembers it.
    pub fn check(&mut self, header: &Header) -> Verdict {
        if header.session == 0 || header.counter == 0 || header.session == self.mine {
            return Verdict::Rejected(Reject::Session);
        }
        let echoes_us = rules::answers_us(self.mutants, header.echo_session == self.mine);
        if let Some(verified) = &mut self.verified
            && verified.session == header.session
        {
            if !echoes_us {
                // The session proved to know us before. This datagram is older, or answers a
                // recording: nothing to learn.
                return Verdict::Rejected(Reject::Session);
            }
            if !rules::is_admitted(self.mutants, verified.window.admit(header.counter)) {
                return Verdict::Rejected(Reject::Replay);
            }
            self.floor = self.floor.max(header.echo_counter);
            return Verdict::Fresh { new_session: false };
        }
        let trusted = !rules::sessions_need_proof(self.mutants);
        if echoes_us && (trusted || (header.echo_counter > self.floor && self.is_proof(header))) {
            self.verify(header);
            return Verdict::Fresh { new_session: true };
        }
        self.introduce(header)
    }

    /// Gives us a new session of our own. Everything received before becomes worthless; the peer,
    /// whose session is still echoed, is believed again after one round trip.
    ///
    /// # Panics
    /// If `mine` is 0 or the present session.
    pub fn rotate(&mut self, mine: u64) {
        assert!(mine != self.mine, "invariant: a new session differs from the old one");
        let heard = match &self.verified {
            Some(verified) => Echo { session: verified.session, counter: verified.window.highest },
            None => self.latest,
        };
        *self = Sessions::new(mine).mutated(self.mutants);
        self.remember(heard);
    }

    /// Whether a datagram echoes a counter at or above the one in which we first echoed its
    /// session.
    fn is_proof(&self, header: &Header) -> bool {
        let known = self.unproven.iter().find(|place| place.heard.session == header.session);
        known.and_then(|place| place.first_echoed_at).is_some_and(|sent| header.echo_counter >= sent)
    }

    /// Makes the session of a datagram the verified one.
    fn verify(&mut self, header: &Header) {
        self.verified = Some(Verified { session: header.session, window: Window::starting_at(header.counter) });
        self.floor = header.echo_counter;
        for place in &mut self.unproven {
            if place.heard.session == header.session {
                *place = Unproven::default();
            }
        }
    }

    /// Lets each datagram of an unproven session pass once, so that it is answered once.
    fn introduce(&mut self, header: &Header) -> Verdict {
        let known = self.unproven.iter().find(|place| place.heard.session == header.session);
        if known.is_some_and(|place| place.heard.counter >= header.counter) {
            return Verdict::Rejected(Reject::Replay);
        }
        self.remember(Echo { session: header.session, counter: header.counter });
        Verdict::Unproven { learned: header.session }
    }

    /// Notes a session as unproven, or its higher counter.
    fn remember(&mut self, heard: Echo) {
        if heard.session == 0 {
            return; // nothing was ever heard
        }
        self.latest = heard;
        match self.unproven.iter_mut().find(|place| place.heard.session == heard.session) {
            Some(place) => place.heard = heard,
            None => {
                self.unproven[self.next_unproven] = Unproven { heard, first_echoed_at: None };
                self.next_unproven = (self.next_unproven + 1) % UNPROVEN_MAX;
            }
        }
    }
}

/// The window: which of the last [`WINDOW`] counters were seen, one bit each, at counter modulo
/// [`WINDOW`].
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Window {
    highest: u64,
    seen: [u64; (WINDOW / 64) as usize],
}

impl Window {
    fn starting_at(counter: u64) -> Window {
        let mut window = Window { highest: counter, seen: [0; (WINDOW / 64) as usize] };
        window.mark(counter);
        window
    }

    /// True once per counter, and only if it is not too old.
    fn admit(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            if counter - self.highest >= WINDOW {
                self.seen.fill(0);
            } else {
                (self.highest + 1..counter).for_each(|skipped| self.clear(skipped));
            }
            self.highest = counter;
        } else if self.highest - counter >= WINDOW || self.is_seen(counter) {
            return false;
        }
        self.mark(counter);
        true
    }

    fn is_seen(&self, counter: u64) -> bool {
        let (word, bit) = Window::place(counter);
        self.seen[word] & bit != 0
    }

    fn mark(&mut self, counter: u64) {
        let (word, bit) = Window::place(counter);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, counter: u64) {
        let (word, bit) = Window::place(counter);
        self.seen[word] &= !bit;
    }

    fn place(counter: u64) -> (usize, u64) {
        let position = counter % WINDOW;
        ((position / 64) as usize, 1 << (position % 64))
    }
}
