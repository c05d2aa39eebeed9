//! The house keeps its own rules: this test reads the tree.

use std::fs;
use std::path::{Path, PathBuf};

mod documents;

/// Lines of a file, comments and tests included.
const FILE_LINES: usize = 400;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;
/// What the pure rooms must not reach for: clocks, sockets, files, threads, randomness, the rooms that have them.
const BANNED: [&str; 16] = [
    "std::time::Instant",
    "std::time::SystemTime",
    "SystemTime::now",
    "Instant::now",
    "std::fs",
    "std::thread",
    "std::process",
    "UdpSocket",
    "TcpStream",
    "tokio",
    "getrandom",
    "nix::",
    "crate::io",
    "crate::effects",
    "crate::gate",
    "crate::daemon",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root of the repository")
}

fn files(under: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(under)];
    while let Some(place) = open.pop() {
        for entry in fs::read_dir(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_pure_rooms_reach_for_nothing_outside() {
    let mut broken = Vec::new();
    for path in ["src/proto"].into_iter().flat_map(|room| files(room, "rs")) {
        if is_test(&path) {
            continue;
        }
        for (number, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in BANNED.iter().filter(|word| code.contains(*word)) {
                broken.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_stay_short_enough_to_be_read() {
    let all = files("src", "rs").into_iter().chain(files("netns-tests", "rs")).chain(files("src", "c"));
    let long: Vec<String> = all
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > FILE_LINES)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn functions_stay_short_enough_to_be_read() {
    let mut long = Vec::new();
    for path in files("src", "rs").into_iter().chain(files("netns-tests", "rs")) {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let head = head.trim_start_matches("pub ").trim_start_matches("async ").trim_start_matches("unsafe ");
            if !head.starts_with("fn ") || line.trim_end().ends_with([';', '}']) {
                continue;
            }
            // rustfmt puts the closing brace below the `fn`.
            let closing = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| **line == closing).unwrap_or_default();
            if length > FUNCTION_LINES {
                long.push(format!("{}:{}: {length} lines", path.display(), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
