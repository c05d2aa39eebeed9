//! Tests of the directory of recordings: names, modes, which recordings go, and what is refused.

use super::*;
use crate::flight::{Book, Header};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// A recording without segments, written `second` seconds after 2026-03-01T00:00:00Z for `reason`.
fn recording(second: u64, reason: &str) -> Recording {
    let header = Header {
        version: String::new(),
        engine: String::new(),
        node: "beta".into(),
        cluster: "web".into(),
        written: 1_772_323_200_000 + second * 1000,
        reason: reason.into(),
        book: Book::default(),
    };
    Recording { header, segments: Vec::new() }
}

/// Names of the files in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_recording_is_for_its_owner_alone_and_says_what_it_is() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("flight");
    let path = put(&dir, &recording(0, "takeover")).unwrap();
    assert_eq!(path, dir.join("flight-20260301T000000.000Z-beta-takeover.vfr"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(names(&dir).len(), 1);
}

#[test]
fn the_oldest_of_a_reason_go_and_other_files_stay() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path();
    std::fs::write(dir.join("notes-takeover.txt"), "mine").unwrap();
    put(dir, &recording(0, "conflict")).unwrap();
    for second in 0..20 {
        put(dir, &recording(second, "takeover")).unwrap();
    }
    let names = names(dir);
    assert_eq!(names.len(), KEPT + 2, "{names:?}");
    assert!(names.contains(&"flight-20260301T000019.000Z-beta-takeover.vfr".to_owned()), "{names:?}");
    assert!(!names.contains(&"flight-20260301T000014.000Z-beta-takeover.vfr".to_owned()), "{names:?}");
}

#[test]
fn no_link_is_followed_and_what_cannot_be_written_is_an_error() {
    let outer = tempfile::tempdir().unwrap();
    let precious = outer.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    let dir = outer.path().join("flight");
    std::fs::create_dir(&dir).unwrap();
    symlink(&precious, dir.join("flight.new")).unwrap();
    let path = put(&dir, &recording(0, "asked")).unwrap();
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
    assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(std::fs::metadata(&path).unwrap().nlink(), 1);
    let error = put(&precious, &recording(1, "asked")).unwrap_err().to_string();
    assert!(error.contains("precious"), "{error}");
    let error = put(&outer.path().join("no/such"), &recording(1, "asked")).unwrap_err().to_string();
    assert!(error.contains("create"), "{error}");
}
