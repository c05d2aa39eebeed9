//! Tests of votes: from which instant a datagram of ours asks for a lease ([`SentTimes`]).

use super::ballot::{INSTANTS, SentTimes};
use crate::types::MonoTime;
use std::time::Duration;

const LEASE: Duration = Duration::from_millis(35);

/// The instant `millis` milliseconds after the boot.
fn at(millis: u64) -> MonoTime {
    MonoTime(millis * 1_000_000)
}

// S4
#[test]
fn a_datagram_asks_for_a_lease_from_when_it_left() {
    let mut sent = SentTimes::default();
    sent.note(5, at(10), LEASE);
    sent.note(6, at(10), LEASE);
    sent.note(7, at(20), LEASE);
    sent.note(8, at(20), LEASE * 2);
    assert_eq!(sent.deadline(4), None, "that was before anything that is remembered");
    assert_eq!(sent.deadline(5), Some(at(45)));
    assert_eq!(sent.deadline(6), Some(at(45)), "at the same instant");
    assert_eq!(sent.deadline(7), Some(at(55)));
    assert_eq!(sent.deadline(8), Some(at(90)), "it stated another lease");
}

#[test]
fn what_left_too_long_ago_is_forgotten_and_grants_nothing() {
    let mut sent = SentTimes::default();
    for number in 1..=INSTANTS as u64 + 3 {
        sent.note(number, at(number), LEASE);
    }
    assert_eq!(sent.0.len(), INSTANTS);
    assert_eq!(sent.deadline(3), None);
    assert_eq!(sent.deadline(4), Some(at(4) + LEASE));
}
