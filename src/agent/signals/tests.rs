//! Tests of signals that come before the agent serves. A signal reaches the whole process, so the
//! tests take turns.

use super::Signals;
use nix::sys::signal::{Signal, raise};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn hangup_that_comes_during_the_start_is_remembered() {
    let _turn = TURN.lock().await;
    let mut signals = Signals::catch().expect("the kernel takes handlers");
    let (go_on, wait) = mpsc::sync_channel(1);
    raise(Signal::SIGHUP).expect("it is ours");
    go_on.send(7).expect("the start waits for it");
    let made = signals.unless_ended(move || wait.recv()).await.expect("there is room for a thread");
    assert_eq!(made, Some(Ok(7)), "the start goes on");
    let told = timeout(Duration::from_secs(10), signals.hangup.recv()).await;
    assert_eq!(told.expect("it is remembered"), Some(()));
}

#[tokio::test]
async fn termination_does_not_wait_for_a_start_that_waits() {
    let _turn = TURN.lock().await;
    let mut signals = Signals::catch().expect("the kernel takes handlers");
    let (never_told, wait) = mpsc::sync_channel::<()>(1);
    raise(Signal::SIGTERM).expect("it is ours");
    let made = timeout(Duration::from_secs(10), signals.unless_ended(move || wait.recv())).await;
    assert_eq!(made.expect("it ends at once").expect("there is room for a thread"), None);
    drop(never_told);
}
