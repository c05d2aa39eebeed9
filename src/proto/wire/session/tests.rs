//! Tests of freshness: which datagrams of a peer are believed, after restarts on either side, with
//! recordings, and with two processes of one number.

use super::*;
use crate::types::NodeId;
use crate::wire::pulse::{Digests, Flags};

mod attacker;

const ME: u64 = 0x1000;
const PEER: u64 = 0x2000;

/// The header of a datagram; only session, counter and echo matter to freshness.
fn datagram(session: u64, counter: u64, echo: Echo) -> Header {
    Header {
        sender: NodeId(2),
        receiver: NodeId(1),
        session,
        counter,
        echo_session: echo.session,
        echo_counter: echo.counter,
        flags: Flags::default(),
        cluster: 7,
        pulse_us: 0,
        silence_us: 0,
        lease_us: 0,
        digests: Digests::default(),
        table_version: 0,
        base_version: 0,
        upto_version: 0,
        ack_version: 0,
    }
}

/// The echo of a datagram by its session and counter.
fn echo(session: u64, counter: u64) -> Echo {
    Echo { session, counter }
}

const FRESH: Verdict = Verdict::Fresh { new_session: false };
const NEW: Verdict = Verdict::Fresh { new_session: true };
const REPLAY: Verdict = Verdict::Rejected(Reject::Replay);
const OLD_SESSION: Verdict = Verdict::Rejected(Reject::Session);

/// A process: its session, its counter, and what it knows of the other.
#[derive(Clone, Debug)]
struct Process {
    sessions: Sessions,
    counter: u64,
    believed: u32,
}

impl Process {
    /// A process that has just started, with this session.
    fn start(session: u64) -> Process {
        Process { sessions: Sessions::new(session), counter: 0, believed: 0 }
    }

    /// The next datagram, with this echo.
    fn send(&mut self, echo: Echo) -> Header {
        self.counter += 1;
        datagram(self.sessions.mine(), self.counter, echo)
    }

    /// An ordinary pulse, which echoes what the process has heard.
    fn pulse(&mut self) -> Header {
        let echo = self.sessions.echo(self.counter + 1);
        self.send(echo)
    }

    /// Takes a datagram; returns what has to be sent at once, if anything.
    fn take(&mut self, header: &Header) -> Option<Header> {
        match self.sessions.check(header) {
            Verdict::Fresh { new_session } => {
                self.believed += 1;
                new_session.then(|| self.pulse())
            }
            Verdict::Unproven { learned } => {
                let echo = self.sessions.answer(learned, self.counter + 1);
                Some(self.send(echo))
            }
            Verdict::Rejected(_) => None,
        }
    }
}

/// Delivers answers until none is due; returns how many there were.
fn settle(one: &mut Process, other: &mut Process, first: &Header) -> u32 {
    let (mut answers, mut receiver, mut sender) = (0, one, other);
    let mut flying = receiver.take(first);
    while let Some(header) = flying {
        answers += 1;
        assert!(answers < 5, "answers answer each other");
        std::mem::swap(&mut receiver, &mut sender);
        flying = receiver.take(&header);
    }
    answers
}

/// Two processes that believe each other.
fn pair() -> (Process, Process) {
    let (mut a, mut b) = (Process::start(ME), Process::start(PEER));
    let first = a.pulse();
    settle(&mut b, &mut a, &first);
    for _ in 0..3 {
        let pulse = a.pulse();
        settle(&mut b, &mut a, &pulse);
        let pulse = b.pulse();
        settle(&mut a, &mut b, &pulse);
    }
    assert_eq!((a.sessions.verified(), b.sessions.verified()), (Some(PEER), Some(ME)));
    (a, b)
}

#[test]
fn first_contact_settles_without_waiting_for_a_pulse() {
    let (mut a, mut b) = (Process::start(ME), Process::start(PEER));
    let hello = a.pulse();
    assert_eq!(settle(&mut b, &mut a, &hello), 4);
    assert_eq!((a.sessions.verified(), b.sessions.verified()), (Some(PEER), Some(ME)));
    assert_eq!(b.sessions.check(&a.pulse()), FRESH);
    assert_eq!(a.sessions.check(&b.pulse()), FRESH);
}

#[test]
fn unproven_is_not_believed_and_teaches_the_echo() {
    let mut sessions = Sessions::new(ME);
    assert_eq!(sessions.echo(1), Echo::default());
    assert_eq!(sessions.check(&datagram(PEER, 5, Echo::default())), Verdict::Unproven { learned: PEER });
    assert_eq!(sessions.verified(), None);
    assert_eq!(sessions.echo(2), echo(PEER, 5));
    assert_eq!(sessions.answer(PEER, 3), echo(PEER, 5));
}

