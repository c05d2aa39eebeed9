//! Tests of the pulse thread's timer on the kernel's own clock.

use super::*;
use crate::io::clock::now;
use crate::io::poll::{Poll, Ready};
use std::time::Duration;

#[test]
fn fires_at_the_deadline_and_not_before() {
    let poll = Poll::new().unwrap();
    let mut timer = Timer::new().unwrap();
    poll.add(&timer, 7).unwrap();
    let deadline = now() + Duration::from_millis(20);
    timer.arm(deadline).unwrap();
    assert!(!timer.take());
    let mut ready = Ready::new();
    poll.wait(&mut ready, Some(Duration::from_secs(5))).unwrap();
    assert!(now() >= deadline);
    assert_eq!(ready.tokens().collect::<Vec<_>>(), [7]);
    assert!(timer.take());
    assert!(!timer.take());
}

#[test]
fn a_past_deadline_fires_at_once_and_again_after_it_was_taken() {
    let mut timer = Timer::new().unwrap();
    for _ in 0..2 {
        timer.arm(MonoTime::ZERO).unwrap();
        let limit = now() + Duration::from_secs(5);
        while !timer.take() {
            assert!(now() < limit);
        }
    }
}

#[test]
fn forever_disarms() {
    let mut timer = Timer::new().unwrap();
    timer.arm(now() + Duration::from_millis(5)).unwrap();
    timer.arm(MonoTime::FOREVER).unwrap();
    std::thread::sleep(Duration::from_millis(15));
    assert!(!timer.take());
}
