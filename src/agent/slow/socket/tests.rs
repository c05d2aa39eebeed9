//! Tests of a control socket that cannot be made, or does not stay.

use super::{ControlSocket, PAUSE};
use crate::control::protocol::StatusReport;
use crate::slow::effects::{Effect, Effects};
use crate::types::MonoTime;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// An instant of the tests.
const START: MonoTime = MonoTime(1_000_000_000);

/// The control socket at `path`, whose requests nobody takes.
fn socket(path: &Path) -> ControlSocket {
    ControlSocket::new(path.to_owned(), mpsc::channel(1).0)
}

/// The texts of events.
fn texts(effects: Effects) -> Vec<String> {
    let text = |effect| match effect {
        Effect::Event(saying) => saying.text,
        _ => panic!("only people are told"),
    };
    effects.into_iter().map(text).collect()
}

/// The warnings that every status shows.
fn warnings(socket: &ControlSocket) -> Vec<String> {
    let mut status = StatusReport::default();
    socket.add_to(&mut status);
    status.warnings
}

#[tokio::test]
async fn socket_whose_directory_comes_late_is_made_then_and_people_are_told_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("run/s");
    let mut socket = socket(&path);
    let told = texts(socket.handle_tick(START));
    let [warning] = &told[..] else { panic!("{told:?}") };
    assert!(warning.contains("run/s: No such file") && warning.contains("make its directory"), "{warning}");
    assert_eq!(texts(socket.handle_tick(START + PAUSE)), [""; 0], "they have been told");

    std::fs::create_dir(path.parent().expect("it has one")).expect("it can be made");
    assert_eq!(texts(socket.handle_tick(START + PAUSE + Duration::from_millis(250))), [""; 0]);
    assert!(!path.exists(), "not at every tick");
    let told = texts(socket.handle_tick(START + PAUSE * 2));
    assert!(UnixStream::connect(&path).is_ok(), "it listens");
    assert!(told[0].contains("for 4.0 s") && told[0].contains("No such file"), "{told:?}");
    assert_eq!(warnings(&socket), told, "status shows it, too");
    drop(socket);
    assert!(!path.exists(), "it is removed at the end");
}

#[tokio::test]
async fn socket_that_can_be_made_at_once_is_no_news() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("s");
    let mut socket = socket(&path);
    assert_eq!(texts(socket.handle_tick(START)), [""; 0]);
    assert!(UnixStream::connect(&path).is_ok(), "it listens");
    assert_eq!(texts(socket.handle_tick(START + PAUSE)), [""; 0]);
    assert_eq!(warnings(&socket), [""; 0]);
}

#[tokio::test]
async fn socket_that_somebody_removes_is_made_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("s");
    let mut socket = socket(&path);
    assert_eq!(texts(socket.handle_tick(START)), [""; 0]);
    std::fs::remove_file(&path).expect("it was made");
    let told = texts(socket.handle_tick(START + PAUSE));
    assert!(told[0].contains("its file was removed"), "{told:?}");
    assert!(UnixStream::connect(&path).is_ok(), "it listens again");
}

#[tokio::test]
async fn what_others_have_at_the_path_is_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("s");
    std::fs::write(&path, "notes").expect("writable");
    let mut socket = self::socket(&path);
    let told = texts(socket.handle_tick(START));
    assert!(told[0].contains("exists and is no socket"), "{told:?}");
    drop(socket);
    assert_eq!(std::fs::read_to_string(&path).expect("it stays"), "notes");

    std::fs::remove_file(&path).expect("it is there");
    let other = std::os::unix::net::UnixListener::bind(&path).expect("it can listen");
    let mut socket = self::socket(&path);
    let told = texts(socket.handle_tick(START));
    assert!(told[0].contains("another agent listens"), "{told:?}");
    drop(socket);
    assert!(std::fs::symlink_metadata(&path).expect("it stays").file_type().is_socket());
    drop(other);
}