#[test]
fn only_an_echo_of_what_was_sent_after_the_introduction_is_proof() {
    let mut sessions = Sessions::new(ME);
    assert_eq!(sessions.check(&datagram(PEER, 1, echo(ME, 99))), Verdict::Unproven { learned: PEER });
    sessions.answer(PEER, 100);
    assert_eq!(sessions.check(&datagram(PEER, 2, echo(ME, 99))), Verdict::Unproven { learned: PEER });
    sessions.answer(PEER, 101);
    assert_eq!(sessions.check(&datagram(PEER, 3, echo(ME - 1, 100))), Verdict::Unproven { learned: PEER });
    assert_eq!(sessions.check(&datagram(PEER, 4, echo(ME, 100))), NEW);
}

/// Sessions that have verified the peer's session by a datagram with `counter`.
fn verified(counter: u64) -> Sessions {
    let mut sessions = Sessions::new(ME);
    sessions.check(&datagram(PEER, 1, Echo::default()));
    sessions.answer(PEER, 1);
    assert_eq!(sessions.check(&datagram(PEER, counter, echo(ME, 1))), NEW);
    sessions
}

#[test]
fn every_counter_is_believed_once() {
    let mut sessions = verified(2000);
    for counter in (977..2000).rev() {
        assert_eq!(sessions.check(&datagram(PEER, counter, echo(ME, 1))), FRESH, "{counter}");
    }
    for counter in 1..=2000 {
        assert_eq!(sessions.check(&datagram(PEER, counter, echo(ME, 1))), REPLAY, "{counter}");
    }
    assert_eq!(sessions.newest(), Some(2000));
}

#[test]
fn a_jump_far_ahead_keeps_older_counters_out() {
    let mut sessions = verified(10);
    assert_eq!(sessions.check(&datagram(PEER, 10 + 5 * WINDOW, echo(ME, 1))), FRESH);
    assert_eq!(sessions.check(&datagram(PEER, 10 + 4 * WINDOW, echo(ME, 1))), REPLAY);
    assert_eq!(sessions.check(&datagram(PEER, 11 + 4 * WINDOW, echo(ME, 1))), FRESH);
    assert_eq!(sessions.check(&datagram(PEER, u64::MAX, echo(ME, 1))), FRESH);
    assert_eq!(sessions.check(&datagram(PEER, u64::MAX, echo(ME, 1))), REPLAY);
}

#[test]
fn recordings_from_before_our_start_are_not_believed() {
    let (_, mut b) = pair();
    let recordings: Vec<Header> = (0..100).map(|_| b.pulse()).collect();
    let mut restarted = Process::start(ME + 1);
    for recording in &recordings {
        restarted.take(recording);
    }
    assert_eq!(restarted.believed, 0);
}

#[test]
fn a_restarted_peer_is_believed_after_one_round_trip() {
    let (mut a, _) = pair();
    let mut b = Process::start(PEER + 1);
    let hello = b.pulse();
    assert_eq!(a.sessions.verified(), Some(PEER), "not displaced by a mere introduction");
    let answer = a.take(&hello).expect("answered");
    let answer = b.take(&answer).expect("answered");
    let believed = a.take(&answer).expect("sent at once");
    assert_eq!(a.sessions.verified(), Some(PEER + 1), "one round trip");
    b.take(&believed);
    assert_eq!(b.sessions.verified(), Some(ME));
}

#[test]
fn a_restarted_peer_is_believed_even_if_it_hears_us_before_it_speaks() {
    let (mut a, _) = pair();
    let mut b = Process::start(PEER + 1);
    let pulse = a.pulse();
    settle(&mut b, &mut a, &pulse);
    assert_eq!((a.sessions.verified(), b.sessions.verified()), (Some(PEER + 1), Some(ME)));
}

#[test]
fn recordings_of_an_earlier_life_do_not_disturb_the_running_session() {
    let (mut a, mut b) = pair();
    let mut recordings: Vec<Header> = (0..50).map(|_| b.pulse()).collect();
    for recording in recordings.iter().take(20) {
        a.take(recording);
    }
    recordings.extend((0..50).map(|_| b.send(Echo::default())));
    let mut b = Process::start(PEER + 1);
    let hello = b.pulse();
    settle(&mut a, &mut b, &hello);
    assert_eq!(a.sessions.verified(), Some(PEER + 1));
    let mut answers = 0;
    for round in 0..100 {
        for recording in &recordings {
            answers += settle(&mut a, &mut b, recording);
        }
        a.believed = 0;
        let pulse = b.pulse();
        settle(&mut a, &mut b, &pulse);
        assert_eq!((a.believed, a.sessions.echo(0)), (1, echo(PEER + 1, b.counter)), "round {round}");
        b.believed = 0;
        let pulse = a.pulse();
        settle(&mut b, &mut a, &pulse);
        assert_eq!(b.believed, 1, "round {round}");
    }
    assert!(answers <= 100, "each recording is answered at most once, and the answer never: {answers}");
}

