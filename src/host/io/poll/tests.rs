//! Tests of the sleep of the pulse thread, and of what wakes it.

use super::*;

#[test]
fn a_wake_up_from_another_thread_ends_the_sleep() {
    let poll = Poll::new().unwrap();
    let waker = Waker::new().unwrap();
    poll.add(&waker, 3).unwrap();
    let other = waker.clone();
    let thread = std::thread::spawn(move || {
        other.wake();
        other.wake();
    });
    let mut ready = Ready::new();
    poll.wait(&mut ready, None).unwrap();
    thread.join().unwrap();
    assert_eq!(ready.tokens().collect::<Vec<_>>(), [3]);
    assert!(waker.take());
    assert!(!waker.take());
    poll.wait(&mut ready, Some(Duration::ZERO)).unwrap();
    assert_eq!(ready.tokens().count(), 0);
}

#[test]
fn a_removed_descriptor_is_not_reported() {
    let poll = Poll::new().unwrap();
    let waker = Waker::new().unwrap();
    poll.add(&waker, 3).unwrap();
    waker.wake();
    poll.remove(&waker).unwrap();
    let mut ready = Ready::new();
    poll.wait(&mut ready, Some(Duration::from_millis(1))).unwrap();
    assert_eq!(ready.tokens().count(), 0);
}
