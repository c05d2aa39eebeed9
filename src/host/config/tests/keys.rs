//! Tests of key files: made safely, refused when others could know them.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use tempfile::TempDir;

/// A directory of one test, which is gone when the value is dropped.
struct Place(TempDir);

impl Place {
    /// An empty directory.
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a temporary directory"))
    }

    /// The path of `name` in the directory, whether there is such a file or not.
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the file `written.key` with this content and mode, and returns its path.
    fn file(&self, content: &str, mode: u32) -> PathBuf {
        let path = self.path("written.key");
        std::fs::write(&path, content).expect("it can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode can be set");
        path
    }
}

/// The error about a key file that must be refused.
fn refusal(path: &Path) -> String {
    KeyFile::load(path).expect_err("it must be refused").to_string()
}

#[test]
fn a_key_that_was_made_can_be_read_by_its_owner_only() {
    let place = Place::new();
    let path = place.path("cluster.key");
    keyfile::generate(&path, 7).expect("it can be made");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let keys = KeyFile::load(&path).expect("it can be read").keys;
    assert_eq!((keys.len(), keys[0].0), (1, 7));
    assert_ne!(keys[0].1, [0; 32]);
}

#[test]
fn two_keys_made_in_a_row_differ() {
    let place = Place::new();
    let made = ["a", "b"].map(|name| {
        keyfile::generate(&place.path(name), 1).expect("it can be made");
        KeyFile::load(&place.path(name)).expect("it can be read").keys[0].1
    });
    assert_ne!(made[0], made[1]);
}

#[test]
fn making_a_key_never_touches_a_file_that_exists() {
    let place = Place::new();
    let path = place.file("precious", 0o600);
    let error = keyfile::generate(&path, 1).expect_err("it exists").to_string();
    assert!(error.contains("exists already; name a new file"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "precious");
    let link = place.path("link.key");
    symlink(place.path("elsewhere"), &link).expect("it can be made");
    keyfile::generate(&link, 1).expect_err("a symbolic link exists, too");
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn a_key_file_whose_mode_gives_others_a_right_is_refused() {
    let place = Place::new();
    let good = format!("1 {}\n", "ab".repeat(32));
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
        let error = refusal(&place.file(&good, mode));
        assert!(error.contains(&format!("has mode {mode:04o}")) && error.contains("; chmod 600 "), "{error}");
    }
    for mode in [0o600, 0o400] {
        assert!(KeyFile::load(&place.file(&good, mode)).is_ok());
    }
}

#[test]
fn a_key_of_another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return; // Only root can give a file away.
    }
    let place = Place::new();
    let path = place.file(&format!("1 {}\n", "ab".repeat(32)), 0o600);
    std::os::unix::fs::chown(&path, Some(12_345), None).expect("root can");
    let error = refusal(&path);
    assert!(error.contains("belongs to user 12345") && error.contains("; chown root:root "), "{error}");
}

#[test]
fn only_a_regular_file_is_a_key_file_and_nothing_else_is_waited_for() {
    let place = Place::new();
    let good = place.file(&format!("1 {}\n", "ab".repeat(32)), 0o600);
    let link = place.path("link.key");
    symlink(&good, &link).expect("it can be made");
    assert!(KeyFile::load(&link).is_ok(), "a symbolic link to a good file is good");
    assert!(refusal(place.0.path()).contains("is not a regular file"));
    assert!(refusal(Path::new("/dev/null")).contains("is not a regular file"));
    let fifo = place.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("it can be made");
    assert!(refusal(&fifo).contains("is not a regular file"));
    assert!(refusal(&place.path("nowhere")).contains("does not exist; make it with `vipair keygen"));
}

#[test]
fn two_keys_are_valid_at_once_and_the_first_is_for_sending() {
    let place = Place::new();
    let text = format!("# rotation\n2 {}\n\n  1   {}  \n", "CD".repeat(32), "ab".repeat(32));
    let keys = KeyFile::load(&place.file(&text, 0o600)).expect("two are right").keys;
    assert_eq!(keys, [(2, [0xcd; 32]), (1, [0xab; 32])]);
}

#[test]
fn content_that_is_no_key_is_refused_with_its_line() {
    let place = Place::new();
    let hex = "ab".repeat(32);
    for (content, expected) in [
        (String::new(), "holds no key"),
        ("# nothing\n".to_owned(), "holds no key"),
        (hex.clone(), ":1: has no key after its number"),
        (format!("256 {hex}"), ":1: does not begin with a number from 0 to 255"),
        (format!("1 {hex}0"), ":1: has no key of 64 hexadecimal digits"),
        (format!("1 {}", &hex[1..]), ":1: has no key of 64 hexadecimal digits"),
        (format!("1 {}xy", &hex[2..]), ":1: has no key of 64 hexadecimal digits"),
        (format!("1 {hex}\n1 {hex}"), ":2: has the number of another key"),
        (format!("1 {hex}\n2 {hex}\n3 {hex}"), ":3: is a third key"),
        (
            format!("\u{feff}1 {hex}"),
            ":1: begins with a byte order mark, which editors do not show; save it as plain text",
        ),
        (
            format!("1 {hex}\n2 {}", "00".repeat(32)),
            ":2: is a key of zeros, which anyone would guess; make a random one",
        ),
        ("#".repeat(5000), "is larger than 4 KiB"),
    ] {
        let error = refusal(&place.file(&content, 0o600));
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert!(!error.contains(&hex), "a key must not reach a log");
    }
}

#[test]
fn a_key_is_never_printed() {
    let keys = KeyFile { keys: vec![(3, [0xab; 32])] };
    assert_eq!(format!("{keys:?}"), "KeyFile { ids: [3] }");
}
