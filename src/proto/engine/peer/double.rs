//! A double: another machine that uses our number. One of both files is wrong, or one machine is a
//! copy of the other.
//!
//! Owns: whether one is there, and whether it or we close if gates of both are open. Never does:
//! close or open anything; groups ask. A double is as alive as a peer, and is believed on the same
//! terms: it must echo our session, so a recording of our own earlier life is nobody, and what
//! comes back of our own is ours. When nothing is heard of it any more, it counts until the lease
//! that it may have is over.

use crate::engine::turn::Turn;
use crate::timing::Timing;
use crate::types::{LinkId, LinkPath, MonoTime};
use crate::wire::pulse::Header;
use crate::wire::session::{Sessions, Verdict};
use std::time::Duration;

/// What is known of machines that use our number.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Double {
    /// The sessions of both sides.
    pub sessions: Sessions,
    /// When its newest believed datagram was received, and on which link, a UDP link if it was ever
    /// heard on one; `None` if there is none.
    pub heard: Option<(MonoTime, LinkId)>,
    /// Whether a gate is open there, as it says.
    pub open: bool,
    /// Time after its newest datagram in which a lease of it may run.
    pub lease: Duration,
    /// When a datagram of it was last answered on all links.
    pub answered: MonoTime,
    /// Whether people were told last that it is there.
    pub told: bool,
}

/// How groups stand because of a double.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) struct Doubled {
    /// It is there: nothing is opened.
    pub there: bool,
    /// A gate is open there, and ours are to be closed.
    pub wins: bool,
}

/// The use of a datagram with our own number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Met {
    /// It is to be answered, with an echo of this session.
    pub answer: Option<u64>,
    /// The answer goes out on all links: it may not hear us on the one on which we hear it.
    pub everywhere: bool,
    /// Groups have to be looked at.
    pub news: bool,
    /// A gate is open at the double, or was until now.
    pub contested: bool,
}

impl Double {
    /// Nobody is known to use our number. `session` is our own.
    pub fn new(sessions: Sessions) -> Double {
        Double { sessions, heard: None, open: false, lease: Duration::ZERO, answered: MonoTime::ZERO, told: false }
    }

    /// Until when it counts as being there, unless it is heard again; `None` if it is not there.
    pub fn until(&self, turn: &Turn, timing: &Timing) -> Option<MonoTime> {
        self.heard.map(|(heard, _)| heard.max(turn.resumed) + self.lease.max(timing.listen + timing.pulse))
    }

    /// How groups stand at `now`.
    pub fn state(&self, turn: &Turn, timing: &Timing, now: MonoTime) -> Doubled {
        let there = self.until(turn, timing).is_some_and(|until| now < until);
        let theirs = self.sessions.verified().unwrap_or(0);
        // Both know both sessions, and draw the same conclusion.
        Doubled { there, wins: there && self.open && theirs > self.sessions.mine() }
    }

    /// Where people are told that it is: a link tells its address, the segment does not.
    fn place(&self, link: LinkId) -> LinkId {
        let named = self.heard.map(|(_, known)| known).filter(|known| matches!(known.path, LinkPath::Udp(_)));
        match link.path {
            LinkPath::Udp(_) => link,
            LinkPath::Segment(_) => named.unwrap_or(link),
        }
    }

    /// Answers a session, if it is `due` on all links, for we do not know on which ones it hears us.
    fn answer(&mut self, session: u64, due: bool, now: MonoTime, met: Met) -> Met {
        self.answered = if due { now } else { self.answered };
        Met { answer: Some(session), everywhere: due, ..met }
    }

    /// Takes in an authentic datagram that has our number and a session that is not ours.
    pub(super) fn meet(&mut self, link: LinkId, header: &Header, timing: &Timing, now: MonoTime) -> Met {
        let due = now.since(self.answered) >= timing.pulse;
        let nothing = Met { answer: None, everywhere: false, news: false, contested: false };
        match self.sessions.check(header) {
            Verdict::Unproven { learned } => self.answer(learned, due, now, nothing),
            // What it says to others does not echo us. It is answered now and then, so that it
            // answers in turn.
            Verdict::Rejected(_) if self.sessions.is_unaware(header) && due => {
                self.answer(header.session, due, now, nothing)
            }
            Verdict::Rejected(_) => nothing,
            Verdict::Fresh { new_session } => {
                let (before, known) = (self.open, self.heard.is_some());
                let newest = self.sessions.newest() == Some(header.counter);
                if header.flags.goodbye {
                    (self.heard, self.open) = (None, false);
                } else {
                    self.heard = Some((now, self.place(link)));
                    if newest {
                        self.open = header.flags.open;
                        let [lease, pulse] = [header.lease_us, header.pulse_us].map(u64::from);
                        self.lease = timing.unheard_lease(Duration::from_micros(lease), Duration::from_micros(pulse));
                    }
                }
                let (contested, left) = (before || self.open, known != self.heard.is_some());
                let met = Met { news: new_session || before != self.open || left, contested, ..nothing };
                if new_session || header.flags.query { self.answer(header.session, due, now, met) } else { met }
            }
        }
    }
}