#[test]
fn a_recording_that_was_never_delivered_does_not_displace_a_later_life() {
    let (mut a, mut b) = pair();
    let mut lost_life = Process::start(PEER + 1);
    let hello = lost_life.pulse();
    let answer = a.take(&hello).expect("answered");
    let withheld = lost_life.take(&answer).expect("answered");
    assert_eq!(a.clone().sessions.check(&withheld), NEW, "it would be believed if it were delivered now");
    let pulse = b.pulse();
    assert_eq!(a.sessions.check(&pulse), FRESH, "the old life still speaks");
    b = Process::start(PEER + 2);
    let hello = b.pulse();
    settle(&mut a, &mut b, &hello);
    assert_eq!(a.sessions.verified(), Some(PEER + 2));
    a.take(&withheld);
    assert_eq!(a.sessions.verified(), Some(PEER + 2));
}

#[test]
fn a_restarted_peer_gets_through_a_flood_of_many_lives() {
    let mut a = Process::start(ME);
    let mut recordings = Vec::new();
    for life in 1..=3 * UNPROVEN_MAX as u64 {
        let mut b = Process::start(PEER + life);
        recordings.push(b.pulse());
        let hello = b.pulse();
        settle(&mut a, &mut b, &hello);
        recordings.push(b.pulse());
        assert_eq!(a.sessions.verified(), Some(PEER + life));
    }
    let mut b = Process::start(PEER);
    let hello = b.pulse();
    for _ in 0..10 {
        for recording in &recordings {
            a.take(recording);
        }
        settle(&mut a, &mut b, &hello);
    }
    assert_eq!((a.sessions.verified(), b.sessions.verified()), (Some(PEER), Some(ME)));
}

#[test]
fn an_answer_to_a_recording_is_not_answered() {
    let (mut a, mut b) = pair();
    let answer = a.send(echo(PEER - 1, 17));
    assert_eq!(b.sessions.check(&answer), OLD_SESSION);
}

#[test]
fn a_late_pulse_of_the_verified_session_without_our_echo_is_dropped() {
    let (mut a, mut b) = pair();
    let late = b.send(Echo::default());
    assert_eq!(a.sessions.check(&late), OLD_SESSION);
    assert_eq!(a.sessions.check(&datagram(PEER, late.counter, echo(ME, a.counter))), FRESH, "window not touched");
}

#[test]
fn own_session_and_zero_are_refused() {
    let mut sessions = Sessions::new(ME);
    assert_eq!(sessions.check(&datagram(0, 1, echo(ME, 1))), OLD_SESSION);
    assert_eq!(sessions.check(&datagram(PEER, 0, echo(ME, 1))), OLD_SESSION);
    assert_eq!(sessions.check(&datagram(ME, 1, echo(ME, 1))), OLD_SESSION, "reflected");
}

#[test]
#[should_panic(expected = "never 0")]
fn our_own_session_is_never_zero() {
    let _ = Sessions::new(0);
}

#[test]
fn rotation_makes_everything_old_worthless_and_recovers_by_itself() {
    let (mut a, mut b) = pair();
    let recordings: Vec<Header> = (0..20).map(|_| b.pulse()).collect();
    a.sessions.rotate(ME + 7);
    a.believed = 0;
    for recording in &recordings {
        a.take(recording);
    }
    assert_eq!(a.believed, 0);
    let pulse = a.pulse();
    assert_eq!(pulse.echo_session, PEER);
    settle(&mut b, &mut a, &pulse);
    let pulse = b.pulse();
    settle(&mut a, &mut b, &pulse);
    assert_eq!((a.sessions.verified(), b.sessions.verified()), (Some(PEER), Some(ME + 7)));
}

#[test]
fn when_a_twin_ends_the_other_is_believed_again() {
    let (mut a, mut b) = pair();
    let mut twin = Process::start(PEER + 1);
    for _ in 0..20 {
        let pulse = twin.pulse();
        settle(&mut a, &mut twin, &pulse);
        let pulse = b.pulse();
        settle(&mut a, &mut b, &pulse);
    }
    // From here on the twin is silent.
    for _ in 0..2 {
        let pulse = b.pulse();
        settle(&mut a, &mut b, &pulse);
    }
    a.believed = 0;
    let pulse = b.pulse();
    settle(&mut a, &mut b, &pulse);
    assert_eq!((a.sessions.verified(), a.believed), (Some(PEER), 1));
}
