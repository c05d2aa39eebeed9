//! The shape of files: short enough to be read, with a header where a wing begins, and none that nobody names.

use super::{code, files, read, root, shown};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of a file, comments and tests included.
const FILE_LINES: usize = 400;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;

/// What begins the root file of every wing; the door's is `src/cli/mod.rs`.
const FRONTS: [&str; 6] = [
    "src/proto/lib.rs",
    "src/host/lib.rs",
    "src/agent/lib.rs",
    "src/witness/lib.rs",
    "src/proof/lib.rs",
    "src/cli/mod.rs",
];

/// The files that Cargo begins with; every other one is named by one of these, or by one that they name.
const BEGINNINGS: [&str; 11] = [
    "src/main.rs",
    "src/lib.rs",
    "src/proto/lib.rs",
    "src/host/lib.rs",
    "src/agent/lib.rs",
    "src/witness/lib.rs",
    "src/proof/lib.rs",
    "src/proto/build.rs",
    "src/agent/build.rs",
    "src/proof/build.rs",
    "netns-tests/main.rs",
];

/// The same of examples, which are in no folder of their own.
const EXAMPLES: [&str; 2] = ["netns-tests/demo.rs", "netns-tests/bench.rs"];

#[test]
fn files_stay_short_enough_to_be_read() {
    let all = files("src", "rs").into_iter().chain(files("netns-tests", "rs")).chain(files("src", "c"));
    let long: Vec<String> = all
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > FILE_LINES)
        .map(|(lines, path)| format!("{}: {lines} lines", shown(&path)))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Whether a line begins a function whose body follows.
fn begins_function(line: &str) -> bool {
    let mut head = line.trim_start();
    if let Some((_, rest)) = head.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")) {
        head = rest;
    }
    for word in ["pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        head = head.strip_prefix(word).unwrap_or(head);
    }
    head.starts_with("fn ") && !line.trim_end().ends_with([';', '}'])
}

#[test]
fn functions_stay_short_enough_to_be_read() {
    let (mut long, mut seen) = (Vec::new(), 0);
    for path in files("src", "rs").into_iter().chain(files("netns-tests", "rs")) {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            let indent = line.len() - line.trim_start().len();
            // rustfmt puts the closing brace below the `fn`.
            let closing = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| **line == closing).unwrap_or_default();
            seen += 1;
            if length > FUNCTION_LINES {
                long.push(format!("{}:{}: {length} lines", shown(&path), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    assert!(seen > 3000, "only {seen} functions were found: the test looks in the wrong place");
}

#[test]
fn every_wing_says_what_it_owns_and_never_does() {
    for front in FRONTS {
        let text = read(&root().join(front));
        let header: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        for words in ["Owns:", "Never does:"] {
            assert!(header.join(" ").contains(words), "the header of {front} does not say {words:?}");
        }
    }
}

#[test]
fn the_pure_wing_forbids_unsafe_code() {
    let forbids = read(&root().join("src/proto/lib.rs")).lines().any(|line| line == "#![forbid(unsafe_code)]");
    assert!(forbids, "src/proto/lib.rs has no #![forbid(unsafe_code)]");
}

/// The folder where the modules that a file names are: its own for a file that stands for its folder.
fn home(path: &Path, stands_for_folder: bool) -> PathBuf {
    let folder = path.parent().expect("a file is in a folder").to_path_buf();
    let stem = path.file_stem().unwrap_or_default();
    if stands_for_folder || stem == "mod" { folder } else { folder.join(stem) }
}

/// The files that the `mod` lines of a file name; those with a `path` of their own included.
fn named_by(path: &Path, stands_for_folder: bool) -> Vec<PathBuf> {
    let home = home(path, stands_for_folder);
    let folder = path.parent().expect("a file is in a folder");
    let (mut found, mut elsewhere) = (Vec::new(), None);
    for line in read(path).lines() {
        let line = code(line).trim();
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            elsewhere = rest.split('"').next().map(|path| folder.join(path));
            continue;
        }
        if let Some(name) = line.strip_prefix("include!(\"").and_then(|rest| rest.split('"').next()) {
            found.push(folder.join(name));
        }
        let head = line.rsplit_once(") ").map_or(line, |(_, rest)| rest).trim_start_matches("pub ");
        if let Some(name) = head.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            let places = [home.join(format!("{name}.rs")), home.join(name).join("mod.rs")];
            found.extend(elsewhere.take().into_iter().chain(places).find(|place| place.is_file()));
        }
    }
    found
}

// A file that no `mod` names is compiled by nobody, and so are the tests in it.
#[test]
fn no_file_is_dead() {
    let begins = |paths: &[&str]| paths.iter().map(|path| root().join(path)).collect::<Vec<_>>();
    let mut open: Vec<(PathBuf, bool)> =
        begins(&BEGINNINGS).into_iter().chain(begins(&EXAMPLES)).map(|path| (path, true)).collect();
    let mut alive = BTreeSet::new();
    while let Some((path, stands_for_folder)) = open.pop() {
        let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if alive.insert(path.clone()) {
            open.extend(named_by(&path, stands_for_folder).into_iter().map(|path| (path, false)));
        }
    }
    let all = files("src", "rs").into_iter().chain(files("netns-tests", "rs"));
    let dead: Vec<String> = all.filter(|path| !alive.contains(path)).map(|path| shown(&path)).collect();
    assert!(dead.is_empty(), "no `mod` names these:\n{}", dead.join("\n"));
    assert!(alive.len() > 300, "only {} files were found: the test looks in the wrong place", alive.len());
}
